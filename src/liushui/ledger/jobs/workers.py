"""The process that works on an account (its lease), and the progress or result of the account's sync.

Neither is needed for correctness. Leases only save double work: commits are safe without them. Progress is for display,
on every machine that has the ledger; a running sync writes it about twice a second.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Final, NamedTuple

import sqlalchemy as sa

from liushui.ledger.engine import Ledger
from liushui.ledger.schema import from_row, insert_new, leases, progress, to_columns, upsert

MACHINE: Final = socket.gethostname()


class Lease(NamedTuple):
    """The holder works on an account until an instant, unless it dies before."""

    account: str
    holder: str
    until: datetime


_LOCKED_LEASE: Final = sa.select(leases).where(leases.c.account == sa.bindparam("account")).with_for_update()
"""Cached, because a sync executes it with every few calls, and building it takes longer."""


def new_holder() -> str:
    """A name for a worker of this process: machine, process id, and a random part."""
    return f"{MACHINE}/{os.getpid()}/{token_hex(4)}"


def take_lease(ledger: Ledger, account: str, holder: str, life: timedelta) -> Lease:
    """Take or renew an account's lease. Returns the lease of `holder`, or another holder's that is still valid.

    A lease has ended if its time has passed, if its process on this machine has exited, or if it ends later than any
    new lease would. In the last case the clock was set back. One transaction.
    """
    with ledger.writing() as connection:
        now = ledger.clock()
        new = Lease(account, holder, now + life)
        values = to_columns(leases, new)
        if insert_new(connection, leases, values):
            return new
        # Locked, so that if two processes find the lease over, the second one sees that the first has taken it.
        row = connection.execute(_LOCKED_LEASE, {"account": account}).first()
        if row is not None and row.holder != holder:
            current = from_row(Lease, row)
            if now < current.until <= now + 2 * life and not has_exited(current.holder):
                return current
        upsert(connection, leases, values)
        return new


def release_lease(ledger: Ledger, account: str, holder: str) -> None:
    """Release an account's lease. Does nothing if another holder has it now."""
    with ledger.writing() as connection:
        connection.execute(leases.delete().where(leases.c.account == account, leases.c.holder == holder))


def has_exited(holder: str) -> bool:
    """Whether a holder is a process of this machine that is no longer running.

    False for a process of another machine, because that cannot be known.
    """
    machine, _, rest = holder.rpartition("/")[0].rpartition("/")
    if machine != MACHINE or not rest.isdecimal():
        return False
    with suppress(PermissionError):  # it is running under another user
        try:
            os.kill(int(rest), 0)
        except (ProcessLookupError, OverflowError):
            return True
    return False


# ---------------------------------------------------------------- progress


RUNNING: Final = "running"
SILENCE_MAX: Final = timedelta(minutes=1)
"""If a sync has not written its progress for this long, it was killed."""


class Progress(NamedTuple):
    """The last sync of an account. `slices_left` is None until it is known."""

    account: str
    holder: str
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    status: str
    slices: int = 0
    slices_left: int | None = None
    rows_in: int = 0
    added: int = 0
    restated: int = 0
    withdrawn: int = 0
    quarantined: int = 0
    gaps: int = 0
    message: str = ""
    """The reason why the sync waits, or its error."""

    def is_running(self, now: datetime) -> bool:
        """Whether a process is still running it."""
        return self.ended_at is None and now < self.updated_at + SILENCE_MAX and not has_exited(self.holder)


def write_progress(ledger: Ledger, every: Sequence[Progress]) -> None:
    """Store the progress of some accounts. It replaces the stored progress. One transaction."""
    with ledger.writing() as connection:
        # In one order, so that two transactions with the same accounts cannot each wait for the other.
        for current in sorted(every):
            values = to_columns(progress, current, message="said")
            update = progress.update().where(progress.c.account == current.account).values(values)
            if not connection.execute(update).rowcount:
                connection.execute(progress.insert().values(values))


def list_progress(ledger: Ledger, names: Sequence[str] | None = None) -> list[Progress]:
    """The last sync of each of these accounts, running or ended; None means all accounts."""
    query = sa.select(progress).order_by(progress.c.account)
    if names is not None:
        query = query.where(progress.c.account.in_(names))
    with ledger.reading() as connection:
        return [from_row(Progress, row, message="said") for row in connection.execute(query)]
