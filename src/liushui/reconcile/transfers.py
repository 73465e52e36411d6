"""Transfers between own accounts: pairs of an outgoing and an incoming flow. Pure.

The two ends of a transfer have opposite signs, are in different wallets, and are at most a window apart. Evidence,
strongest first:

1. both texts have the same reference, and the amounts are equal;
2. the amounts are equal and not round, or one flow states the currency and amount of the other;
3. both texts have the same reference, and the currencies differ;
4. never enough by itself: a round sum, a currency that is only pegged to the other one, amounts that differ by a small
   charge, references that contradict each other.

Equal round sums are often a coincidence: two people out of a hundred pay 1,000.00 on the same day. So an equal round
sum is shown as a candidate, and a person decides.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from liushui.flow import Kind
from liushui.money import EXACT
from liushui.reconcile.links import NOTHING_DECIDED, Basis, Decided, FlowKey, Link, LinkFlow, LinkKind, LinkState
from liushui.reconcile.matching import Tie, resolve, suggestions
from liushui.rules import LinkRules

KINDS: Final = frozenset({Kind.TRANSFER.value, Kind.DEPOSIT.value, Kind.WITHDRAWAL.value})
"""The kinds of flows that can be one end of a transfer."""

SAME_MONEY: Final[Mapping[str, str]] = {"CNH": "CNY"}
"""Codes of the same money: renminbi moves between mainland and offshore accounts at par."""

PEGGED: Final[Mapping[str, str]] = {"USDT": "USD", "USDC": "USD"}
"""Currencies with about the same value as another one."""

SIGNIFICANT_DIGITS: Final = 4
"""An amount with fewer digits, not counting zeros at its ends, is round."""

REFERENCE_DIGITS: Final = 8
"""A word of a text with at least this number of digits is a reference, unless it is a date."""

CHARGE_ONE_IN: Final = 20
"""With the same reference, a charge may take at most one part in this number of the amount."""

CERTAIN_TIERS: Final = 3
NO_TIER: Final = CERTAIN_TIERS + 1
"""The tier of evidence that is never sufficient."""

PARTNERS_MAX: Final = 20
"""An end with more possible partners is not paired, because no person could review them."""

_WORD: Final = re.compile(r"[0-9A-Za-z]+")


class _End(NamedTuple):
    """A flow that may be an end of a transfer, with the values that are compared."""

    flow: LinkFlow
    money: str
    class_: str
    size: Decimal
    references: frozenset[str]


class _Pair(NamedTuple):
    """Two ends that may be one transfer: the indexes of the ends, and the evidence."""

    tier: int
    basis: Basis


def match_transfers(
    flows: Iterable[LinkFlow], rules: Callable[[str], LinkRules], decided: Decided = NOTHING_DECIDED
) -> list[Link]:
    """Return the transfers among flows of any accounts and currencies, certain ones and candidates, by time.

    `rules` of an account. Links that people decided are left out: a rejected pair is never linked again, and the flows
    of a confirmed link are not in another link. The order of `flows` does not matter.
    """
    ends = [
        _end(flow)
        for flow in sorted(flows, key=_order)
        if flow.kind in KINDS and flow.amount and (LinkKind.TRANSFER, flow.key) not in decided.taken
    ]
    pairs = dict(_pairs(ends, rules, decided.rejected))
    ties = [
        Tie(left, right, pair.tier, abs(ends[left].flow.at_us - ends[right].flow.at_us))
        for (left, right), pair in sorted(pairs.items())
    ]
    resolved = resolve(ties, tiers=CERTAIN_TIERS)
    suggested = suggestions(resolved.ambiguous)
    links = []
    for state, group in ((LinkState.CERTAIN, resolved.certain), (LinkState.CANDIDATE, resolved.ambiguous)):
        for tie in group:
            left, right = ends[tie.left].flow, ends[tie.right].flow
            kind = LinkKind.PAYOUT if _is_payout(left, right, rules) else LinkKind.TRANSFER
            basis = pairs[tie.left, tie.right].basis
            links.append(Link(kind, (left, right), basis, state, (tie.left, tie.right) in suggested))
    return sorted(links, key=lambda link: link.order)


def _order(flow: LinkFlow) -> tuple[int, str, str]:
    return flow.at_us, flow.account, flow.id


def _end(flow: LinkFlow) -> _End:
    money = SAME_MONEY.get(flow.currency, flow.currency)
    size = flow.amount.copy_abs()
    return _End(flow, money, PEGGED.get(money, money), size, references_in(flow.note, flow.order_ref))


def _is_payout(left: LinkFlow, right: LinkFlow, rules: Callable[[str], LinkRules]) -> bool:
    return left.kind == Kind.WITHDRAWAL and left.account != right.account and rules(left.account).pays_out


@lru_cache(4_096)
def references_in(*texts: str) -> frozenset[str]:
    """Return the references in texts: words with many digits that are not dates."""
    return frozenset(
        word
        for text in texts
        for word in _WORD.findall(text)
        if sum(map(str.isdigit, word)) >= REFERENCE_DIGITS and not _is_date(word)
    )


def _is_date(word: str) -> bool:
    try:
        return len(word) == len("20240131") and date(int(word[:4]), int(word[4:6]), int(word[6:])).year >= 1990
    except ValueError:
        return False


def is_round(amount: Decimal) -> bool:
    """Whether an amount has so few significant digits that two unrelated flows may share it."""
    digits = "".join(map(str, amount.as_tuple().digits)).strip("0")
    return len(digits) < SIGNIFICANT_DIGITS


# ---------------------------------------------------------------- pairs


def _pairs(
    ends: Sequence[_End], rules: Callable[[str], LinkRules], excluded: Collection[tuple[FlowKey, ...]]
) -> Iterator[tuple[tuple[int, int], _Pair]]:
    """Return every pair of ends that may be one transfer, with its strongest evidence."""
    windows = {account: _us(rules(account).transfer_window) for account in {end.flow.account for end in ends}}
    by_amount: dict[tuple[str, Decimal], _Group] = defaultdict(_Group)
    by_reference: dict[str, _Group] = defaultdict(_Group)
    by_stated_amount: dict[tuple[str, Decimal], _Group] = defaultdict(_Group)
    for index, end in enumerate(ends):
        by_amount[end.class_, end.size].add(index, end)
        for reference in end.references:
            by_reference[reference].add(index, end)
        if end.flow.fx is not None:
            by_stated_amount[end.flow.fx.currency, end.flow.fx.amount.copy_abs()].add(index, end)
    if by_stated_amount:
        for index, end in enumerate(ends):
            if (end.flow.currency, end.size) in by_stated_amount:
                by_stated_amount[end.flow.currency, end.size].add(index, end)
    referring = {pair for pair, is_common in _near_pairs(ends, by_reference.values(), windows) if not is_common}
    near = dict(_near_pairs(ends, by_stated_amount.values(), windows)) | dict.fromkeys(referring, False)
    near |= dict(_near_pairs(ends, by_amount.values(), windows))
    for (left, right), is_common in near.items():
        if (ends[left].flow.key, ends[right].flow.key) not in excluded:
            pair = _evidence(ends[left], ends[right], shares_reference=(left, right) in referring)
            if pair is not None:
                is_weak = is_common and pair.basis is not Basis.REFERENCE
                yield (left, right), pair._replace(tier=NO_TIER) if is_weak else pair


class _Group:
    """Ends that share a value: outgoing and incoming ones, each by time."""

    __slots__ = ("arrived", "left")

    def __init__(self) -> None:
        self.left: list[int] = []
        self.arrived: list[int] = []

    def add(self, index: int, end: _End) -> None:
        """Add an end, once."""
        side = self.left if end.flow.amount < 0 else self.arrived
        if index not in side[-1:]:
            side.append(index)


def _near_pairs(
    ends: Sequence[_End], groups: Iterable[_Group], windows: Mapping[str, int]
) -> Iterator[tuple[tuple[int, int], bool]]:
    """Return the pairs of each group that are at most a window apart, and whether the shared value is common.

    If the accounts have different windows, the longer one counts. If an end shares a value with more than PARTNERS_MAX
    others, the value is common for it and for each of them, and its own pairs are left out.
    """
    longest = max(windows.values(), default=0)
    for group in groups:
        if not group.left or not group.arrived:
            continue
        group.left.sort()
        group.arrived.sort()
        times = [ends[index].flow.at_us for index in group.arrived]
        pairs: list[tuple[int, int]] = []
        for left in group.left:
            flow = ends[left].flow
            first, after = bisect_left(times, flow.at_us - longest), bisect_right(times, flow.at_us + longest)
            for right in group.arrived[first:after]:
                other = ends[right].flow
                apart_max = max(windows[flow.account], windows[other.account])
                if abs(other.at_us - flow.at_us) <= apart_max and flow.wallet != other.wallet:
                    pairs.append((left, right))
        if len(pairs) <= PARTNERS_MAX:
            yield from ((pair, False) for pair in pairs)
            continue
        partners = Counter(index for pair in pairs for index in pair)
        crowded = {index for index, number in partners.items() if number > PARTNERS_MAX}
        common = crowded.union(*(pair for pair in pairs if not crowded.isdisjoint(pair)))
        yield from ((pair, not common.isdisjoint(pair)) for pair in pairs if crowded.isdisjoint(pair))


def _evidence(left: _End, right: _End, *, shares_reference: bool) -> _Pair | None:
    """Return why two ends may be one transfer. None: they may not."""
    if left.class_ == right.class_ and left.size == right.size:
        if shares_reference:
            return _Pair(1, Basis.REFERENCE)
        contradicts = left.references and right.references and left.references.isdisjoint(right.references)
        is_weak = left.money != right.money or contradicts or is_round(left.size)
        return _Pair(NO_TIER if is_weak else 2, Basis.AMOUNT)
    if _states(left.flow, right.flow) or _states(right.flow, left.flow):
        return _Pair(2, Basis.RATE)
    if not shares_reference:
        return None
    if left.class_ != right.class_:
        return _Pair(3, Basis.REFERENCE)
    return _Pair(NO_TIER, Basis.REFERENCE) if _is_charge(left.size, right.size) else None


def _states(one: LinkFlow, other: LinkFlow) -> bool:
    """Whether one flow names the currency and the amount of the other."""
    fx = one.fx
    return fx is not None and fx.currency == other.currency and fx.amount.copy_abs() == other.amount.copy_abs()


def _is_charge(left: Decimal, right: Decimal) -> bool:
    """Whether the missing part of a transfer is small enough to be a charge."""
    missing = EXACT.subtract(left, right)
    return missing > 0 and EXACT.multiply(missing, CHARGE_ONE_IN) <= left


def _us(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
