"""How far the sync of each account is, or how its last one ended, as whoever syncs says about twice a second.

It shows what is going on to every process and machine. What is right never depends on it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.leases import is_gone
from liushui.ledger.schema import progress

RUNNING: Final = "running"
SILENT: Final = timedelta(minutes=1)
"""After so long without a word a sync is taken for one that was killed."""


class Progress(NamedTuple):
    """A sync of an account. `said` is what it waits for, or what went wrong; `slices_left` None: nobody knows yet."""

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
    said: str = ""

    def is_running(self, now: datetime) -> bool:
        """Whether somebody is at it."""
        return self.ended_at is None and now < self.updated_at + SILENT and not is_gone(self.holder)


_TIMES: Final = ("started_at", "updated_at", "ended_at")


def write_progress(ledger: Ledger, every: Sequence[Progress]) -> None:
    """Keep how far these are, each in the place of what was kept of its account. One transaction."""
    with ledger.writing() as connection:
        for one in sorted(every):
            values = _values(one)
            of_account = progress.c.account == one.account
            if not connection.execute(progress.update().where(of_account).values(values)).rowcount:
                connection.execute(progress.insert().values(values))


def list_progress(ledger: Ledger, names: Sequence[str] | None = None) -> list[Progress]:
    """The last sync of each account, running or ended; of all accounts where none are named."""
    query = sa.select(progress).order_by(progress.c.account)
    if names is not None:
        query = query.where(progress.c.account.in_(names))
    with ledger.reading() as connection:
        return [_progress(row) for row in connection.execute(query)]


def _values(one: Progress) -> dict[str, Any]:
    values = one._asdict()
    for name in _TIMES:
        at = values.pop(name)
        values[f"{name}_us"] = None if at is None else to_us(at)
    return values


def _progress(row: sa.Row[Any]) -> Progress:
    values = dict(row._mapping)
    for name in _TIMES:
        at_us = values.pop(f"{name}_us")
        values[name] = None if at_us is None else from_us(at_us)
    return Progress(**values)
