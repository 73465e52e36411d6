"""The ledger at earlier times: versions of flows, and their sums as of a recorded time. Reads only.

The state of an account as of an instant is the result of the batches recorded by then. It is rebuilt from the versions,
in constant memory and in time that grows with their number.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays, from_us
from liushui.ledger.coverage import Range, merge_adjacent, ranges_from_batches
from liushui.ledger.day_totals import FLOW_COLUMNS, Sums, Totals, merge, sums_of, totals_of
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import STREAMED, queries_of
from liushui.ledger.flow_row import COLUMNS
from liushui.ledger.read.accounts import AccountName, AccountSnapshot, find_accounts, rejected_as_of
from liushui.ledger.read.filters import AFTER_ALL_US, AccountFilter, Bound, FlowFilter, instant_us
from liushui.ledger.read.flows import CHUNK, NO_RULES, LedgerFlow, ledger_flow
from liushui.ledger.read.instant_order import InstantOrder, balance_rules_of, in_order
from liushui.ledger.schema import batches, flows, history, sources
from liushui.ledger.tombstones import erased_until
from liushui.rules import Paging, Rules


class Version(NamedTuple):
    """A flow as it was from one batch to another. `ended_as` None: it is the current version."""

    found: LedgerFlow
    recorded_at: datetime
    ended_at: datetime | None
    ended_batch: int | None
    ended_as: str | None


def list_flows_as_of(
    ledger: Ledger, wanted: FlowFilter, as_of: Bound, rules: Mapping[str, Rules[Paging]] = NO_RULES
) -> Iterator[LedgerFlow]:
    """Stream the flows as of a recorded time, by account, time and balance chain. `rules` by provider."""
    with ledger.reading() as connection:
        left = wanted.limit
        chosen = find_accounts(queries_of(connection), wanted.accounts)
        for account in reversed(chosen) if wanted.newest_first else chosen:
            with closing(account_rows_as_of(connection, wanted.of(account), as_of, rules, left)) as rows:
                for row in rows:
                    yield ledger_flow(row)
                    left = None if left is None else left - 1
            if left == 0:
                return


def account_rows_as_of(
    connection: Connection,
    wanted: AccountFilter,
    as_of: Bound,
    rules: Mapping[str, Rules[Paging]],
    limit: int | None = None,
) -> Generator[sa.Row[Any]]:
    """Stream the rows of one account as of a recorded time, by time and balance chain."""
    account, seq = wanted.account, batch_as_of(connection, wanted.account, as_of)
    order = InstantOrder(connection, account.account, balance_rules_of(account, rules), seq=seq)
    newest, are_all = wanted.conditions.newest_first, not wanted.conditions.is_selective
    cut = None if limit is None else limit + 1

    def read(part: AccountFilter, limit: int | None) -> sa.CompoundSelect[Any]:
        return _as_of(connection, seq, part._replace(conditions=part.conditions._replace(limit=limit)))

    def first_of(at_us: int, number: int) -> Sequence[sa.Row[Any]]:
        rows = connection.execute(read(wanted.within(at_us, at_us + 1), None)).all()
        return order.sort(rows, newest_first=newest, are_all=are_all)[:number]

    with connection.execute(read(wanted, cut), execution_options=STREAMED) as found:
        yield from islice(in_order(found, order, wanted, chunk=CHUNK, cut=cut, first_of=first_of), limit)


def list_versions(ledger: Ledger, wanted: FlowFilter) -> Iterator[Version]:
    """Stream every version of the flows, by account, time, id and batch.

    The filter applies to each version separately. If the time of a flow was restated, each version has its own time.
    """
    with ledger.reading() as connection:
        for row in _every_account(connection, wanted, partial(_versions, connection)):
            yield _version(row)


class FlowVersion(NamedTuple):
    """A version, the row that it was read from (None: it has none), and the row that is served in its place.

    `served` is None if the received row itself is served, or if no row can be served.
    """

    version: Version
    wire: str | None
    served: str | None


def versions_of(ledger: Ledger, account: str, at_us: int, id_: str) -> list[FlowVersion]:
    """Return every version of the flow with this key, oldest first. Empty: the flow never existed."""
    with ledger.reading() as connection:
        names = {name.account: name for name in find_accounts(queries_of(connection))}
        if account not in names:
            return []
        every = _versions(
            connection,
            FlowFilter().of(names[account]).within(at_us, at_us + 1),
            lambda table: table.c.id == id_,
        )
        rows = connection.execute(every).all()
    versions = [FlowVersion(_version(row), row.wire, row.served or None) for row in rows]
    return sorted(versions, key=lambda one: (one.version.ended_batch is None, one.version.found.batch))


def _version(row: sa.Row[Any]) -> Version:
    return Version(
        ledger_flow(row),
        from_us(row.recorded_at_us),
        ended_at=None if row.ended_at_us is None else from_us(row.ended_at_us),
        ended_batch=row.ended_batch,
        ended_as=row.ended_as,
    )


def snapshot_as_of(connection: Connection, account: AccountName, as_of: Bound) -> AccountSnapshot:
    """Return the account as of a recorded time. Its source is the current source, because sources have no history. Runs
    and findings are left out."""
    seq = batch_as_of(connection, account, as_of)
    since_us = connection.scalar(sa.select(sources.c.since_us).where(sources.c.account == account.account))
    totals = totals_at(connection, account, seq)
    first_us, last_us = connection.exec_driver_sql(_SELECT_ENDS, _versions_until(account, seq)).one()
    return AccountSnapshot(
        account.account,
        account.provider,
        account.zone,
        seq,
        None if since_us is None else from_us(since_us),
        None,
        tuple(merge_adjacent(ranges_as_of(connection, account.account, seq))),
        rejected_as_of(queries_of(connection), account.account, seq),
        {},
        sums_of(totals),
        first_us,
        last_us,
        max((key.day for key in totals), default=None),
    )


def sums_as_of(connection: Connection, account: AccountName, as_of: Bound, until_us: int) -> Sums:
    """Return the sums of the flows before an instant, as of a recorded time."""
    return sums_of(totals_at(connection, account, batch_as_of(connection, account, as_of), until_us))


def totals_as_of(connection: Connection, account: AccountName, as_of: Bound, first_day: str, last_day: str) -> Totals:
    """Return the day totals of a range of days, both ends included, as of a recorded time."""
    totals = totals_at(connection, account, batch_as_of(connection, account, as_of))
    return {key: total for key, total in totals.items() if first_day <= key.day <= last_day}


def batch_as_of(connection: Connection, account: AccountName, as_of: Bound) -> int:
    """Return the newest batch recorded at or before an instant; 0 if there is none."""
    until_us = instant_us(as_of, account.tz)
    recorded = sa.and_(batches.c.account == account.account, batches.c.recorded_at_us <= until_us)
    return connection.scalar(sa.select(sa.func.max(batches.c.seq)).where(recorded)) or 0


def ranges_as_of(connection: Connection, account: str, seq: int) -> list[Range]:
    """Return the account's coverage after a batch, without coverage from before the account was removed."""
    since = batches.c.seq > erased_until(connection, account)
    query = sa.select(*batches.columns).where(batches.c.account == account, batches.c.seq <= seq, since)
    return ranges_from_batches(tuple(row) for row in connection.execute(query.order_by(batches.c.seq)))


