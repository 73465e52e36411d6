"""Measure how many links are right, and how many are found, in worlds whose truth is known.

    python -m bench.link_precision --seeds 101 102 103

Every flow goes through the codec of its provider first, so the matching knows what the provider's wire says and no
more. Prints a table in Markdown, for docs/proof.md.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Final, NamedTuple

from liushui.provider import Provider
from liushui.providers import load_providers
from liushui.reconcile.links import Link, LinkFlow, LinkKind, LinkState, to_link_flow
from liushui.reconcile.same_money import match_same_money
from liushui.reconcile.transfers import match_transfers
from liushui.reconcile.within_account import match_within
from liushui.simulate.link_truth import Position, links_within, same_money_of, transfers_of
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World

BEGIN: Final = datetime(2024, 1, 1, tzinfo=UTC)
END: Final = datetime(2025, 1, 1, tzinfo=UTC)

Pair = tuple[str, str, str]
"""A link: its kind, and the ids of its two flows."""


class Score(NamedTuple):
    """The counts of links of one kind. `true` counts the links of the world. `certain` and `candidates` count the links
    that were found. `wrong` counts certain links that do not exist, and `right` counts candidates that do exist."""

    true: int
    certain: int
    wrong: int
    candidates: int
    right: int

    def plus(self, other: "Score") -> "Score":
        """Return the sum of both."""
        return Score(*(one + another for one, another in zip(self, other, strict=True)))


def measure(seed: int, people: int, flows: int, lost_one_in: int = 0) -> dict[str, Score]:
    """The scores of one world by kind. One row in `lost_one_in` is missing; 0 means that none is.

    Rows that are equal in all that the provider states can replace each other.
    """
    providers = load_providers()
    world = World(Parameters(accounts=people, flows=flows, seed=seed, begin=BEGIN, end=END), institutions_of(providers))
    ends: list[LinkFlow] = []
    found: list[Link] = []
    true: set[Pair] = set()
    held: set[str] = set()
    equals: dict[LinkFlow, str] = {}
    first_equal: dict[str, str] = {}
    provider_of = {name: providers[world.account(name).institution.name] for name in world.accounts}
    random = Random(seed)
    days = range(world.begin_day, world.end_day or world.begin_day)
    for name in world.accounts:
        every = list(_flows(world, name, days, provider_of[name]))
        first_equal.update((flow.id, equals.setdefault(flow._replace(id=""), flow.id)) for flow in every)
        flows_of = [flow for flow in every if not lost_one_in or random.randrange(lost_one_in)]
        found += match_within(flows_of, provider_of[name].rules.links)
        ends += flows_of
        held.update(flow.id for flow in flows_of)
        # If a provider states no order numbers, nobody knows which fills belong to one order.
        ordered = {flow.id for flow in every if flow.order_ref}
        for day in days:
            links = ((kind, _id(left), _id(right)) for kind, left, right in links_within(world, name, day))
            true.update(link for link in links if link[0] != LinkKind.ORDER or link[1] in ordered)
    twice = {view: original for original in world.accounts if (view := world.view_of(original)) is not None}
    by_account: dict[str, list[LinkFlow]] = defaultdict(list)
    for flow in ends:
        by_account[flow.account].append(flow)
    views: set[str] = set()
    for account, original in twice.items():
        links_of_view = match_same_money(by_account[account], by_account[original])
        views.update(link.flows[0].id for link in links_of_view if link.state is LinkState.CERTAIN)
        found += links_of_view
        for day in days:
            pairs = same_money_of(world, original, day)
            true.update((LinkKind.SAME_MONEY.value, _id(left), _id(right)) for left, right in pairs)
    ends = [flow for flow in ends if flow.id not in views]
    found += match_transfers(ends, lambda account: provider_of[account].rules.links)
    for person in range(1, people + 1):
        for day in days:
            for left, right in transfers_of(world, person, day):
                # If the original of an end is missing, its view in another account is the end.
                ends_of = [_id(end) if _id(end) in held else _id(_seen(world, end)) for end in (left, right)]
                true.add(("transfer", ends_of[0], ends_of[1]))
    alike = {(kind, first_equal[left], first_equal[right]) for kind, left, right in true}
    return _scores(found, {pair for pair in true if held.issuperset(pair[1:])}, alike, first_equal)


def _flows(world: World, name: str, days: range, provider: Provider) -> Iterator[LinkFlow]:
    """An account's flows, as its provider tells them."""
    for day in days:
        for place, flow in enumerate(world.day(name, day)):
            told = provider.codec.read(provider.codec.write(flow)).flow
            yield to_link_flow(name, _id(Position(name, day, place)), told)


def _seen(world: World, position: Position) -> Position:
    """Where another account shows a flow, or the flow itself."""
    return position._replace(account=world.view_of(position.account) or position.account)


def _id(position: Position) -> str:
    return f"{position.account}/{position.day}/{position.place}"


def _scores(
    found: Iterable[Link], true: set[Pair], alike: set[Pair], first_equal: Mapping[str, str]
) -> dict[str, Score]:
    """Return the scores by kind. `alike` has the true links, with each row replaced by the first of its equal rows, by
    `first_equal`."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, _, _ in true:
        counts[kind]["true"] += 1
    for link in found:
        kind = LinkKind.TRANSFER.value if link.kind is LinkKind.PAYOUT else link.kind.value
        left, right = link.flows[0].id, link.flows[1].id
        is_right = (kind, left, right) in true
        if link.state is LinkState.CERTAIN:
            is_right = (kind, first_equal[left], first_equal[right]) in alike
            counts[kind]["certain"] += 1
            counts[kind]["wrong"] += not is_right
            if not is_right:
                print(f"wrong: {link}", file=sys.stderr)  # what has to be looked at
        else:
            counts[kind]["candidates"] += 1
            counts[kind]["right"] += is_right
    return {kind: Score(*(counts[kind][field] for field in Score._fields)) for kind in sorted(counts)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it. Returns 1 if a certain link is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101])
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--flows", type=int, default=2_000, help="of each account, in a year")
    parser.add_argument("--lost-one-in", type=int, default=0, help="one row in so many is missing")
    options = parser.parse_args(arguments)
    total: dict[str, Score] = {}
    for seed in options.seeds:
        for kind, score in measure(seed, options.people, options.flows, options.lost_one_in).items():
            total[kind] = total[kind].plus(score) if kind in total else score
    total["all"] = Score(*map(sum, zip(*total.values(), strict=True)))
    print("| kind | true links | certain | of these wrong | recall | true ones among candidates |")
    print("|---|---|---|---|---|---|")
    for kind, score in total.items():
        recall = f"{1000 * (score.certain - score.wrong) // max(score.true, 1) / 10} %"
        print(f"| {kind} | {score.true:,} | {score.certain:,} | {score.wrong:,} | {recall} | {score.right:,} |")
    return 1 if total["all"].wrong else 0


if __name__ == "__main__":
    sys.exit(main())
