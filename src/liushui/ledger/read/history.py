"""The ledger as it stood: versions of flows, and what they came to as of a recorded time. Reads only.

As of an instant an account is what the newest of its batches that was recorded by then, and all before that one, had
left. It is put together from the versions themselves, one after the other: in time that grows with their number, and
in memory that does not. Each function asks once and sees one state.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger.coverage import Range, read_back
from liushui.ledger.day_totals import TOTALLED, Totals, merge, sums_of, totals_of
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.flow_row import COLUMNS, to_flow
from liushui.ledger.read.balances import (
    CHUNK,
    FIRST_DAY,
    LAST_DAY,
    Balance,
    FlowFilter,
    LedgerFlow,
    Period,
    Summary,
    accounts_named,
    balances_of,
    restricted,
    summaries_of,
)
from liushui.ledger.schema import batches, flows, history


class Version(NamedTuple):
    """A flow as it was from one batch to another. `ended_as` None: it still is."""

    found: LedgerFlow
    recorded_at: datetime
    ended_at: datetime | None
    ended_batch: int | None
    ended_as: str | None


def list_flows_as_of(ledger: Ledger, wanted: FlowFilter, as_of: datetime) -> Iterator[LedgerFlow]:
    """The flows as of a recorded time, by account and time, streamed."""
    with ledger.reading() as connection:
        for row in _every_account(connection, wanted, partial(_as_of, connection, as_of)):
            yield LedgerFlow(row.account, row.id, to_flow(row), row.batch)


def list_versions(ledger: Ledger, wanted: FlowFilter) -> Iterator[Version]:
    """Every version of the flows, by account, time, id and batch, streamed.

    A version is meant where it fits itself: of a flow whose time was restated each stands at the time it had.
    """
    with ledger.reading() as connection:
        for row in _every_account(connection, wanted, partial(_versions, connection)):
            yield _version(row)


class KeptVersion(NamedTuple):
    """A version, the row it was read from (None: nobody sent one), and what is served in that one's place."""

    version: Version
    wire: str | None
    served: str | None


def versions_of(ledger: Ledger, account: str, at_us: int, id_: str) -> list[KeptVersion]:
    """Every version of the flow of that key, oldest first, the one that stands last. None: there never was one."""
    wanted = FlowFilter(accounts=(account,))
    with ledger.reading() as connection:
        every = _versions(connection, wanted, lambda table: sa.and_(table.c.at_us == at_us, table.c.id == id_))
        found = connection.execute(every).all()
    kept = [KeptVersion(_version(row), row.wire, row.served) for row in found]
    return sorted(kept, key=lambda one: (one.version.ended_batch is None, one.version.found.batch))


def _version(row: sa.Row[Any]) -> Version:
    return Version(
        LedgerFlow(row.account, row.id, to_flow(row), row.batch),
        from_us(row.recorded_at_us),
        ended_at=None if row.ended_at_us is None else from_us(row.ended_at_us),
        ended_batch=row.ended_batch,
        ended_as=row.ended_as,
    )


def balances_as_of(ledger: Ledger, names: tuple[str, ...], at: datetime | None, as_of: datetime) -> list[Balance]:
    """`query.balances` as of a recorded time, exact. It sums every version: in time that grows with the flows."""
    result: list[Balance] = []
    with ledger.reading() as connection:
        for account in accounts_named(connection, names):
            seq = batch_as_of(connection, account.account, as_of)
            days = BusinessDays(load_zone(account.zone))
            totals = _totals(connection, account.account, seq, days, None if at is None else to_us(at))
            result += balances_of(account, sums_of(totals), ranges_as_of(connection, account.account, seq), at)
    return result


def summary_as_of(
    ledger: Ledger,
    names: tuple[str, ...],
    as_of: datetime,
    *,
    period: Period = "month",
    first_day: str = FIRST_DAY,
    last_day: str = LAST_DAY,
) -> list[Summary]:
    """`query.summary` as of a recorded time, exact. It sums every version: in time that grows with the flows."""
    kept: dict[str, Totals] = {}
    with ledger.reading() as connection:
        for account in accounts_named(connection, names):
            seq = batch_as_of(connection, account.account, as_of)
            totals = _totals(connection, account.account, seq, BusinessDays(load_zone(account.zone)))
            kept[account.account] = {key: total for key, total in totals.items() if first_day <= key.day <= last_day}
    return summaries_of(kept, period)


def batch_as_of(connection: Connection, account: str, as_of: datetime) -> int:
    """The newest batch recorded at or before an instant; 0 where there is none."""
    recorded = sa.and_(batches.c.account == account, batches.c.recorded_at_us <= to_us(as_of))
    return connection.scalar(sa.select(sa.func.max(batches.c.seq)).where(recorded)) or 0


