"""Where money came from and went: what each account got and gave by kind, own transfers between accounts apart. Pure.

Of one currency. What went from one account to another and back, or round several, is drawn as what is left of it, since
a picture of streams has no circles; the figures are told in full.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from liushui.ledger.day_totals import Total
from liushui.ledger.read.transfer_matching import Match
from liushui.money import EXACT, ZERO


class Move(NamedTuple):
    """What moved on a day or in a month, `2024-03-01` or `2024-03`, of one account and kind."""

    account: str
    period: str
    kind: str
    total: Total


class Outside(NamedTuple):
    """What an account got from outside, or gave, of one kind. Sums, both above zero or zero."""

    account: str
    kind: str
    came: Decimal
    went: Decimal


class Between(NamedTuple):
    """What went from one of one's accounts to another. `drawn`: what is left of it where some came back."""

    source: str
    target: str
    transfers: int
    amount: Decimal
    drawn: Decimal


class Streams(NamedTuple):
    """The streams of one currency. `inside`: transfers within one account, from one of its parts to another."""

    outside: Sequence[Outside]
    between: Sequence[Between]
    inside: Sequence[Between]


def streams_of(moves: Iterable[Move], found: Sequence[Match]) -> Streams:
    """The streams that moves come to, once the transfers among them are taken out."""
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
    """What is left of amounts between places once what went round is taken out: of each circle its least amount."""
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
    """A circle of streams, a shortest one through the first place that is in one. None: there is none."""
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
