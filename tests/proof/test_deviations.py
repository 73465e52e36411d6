"""Deviations of single services. The conformance suite covers the deviations that every service can have."""

import re
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from liushui.ledger.flow_row import to_flow
from liushui.ledger.schema import flows
from liushui.ledger.write.commit import make_account
from liushui.providers import get_provider
from liushui.simulate.faults.deviation import Deviation
from liushui.testing.clock import MovableClock
from liushui.testing.conformance.deviations import check_deviations
from liushui.testing.deviations import (
    ACCOUNT,
    DEVIATIONS,
    NOW,
    DeviatingProvider,
    facts_of,
    generated_rows,
    run_sync,
)
from liushui.testing.empty_ledger import create_ledger


def test_a_page_that_says_it_is_another_one_is_found_within_five_calls(tmp_path: Path) -> None:
    openly = replace(
        DEVIATIONS["ignores-page"],
        name="ignores-page-openly",
        needs_crowd=False,
        reason="the same page",
        calls_max=5,
        change_body=lambda body: re.sub(rb'"page":[0-9]+', b'"page":1', body),
    )
    assert not check_deviations(get_provider("hkus"), (openly,), tmp_path)


# ---------------------------------------------------------------- a second of hidden rows

MANY: Final = 3_000
SECOND: Final = range(1_500, 1_895)
"""The rows that share a second: 395, of which all but VISIBLE are hidden."""
VISIBLE: Final = 2
CALLS_MAX: Final = 150


def test_a_second_of_hidden_rows_costs_few_calls(tmp_path: Path) -> None:
    provider = get_provider("wecom")
    rows = generated_rows(provider, seed=1, count=MANY)
    at = provider.codec.read(rows[SECOND.start]).flow.at
    crowd = [provider.codec.write(provider.codec.read(rows[index]).flow._replace(at=at)) for index in SECOND]
    hidden = frozenset(crowd[VISIBLE:])
    deviation = Deviation(name="hidden-second", description="hides most rows of a second", hides=hidden.__contains__)
    clock = MovableClock(NOW)
    double = DeviatingProvider(provider, [deviation], clock, rows=[*rows[: SECOND.start], *crowd, *rows[SECOND.stop :]])
    with closing(create_ledger(str(tmp_path / "ledger.db"), clock=clock)) as ledger:
        make_account(ledger, ACCOUNT, provider.name, provider.rules.zone)
        outcome = run_sync(double, ledger, double.source(), calls_max=10 * CALLS_MAX)
        with ledger.reading() as connection:
            got = Counter(facts_of(to_flow(row)) for row in connection.execute(flows.select()))
    assert got == double.facts()
    assert outcome.calls <= CALLS_MAX
