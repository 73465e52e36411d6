"""Pages of flows in their one order, by time, account and id: each goes on after a place, and does bounded work.

Rows that arrive meanwhile move no other: a place stays where it is. A filter that few rows pass is not searched for
to the end of the ledger in one page: a page that has looked at enough ends there, with what it found and the place to
go on from. The day totals say beforehand which days cannot have what is sought, and how many rows the others have.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import to_flow
from liushui.ledger.read.balances import FIRST_DAY, LAST_DAY, FlowFilter, LedgerFlow, Named, accounts_named, restricted
from liushui.ledger.schema import accounts, day_totals, flows

SCAN_MAX: Final = 8_000
"""Rows that one page looks at, about; beyond a day that has more, where it has to."""
RUN_COST: Final = 100
"""So many rows looked at cost as much as beginning with another run of days."""

_SIFTING: Final = (
    *("currency", "kind", "symbol", "category", "direction", "subaccount"),
    *("ref", "amount_min", "amount_max", "text", "finding"),
)
"""Fields of a filter that some rows of a range do not pass."""
_TOTALLED: Final = ("subaccount", "currency", "kind")


class Place(NamedTuple):
    """Between two rows: after the row of that key, or, without account and id, before all rows of that instant."""

    at_us: int
    account: str = ""
    id: str = ""


class FlowsPage(NamedTuple):
    """Some flows in their order, and the place after them. `next` None: there is nothing after it."""

    flows: list[LedgerFlow]
    next: Place | None


class _Part(NamedTuple):
    """What a page has of one account. `frontier_us`: how far it looked, where it did not look to the end."""

    rows: Sequence[sa.Row[tuple[object, ...]]]
    frontier_us: int | None


class _Run(NamedTuple):
    """Days that stand side by side, some of whose flows may be meant."""

    since_us: int
    until_us: int
    matching: int
    cost: int


def flows_page(ledger: Ledger, wanted: FlowFilter, *, limit: int, after: Place | None = None) -> FlowsPage:
    """The flows after a place, `limit` of them at most, the newest first where the filter says so.

    A page may have fewer flows than its limit, or none, and a place to go on from all the same.
    Raises ConfigError for an account that is not there.
    """
    with ledger.reading() as connection:
        chosen = accounts_named(connection, wanted.accounts)
        share = SCAN_MAX // max(1, len(chosen))
        parts = [_part(connection, account, wanted, limit + 1, after, share) for account in chosen]
    newest = wanted.newest_first
    rows = sorted((row for part in parts for row in part.rows), key=_key, reverse=newest)
    frontiers = [part.frontier_us for part in parts if part.frontier_us is not None]
    ahead = None
    if frontiers:  # beyond the nearest of them rows may be missing
        nearest_us = max(frontiers) if newest else min(frontiers)
        rows = [row for row in rows if (row.at_us >= nearest_us if newest else row.at_us < nearest_us)]
        ahead = Place(nearest_us)
    if len(rows) > limit:
        rows = rows[:limit]
        ahead = Place(*_key(rows[-1]))
    return FlowsPage([LedgerFlow(row.account, row.id, to_flow(row), row.batch) for row in rows], ahead)


def heads(ledger: Ledger, names: Sequence[str] | None = None) -> dict[str, int]:
    """The newest batch of each account, of all of them where none are named: whoever has seen these has seen it all."""
    query = sa.select(accounts.c.account, accounts.c.head).order_by(accounts.c.account)
    if names is not None:
        query = query.where(accounts.c.account.in_(names))
    with ledger.reading() as connection:
        return {row.account: row.head for row in connection.execute(query)}


def _key(row: sa.Row[tuple[object, ...]]) -> tuple[int, str, str]:
    return row.at_us, row.account, row.id


def _part(
    connection: Connection, account: Named, wanted: FlowFilter, rows_max: int, after: Place | None, scan_max: int
) -> _Part:
    wanted = wanted._replace(accounts=(account.account,))
    if all(getattr(wanted, name) is None for name in _SIFTING):
        return _Part(_rows(connection, wanted, after, rows_max), None)
    found: list[sa.Row[tuple[object, ...]]] = []
    looked_at = 0
    since_us, until_us = _ends(wanted, after)
    for run in _runs(connection, account, wanted, (since_us, until_us), rows_max):
        if looked_at and looked_at + run.cost > scan_max:
            return _Part(found, run.until_us if wanted.newest_first else run.since_us)
        looked_at += run.cost
        within = _within(wanted, max(run.since_us, since_us), min(run.until_us, until_us))
        found += _rows(connection, within, after, rows_max - len(found))
        if len(found) >= rows_max:
            break
    return _Part(found, None)


def _rows(
    connection: Connection, wanted: FlowFilter, after: Place | None, limit: int
) -> Sequence[sa.Row[tuple[object, ...]]]:
    """The rows of one account in a range of its key."""
    columns = flows.c
    query = restricted(sa.select(*flows.columns), flows, wanted)
    order = [columns.at_us, columns.id]
    if after is not None:
        key, place = sa.tuple_(columns.at_us, columns.account, columns.id), sa.tuple_(*after)
        edge = columns.at_us <= after.at_us if wanted.newest_first else columns.at_us >= after.at_us
        query = query.where(edge, key < place if wanted.newest_first else key > place)
    query = query.order_by(*(column.desc() if wanted.newest_first else column for column in order))
    return connection.execute(query.limit(limit)).all()


_BEGIN_US, _END_US = to_us(from_us(0).replace(year=1)), to_us(from_us(0).replace(year=9999, month=12, day=31))
_FAR_US = 2**62


def _ends(wanted: FlowFilter, after: Place | None) -> tuple[int, int]:
    """The range that is left of a filter's, in microseconds, its end left out."""
    since_us = -_FAR_US if wanted.since is None else to_us(wanted.since)
    until_us = _FAR_US if wanted.until is None else to_us(wanted.until)
    if after is not None and wanted.newest_first:
        until_us = min(until_us, after.at_us + (after != Place(after.at_us)))  # of its instant none, or some
    elif after is not None:
        since_us = max(since_us, after.at_us)
    return since_us, until_us


