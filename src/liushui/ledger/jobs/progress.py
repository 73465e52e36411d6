"""How far each account's sync is, or how its last one ended. A running sync writes it about twice a second.

It is for display, on every machine that has the ledger. Nothing else depends on it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import sqlalchemy as sa

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.leases import has_exited
from liushui.ledger.record_columns import from_row, to_columns
from liushui.ledger.schema import progress

RUNNING: Final = "running"
SILENCE_MAX: Final = timedelta(minutes=1)
"""A sync that has not written its progress for so long was killed."""


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
    """What it waits for, or what went wrong."""

    def is_running(self, now: datetime) -> bool:
        """Whether a process is still at it."""
        return self.ended_at is None and now < self.updated_at + SILENCE_MAX and not has_exited(self.holder)


def write_progress(ledger: Ledger, every: Sequence[Progress]) -> None:
    """Store the progress of some accounts, in place of what was stored before. One transaction."""
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
