"""Flows that match a filter: listed by account, streamed by time, or page by page. Reads only.

Pages are sorted by time and account, and within an instant by balance chain (`read.instant_order`). A position between
two rows stays valid when rows arrive. A page does a bounded amount of work. If few rows match the filter, a page does
not search to the end of the ledger. It returns the rows that it has found, and the position at which to continue. Day
totals show beforehand which days cannot have a match.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from heapq import merge
from itertools import islice
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.flow import Flow
from liushui.instant import MAX_INSTANT, MIN_INSTANT, BusinessDays, from_us, to_us
from liushui.ledger import findings
from liushui.ledger.day_totals import flows_by_day
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.engines.bulk_read import stream_chunks
from liushui.ledger.flow_row import to_flow
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.filters import (
    AFTER_ALL_US,
    BEFORE_ALL_US,
    AccountFilter,
    FlowFilter,
    begin_us,
    day_text,
    end_us,
    totals_conditions,
)
from liushui.ledger.read.instant_order import AT_ONCE, InstantOrder, balance_rules_of, chunks_in_order, in_order
from liushui.ledger.schema import day_totals, flows
from liushui.output_text import export_value
from liushui.provider import Slice
from liushui.reconcile.chain import RowKey
from liushui.rules import Paging, Rules

NO_RULES: Final[Mapping[str, Rules[Paging]]] = {}
KEYS_AT_ONCE: Final = 200
"""Flows that one statement reads by their keys."""
CHUNK: Final = 1_000
"""The rows that a stream holds in memory at a time."""
SCAN_MAX: Final = 8_000
"""The number of rows, about, that one page reads. It may read more if a single day has more."""
RUN_COST: Final = 100
"""Starting to read another run of days costs as much as reading this number of rows."""
COLUMNS: Final = (
    "account", "at", "amount", "currency", "direction", "kind", "category", "label", "symbol", "note", "subaccount",
    "balance_after", "settled_at", "ref", "order_ref", "name", "price", "quantity", "fx_currency", "fx_amount",
    "fx_rate", "detail", "id", "batch",
)  # fmt: skip
"""A flow's fields, in the order of every table, export and download."""


class LedgerFlow(NamedTuple):
    """A flow in the ledger. `batch` is the commit that entered this version of the flow."""

    account: str
    id: str
    flow: Flow
    batch: int


def flow_record(found: LedgerFlow) -> dict[str, str | int | Decimal | datetime | dict[str, Any] | None]:
    """Return a flow's fields by the names of COLUMNS, in their order: amounts exact, times as instants."""
    flow = found.flow
    return {
        "account": found.account,
        "at": flow.at,
        "amount": flow.amount,
        "currency": flow.currency,
        "direction": flow.direction.value,
        "kind": flow.kind.value,
        "category": flow.category.value,
        "label": flow.label,
        "symbol": flow.symbol,
        "note": flow.note,
        "subaccount": flow.subaccount,
        "balance_after": flow.balance_after,
        "settled_at": flow.settled_at,
        "ref": flow.ref,
        "order_ref": flow.order_ref,
        "name": flow.name,
        "price": flow.price,
        "quantity": flow.quantity,
        "fx_currency": flow.fx.currency if flow.fx else None,
        "fx_amount": flow.fx.amount if flow.fx else None,
        "fx_rate": flow.fx.rate if flow.fx else None,
        "detail": None if flow.detail is None else dict(flow.detail),
        "id": found.id,
        "batch": found.batch,
    }


def export_record(found: LedgerFlow) -> dict[str, Any]:
    """Return `flow_record` for programs: amounts as plain text, times as ISO 8601 in UTC."""
    return {name: export_value(value) for name, value in flow_record(found).items()}


def ledger_flow(row: sa.Row[Any]) -> LedgerFlow:
    """Convert a row with the columns of flows to a flow."""
    return LedgerFlow(row.account, row.id, to_flow(row), row.batch)


def key_of(found: LedgerFlow) -> RowKey:
    """Return the key of a flow within its account: its time and its id."""
    return to_us(found.flow.at), found.id