def ranges_as_of(connection: Connection, account: str, seq: int) -> list[Range]:
    """The account's coverage after a batch."""
    query = sa.select(*batches.columns).where(batches.c.account == account, batches.c.seq <= seq)
    return read_back(tuple(row) for row in connection.execute(query.order_by(batches.c.seq)))


def _every_account(
    connection: Connection, wanted: FlowFilter, query_of: Callable[[FlowFilter], sa.CompoundSelect[Any]]
) -> Iterator[sa.Row[Any]]:
    """The rows of one query an account, in order, up to the limit that all of them share."""
    names = [account.account for account in accounts_named(connection, wanted.accounts)]
    left = wanted.limit
    for name in reversed(names) if wanted.newest_first else names:
        query = query_of(wanted._replace(accounts=(name,), limit=left))
        for row in connection.execute(query, execution_options=STREAMED):
            yield row
            left = None if left is None else left - 1


def _as_of(connection: Connection, as_of: datetime, wanted: FlowFilter) -> sa.CompoundSelect[Any]:
    """The flows of the one account of a filter."""
    seq = batch_as_of(connection, wanted.accounts[0], as_of)
    current = restricted(sa.select(*flows.columns), flows, wanted).where(flows.c.batch <= seq)
    ended = restricted(sa.select(*(history.c[name] for name in COLUMNS)), history, wanted)
    ended = ended.where(history.c.batch <= seq, history.c.ended_batch > seq)
    return _ordered(connection, [current, ended], wanted, "at_us", "id")


Only = Callable[[sa.Table], sa.ColumnElement[bool]]
"""A condition on a table with the columns of flows."""


def _versions(
    connection: Connection, wanted: FlowFilter, only: Only = lambda _table: sa.true()
) -> sa.CompoundSelect[Any]:
    """The versions of the one account of a filter."""
    begun, over = batches.alias("begun"), batches.alias("over")
    recorded = begun.c.recorded_at_us.label("recorded_at_us")
    never = [sa.null().label(name) for name in ("ended_at_us", "ended_batch", "ended_as")]
    current = sa.select(*flows.columns, recorded, *never).join_from(flows, begun, _is_batch(begun, flows, "batch"))
    columns = [history.c[name] for name in COLUMNS]
    ending = over.c.recorded_at_us.label("ended_at_us"), history.c.ended_batch, history.c.ended_as
    ended = sa.select(*columns, recorded, *ending).join_from(history, begun, _is_batch(begun, history, "batch"))
    ended = ended.join(over, _is_batch(over, history, "ended_batch"))
    parts = [
        restricted(current, flows, wanted).where(only(flows)),
        restricted(ended, history, wanted).where(only(history)),
    ]
    return _ordered(connection, parts, wanted, "at_us", "id", "batch")


def _is_batch(batch: sa.FromClause, table: sa.Table, column: str) -> sa.ColumnElement[bool]:
    return sa.and_(batch.c.account == table.c.account, batch.c.seq == table.c[column])


def _ordered(
    connection: Connection, parts: list[sa.Select[Any]], wanted: FlowFilter, *names: str
) -> sa.CompoundSelect[Any]:
    """In the order of the tables' keys: the database merges them as they stand, and sorts nothing.

    PostgreSQL does so where each part is asked for in that order; SQLite does it by itself, and cannot be asked.
    """
    if connection.dialect.name == "postgresql":
        parts = [part.order_by(*_by(part.selected_columns, wanted, names)).limit(wanted.limit) for part in parts]
    every = sa.union_all(*parts)
    return every.order_by(*_by(every.selected_columns, wanted, names)).limit(wanted.limit)


def _by(columns: sa.ColumnCollection[str, Any], wanted: FlowFilter, names: tuple[str, ...]) -> list[Any]:
    return [columns[name].desc() if wanted.newest_first else columns[name] for name in names]


def _totals(connection: Connection, account: str, seq: int, days: BusinessDays, until_us: int | None = None) -> Totals:
    """What the versions after a batch come to, of those before an instant."""
    totals: Totals = {}
    until_us = _END_US if until_us is None else until_us
    values = (account, seq, until_us, account, seq, seq, until_us)
    found = connection.exec_driver_sql(_SELECT_TOTALLED, values, execution_options=STREAMED)
    while chunk := found.fetchmany(CHUNK):
        totals = merge(totals, totals_of(map(tuple, chunk), days))
    return totals


_END_US = 2**63 - 1
_SELECT_TOTALLED = f"""
SELECT {TOTALLED} FROM flows WHERE account = ? AND batch <= ? AND at_us < ?
UNION ALL
SELECT {TOTALLED} FROM history WHERE account = ? AND batch <= ? AND ended_batch > ? AND at_us < ?
"""
