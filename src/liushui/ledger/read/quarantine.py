"""The entries of the quarantine: rows that could not be read. Reads only."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from liushui.errors import ConfigError, short_repr
from liushui.instant import from_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import STREAMED, queries_of
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.schema import batches, quarantine
from liushui.ledger.write.quarantine import CONTINUED, CORRECTED, Span, correcting_flow, from_columns


class Quarantined(NamedTuple):
    """A row that could not be read, and the span in which it was received (None: it was imported). `batch` entered it
    in its current form. `resolved_batch` closed the entry, in one of the ways that write.quarantine defines (None: it
    is open). `resolved_by`: the id of the flow that the record became, if that flow has another row."""

    account: str
    id: str
    field: str
    reason: str
    wire: bytes
    span: Span | None
    batch: int
    recorded_at: datetime
    resolved_batch: int | None
    resolved_as: str | None
    resolved_by: str | None


def list_quarantined(ledger: Ledger, names: tuple[str, ...] = (), *, resolved: bool = False) -> Iterator[Quarantined]:
    """Stream the open entries, and with `resolved` also the resolved ones, by account and id."""
    with ledger.reading() as connection:
        there = [account.account for account in find_accounts(queries_of(connection), names)]
        query = _entries().where(quarantine.c.account.in_(there))
        if not resolved:
            query = query.where(quarantine.c.ended_batch.is_(None))
        for row in connection.execute(query, execution_options=STREAMED):
            yield _quarantined(row)


def quarantined_page(
    ledger: Ledger, names: tuple[str, ...], *, limit: int, after: tuple[str, str, int] | None, resolved: bool
) -> list[Quarantined]:
    """Return entries of these accounts, sorted by account, id and batch. `after`: the entry before the page.

    `resolved`: include resolved entries.
    """
    c = quarantine.c
    query = _entries().where(c.account.in_(names)).limit(limit)
    if not resolved:
        query = query.where(c.ended_batch.is_(None))
    if after is not None:
        query = query.where(sa.tuple_(c.account, c.id, c.batch) > sa.tuple_(*after))
    with ledger.reading() as connection:
        return [_quarantined(row) for row in connection.execute(query)]


def quarantined_named(ledger: Ledger, account: str, id_: str) -> Quarantined:
    """Return the entry with this id: the open one, else the one that was resolved last. Raises ConfigError."""
    with ledger.reading() as connection:
        find_accounts(queries_of(connection), (account,))
        query = _entries().where(quarantine.c.account == account, quarantine.c.id == id_)
        every = [_quarantined(row) for row in connection.execute(query)]
    if not every:
        raise ConfigError(f"id: there is no entry named {short_repr(id_)} in the quarantine of {account}")
    return every[-1]


def _entries() -> sa.Select[Any]:
    """Return the query of the entries: the open version of each or, if it is resolved, the last one."""
    q = quarantine.c
    begun = sa.and_(batches.c.account == q.account, batches.c.seq == q.batch)
    last = sa.or_(q.ended_batch.is_(None), q.ended_as.not_in(CONTINUED))
    query = sa.select(*quarantine.columns, batches.c.recorded_at_us).join_from(quarantine, batches, begun)
    return query.where(last).order_by(q.account, q.id, q.batch)


def _quarantined(row: sa.Row[Any]) -> Quarantined:
    flow = None if row.ended_as is None else correcting_flow(row.ended_as)
    return Quarantined(
        row.account,
        row.id,
        field=row.field,
        reason=row.reason,
        wire=row.wire,
        span=from_columns(row.since_us, row.until_us, row.holes),
        batch=row.batch,
        recorded_at=from_us(row.recorded_at_us),
        resolved_batch=row.ended_batch,
        resolved_as=row.ended_as if flow is None else CORRECTED,
        resolved_by=None if flow is None else flow[1],
    )