def flows_at(
    connection: Connection, account: str, keys: Iterable[RowKey], *, finding: str | None = None
) -> dict[RowKey, LedgerFlow]:
    """Return the flows of an account with these keys; with `finding`, only those that have that finding."""
    left = sorted(set(keys))
    found: dict[RowKey, LedgerFlow] = {}
    for begin in range(0, len(left), KEYS_AT_ONCE):
        part = left[begin : begin + KEYS_AT_ONCE]
        query = sa.select(*flows.columns).where(flows.c.account == account)
        # The condition on times alone lets SQLite seek in the primary key. With only a list of pairs, it uses just the
        # account.
        query = query.where(flows.c.at_us.in_({at_us for at_us, _ in part}))
        query = query.where(sa.tuple_(flows.c.at_us, flows.c.id).in_(part))
        if finding is not None:
            query = query.where(findings.holds(flows, finding))
        found |= {(row.at_us, row.id): ledger_flow(row) for row in connection.execute(query)}
    return found


# ---------------------------------------------------------------- streams


def list_flows(
    ledger: Ledger, wanted: FlowFilter, rules: Mapping[str, Rules[Paging]] = NO_RULES
) -> Iterator[LedgerFlow]:
    """Stream the flows by account, time and balance chain, up to the filter's limit. `rules` by provider."""
    with ledger.reading() as connection:
        left = wanted.limit
        chosen = find_accounts(queries_of(connection), wanted.accounts)
        for account in reversed(chosen) if wanted.newest_first else chosen:
            with closing(account_rows(connection, wanted.of(account), rules, left)) as rows:
                for row in rows:
                    yield ledger_flow(row)
                    left = None if left is None else left - 1
            if left == 0:
                return


def stream_flows(
    ledger: Ledger, wanted: FlowFilter, rules: Mapping[str, Rules[Paging]] = NO_RULES
) -> Iterator[LedgerFlow]:
    """Stream the flows of all accounts by time, account and balance chain, from one state of the ledger, up to the
    filter's limit. `rules` by provider."""
    with ledger.reading() as connection:
        filters = [wanted.of(account) for account in find_accounts(queries_of(connection), wanted.accounts)]
        yield from map(ledger_flow, islice(rows_by_time(connection, filters, rules, wanted.limit), wanted.limit))


def rows_by_time(
    connection: Connection,
    filters: Sequence[AccountFilter],
    rules: Mapping[str, Rules[Paging]],
    limit: int | None = None,
) -> Iterator[sa.Row[Any]]:
    """Stream the rows of several accounts by time, account and balance chain, up to `limit` rows of each account."""
    streams = [account_rows(connection, one, rules, limit) for one in filters]
    newest_first = bool(filters) and filters[0].conditions.newest_first
    return merge(*streams, key=lambda row: (row.at_us, row.account), reverse=newest_first)


_FACTS: Final = [sa.null().label(c.name) if c.name in ("wire", "served") else c for c in flows.columns]
"""The columns of flows, without the received bytes: they would take a third of the time of reading many rows."""


def account_rows(
    connection: Connection, wanted: AccountFilter, rules: Mapping[str, Rules[Paging]], limit: int | None = None
) -> Generator[sa.Row[Any]]:
    """Stream the rows of one account by time and balance chain.

    They have the columns of schema.flows, with NULL in place of the received bytes.
    """
    order = _order_of(connection, wanted, rules)
    cut = None if limit is None else limit + 1
    query = wanted.apply(sa.select(*_FACTS), flows).order_by(*_by_key(wanted.conditions)).limit(cut)
    streaming = {"stream_results": True, "max_row_buffer": CHUNK}
    with connection.execute(query, execution_options=streaming) as found:
        rows = in_order(
            found,
            order,
            wanted,
            chunk=CHUNK,
            cut=cut,
            first_of=lambda at_us, number: _first_of(connection, order, wanted, at_us, number),
        )
        yield from islice(rows, limit)


