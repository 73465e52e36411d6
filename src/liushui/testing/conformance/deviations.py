"""How a sync must handle services that deviate: every row exactly once, or an incomplete range with the reason.

The suite syncs from doubles of the provider with every deviation that it can have. For one of them:

    assert not check_deviations(provider, [DEVIATIONS["page-cap-50"]], tmp_path)
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from liushui.instant import from_us, to_iso, to_us
from liushui.ledger.coverage import Range, State, uncovered
from liushui.ledger.flow_row import to_flow
from liushui.ledger.jobs.source_state import record_unproven
from liushui.ledger.jobs.sources import Source, add_source
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.schema import flows, quarantine
from liushui.ledger.write.commit import make_account
from liushui.provider import Provider
from liushui.services.sources import replace_credentials
from liushui.simulate.faults.deviation import Deviation, Scenario
from liushui.sync.events import SyncStatus
from liushui.sync.plan import provable_range
from liushui.sync.same_account import WrongAccount
from liushui.testing.clock import MovableClock
from liushui.testing.conformance.assertions import ensure
from liushui.testing.conformance.both_ends import Checks
from liushui.testing.deviations import (
    ACCOUNT,
    DEVIATIONS,
    NOW,
    DeviatingProvider,
    Facts,
    SyncOutcome,
    call_bound,
    deviations_of,
    facts_of,
    run_sync,
    seeded_pairs,
)
from liushui.testing.empty_ledger import create_ledger

LATER: Final = timedelta(days=9)
"""How long after the first sync a wrong clock is corrected."""
TOKEN_CALLS: Final = 1
"""The calls that a sync may need to log in."""

NO_DEVIATION: Final = Deviation(name="none", description="answers as its document says")
CROWDED: Final = Deviation(name="crowded", description="has more rows at an instant than on a page", needs_crowd=True)
PAIRS_SEED: Final = 1
PAIRS: Final = 6
"""The number of pairs for each provider."""
HARD_PAIRS: Final = (
    ("total-of-page", "absent-list"),
    ("end-exclusive", "total-zero"),
    ("start-exclusive", "total-zero"),
    ("page-cap-by-size-asked", "end-exclusive"),
    ("page-cap-varies", "ends-wider"),
)
"""Pairs on which syncs have failed before."""


class DeviationChecks(Checks):
    """Syncs from the provider's own server, which deviates."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each case that the provider can have."""
        if "deviations" in metafunc.fixturenames:
            cases = list(deviation_cases(self.provider))
            metafunc.parametrize("deviations", cases, ids=map(_name_of, cases))

    def test_a_sync_has_every_row_once_or_says_what_it_lacks(
        self, deviations: tuple[Deviation, ...], tmp_path: Path
    ) -> None:
        """The sync ends by itself. `check_deviations` computes the bound of its calls from rows and pages."""
        violations = check_deviations(self.provider, deviations, tmp_path)
        ensure(not violations, "\n".join(violations))


def deviation_cases(provider: Provider) -> Iterator[tuple[Deviation, ...]]:
    """Return no deviation, every deviation that a provider can have, and pairs of them."""
    yield (NO_DEVIATION,)
    yield (CROWDED,)
    for deviation in deviations_of(provider):
        yield (deviation,)
    yield from seeded_pairs(provider, PAIRS_SEED, PAIRS)
    for names in HARD_PAIRS:
        pair = tuple(DEVIATIONS[name] for name in names)
        if all(deviation.applies_to(provider) for deviation in pair):
            yield pair


def _name_of(deviations: tuple[Deviation, ...]) -> str:
    return " + ".join(deviation.name for deviation in deviations)


def check_deviations(provider: Provider, deviations: Sequence[Deviation], folder: Path) -> list[str]:
    """Run the syncs that show the deviations, and return what breaks the invariant, as text.

    After each sync: it ended by itself, within `call_bound`. Every row in the ledger exists at the service, and none is
    there twice. The ledger has every row of the service, or the range is not complete, with a reason that names a
    deviation. Nothing is proven beyond the service's own clock. After the last sync of an outage, a wait or a corrected
    clock, every row is there and the range is complete.
    """
    check = _DeviationCheck(DeviatingProvider(provider, deviations, MovableClock(NOW)), folder)
    scenarios = {deviation.scenario for deviation in deviations} - {Scenario.ALWAYS}
    for scenario in scenarios or {Scenario.ALWAYS}:
        check.run(scenario)
    check.close()
    return check.violations


