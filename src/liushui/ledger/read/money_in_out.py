"""Where the money of one currency came from and went: in and out of each account by kind, and between own accounts.

Two flows are the two sides of a transfer if one takes money out of a subaccount and the other brings the same amount of
the same currency into another one, both are transfers, deposits or withdrawals, and they are at most WINDOW apart. Each
flow is matched once, those closest in time first. No provider confirms a match, so it is a guess, and the page says so.

The Sankey chart that shows this cannot draw cycles. Where money went from one account to another and back, or through
several accounts and back, `drawn` is the net amount; `amount` is always the full one.
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
from liushui.ledger.day_totals import Total
from liushui.ledger.schema import day_totals, flows
from liushui.money import EXACT, ZERO

# ---------------------------------------------------------------- own transfers


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


def match_transfers(ends: Iterable[End]) -> list[Match]:
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


def transfer_candidates(
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
    days = _candidate_days(connection, list(zones), currency, first, last)
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
        for since_us, until_us in _merged_days(kept, calendar):
            ends += _read_ends(connection, account, currency, since_us, until_us)
    return Candidates(ends, None if left >= 0 else begin)


def _candidate_days(
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


def _merged_days(days: Sequence[str], calendar: BusinessDays) -> Iterator[tuple[int, int]]:
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


def _read_ends(connection: Connection, account: str, currency: str, since_us: int, until_us: int) -> list[End]:
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


# ---------------------------------------------------------------- streams


class Move(NamedTuple):
    """Money in and out of one account and kind on a day, such as `2024-03-01`, or in a month, such as `2024-03`."""

    account: str
    period: str
    kind: str
    total: Total


class Outside(NamedTuple):
    """Money of one kind that an account received from outside (`came`) or paid out (`went`). Neither is negative."""

    account: str
    kind: str
    came: Decimal
    went: Decimal


class Between(NamedTuple):
    """Transfers from one own account to another. `drawn`: the amount after cycles are netted."""

    source: str
    target: str
    transfers: int
    amount: Decimal
    drawn: Decimal


class Streams(NamedTuple):
    """The streams of one currency. `inside`: transfers between subaccounts of one account."""

    outside: Sequence[Outside]
    between: Sequence[Between]
    inside: Sequence[Between]


def streams_of(moves: Iterable[Move], found: Sequence[Match]) -> Streams:
    """The streams of some moves. Matched transfers are subtracted from the money in and out, and listed separately."""
    came: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    went: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for move in moves:
        place = move.account, move.kind
        came[place] = EXACT.add(came[place], move.total.money_in)
        went[place] = EXACT.subtract(went[place], move.total.money_out)
    moved: dict[tuple[str, str], tuple[int, Decimal]] = defaultdict(lambda: (0, ZERO))
    for left, arrived in found:
        out, into = (left.account, left.kind), (arrived.account, arrived.kind)
        went[out] = EXACT.subtract(went[out], arrived.amount)
        came[into] = EXACT.subtract(came[into], arrived.amount)
        many, amount = moved[left.account, arrived.account]
        moved[left.account, arrived.account] = many + 1, EXACT.add(amount, arrived.amount)
    drawn = without_circles({pair: amount for pair, (_, amount) in moved.items() if pair[0] != pair[1]})
    pairs = [
        Between(*pair, transfers=many, amount=amount, drawn=drawn.get(pair, ZERO))
        for pair, (many, amount) in sorted(moved.items())
    ]
    return Streams(
        [Outside(*place, came=came[place], went=went[place]) for place in sorted(came) if came[place] or went[place]],
        [pair for pair in pairs if pair.source != pair.target],
        [pair for pair in pairs if pair.source == pair.target],
    )


def without_circles(amounts: dict[tuple[str, str], Decimal]) -> dict[tuple[str, str], Decimal]:
    """The amounts between accounts after every cycle was reduced by its smallest amount."""
    left = dict(amounts)
    for _ in range(len(amounts)):  # each circle that is taken out ends one stream at least
        circle = _circle(left)
        if circle is None:
            break
        least = min(left[pair] for pair in circle)
        for pair in circle:
            left[pair] = EXACT.subtract(left[pair], least)
            if not left[pair]:
                del left[pair]
    return left


def _circle(amounts: dict[tuple[str, str], Decimal]) -> list[tuple[str, str]] | None:
    """A shortest cycle through the first account that is part of one. None: there is no cycle."""
    targets: dict[str, list[str]] = defaultdict(list)
    for source, target in sorted(amounts):
        targets[source].append(target)
    for start in sorted(targets):
        came_from: dict[str, str] = {}
        reached = [start]
        for place in reached:  # grows as it is walked: breadth first
            for target in targets.get(place, ()):
                if target == start:
                    return _walked(came_from, start, place)
                if target not in came_from:
                    came_from[target] = place
                    reached.append(target)
    return None


def _walked(came_from: dict[str, str], start: str, place: str) -> list[tuple[str, str]]:
    circle = [(place, start)]
    while place != start:
        circle.append((came_from[place], place))
        place = came_from[place]
    return circle
