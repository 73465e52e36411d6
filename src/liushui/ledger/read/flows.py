"""Flows of a filter: listed by account, streamed by time, or page by page. Reads only.

Pages keep one order, by time, account and id. A position between two rows stays where it is when rows arrive. A page
does bounded work: a filter that few rows pass is not searched to the end of the ledger at once, but returns what it
found with the position to go on from. Day totals tell beforehand which days cannot have a match.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from heapq import merge
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.flow import Flow
from liushui.instant import MAX_INSTANT, MIN_INSTANT, BusinessDays, from_us, to_us
from liushui.ledger.day_totals import flows_by_day
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
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
from liushui.ledger.schema import day_totals, flows
from liushui.output_text import export_value
from liushui.provider import Slice

CHUNK: Final = 1_000
"""Rows that a stream holds at a time."""
SCAN_MAX: Final = 8_000
"""Rows that one page looks at, about; beyond a single day that has more."""
RUN_COST: Final = 100
"""Beginning with another run of days costs as much as looking at so many rows."""
COLUMNS: Final = (
    "account", "at", "amount", "currency", "direction", "kind", "category", "label", "symbol", "note", "subaccount",
    "balance_after", "settled_at", "ref", "order_ref", "name", "price", "quantity", "fx_currency", "fx_amount",
    "fx_rate", "detail", "id", "batch",
)  # fmt: skip
"""A flow's fields, in the order of every table, export and download."""


class LedgerFlow(NamedTuple):
    """A flow in the ledger. `batch` is the commit that entered this version of it."""

    account: str
    id: str
    flow: Flow
    batch: int


def flow_record(found: LedgerFlow) -> dict[str, str | int | Decimal | datetime | dict[str, Any] | None]:
    """A flow's fields by the names of COLUMNS, in their order: amounts exact, times as instants."""
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
    """`flow_record` for programs: amounts as plain text, times as ISO 8601 in UTC."""
    return {name: export_value(value) for name, value in flow_record(found).items()}


def ledger_flow(row: sa.Row[Any]) -> LedgerFlow:
    """The flow of a row with the columns of flows."""
    return LedgerFlow(row.account, row.id, to_flow(row), row.batch)


# ---------------------------------------------------------------- streams


def list_flows(ledger: Ledger, wanted: FlowFilter) -> Iterator[LedgerFlow]:
    """The flows by account, time and id, streamed, up to the filter's limit."""
    with ledger.reading() as connection:
        left = wanted.limit
        chosen = find_accounts(queries_of(connection), wanted.accounts)
        for account in reversed(chosen) if wanted.newest_first else chosen:
            with closing(_stream(connection, wanted.of(account), left)) as rows:
                for row in rows:
                    yield ledger_flow(row)
                    left = None if left is None else left - 1
            if left == 0:
                return


def stream_flows(ledger: Ledger, wanted: FlowFilter) -> Iterator[LedgerFlow]:
    """The flows by time, account and id over all accounts, streamed from one state, up to the filter's limit."""
    with ledger.reading() as connection:
        streams = [
            _stream(connection, wanted.of(account), wanted.limit)
            for account in find_accounts(queries_of(connection), wanted.accounts)
        ]
        rows = merge(*streams, key=lambda row: (row.at_us, row.account, row.id), reverse=wanted.newest_first)
        for number, row in enumerate(rows):
            if number == wanted.limit:
                return
            yield ledger_flow(row)


def _stream(connection: Connection, wanted: AccountFilter, limit: int | None) -> Generator[sa.Row[Any]]:
    query = wanted.apply(sa.select(*flows.columns), flows).order_by(*_order(wanted.conditions)).limit(limit)
    streaming = {"stream_results": True, "max_row_buffer": CHUNK}
    with connection.execute(query, execution_options=streaming) as found:
        yield from found


def _order(wanted: FlowFilter) -> tuple[sa.ColumnElement[Any], ...]:
    c = flows.c
    return (c.at_us.desc(), c.id.desc()) if wanted.newest_first else (c.at_us, c.id)


# ---------------------------------------------------------------- pages


class Position(NamedTuple):
    """Between two rows: after the row of that key or, without account and id, before all rows of that instant."""

    at_us: int
    account: str = ""
    id: str = ""


class FlowsPage(NamedTuple):
    """Some flows in order, and the position after them. `next` None: nothing follows."""

    flows: list[LedgerFlow]
    next: Position | None


