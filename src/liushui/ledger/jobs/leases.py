"""Leases: which process works on an account. They only save double work: commits are safe without them."""

import os
import socket
from contextlib import suppress
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Final, NamedTuple

import sqlalchemy as sa

from liushui.ledger.engine import Ledger
from liushui.ledger.record_columns import from_row, insert_new, to_columns, upsert
from liushui.ledger.schema import leases

MACHINE: Final = socket.gethostname()


class Lease(NamedTuple):
    """The holder works on an account until an instant, unless it dies before."""

    account: str
    holder: str
    until: datetime


def new_holder() -> str:
    """A name for a worker of this process: machine, process id, and a random part."""
    return f"{MACHINE}/{os.getpid()}/{token_hex(4)}"


def take_lease(ledger: Ledger, account: str, holder: str, life: timedelta) -> Lease:
    """Take or renew an account's lease. Returns the lease of `holder`, or another holder's that is still valid.

    A lease is over when its time has passed, when its process, on this machine, has exited, or when it ends later than
    any new one would: then the clock was set back. One transaction.
    """
    with ledger.writing() as connection:
        now = ledger.clock()
        new = Lease(account, holder, now + life)
        values = to_columns(leases, new)
        if insert_new(connection, leases, values):
            return new
        # Locked, so that of two processes that both find the lease over, the second sees what the first has taken.
        row = connection.execute(sa.select(leases).where(leases.c.account == account).with_for_update()).first()
        if row is not None and row.holder != holder:
            current = from_row(Lease, row)
            if now < current.until <= now + 2 * life and not has_exited(current.holder):
                return current
        upsert(connection, leases, values)
        return new


def release_lease(ledger: Ledger, account: str, holder: str) -> None:
    """Release an account's lease. Does nothing where another holder has it by now."""
    with ledger.writing() as connection:
        connection.execute(leases.delete().where(leases.c.account == account, leases.c.holder == holder))


def has_exited(holder: str) -> bool:
    """Whether a holder is a process of this machine that does not run any more.

    False for a process of another machine, because that cannot be known.
    """
    machine, _, rest = holder.rpartition("/")[0].rpartition("/")
    if machine != MACHINE or not rest.isdecimal():
        return False
    with suppress(PermissionError):  # it runs, under another user
        try:
            os.kill(int(rest), 0)
        except (ProcessLookupError, OverflowError):
            return True
    return False
