"""One flow with its neighbours in the balance chain, and whether each balance follows from the one before.

Providers do not state the order of flows within an instant, but their balances imply it.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from liushui.instant import to_us
from liushui.ledger.read.balances import opening_balance, unread_since_anchor
from liushui.ledger.read.flows import LedgerFlow, flows_at
from liushui.ledger.read.instant_order import Chain, InstantOrder
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.ledger.read.stated_balances import StatedPoints, sum_before
from liushui.money import EXACT
from liushui.reconcile.chain import ChainRow, RowKey

NEIGHBOURS: Final = 3
"""The number of flows that are shown before and after the requested one."""


class Chained(StrEnum):
    """Whether the balance before plus the amount is the stated balance."""

    FOLLOWS = "follows"
    DIFFERS = "differs"
    UNTOLD = "untold"
    """Unknown: one of the two balances is not stated, or it is the first flow."""


class Neighbour(NamedTuple):
    """A flow of the same account, subaccount and currency. `off`: the stated balance minus the expected one.

    `running` is the opening balance plus all flows up to this one. It is set only if no balance is stated and the
    opening balance is known.
    """

    found: LedgerFlow
    chained: Chained
    off: Decimal | None
    is_it: bool
    running: Decimal | None = None


class Neighbours(NamedTuple):
    """A flow with its neighbours, oldest first. `is_ambiguous`: the balances allow several orders within its
    instant."""

    flows: list[Neighbour]
    is_ambiguous: bool


def neighbours(model: ReadModel, it: LedgerFlow, many: int = NEIGHBOURS) -> Neighbours:
    """Return the flow `it` with the flows before and after it in its balance chain.

    Flows of one instant are in the order of their balances if these imply one, as in every list.
    """
    at_us, chain = to_us(it.flow.at), (it.flow.subaccount, it.flow.currency)
    with model.reading((it.account,)) as reading:
        account = reading.accounts[it.account]
        order = InstantOrder(reading.connection, it.account, account.balance_rules)
        around = order.around(at_us, chain)
        position = next((number for number, row in enumerate(around) if row.key == (at_us, it.id)), None)
        if position is None:  # withdrawn since it was read
            return Neighbours([], is_ambiguous=False)
        first = max(0, position - many)
        shown = around[first : position + many + 1]
        by_key = flows_at(reading.connection, it.account, [row.key for row in shown])
        running = _running_balances(reading, account, chain, around, shown)
        here = [row for row in around if row.at_us == at_us]
        return Neighbours(
            [
                _chained(
                    around[first + number - 1] if first + number else None,
                    by_key[row.key],
                    is_it=row.key == (at_us, it.id),
                    running=running.get(row.key),
                )
                for number, row in enumerate(shown)
            ],
            order.is_ambiguous(here),
        )


def _running_balances(
    reading: Reading, account: Account, chain: Chain, around: Sequence[ChainRow], shown: Sequence[ChainRow]
) -> dict[RowKey, Decimal]:
    """Return the balance after each shown row that states none, if the opening balance is known."""
    if all(row.balance_after is not None for row in shown):
        return {}
    stated = reading.stated_points(account).get(chain, StatedPoints())
    opening = opening_balance(account, stated)
    if opening is None or unread_since_anchor(account, stated):
        return {}
    balance = EXACT.add(opening, sum_before(reading.queries, account.name, chain, min(row.at_us for row in around)))
    found = {}
    for row in around:
        balance = EXACT.add(balance, row.amount)
        if row.balance_after is None:
            found[row.key] = balance
    return found


def _chained(before: ChainRow | None, flow: LedgerFlow, *, is_it: bool, running: Decimal | None) -> Neighbour:
    stated = flow.flow.balance_after
    if before is None or before.balance_after is None or stated is None:
        return Neighbour(flow, Chained.UNTOLD, None, is_it, running)
    off = EXACT.subtract(stated, EXACT.add(before.balance_after, flow.flow.amount))
    return Neighbour(flow, Chained.DIFFERS if off else Chained.FOLLOWS, off or None, is_it, running)