def account_chunks(
    connection: Connection, wanted: AccountFilter, rules: Mapping[str, Rules[Paging]], size: int = CHUNK
) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows of `account_rows`, in chunks of about `size`, as the driver returns them: for exports of many rows."""
    query = wanted.apply(sa.select(*_FACTS), flows).order_by(*_by_key(wanted.conditions))
    with closing(stream_chunks(connection, query, size)) as chunks:
        yield from chunks_in_order(chunks, _order_of(connection, wanted, rules), wanted)


def _order_of(connection: Connection, wanted: AccountFilter, rules: Mapping[str, Rules[Paging]]) -> InstantOrder:
    return InstantOrder(connection, wanted.account.account, balance_rules_of(wanted.account, rules))


def _by_key(wanted: FlowFilter) -> tuple[sa.ColumnElement[Any], ...]:
    c = flows.c
    return (c.at_us.desc(), c.id.desc()) if wanted.newest_first else (c.at_us, c.id)


# ---------------------------------------------------------------- pages


class Position(NamedTuple):
    """A position between two rows: after the row with this key or, without account and id, before all rows of this
    instant.

    `batch` is the account's newest batch when the row's instant was first read; 0: not known. It determines the order
    of the rest of the instant. `newer` is the batch of the row itself if the row arrived after `batch`, else 0.
    """

    at_us: int
    account: str = ""
    id: str = ""
    batch: int = 0
    newer: int = 0


class FlowsPage(NamedTuple):
    """Some flows in order, and the position after them. `next` None: this is the last page."""

    flows: list[LedgerFlow]
    next: Position | None


class _AccountPart(NamedTuple):
    """A page's rows of one account. `searched_us`: how far the account was searched; None: to its end. `newcomers`: ids
    at the position's own instant that arrived after it was first read."""

    rows: Sequence[sa.Row[Any]]
    searched_us: int | None
    newcomers: frozenset[str] = frozenset()


class _DayRun(NamedTuple):
    """Adjacent days. Some of their flows may match. `cost`: the number of rows to read."""

    since_us: int
    until_us: int
    cost: int


def flows_page(
    ledger: Ledger,
    wanted: FlowFilter,
    *,
    limit: int,
    after: Position | None = None,
    rules: Mapping[str, Rules[Paging]] = NO_RULES,
) -> FlowsPage:
    """Return at most `limit` flows after a position, in the filter's order. `rules` by provider.

    A page may have fewer flows, or none, and still have a next position. Raises AccountNotFound.
    """
    with ledger.reading() as connection:
        chosen = find_accounts(queries_of(connection), wanted.accounts)
        scan_max = SCAN_MAX // max(1, len(chosen))
        parts = [_account_part(connection, wanted.of(account), rules, limit + 1, after, scan_max) for account in chosen]
        rows, following = _merged(parts, limit, newest=wanted.newest_first)
        if following is not None and following.account:
            came = {id_ for part in parts for id_ in part.newcomers}
            following = _with_batch(connection, following, after, rows[-1], came)
    return FlowsPage([ledger_flow(row) for row in rows], following)


def _merged(parts: Sequence[_AccountPart], limit: int, *, newest: bool) -> tuple[list[sa.Row[Any]], Position | None]:
    """Merge the first rows of all accounts, and return the position after them."""
    every = (row for part in parts for row in part.rows)
    # stable sort: equal rows keep their order
    rows = sorted(every, key=lambda row: (row.at_us, row.account), reverse=newest)
    searched = [part.searched_us for part in parts if part.searched_us is not None]
    following = None
    if searched:  # after this position, rows of some account may be missing
        nearest_us = max(searched) if newest else min(searched)
        rows = [row for row in rows if (row.at_us >= nearest_us if newest else row.at_us < nearest_us)]
        following = Position(nearest_us)
    if len(rows) > limit:
        rows = rows[:limit]
        last = rows[-1]
        following = Position(last.at_us, last.account, last.id)
    return rows, following


