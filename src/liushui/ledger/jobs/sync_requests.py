"""Requests to sync a source now: left by the API, the page or a command, taken by whichever process syncs."""

from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from liushui.errors import ConfigError, short_repr
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.leases import is_gone
from liushui.ledger.schema import sources, sync_requests

WAITING, RUNNING = "waiting", "running"
"""The status of a request until its sync has ended, and how that did is its status."""

ABANDONED: Final = timedelta(hours=6)
"""So long after a process of another machine took a request, another one may."""


class SyncRequest(NamedTuple):
    """A request, and what became of it. `error` is empty where nothing went wrong."""

    account: str
    id: str
    everything: bool
    requested_at: datetime
    requested_by: str
    holder: str
    taken_at: datetime | None
    ended_at: datetime | None
    status: str
    error: str


def request_sync(ledger: Ledger, account: str, *, by: str, everything: bool = False) -> SyncRequest:
    """Ask for a sync of a source: of what is due, or of everything again. One that waits already is the one.

    Raises ConfigError where there is no such source.
    """
    c = sync_requests.c
    waiting = sa.select(sync_requests).where(
        c.account == account, c.ended_at_us.is_(None), c.taken_at_us.is_(None), c.everything == everything
    )
    with ledger.writing() as connection:
        if connection.scalar(sa.select(sources.c.account).where(sources.c.account == account)) is None:
            raise ConfigError(f"source: there is none named {short_repr(account)}")
        found = connection.execute(waiting).first()
        if found is None:
            values = {
                "account": account,
                "id": token_hex(8),
                "everything": everything,
                "requested_at_us": to_us(ledger.clock()),
                "requested_by": by,
                "holder": "",
                "status": WAITING,
                "error": "",
            }
            connection.execute(sync_requests.insert().values(values))
            found = connection.execute(waiting).one()
    return _request(found)


def find_request(ledger: Ledger, account: str, id_: str) -> SyncRequest | None:
    """The request of that id."""
    c = sync_requests.c
    with ledger.reading() as connection:
        found = connection.execute(sa.select(sync_requests).where(c.account == account, c.id == id_)).first()
    return None if found is None else _request(found)


def open_requests(ledger: Ledger) -> list[SyncRequest]:
    """The requests that somebody may take, the oldest first: nobody has, or whoever did is gone."""
    c = sync_requests.c
    query = sa.select(sync_requests).where(c.ended_at_us.is_(None)).order_by(c.requested_at_us, c.account, c.id)
    with ledger.reading() as connection:
        found = [_request(row) for row in connection.execute(query)]
    now = ledger.clock()
    return [one for one in found if one.taken_at is None or is_gone(one.holder) or one.taken_at + ABANDONED < now]


def asked_for(ledger: Ledger) -> frozenset[str]:
    """The accounts of which a sync was asked for that has not ended: somebody may be at it."""
    with ledger.reading() as connection:
        query = sa.select(sync_requests.c.account).where(sync_requests.c.ended_at_us.is_(None))
        return frozenset(connection.scalars(query))


def take_request(ledger: Ledger, request: SyncRequest, holder: str) -> bool:
    """Take a request. False: somebody else was faster."""
    c = sync_requests.c
    taken = (
        sync_requests.update()
        .where(c.account == request.account, c.id == request.id, c.ended_at_us.is_(None), c.holder == request.holder)
        .values(holder=holder, taken_at_us=to_us(ledger.clock()), status=RUNNING)
    )
    with ledger.writing() as connection:
        return bool(connection.execute(taken).rowcount)


def give_back(ledger: Ledger, request: SyncRequest, holder: str) -> None:
    """Leave a request to whoever takes it next. Nothing happens where it is another's by now."""
    _update(ledger, request, holder, {"holder": "", "taken_at_us": None, "status": WAITING})


def end_request(ledger: Ledger, request: SyncRequest, holder: str, *, status: str, error: str) -> None:
    """Say how the sync of a request ended. Nothing happens where it is another's by now."""
    values = {"ended_at_us": to_us(ledger.clock()), "status": status, "error": error}
    _update(ledger, request, holder, values)


def _update(ledger: Ledger, request: SyncRequest, holder: str, values: dict[str, Any]) -> None:
    c = sync_requests.c
    mine = (c.account == request.account, c.id == request.id, c.holder == holder, c.ended_at_us.is_(None))
    with ledger.writing() as connection:
        connection.execute(sync_requests.update().where(*mine).values(values))


def _request(row: sa.Row[Any]) -> SyncRequest:
    return SyncRequest(
        account=row.account,
        id=row.id,
        everything=bool(row.everything),
        requested_at=from_us(row.requested_at_us),
        requested_by=row.requested_by,
        holder=row.holder,
        taken_at=None if row.taken_at_us is None else from_us(row.taken_at_us),
        ended_at=None if row.ended_at_us is None else from_us(row.ended_at_us),
        status=row.status,
        error=row.error,
    )
