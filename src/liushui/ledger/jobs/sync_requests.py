"""Requests to sync a source now. The API, the page or a command makes them; any process that syncs takes them."""

from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import SourceNotFound
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.workers import has_exited
from liushui.ledger.schema import from_row, sources, sync_requests

WAITING, RUNNING = "waiting", "running"
"""The status of a request until its sync ends. Then the status of the sync is the status of the request."""

ABANDONED_AFTER: Final = timedelta(hours=6)
"""If a process of another machine took a request this long ago, it counts as dead: another process may take it."""


class SyncRequest(NamedTuple):
    """A request and its outcome. `error` is empty if nothing went wrong."""

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
    """Request a sync of a source: of the ranges that are due, or of all ranges again. Raises SourceNotFound.

    If such a request is already waiting, it is returned.
    """
    with ledger.writing() as connection:
        return insert_request(connection, account, by=by, now=ledger.clock(), everything=everything)


def insert_request(
    connection: Connection, account: str, *, by: str, now: datetime, everything: bool = False
) -> SyncRequest:
    """Request a sync in the caller's transaction, as `request_sync`."""
    c = sync_requests.c
    waiting = sa.select(sync_requests).where(
        c.account == account, c.ended_at_us.is_(None), c.taken_at_us.is_(None), c.everything == everything
    )
    # Locked, so that if two processes request at the same time, the second one finds the request of the first.
    source = sa.select(sources.c.account).where(sources.c.account == account).with_for_update()
    if connection.scalar(source) is None:
        raise SourceNotFound(account)
    row = connection.execute(waiting).first()
    if row is None:
        values = {
            "account": account,
            "id": token_hex(8),
            "everything": everything,
            "requested_at_us": to_us(now),
            "requested_by": by,
            "holder": "",
            "status": WAITING,
            "error": "",
        }
        connection.execute(sync_requests.insert().values(values))
        row = connection.execute(waiting).one()
    return from_row(SyncRequest, row)


def find_request(ledger: Ledger, account: str, id_: str) -> SyncRequest | None:
    """The request with this id."""
    c = sync_requests.c
    with ledger.reading() as connection:
        row = connection.execute(sa.select(sync_requests).where(c.account == account, c.id == id_)).first()
    return None if row is None else from_row(SyncRequest, row)


def requests_to_take(ledger: Ledger) -> list[SyncRequest]:
    """Return the requests that no process has taken, or whose process has died, oldest first."""
    c = sync_requests.c
    query = sa.select(sync_requests).where(c.ended_at_us.is_(None)).order_by(c.requested_at_us, c.account, c.id)
    with ledger.reading() as connection:
        requests = [from_row(SyncRequest, row) for row in connection.execute(query)]
    now = ledger.clock()
    return [
        request
        for request in requests
        if request.taken_at is None or has_exited(request.holder) or request.taken_at + ABANDONED_AFTER < now
    ]


def requested_accounts(ledger: Ledger) -> frozenset[str]:
    """The accounts with a request that has not ended."""
    query = sa.select(sync_requests.c.account).where(sync_requests.c.ended_at_us.is_(None))
    with ledger.reading() as connection:
        return frozenset(connection.scalars(query))


def take_request(ledger: Ledger, request: SyncRequest, holder: str) -> bool:
    """Take a request. False: another process was faster."""
    c = sync_requests.c
    # One statement checks that the request is unchanged and takes it, so only one process succeeds.
    take = (
        sync_requests.update()
        .where(c.account == request.account, c.id == request.id, c.ended_at_us.is_(None), c.holder == request.holder)
        .values(holder=holder, taken_at_us=to_us(ledger.clock()), status=RUNNING)
    )
    with ledger.writing() as connection:
        return bool(connection.execute(take).rowcount)


def return_request(ledger: Ledger, request: SyncRequest, holder: str) -> None:
    """Make a request free to take again. Does nothing if another holder has it now."""
    _update(ledger, request, holder, {"holder": "", "taken_at_us": None, "status": WAITING})


def end_request(ledger: Ledger, request: SyncRequest, holder: str, *, status: str, error: str) -> None:
    """Store how the sync of a request ended. Does nothing if another holder has it now."""
    values = {"ended_at_us": to_us(ledger.clock()), "status": status, "error": error}
    _update(ledger, request, holder, values)


def _update(ledger: Ledger, request: SyncRequest, holder: str, values: dict[str, Any]) -> None:
    c = sync_requests.c
    mine = (c.account == request.account, c.id == request.id, c.holder == holder, c.ended_at_us.is_(None))
    with ledger.writing() as connection:
        connection.execute(sync_requests.update().where(*mine).values(values))