def _with_batch(
    connection: Connection, position: Position, before: Position | None, row: sa.Row[Any], newcomers: set[str]
) -> Position:
    """Return the position after a row, with the data that determines the rest of its instant. `before`: the position
    where the row's page begins."""
    if before is not None and before.batch and (before.at_us, before.account) == (position.at_us, position.account):
        return position._replace(batch=before.batch, newer=row.batch if row.id in newcomers else 0)
    return position._replace(batch=InstantOrder(connection, position.account, None).head)


def _account_part(
    connection: Connection,
    wanted: AccountFilter,
    rules: Mapping[str, Rules[Paging]],
    rows_max: int,
    after: Position | None,
    scan_max: int,
) -> _AccountPart:
    order = _order_of(connection, wanted, rules)
    rows, newcomers = _rest_of_instant(connection, order, wanted, after, rows_max)
    if len(rows) >= rows_max:
        return _AccountPart(rows, None, newcomers)
    wanted = _after(wanted, after)
    if not wanted.conditions.is_selective:
        rows += _page_rows(connection, order, wanted, rows_max - len(rows))
        return _AccountPart(rows, None, newcomers)
    cost = 0
    for run in _day_runs(connection, wanted, rows_max):
        if cost and cost + run.cost > scan_max:
            searched_us = run.until_us if wanted.conditions.newest_first else run.since_us
            return _AccountPart(rows, searched_us, newcomers)
        cost += run.cost
        part = wanted.within(run.since_us, run.until_us)
        rows += _page_rows(connection, order, part, rows_max - len(rows))
        if len(rows) >= rows_max:
            break
    return _AccountPart(rows, None, newcomers)


def _after(wanted: AccountFilter, after: Position | None) -> AccountFilter:
    """Return the part of a filter's range after a position, without the rest of the row's instant."""
    if after is None:
        return wanted
    account = wanted.account.account
    if wanted.conditions.newest_first:  # accounts are sorted in reverse
        return wanted.within(BEFORE_ALL_US, after.at_us + (account < after.account))
    return wanted.within(after.at_us + (bool(after.account) and account <= after.account), AFTER_ALL_US)


def _rest_of_instant(
    connection: Connection, order: InstantOrder, wanted: AccountFilter, after: Position | None, limit: int
) -> tuple[list[sa.Row[Any]], frozenset[str]]:
    """Return the rows after a position's row at the same instant, and the ids of those that arrived after the instant
    was first read."""
    if after is None or after.account != wanted.account.account:
        return [], frozenset()
    here, newest = wanted.within(after.at_us, after.at_us + 1), wanted.conditions.newest_first
    if here.since_us >= here.until_us:
        return [], frozenset()
    is_as_then = after.batch in (0, order.head)
    if order.is_by_id or (is_as_then and not order.has_balances(after.at_us)):
        query = here.apply(sa.select(*flows.columns), flows)
        query = query.where(flows.c.id < after.id if newest else flows.c.id > after.id)
        return list(connection.execute(query.order_by(*_by_key(wanted.conditions)).limit(limit))), frozenset()
    rest = order.rest(after.at_us, after.id, after.batch, after.newer, newest_first=newest)
    return _rows_of_ids(connection, here, rest.ids, limit), rest.newcomers


def _page_rows(connection: Connection, order: InstantOrder, wanted: AccountFilter, limit: int) -> list[sa.Row[Any]]:
    query = wanted.apply(sa.select(*flows.columns), flows).order_by(*_by_key(wanted.conditions)).limit(limit)
    rows = connection.execute(query).all()

    def first_of(at_us: int, number: int) -> Sequence[sa.Row[Any]]:
        return _first_of(connection, order, wanted, at_us, number)

    return list(in_order(rows, order, wanted, chunk=limit, cut=limit, first_of=first_of))


def _first_of(
    connection: Connection, order: InstantOrder, wanted: AccountFilter, at_us: int, number: int
) -> Sequence[sa.Row[Any]]:
    """Return the first rows of an instant that match a filter, in order, up to `limit`."""
    here = wanted.within(at_us, at_us + 1)
    if not order.has_balances(at_us):
        query = here.apply(sa.select(*flows.columns), flows).order_by(*_by_key(wanted.conditions))
        return connection.execute(query.limit(number)).all()
    ids = order.list_ids([at_us])[at_us]
    return _rows_of_ids(connection, here, ids[::-1] if wanted.conditions.newest_first else ids, number)


