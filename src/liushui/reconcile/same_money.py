"""The same money in two accounts: flows at one provider that are a second view of flows at another one. Pure.

WeCom shows the movements of a merchant's WeChat Pay account. If the ledger has both accounts, each movement has two
flows: the *view*, at WeCom, and the *original*, in WeChat Pay's own bill. They have the same record number, the same
signed amount, and times that are at most `WINDOW` apart. They also have the same kind, unless the view says only
"other". Kinds are compared first.

Rows of one account that are equal in all of this can replace each other. If both accounts have the same number of
them, they are linked in their order.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from liushui.flow import Kind
from liushui.reconcile.links import NOTHING_DECIDED, Basis, Decided, Link, LinkFlow, LinkKind, LinkState
from liushui.reconcile.matching import Tie, resolve, suggestions

WINDOW: Final = timedelta(minutes=1)
"""The largest distance in time between the two flows. Providers may use record numbers again later."""

SAME_KIND: Final = 1
UNNAMED_KIND: Final = 2
_TIERS: Final = UNNAMED_KIND

_WINDOW_US: Final = WINDOW // timedelta(microseconds=1)


class _Twins(NamedTuple):
    """What rows of one account that can replace each other have in common."""

    account: str
    at_us: int
    ref: str
    amount: Decimal
    currency: str
    kind: str


def match_same_money(
    views: Iterable[LinkFlow], originals: Iterable[LinkFlow], decided: Decided = NOTHING_DECIDED
) -> list[Link]:
    """Return the links from views to originals, certain ones and candidates, by time.

    Links that people decided are left out: see `Decided`. The order of the flows does not matter.
    """
    left, right = _undecided(views, decided), _undecided(originals, decided)
    ties = [tie for tie in _ties(left, right) if (left[tie.left].key, right[tie.right].key) not in decided.rejected]
    resolved = resolve(ties, tiers=_TIERS)
    suggested = suggestions(resolved.ambiguous)
    links = [
        Link(LinkKind.SAME_MONEY, (left[tie.left], right[tie.right]), Basis.RECORD, state, pair in suggested)
        for state, group in ((LinkState.CERTAIN, resolved.certain), (LinkState.CANDIDATE, resolved.ambiguous))
        for tie in group
        for pair in ((tie.left, tie.right),)
    ]
    return sorted(links, key=lambda link: link.order)


def _undecided(flows: Iterable[LinkFlow], decided: Decided) -> list[LinkFlow]:
    """Return the flows that have a record number and are not in a confirmed link, by time."""
    free = (flow for flow in flows if flow.ref and (LinkKind.SAME_MONEY, flow.key) not in decided.taken)
    return sorted(free, key=lambda flow: (flow.at_us, flow.account, flow.id))


def _ties(views: Sequence[LinkFlow], originals: Sequence[LinkFlow]) -> Iterator[Tie[int]]:
    by_number: dict[tuple[str, str, Decimal], list[int]] = defaultdict(list)
    for index, flow in enumerate(originals):
        by_number[flow.ref, flow.currency, flow.amount].append(index)
    sizes = Counter(map(_twins, views)), Counter(map(_twins, originals))
    number_of = _numbers(views), _numbers(originals)
    for left, view in enumerate(views):
        for right in by_number.get((view.ref, view.currency, view.amount), ()):
            original = originals[right]
            apart_us = abs(original.at_us - view.at_us)
            if apart_us > _WINDOW_US or view.account == original.account:
                continue
            if view.kind != original.kind and view.kind != Kind.OTHER:
                continue
            is_paired = sizes[0][_twins(view)] == sizes[1][_twins(original)]
            if is_paired and number_of[0][left] != number_of[1][right]:
                continue  # they belong to other rows that are equal to these
            yield Tie(left, right, SAME_KIND if view.kind == original.kind else UNNAMED_KIND, apart_us)


def _twins(flow: LinkFlow) -> _Twins:
    return _Twins(flow.account, flow.at_us, flow.ref, flow.amount, flow.currency, flow.kind)


def _numbers(flows: Sequence[LinkFlow]) -> list[int]:
    """Number the rows that can replace each other, in their order, from 0."""
    seen: Counter[_Twins] = Counter()
    numbers = []
    for flow in flows:
        numbers.append(seen[_twins(flow)])
        seen[_twins(flow)] += 1
    return numbers