def _within(wanted: FlowFilter, since_us: int, until_us: int) -> FlowFilter:
    """The filter, of a range that a datetime can hold the ends of."""
    return wanted._replace(
        since=None if since_us <= _BEGIN_US else from_us(since_us),
        until=None if until_us >= _END_US else from_us(until_us),
    )


def _runs(
    connection: Connection, account: Named, wanted: FlowFilter, ends: tuple[int, int], rows_max: int
) -> Iterator[_Run]:
    """The days of a range that may have what is sought, in the order of the page, together where they are neighbours.

    A run ends where there is enough in it, and where passing over the next days costs less than reading them.
    """
    days, newest = BusinessDays(load_zone(account.zone)), wanted.newest_first
    run: list[tuple[str, int, int]] = []
    passed = 0
    for day, kept, matching in _days(connection, wanted, _day(days, ends[0]), _day(days, ends[1] - 1)):
        enough = sum(one[2] for one in run) >= rows_max or sum(one[1] for one in run) >= SCAN_MAX
        if run and (enough or passed > RUN_COST):
            yield _run(days, run, newest)
            run, passed = [], 0
        if matching:
            run.append((day, kept + passed, matching))
            passed = 0
        elif run:
            passed += kept
    if run:
        yield _run(days, run, newest)


def _run(days: BusinessDays, run: list[tuple[str, int, int]], newest: bool) -> _Run:
    first, last = (run[-1][0], run[0][0]) if newest else (run[0][0], run[-1][0])
    cost = RUN_COST + sum(kept for _, kept, _ in run)
    return _Run(_begin_us(days, first), _end_us(days, last), sum(matching for _, _, matching in run), cost)


def _days(connection: Connection, wanted: FlowFilter, first: str, last: str) -> Iterator[tuple[str, int, int]]:
    """Each day of a range: how many flows it has, and how many that may be meant, as far as totals can tell."""
    t = day_totals.c
    meant = [t[name] == getattr(wanted, name) for name in _TOTALLED if getattr(wanted, name) is not None]
    matching = sa.case((sa.and_(*meant), t.flows), else_=0) if meant else t.flows
    query = (
        sa.select(t.day, sa.func.sum(t.flows), sa.func.sum(matching))
        .where(t.account == wanted.accounts[0], t.day >= first, t.day <= last)
        .group_by(t.day)
        .order_by(t.day.desc() if wanted.newest_first else t.day)
    )
    streaming = {"stream_results": True, "max_row_buffer": 100}
    with connection.execute(query, execution_options=streaming) as found:  # who has enough does not read to its end
        for day, kept, many in found:
            yield day, int(kept), int(many)


def _day(days: BusinessDays, at_us: int) -> str:
    """The day of an instant, or of one that is beyond all days."""
    return FIRST_DAY if at_us <= _BEGIN_US else LAST_DAY if at_us >= _END_US else days.day_of(at_us)


_MARGIN: Final = timedelta(days=3)


def _begin_us(days: BusinessDays, day: str) -> int:
    """The instant a day begins; of the first days of the calendar one before all."""
    found = date.fromisoformat(day)
    return -_FAR_US if found <= date.min + _MARGIN else days.begin_us(found)


def _end_us(days: BusinessDays, day: str) -> int:
    """The instant a day ends; of the last days of the calendar one after all."""
    found = date.fromisoformat(day)
    return _FAR_US if found >= date.max - _MARGIN else days.begin_us(found + timedelta(days=1))