class _DeviationCheck:
    """The syncs of one double into one ledger, and the violations so far."""

    def __init__(self, double: DeviatingProvider, folder: Path) -> None:
        self.violations: list[str] = []
        self._double = double
        self._ledger = create_ledger(str(folder / "ledger.db"), clock=double.clock)
        make_account(self._ledger, ACCOUNT, double.provider.name, double.provider.rules.zone)
        calls = [deviation.calls_max for deviation in double.deviations if deviation.calls_max]
        self._calls_until_noticed = TOKEN_CALLS + min(calls) if calls else call_bound(double)
        self._reasons = [deviation.reason for deviation in double.deviations if deviation.reason]

    def close(self) -> None:
        self._ledger.close()

    def run(self, scenario: Scenario) -> None:
        """Make the syncs of a scenario, and check the ledger after each."""
        match scenario:
            case Scenario.ALWAYS:
                for name in ("the first sync", "the second sync"):
                    self._check_rows(self._sync(name), name)
                    if self.violations:
                        return
            case Scenario.OUTAGE:
                self._run_outage()
            case Scenario.OTHER_ACCOUNT:
                self._run_other_account()
            case Scenario.CLOCK:
                self._run_clock()
            case Scenario.WAIT:
                self._run_wait()

    def _run_outage(self) -> None:
        service = self._double.service
        service.is_active = False
        self._sync("the sync before the outage")
        service.is_active = True
        self._check_rows(self._sync("the sync during the outage", everything=True), "the sync during the outage")
        service.is_active = False
        self._sync("the sync after the outage")
        self._check_complete("the sync after the outage")

    def _run_other_account(self) -> None:
        """The credentials of another account are refused when they are entered. If that could not be checked then, a
        sync refuses them."""
        double, other = self._double, self._double.source(self._double.other_key)
        own = double.source()
        add_source(
            self._ledger,
            account=ACCOUNT,
            base_url=own.base_url,
            credentials=dict(own.credentials),
            since=own.since,
            paced=own.paced,
        )
        self._sync("the sync with the right credentials")
        try:
            with double.connected():
                replace_credentials(self._ledger, ACCOUNT, other.credentials, provider=double.provider)
        except WrongAccount as error:
            if not self._names_deviation(str(error)):
                self._fail("the change of credentials", f"is refused for another reason: {error}")
        else:
            self._fail("the change of credentials", "is not refused")
        record_unproven(self._ledger, ACCOUNT, is_unproven=True)
        outcome = self._sync("the sync with other credentials", source=other)
        if outcome.result is None or outcome.result.status is not SyncStatus.CREDENTIALS:
            self._fail("the sync with other credentials", f"is not refused: {outcome.said!r}")
        self._sync("the sync with the right credentials again")
        self._check_complete("the sync with the right credentials again")

    def _run_clock(self) -> None:
        """The machine's clock is wrong, so it differs from the service's clock. Later it is corrected, after some time
        has passed."""
        double, offset = self._double, sum((one.clock_offset for one in self._double.deviations), timedelta())
        outcome = self._sync("the sync with a wrong clock")
        service_now = double.clock() + offset
        proven_until = max((known.until_us for known in self._proven()), default=0)
        if proven_until > to_us(service_now):
            self._fail(
                "the sync with a wrong clock", f"proves until {to_iso(from_us(proven_until))}, after the service's now"
            )
        self._check_rows(outcome, "the sync with a wrong clock", until=service_now)
        double.service.is_active = False
        double.clock.at = service_now + LATER
        self._sync("the sync with the right clock")
        self._check_complete("the sync with the right clock")

    def _run_wait(self) -> None:
        double = self._double
        wait = max(one.retry_after for one in double.deviations if one.retry_after is not None)
        available_at = double.clock() + wait
        outcome = self._sync("the sync that has to wait")
        if outcome.calls > TOKEN_CALLS + 1:
            self._fail("the sync that has to wait", f"makes {outcome.calls} calls")
        not_before = outcome.result.not_before if outcome.result else None
        if not_before is None or abs(not_before - available_at) > timedelta(seconds=2):
            self._fail("the sync that has to wait", f"is due again at {not_before}, and not at {available_at}")
        self._check_rows(outcome, "the sync that has to wait")
        double.clock.at = max(double.clock(), available_at) + timedelta(minutes=1)
        self._sync("the sync after the wait")
        self._check_complete("the sync after the wait")

    # ------------------------------------------------------------ one sync

    def _sync(self, name: str, *, everything: bool = False, source: Source | None = None) -> SyncOutcome:
        double = self._double
        outcome = run_sync(double, self._ledger, source or double.source(), everything=everything)
        if outcome.stopped:
            self._fail(name, f"did not end by itself: {outcome.stopped}")
        elif outcome.calls > call_bound(double):
            self._fail(name, f"made {outcome.calls} calls, where {call_bound(double)} are enough")
        elif double.service.deviations and outcome.calls > self._calls_until_noticed:
            self._fail(name, f"made {outcome.calls} calls, where the first few show the deviation")
        return outcome

    def _check_rows(self, outcome: SyncOutcome, name: str, until: datetime | None = None) -> None:
        """Check that there is no surplus row, and that every row is there or a reason is given."""
        expected, got = self._double.facts(until), self._facts()
        surplus, lacking = (got - expected).total(), (expected - got).total()
        rejected, to_reject = self._rejected(), self._double.bad_rows
        if surplus:
            self._fail(name, f"{surplus} rows are there that the service does not have, or are there too often")
        if rejected - to_reject:
            self._fail(name, f"{len(rejected - to_reject)} good rows are rejected")
        if not lacking and to_reject <= rejected:
            if not self._reasons and not self._is_complete():
                self._fail(name, f"every row is there, but the range is not complete: {outcome.said!r}")
            return
        lack = f"{lacking} rows and {len(to_reject - rejected)} bad ones are lacking"
        reasons = "\n".join([outcome.said, *self._gap_reasons()])
        if self._is_complete():
            self._fail(name, f"{lack}, and the range is complete")
        elif not outcome.stopped and not self._names_deviation(reasons):
            self._fail(name, f"{lack}, for another reason: {outcome.said!r}")

    def _check_complete(self, name: str) -> None:
        """Check that every row is there, and that the range is complete."""
        expected, got = self._double.facts(), self._facts()
        if got != expected:
            lacking, surplus = (expected - got).total(), (got - expected).total()
            self._fail(name, f"{lacking} rows are lacking, {surplus} are too many")
        if not self._is_complete():
            self._fail(name, "the range is not complete")

    def _names_deviation(self, reasons: str) -> bool:
        return any(re.search(reason, reasons, re.IGNORECASE) for reason in self._reasons)

    def _fail(self, name: str, what: str) -> None:
        self.violations.append(f"{name}: {what}")

    # ------------------------------------------------------------ the ledger

    def _facts(self) -> Counter[Facts]:
        with self._ledger.reading() as connection:
            return Counter(facts_of(to_flow(row)) for row in connection.execute(flows.select()))

    def _rejected(self) -> set[bytes]:
        """The rejected rows that are still open, as they arrived."""
        with self._ledger.reading() as connection:
            query = quarantine.select().where(quarantine.c.ended_batch.is_(None))
            return {row.wire for row in connection.execute(query)}

    def _proven(self) -> list[Range]:
        return [known for known in ranges_of(self._ledger, ACCOUNT) if known.state is State.PROVEN]

    def _gap_reasons(self) -> list[str]:
        return [known.reason for known in ranges_of(self._ledger, ACCOUNT) if known.state is State.OPEN]

    def _is_complete(self) -> bool:
        """Whether every range that can be proven now is proven."""
        double = self._double
        whole = provable_range(double.provider.rules, since=double.source().since, now=double.clock())
        return whole is None or not uncovered(self._proven(), (to_us(whole.since), to_us(whole.until)))