def _every_account(
    connection: Connection, wanted: FlowFilter, query_of: Callable[[AccountFilter], sa.CompoundSelect[Any]]
) -> Iterator[sa.Row[Any]]:
    """Run one query for each account and yield the rows in order, up to one limit for all accounts."""
    chosen = find_accounts(queries_of(connection), wanted.accounts)
    left = wanted.limit
    for account in reversed(chosen) if wanted.newest_first else chosen:
        query = query_of(wanted._replace(limit=left).of(account))
        with closing(connection.execute(query, execution_options=STREAMED)) as rows:
            for row in rows:
                yield row
                left = None if left is None else left - 1
        if left == 0:
            return


def _as_of(connection: Connection, seq: int, wanted: AccountFilter) -> sa.CompoundSelect[Any]:
    current = wanted.apply(sa.select(*flows.columns), flows).where(flows.c.batch <= seq)
    ended = wanted.apply(sa.select(*(history.c[name] for name in COLUMNS)), history)
    ended = ended.where(history.c.batch <= seq, history.c.ended_batch > seq)
    return _ordered(connection, [current, ended], wanted.conditions, "at_us", "id")


Only = Callable[[sa.Table], sa.ColumnElement[bool]]
"""A condition on a table with the columns of flows."""


def _versions(
    connection: Connection, wanted: AccountFilter, only: Only = lambda _table: sa.true()
) -> sa.CompoundSelect[Any]:
    begun, over = batches.alias("begun"), batches.alias("over")
    recorded = begun.c.recorded_at_us.label("recorded_at_us")
    never = [sa.null().label(name) for name in ("ended_at_us", "ended_batch", "ended_as")]
    current = sa.select(*flows.columns, recorded, *never).join_from(flows, begun, _is_batch(begun, flows, "batch"))
    columns = [history.c[name] for name in COLUMNS]
    ending = over.c.recorded_at_us.label("ended_at_us"), history.c.ended_batch, history.c.ended_as
    ended = sa.select(*columns, recorded, *ending).join_from(history, begun, _is_batch(begun, history, "batch"))
    ended = ended.join(over, _is_batch(over, history, "ended_batch"))
    parts = [
        wanted.apply(current, flows).where(only(flows)),
        wanted.apply(ended, history).where(only(history)),
    ]
    return _ordered(connection, parts, wanted.conditions, "at_us", "id", "batch")


