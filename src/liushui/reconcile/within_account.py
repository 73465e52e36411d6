"""Links within one account: refunds, fees, taxes, conversions, and the fills of an order. Pure.

Numbers that rows share come first: the record number, then the order number. If a provider's rows share no numbers,
time decides, within the windows of its `rules.py`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from liushui.flow import Kind
from liushui.money import EXACT
from liushui.reconcile.links import NOTHING_DECIDED, Basis, Decided, FlowKey, Link, LinkFlow, LinkKind, LinkState
from liushui.reconcile.matching import Tie, resolve, suggestions
from liushui.rules import LinkRules

RECORD_WINDOW: Final = timedelta(minutes=1)
"""The largest distance in time between rows of one record. Providers may use record numbers again later."""

CHARGES: Final = frozenset({Kind.FEE.value, Kind.LIQUIDATION.value})
CHARGED: Final = frozenset({Kind.TRADE.value, Kind.RECEIPT.value, Kind.REALIZED_PNL.value})
REFUND: Final = Kind.REFUND.value
TRADE: Final = Kind.TRADE.value

_RECORD_US: Final = RECORD_WINDOW // timedelta(microseconds=1)
_CERTAIN_TIERS: Final = 2


class _Pair(NamedTuple):
    """A dependent flow and the flow that it may depend on, by index."""

    dependent: int
    principal: int
    tier: int
    basis: Basis


def match_within(flows: Iterable[LinkFlow], rules: LinkRules, decided: Decided = NOTHING_DECIDED) -> list[Link]:
    """Return the links among flows of one account, certain ones and candidates, by time.

    Links that people decided are left out: see `Decided`.
    """
    ordered = sorted(flows, key=lambda flow: (flow.at_us, flow.id))
    matcher = _Matcher(ordered, decided)
    links = [
        *_without_excess(list(matcher.links(LinkKind.REFUND, _refunds(ordered), shared=True)), ordered, decided),
        *matcher.links(LinkKind.FEE, _numbered_charges(ordered), shared=True),
        *matcher.links(LinkKind.CONVERSION, _conversions(ordered)),
        *matcher.orders(),
    ]
    if rules.tax_window is not None:
        links += matcher.links(LinkKind.TAX, _within(ordered, rules.tax_window, Kind.DIVIDEND, Kind.TAX))
    if rules.fee_window is not None:
        numbered = {link.flows[0] for link in links if link.kind is LinkKind.FEE}
        pairs = _within(ordered, rules.fee_window, Kind.TRADE, Kind.FEE)
        free = [pair for pair in pairs if ordered[pair.dependent] not in numbered]
        # A trade may have several fees, which the provider names differently.
        links += matcher.links(LinkKind.FEE, free, label=lambda flow: flow.label)
    return sorted(links, key=lambda link: link.order)


class _Matcher:
    """Decides which of the possible pairs are certain."""

    def __init__(self, flows: Sequence[LinkFlow], decided: Decided) -> None:
        self._flows, self._decided = flows, decided

    def links(
        self,
        kind: LinkKind,
        pairs: Iterable[_Pair],
        *,
        shared: bool = False,
        label: Callable[[LinkFlow], str] = lambda _: "",
    ) -> Iterator[Link]:
        """Return the links of one kind. `shared`: several dependent flows may depend on one flow.

        Dependent flows with different labels do not compete.
        """
        bases: dict[tuple[int, int], Basis] = {}
        ties = []
        for dependent, principal, tier, basis in pairs:
            one, other = self._flows[dependent], self._flows[principal]
            is_taken = not self._decided.taken.isdisjoint({(kind, one.key), (kind, other.key)})
            if is_taken or (one.key, other.key) in self._decided.rejected or (dependent, principal) in bases:
                continue
            bases[dependent, principal] = basis
            cost = abs(one.at_us - other.at_us)
            ties.append(Tie((dependent, ""), (principal, label(one)), tier, cost))
        resolved = resolve(ties, tiers=_CERTAIN_TIERS, shared_right=shared)
        suggested = set() if shared else suggestions(resolved.ambiguous)
        for state, group in ((LinkState.CERTAIN, resolved.certain), (LinkState.CANDIDATE, resolved.ambiguous)):
            for tie in group:
                dependent, principal = tie.left[0], tie.right[0]
                linked = self._flows[dependent], self._flows[principal]
                is_suggested = (tie.left, tie.right) in suggested
                yield Link(kind, linked, bases[dependent, principal], state, is_suggested)

    def orders(self) -> Iterator[Link]:
        """Return the links between the fills of each order with several fills."""
        for group in _groups(self._flows, lambda flow: flow.order_ref):
            fills = tuple(self._flows[index] for index in group if self._flows[index].kind == TRADE)
            link = Link(LinkKind.ORDER, fills, Basis.ORDER, LinkState.CERTAIN)
            if len(fills) > 1 and link.keys not in self._decided.rejected | self._decided.confirmed:
                yield link


# ---------------------------------------------------------------- pairs


def _groups(flows: Sequence[LinkFlow], number: Callable[[LinkFlow], str]) -> Iterator[list[int]]:
    """Group flows of one wallet and currency that share a number, by time. Flows without a number are in no group."""
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, flow in enumerate(flows):
        if text := number(flow):
            groups[flow.subaccount, flow.currency, text].append(index)
    return (group for group in groups.values() if len(group) > 1)


def _refunds(flows: Sequence[LinkFlow]) -> Iterator[_Pair]:
    """Return refunds with the earlier receipts of the same order."""
    for group in _groups(flows, lambda flow: flow.order_ref):
        receipts = [index for index in group if flows[index].kind == Kind.RECEIPT]
        for refund in (index for index in group if flows[index].kind == REFUND):
            for receipt in receipts:
                if flows[receipt].at_us <= flows[refund].at_us:
                    yield _Pair(refund, receipt, 1, Basis.ORDER)


def _without_excess(links: Sequence[Link], flows: Sequence[LinkFlow], decided: Decided) -> Iterator[Link]:
    """Return the links of refunds. If refunds add up to more than their receipt, they are candidates, because one of
    them belongs to another receipt.

    Confirmed refunds count too.
    """
    by_key = {flow.key: flow for flow in flows}
    left: dict[LinkFlow, Decimal] = {}
    for refund, receipt in _certain_or_confirmed(links, by_key, decided):
        left[receipt] = EXACT.add(left.get(receipt, receipt.amount), refund.amount)
    for link in links:
        is_excess = link.state is LinkState.CERTAIN and left[link.flows[1]] < 0
        yield link._replace(state=LinkState.CANDIDATE) if is_excess else link


def _certain_or_confirmed(
    links: Sequence[Link], by_key: Mapping[FlowKey, LinkFlow], decided: Decided
) -> Iterator[tuple[LinkFlow, LinkFlow]]:
    """Return the confirmed refunds of each receipt."""
    for link in links:
        if link.state is LinkState.CERTAIN:
            yield link.flows[0], link.flows[1]
    for keys in decided.confirmed:
        confirmed = [by_key[key] for key in keys if key in by_key]
        if [flow.kind for flow in confirmed] == [REFUND, Kind.RECEIPT]:
            yield confirmed[0], confirmed[1]


def _numbered_charges(flows: Sequence[LinkFlow]) -> Iterator[_Pair]:
    """Return fees and other charges with the flow that they were charged for, by record number and by order number."""
    for group in _groups(flows, lambda flow: flow.ref):
        for fee, charged in _charges(flows, group):
            near = abs(flows[charged].at_us - flows[fee].at_us) <= _RECORD_US
            if near and flows[charged].symbol == flows[fee].symbol:
                yield _Pair(fee, charged, 1, Basis.RECORD)
    for group in _groups(flows, lambda flow: flow.order_ref):
        for fee, charged in _charges(flows, group):
            yield _Pair(fee, charged, 2, Basis.ORDER)


def _charges(flows: Sequence[LinkFlow], group: Sequence[int]) -> Iterator[tuple[int, int]]:
    charged = [index for index in group if flows[index].kind in CHARGED]
    return ((fee, index) for fee in group if flows[fee].kind in CHARGES for index in charged)


def _within(flows: Sequence[LinkFlow], window: timedelta, principal: Kind, dependent: Kind) -> Iterator[_Pair]:
    """Return dependent flows that are booked at most a window after a flow of the same security in the same wallet."""
    window_us = window // timedelta(microseconds=1)
    recent: list[int] = []
    for index, flow in enumerate(flows):
        if flow.kind == principal:
            recent = [known for known in recent if flows[known].at_us >= flow.at_us - window_us]
            recent.append(index)
        elif flow.kind == dependent:
            recent = [known for known in recent if flows[known].at_us >= flow.at_us - window_us]
            # The order of flows within an instant means nothing, so later flows of the same instant count too.
            after = index + 1
            while after < len(flows) and flows[after].at_us == flow.at_us:
                after += 1
            principals = [*recent, *(later for later in range(index, after) if flows[later].kind == principal)]
            yield from (_Pair(index, known, 1, Basis.TIME) for known in principals if _is_about(flow, flows[known]))


def _is_about(dependent: LinkFlow, principal: LinkFlow) -> bool:
    """Whether a fee or tax may belong to a trade or dividend. Some fees name no security."""
    same_wallet = (dependent.subaccount, dependent.currency) == (principal.subaccount, principal.currency)
    return same_wallet and dependent.symbol in ("", principal.symbol)


def _conversions(flows: Sequence[LinkFlow]) -> Iterator[_Pair]:
    """Return the legs of conversions: legs that state each other's amounts, or else legs with the same instant and
    note."""
    recent: list[int] = []
    for index, flow in enumerate(flows):
        if flow.kind != Kind.CONVERSION:
            continue
        recent = [known for known in recent if flows[known].at_us >= flow.at_us - _RECORD_US]
        for known in recent:
            left, right = (index, known) if flow.amount < 0 else (known, index)
            one, other = flows[left], flows[right]
            if not one.amount < 0 < other.amount or one.currency == other.currency:
                continue
            if one.fx is not None or other.fx is not None:
                if _state_each_other(one, other):
                    yield _Pair(left, right, 1, Basis.RATE)
            elif one.at_us == other.at_us and one.note == other.note:
                yield _Pair(left, right, 2, Basis.TIME)
        recent.append(index)


def _state_each_other(one: LinkFlow, other: LinkFlow) -> bool:
    """Whether each leg agrees with the other leg's statements about it."""
    return all(
        leg.fx is None
        or (leg.fx.currency == counter.currency and leg.fx.amount.copy_abs() == counter.amount.copy_abs())
        for leg, counter in ((one, other), (other, one))
    )
