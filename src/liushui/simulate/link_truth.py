"""The flows of a world that belong together. The matching of links is measured against them. Pure.

Flows are named by account, day and position in the day. Flows of one event that are equal in all fields of a provider
can replace each other. The truth is therefore about positions, not about rows.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final, NamedTuple

from liushui.flow import Flow, Kind
from liushui.simulate.running_balances import NO_EVENT, transfer_event
from liushui.simulate.world import World


class Position(NamedTuple):
    """The position of a flow among the flows of its account's day, counted from 0."""

    account: str
    day: int
    place: int


DEPENDENTS: Final = (
    ("refund", Kind.REFUND, (Kind.RECEIPT,)),
    ("fee", Kind.FEE, (Kind.RECEIPT, Kind.TRADE, Kind.REALIZED_PNL)),
    ("fee", Kind.LIQUIDATION, (Kind.REALIZED_PNL,)),
    ("tax", Kind.TAX, (Kind.DIVIDEND,)),
)
"""Kinds of links within one event: its name, the dependent kind, and the kinds that it may depend on."""


def links_within(world: World, account: str, day: int) -> Iterator[tuple[str, Position, Position]]:
    """Return the links of one account's day, each from its dependent flow to the other flow."""
    events: dict[int, list[int]] = defaultdict(list)
    for index, event in enumerate(world.events(account, day)):
        if event > NO_EVENT:
            events[event].append(index)
    flows = world.day(account, day)
    for indexes in events.values():
        for name, dependent, principal in _pairs(flows, indexes):
            yield name, Position(account, day, dependent), Position(account, day, principal)
    for first, second in _fills(flows):
        yield "order", Position(account, day, first), Position(account, day, second)


def _pairs(flows: Sequence[Flow], indexes: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    for left, right in product(indexes, repeat=2):
        one, other = flows[left], flows[right]
        for name, dependent, principals in DEPENDENTS:
            if one.kind is dependent and other.kind in principals:
                yield name, left, right
        if one.kind is other.kind is Kind.CONVERSION and one.amount < 0 < other.amount:
            yield "conversion", left, right


def _fills(flows: Sequence[Flow]) -> Iterator[tuple[int, int]]:
    """Yield the first two fills of each order that has several fills in one wallet. Equal fills are two events of one
    order."""
    fills: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, flow in enumerate(flows):
        if flow.kind is Kind.TRADE and flow.order_ref:
            fills[flow.subaccount, flow.currency, flow.order_ref].append(index)
    for group in fills.values():
        if len(group) > 1:
            # Fills of one instant are ordered by their ids, which are texts.
            first, second, *_ = sorted(group, key=lambda index: (flows[index].at, str(index)))
            yield first, second


def transfers_of(world: World, person: int, day: int) -> Iterator[tuple[Position, Position]]:
    """Return the two ends of each transfer of a person's day, the outgoing end first.

    If two accounts show an end, it is that of the original account.
    """
    for number, transfer in enumerate(world.transfers(person, day)):
        event = transfer_event(number)
        left, right = (
            Position(account, day, world.events(account, day).index(event))
            for account in map(world.original_of, (transfer.source, transfer.target))
        )
        yield left, right


def same_money_of(world: World, account: str, day: int) -> Iterator[tuple[Position, Position]]:
    """Return the views of an account's flows of a day in another account, each with the flow. Both accounts have the
    same flows in the same order."""
    view = world.view_of(account)
    if view is not None:
        for place in range(len(world.day(account, day))):
            yield Position(view, day, place), Position(account, day, place)
