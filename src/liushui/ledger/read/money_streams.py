"""The sources and destinations of the money of one currency: in and out of each account by kind, and own transfers.
Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from liushui.ledger.day_totals import Total
from liushui.ledger.read.own_transfers import OwnTransfer, is_within
from liushui.money import EXACT, ZERO


class Move(NamedTuple):
    """Money in and out of one account and kind on a day, such as `2024-03-01`, or in a month, such as `2024-03`.

    `account` "": several accounts together.
    """

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
    """Transfers from one own account to another."""

    source: str
    target: str
    transfers: int
    amount: Decimal


class Streams(NamedTuple):
    """The streams of one currency. `inside`: transfers between subaccounts of the same account.

    `views`: the number and the amounts of flows that are left out because another flow shows the same money.
    """

    outside: Sequence[Outside]
    between: Sequence[Between]
    inside: Sequence[Between]
    views: tuple[int, Decimal] = (0, ZERO)


def streams_of(
    moves: Iterable[Move],
    own: Iterable[OwnTransfer],
    currency: str,
    first: date | None = None,
    last: date | None = None,
) -> Streams:
    """Compute the streams from moves of one currency. Own transfers of the days are subtracted from the money in and
    out, and are listed separately. A transfer from or to another currency counts with its amount in this currency."""
    came: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    went: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for move in moves:
        place = move.account, move.kind
        came[place] = EXACT.add(came[place], move.total.money_in)
        went[place] = EXACT.subtract(went[place], move.total.money_out)
    moved: dict[tuple[str, str], tuple[int, Decimal]] = defaultdict(lambda: (0, ZERO))
    views = 0, ZERO
    for transfer in own:
        legs = [leg for leg in transfer.legs if leg.currency == currency and is_within(leg.day, first, last)]
        for leg in legs:
            side = went if leg.amount < 0 else came
            side[leg.account, leg.kind] = EXACT.subtract(side[leg.account, leg.kind], leg.amount.copy_abs())
        if legs and transfer.arrived is None:
            views = views[0] + 1, EXACT.add(views[1], legs[0].amount.copy_abs())
        elif legs and transfer.arrived is not None:
            pair = transfer.left.account, transfer.arrived.account
            many, amount = moved[pair]
            moved[pair] = many + 1, EXACT.add(amount, legs[-1].amount.copy_abs())
    pairs = [Between(*pair, transfers=many, amount=amount) for pair, (many, amount) in sorted(moved.items())]
    return Streams(
        [Outside(*place, came=came[place], went=went[place]) for place in sorted(came) if came[place] or went[place]],
        [pair for pair in pairs if pair.source != pair.target],
        [pair for pair in pairs if pair.source == pair.target],
        views,
    )
