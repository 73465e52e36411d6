"""A sync from a service that deviates has every row exactly once, or says what it lacks and why."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import to_flow
from liushui.ledger.schema import flows
from liushui.ledger.write.commit import make_account
from liushui.provider import Provider
from liushui.providers import load_providers
from liushui.simulate.faults.deviation import Deviation
from liushui.testing.clock import MovableClock
from liushui.testing.conformance.deviations import check_deviations
from liushui.testing.deviations import (
    ACCOUNT,
    DEVIATIONS,
    NOW,
    DeviatingProvider,
    deviations_of,
    facts_of,
    generated_rows,
    run_sync,
    seeded_pairs,
)
from tests.providers import toy

PROVIDERS: Final = {**load_providers(), toy.NAME: toy.PROVIDER}
NO_DEVIATION: Final = Deviation(name="none", description="answers as its document says")
CROWDED: Final = Deviation(name="crowded", description="has more rows at an instant than on a page", needs_crowd=True)
PAIRS_SEED: Final = 1
PAIRS: Final = 6
"""The number of pairs for each provider."""


HARD_PAIRS: Final = (
    ("total-of-page", "absent-list"),
    ("end-exclusive", "total-zero"),
    ("start-exclusive", "total-zero"),
)
"""Pairs that syncs did not survive once."""


def cases() -> Iterator[tuple[Provider, tuple[Deviation, ...]]]:
    """Every deviation of every provider, alone and in seeded pairs, and no deviation at all."""
    for provider in PROVIDERS.values():
        yield provider, (NO_DEVIATION,)
        yield provider, (CROWDED,)
        for deviation in deviations_of(provider):
            yield provider, (deviation,)
        yield from ((provider, pair) for pair in seeded_pairs(provider, PAIRS_SEED, PAIRS))
        for names in HARD_PAIRS:
            pair = tuple(DEVIATIONS[name] for name in names)
            if all(deviation.applies_to(provider) for deviation in pair):
                yield provider, pair


def name_of(deviations: tuple[Deviation, ...]) -> str:
    return " + ".join(deviation.name for deviation in deviations)


@pytest.mark.parametrize(
    ("provider", "deviations"),
    [pytest.param(*case, id=f"{case[0].name}: {name_of(case[1])}") for case in cases()],
)
def test_a_sync_has_every_row_once_or_says_what_it_lacks(
    tmp_path: Path, provider: Provider, deviations: tuple[Deviation, ...]
) -> None:
    assert not check_deviations(provider, deviations, tmp_path)


def test_a_page_that_says_it_is_another_one_is_found_within_five_calls(tmp_path: Path) -> None:
    openly = replace(
        DEVIATIONS["ignores-page"],
        name="ignores-page-openly",
        needs_crowd=False,
        reason="the same page",
        calls_max=5,
        change_body=lambda body: re.sub(rb'"page":[0-9]+', b'"page":1', body),
    )
    assert not check_deviations(PROVIDERS["hkus"], (openly,), tmp_path)


# ---------------------------------------------------------------- a second of hidden rows

MANY: Final = 3_000
SECOND: Final = range(1_500, 1_895)
"""The rows that share a second: 395, of which all but VISIBLE are hidden."""
VISIBLE: Final = 2
CALLS_MAX: Final = 150


def test_a_second_of_hidden_rows_costs_few_calls(tmp_path: Path) -> None:
    provider = PROVIDERS["wecom"]
    rows = generated_rows(provider, seed=1, count=MANY)
    at = provider.codec.read(rows[SECOND.start]).flow.at
    crowd = [provider.codec.write(provider.codec.read(rows[index]).flow._replace(at=at)) for index in SECOND]
    hidden = frozenset(crowd[VISIBLE:])
    deviation = Deviation(name="hidden-second", description="hides most rows of a second", hides=hidden.__contains__)
    clock = MovableClock(NOW)
    double = DeviatingProvider(provider, [deviation], clock, rows=[*rows[: SECOND.start], *crowd, *rows[SECOND.stop :]])
    with closing(open_ledger(str(tmp_path / "ledger.db"), create=True, clock=clock)) as ledger:
        make_account(ledger, ACCOUNT, provider.name, provider.rules.zone)
        outcome = run_sync(double, ledger, double.source(), calls_max=10 * CALLS_MAX)
        with ledger.reading() as connection:
            got = Counter(facts_of(to_flow(row)) for row in connection.execute(flows.select()))
    assert got == double.facts()
    assert outcome.calls <= CALLS_MAX