class _AccountPart(NamedTuple):
    """A page's rows of one account. `searched_us`: how far the account was searched; None: to its end."""

    rows: Sequence[sa.Row[Any]]
    searched_us: int | None


class _DayRun(NamedTuple):
    """Adjacent days, some of whose flows may match. `cost` counts rows to look at."""

    since_us: int
    until_us: int
    cost: int


def flows_page(ledger: Ledger, wanted: FlowFilter, *, limit: int, after: Position | None = None) -> FlowsPage:
    """At most `limit` flows after a position, in the filter's order.

    A page may have fewer flows, or none, and still have a next position. Raises AccountNotFound.
    """
    with ledger.reading() as connection:
        chosen = find_accounts(queries_of(connection), wanted.accounts)
        scan_max = SCAN_MAX // max(1, len(chosen))
        parts = [_account_part(connection, wanted.of(account), limit + 1, after, scan_max) for account in chosen]
    newest = wanted.newest_first
    rows = sorted((row for part in parts for row in part.rows), key=_key, reverse=newest)
    searched = [part.searched_us for part in parts if part.searched_us is not None]
    following = None
    if searched:  # beyond the nearest of them, rows of some account may be missing
        nearest_us = max(searched) if newest else min(searched)
        rows = [row for row in rows if (row.at_us >= nearest_us if newest else row.at_us < nearest_us)]
        following = Position(nearest_us)
    if len(rows) > limit:
        rows = rows[:limit]
        following = Position(*_key(rows[-1]))
    return FlowsPage([ledger_flow(row) for row in rows], following)


def _key(row: sa.Row[Any]) -> tuple[int, str, str]:
    return row.at_us, row.account, row.id


def _account_part(
    connection: Connection, wanted: AccountFilter, rows_max: int, after: Position | None, scan_max: int
) -> _AccountPart:
    wanted = _after(wanted, after)
    if not wanted.conditions.is_selective:
        return _AccountPart(_page_rows(connection, wanted, after, rows_max), None)
    rows: list[sa.Row[Any]] = []
    cost = 0
    for run in _day_runs(connection, wanted, rows_max):
        if cost and cost + run.cost > scan_max:
            return _AccountPart(rows, run.until_us if wanted.conditions.newest_first else run.since_us)
        cost += run.cost
        part = wanted.within(run.since_us, run.until_us)
        rows += _page_rows(connection, part, after, rows_max - len(rows))
        if len(rows) >= rows_max:
            break
    return _AccountPart(rows, None)


def _after(wanted: AccountFilter, after: Position | None) -> AccountFilter:
    """The part of a filter's range that is left after a position."""
    if after is None:
        return wanted
    if wanted.conditions.newest_first:
        has_rows_of_instant = after != Position(after.at_us)
        return wanted.within(BEFORE_ALL_US, after.at_us + has_rows_of_instant)
    return wanted.within(after.at_us, AFTER_ALL_US)


def _page_rows(
    connection: Connection, wanted: AccountFilter, after: Position | None, limit: int
) -> Sequence[sa.Row[Any]]:
    query = wanted.apply(sa.select(*flows.columns), flows)
    if after is not None:
        key = sa.tuple_(flows.c.at_us, flows.c.account, flows.c.id)
        query = query.where(key < sa.tuple_(*after) if wanted.conditions.newest_first else key > sa.tuple_(*after))
    return connection.execute(query.order_by(*_order(wanted.conditions)).limit(limit)).all()


def _day_runs(connection: Connection, wanted: AccountFilter, rows_max: int) -> Iterator[_DayRun]:
    """Runs of days that may have matches, in the order of the page.

    A run ends where it has enough matches, or where skipping the next days costs less than reading them.
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
    """Each day of a range: its flows, and those of them that may match as far as day totals can tell."""
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
    """How many flows an account has on each of its days that has some, both ends included, oldest first."""
    with ledger.reading() as connection:
        (known,) = find_accounts(queries_of(connection), (account,))
        counts = flows_by_day(queries_of(connection), account, first.isoformat(), last.isoformat())
    days = BusinessDays(known.tz)
    first_us, last_us = to_us(MIN_INSTANT), to_us(MAX_INSTANT)
    ranges = [(*days.range_us(day), count) for day, count in counts]
    return [(Slice(from_us(max(begin, first_us)), from_us(min(end, last_us))), count) for begin, end, count in ranges]