def _is_batch(batch: sa.FromClause, table: sa.Table, column: str) -> sa.ColumnElement[bool]:
    return sa.and_(batch.c.account == table.c.account, batch.c.seq == table.c[column])


def _ordered(
    connection: Connection, parts: list[sa.Select[Any]], wanted: FlowFilter, *names: str
) -> sa.CompoundSelect[Any]:
    """Rows in the order of the tables' keys, so that the database merges the parts without sorting.

    PostgreSQL merges only if each part is ordered; SQLite always does, and has no syntax for ordered parts.
    """
    if connection.dialect.name == "postgresql":
        parts = [part.order_by(*_by(part.selected_columns, wanted, names)).limit(wanted.limit) for part in parts]
    every = sa.union_all(*parts)
    return every.order_by(*_by(every.selected_columns, wanted, names)).limit(wanted.limit)


def _by(columns: sa.ColumnCollection[str, Any], wanted: FlowFilter, names: tuple[str, ...]) -> list[Any]:
    return [columns[name].desc() if wanted.newest_first else columns[name] for name in names]


def totals_at(connection: Connection, account: AccountName, seq: int, until_us: int = AFTER_ALL_US) -> Totals:
    """Return the day totals of the versions that were current after a batch, for flows before an instant."""
    totals: Totals = {}
    days = BusinessDays(account.tz)
    values = _versions_until(account, seq, until_us)
    found = connection.exec_driver_sql(_SELECT_TOTALLED, values, execution_options=STREAMED)
    while chunk := found.fetchmany(CHUNK):
        totals = merge(totals, totals_of(map(tuple, chunk), days))
    return totals


def _versions_until(account: AccountName, seq: int, until_us: int = AFTER_ALL_US) -> tuple[str | int, ...]:
    name = account.account
    return name, seq, until_us, name, seq, seq, until_us


def _select_versions(columns: str) -> str:
    return f"""
SELECT {columns} FROM flows WHERE account = ? AND batch <= ? AND at_us < ?
UNION ALL
SELECT {columns} FROM history WHERE account = ? AND batch <= ? AND ended_batch > ? AND at_us < ?
"""


_SELECT_TOTALLED = _select_versions(FLOW_COLUMNS)
_SELECT_ENDS = f"SELECT min(at_us), max(at_us) FROM ({_select_versions('at_us')}) AS versions"
