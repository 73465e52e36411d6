"""Matches the two sides of transfers between a person's own accounts. Pure, except for reading the candidates.

Two flows match if one takes money out of a subaccount and the other brings the same amount of the same currency into
another one, both are transfers, deposits or withdrawals, and they are at most WINDOW apart. Each flow is matched once,
those closest in time first. No provider confirms a match, so it is a guess, and the page says so.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.flow import Kind
from liushui.instant import BusinessDays, load_zone
from liushui.ledger.schema import day_totals, flows
from liushui.money import EXACT, ZERO

KINDS: Final = frozenset({Kind.TRANSFER.value, Kind.DEPOSIT.value, Kind.WITHDRAWAL.value})
"""The kinds of flows that can be one side of a transfer."""

WINDOW: Final = timedelta(days=3)
"""The longest time between the two sides. A wire transfer over a weekend takes three days."""

DAY = timedelta(days=1)

ROWS_MAX: Final = 200_000
"""The most flows that are read for one answer. Older flows are not matched, and the answer says so."""

_WINDOW_US: Final = WINDOW // timedelta(microseconds=1)


class End(NamedTuple):
    """A flow that may be one side of a transfer. `amount` is signed."""

    account: str
    subaccount: str
    at_us: int
    kind: str
    amount: Decimal
    id: str

    @property
    def place(self) -> tuple[str, str]:
        """The account and subaccount."""
        return self.account, self.subaccount


class Match(NamedTuple):
    """The two sides of a transfer."""

    left: End
    arrived: End


def matches(ends: Iterable[End]) -> list[Match]:
    """The transfers among flows of one currency, by departure time. The order of `ends` does not matter."""
    left: dict[Decimal, list[End]] = defaultdict(list)
    arrived: dict[Decimal, list[End]] = defaultdict(list)
    for end in sorted(ends, key=lambda end: (end.at_us, end)):
        if end.amount < 0:
            left[end.amount.copy_abs()].append(end)
        elif end.amount > 0:
            arrived[end.amount].append(end)
    found = [match for amount, out in left.items() if amount in arrived for match in _paired(out, arrived[amount])]
    return sorted(found, key=lambda match: (match.left.at_us, match))


def _paired(left: Sequence[End], arrived: Sequence[End]) -> list[Match]:
    """Pairs of equal amounts, the closest in time first. Both inputs are in order of time."""
    times = [end.at_us for end in arrived]
    near = []
    for number, out in enumerate(left):
        place = bisect_left(times, out.at_us - _WINDOW_US)
        while place < len(arrived) and times[place] <= out.at_us + _WINDOW_US:
            if arrived[place].place != out.place:
                near.append((abs(times[place] - out.at_us), number, place))
            place += 1
    used_left: set[int] = set()
    used_arrived: set[int] = set()
    found = []
    for _, number, place in sorted(near):
        if number not in used_left and place not in used_arrived:
            used_left.add(number)
            used_arrived.add(place)
            found.append(Match(left[number], arrived[place]))
    return found


class Candidates(NamedTuple):
    """The flows that may be ends of transfers. `since` None: of the whole range; else only of that day and later."""

    ends: list[End]
    since: date | None


def candidates(
    connection: Connection,
    zones: Mapping[str, str],
    currency: str,
    first: date,
    last: date,
    rows_max: int = ROWS_MAX,
) -> Candidates:
    """The flows of a range of days, both ends included, that may be ends of transfers, from the newest day on.

    `zones` by account. Only those days are looked at on which the day totals tell of such flows.
    """
    days = _days(connection, list(zones), currency, first, last)
    begin, left = first, rows_max
    for day, flows_ in sorted(days.items(), reverse=True):
        left -= sum(flows_.values())
        if left < 0:
            begin = date.fromisoformat(day) + DAY
            break
    ends: list[End] = []
    for account, zone in zones.items():
        calendar = BusinessDays(load_zone(zone))
        kept = [day for day in sorted(days) if account in days[day] and day >= begin.isoformat()]
        for since_us, until_us in _stretches(kept, calendar):
            ends += _read(connection, account, currency, since_us, until_us)
    return Candidates(ends, None if left >= 0 else begin)


def _days(
    connection: Connection, names: Sequence[str], currency: str, first: date, last: date
) -> dict[str, dict[str, int]]:
    """Days on which accounts may have ends of transfers, each with all flows that they have on it."""
    t = day_totals.c
    meant = sa.case((sa.and_(t.currency == currency, t.kind.in_(sorted(KINDS))), t.flows), else_=0)
    query = sa.select(t.account, t.day, sa.func.sum(t.flows)).where(
        t.account.in_(names), t.day >= first.isoformat(), t.day <= last.isoformat()
    )
    query = query.group_by(t.account, t.day).having(sa.func.sum(meant) > 0)
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for account, day, many in connection.execute(query):
        found[day][account] = int(many)
    return found


def _stretches(days: Sequence[str], calendar: BusinessDays) -> Iterator[tuple[int, int]]:
    """Days in order as ranges [since, until), adjacent days merged."""
    since_us = until_us = 0
    for text in days:
        day = date.fromisoformat(text)
        begin_us = calendar.begin_us(day)
        if begin_us != until_us:
            if until_us:
                yield since_us, until_us
            since_us = begin_us
        until_us = calendar.begin_us(day + DAY)
    if until_us:
        yield since_us, until_us


def _read(connection: Connection, account: str, currency: str, since_us: int, until_us: int) -> list[End]:
    f = flows.c
    query = sa.select(f.account, f.subaccount, f.at_us, f.kind, f.amount, f.id).where(
        f.account == account,
        f.at_us >= since_us,
        f.at_us < until_us,
        f.currency == currency,
        f.kind.in_(sorted(KINDS)),
    )
    return [
        End(of, subaccount, at_us, kind, Decimal(amount), id_)
        for of, subaccount, at_us, kind, amount, id_ in connection.execute(query)
    ]


def total_of(found: Iterable[Match]) -> Decimal:
    """The sum of the transfers."""
    result = ZERO
    for match in found:
        result = EXACT.add(result, match.arrived.amount)
    return result