def _rows_of_ids(connection: Connection, here: AccountFilter, ids: Sequence[str], limit: int) -> list[sa.Row[Any]]:
    """Return the first of these rows of one instant that match a filter, in the order of the ids."""
    if here.conditions.is_selective:
        passing = set(connection.scalars(here.apply(sa.select(flows.c.id), flows)))
        ids = [id_ for id_ in ids if id_ in passing]
    ids = ids[:limit]
    f = flows.c
    key = f.account == here.account.account, f.at_us == here.since_us
    by_id = {
        row.id: row
        for begin in range(0, len(ids), AT_ONCE)
        for row in connection.execute(sa.select(*flows.columns).where(*key, f.id.in_(ids[begin : begin + AT_ONCE])))
    }
    return [by_id[id_] for id_ in ids]


def _day_runs(connection: Connection, wanted: AccountFilter, rows_max: int) -> Iterator[_DayRun]:
    """Return runs of days that may have matches, in the order of the page.

    A run ends when it has enough matches, or when skipping the next days costs less than reading them.
    """
    days = BusinessDays(wanted.account.tz)
    newest = wanted.conditions.newest_first
    run: list[tuple[str, int, int]] = []
    skipped = 0
    for day, rows, matches in _days(connection, wanted, days):
        enough = sum(one[2] for one in run) >= rows_max or sum(one[1] for one in run) >= SCAN_MAX
        if run and (enough or skipped > RUN_COST):
            yield _day_run(days, run, newest)
            run, skipped = [], 0
        if matches:
            run.append((day, rows + skipped, matches))
            skipped = 0
        elif run:
            skipped += rows
    if run:
        yield _day_run(days, run, newest)


def _day_run(days: BusinessDays, run: list[tuple[str, int, int]], newest: bool) -> _DayRun:
    first, last = (run[-1][0], run[0][0]) if newest else (run[0][0], run[-1][0])
    return _DayRun(begin_us(days, first), end_us(days, last), RUN_COST + sum(rows for _, rows, _ in run))


def _days(connection: Connection, wanted: AccountFilter, days: BusinessDays) -> Iterator[tuple[str, int, int]]:
    """Return each day of a range with the number of its flows, and the number of those that may match according to the
    day totals."""
    t = day_totals.c
    conditions = totals_conditions(wanted.conditions)
    matching = sa.case((sa.and_(*conditions), t.flows), else_=0) if conditions else t.flows
    query = (
        sa.select(t.day, sa.func.sum(t.flows), sa.func.sum(matching))
        .where(
            t.account == wanted.account.account,
            t.day >= day_text(days, wanted.since_us),
            t.day <= day_text(days, wanted.until_us - 1),
        )
        .group_by(t.day)
        .order_by(t.day.desc() if wanted.conditions.newest_first else t.day)
    )
    streaming = {"stream_results": True, "max_row_buffer": 100}
    with connection.execute(query, execution_options=streaming) as found:  # closed early when the page is full
        for day, rows, matches in found:
            yield day, int(rows), int(matches)


def daily_flows(ledger: Ledger, account: str, first: date, last: date) -> list[tuple[Slice, int]]:
    """Return the number of flows on each day of an account that has flows, both ends included, oldest first."""
    with ledger.reading() as connection:
        (known,) = find_accounts(queries_of(connection), (account,))
        counts = flows_by_day(queries_of(connection), account, first.isoformat(), last.isoformat())
    days = BusinessDays(known.tz)
    first_us, last_us = to_us(MIN_INSTANT), to_us(MAX_INSTANT)
    ranges = [(*days.range_us(day), count) for day, count in counts]
    return [(Slice(from_us(max(begin, first_us)), from_us(min(end, last_us))), count) for begin, end, count in ranges]
