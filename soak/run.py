"""One run: its sessions, the invariant after each session, and the final check that all rows are there."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from liushui.instant import from_us, to_iso, to_us, us_to_iso
from liushui.ledger.coverage import Range, State, uncovered
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source
from liushui.ledger.read.accounts import ranges_of
from liushui.rules import Paging, RangeOnly, Rules
from liushui.simulate.faults.row_lifecycle import FOREVER_US, RowVersion
from liushui.sync.plan import RETENTION_MARGIN, provable_range
from soak.invariant import Breach, content_differences, invariant_breaches
from soak.run_setup import RunFolder, RunSetup, versions_of_row
from soak.scenario import KillPoint, Scenario, Session
from soak.shared_state import TurnTaking
from soak.tally import Tally, count_ledger_contents, count_row_changes
from soak.worker import CALM_SESSION, DONE, Worker, WorkerId

BREACHES_SHOWN: Final = 3
UNREADABLE_INSTANTS_MAX: Final = 5
"""The most adjacent instants with too many rows: the crowds and bursts of one account."""
DAY: Final = timedelta(days=1)
MILLISECOND: Final = timedelta(milliseconds=1)
MICROSECOND: Final = timedelta(microseconds=1)


@dataclass
class RunResult:
    """The events of a run, and its faults as text."""

    seed: int
    tally: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Run:
    """A run of a scenario. `without` names a step of the proof that is left out."""

    def __init__(self, scenario: Scenario, run_folder: RunFolder, *, without: str | None) -> None:
        self._scenario, self._without = scenario, without
        self._setup = RunSetup(scenario, run_folder)
        self._result, self._tally = RunResult(scenario.seed), Tally()
        self._checked_batches: dict[str, int] = {}
        """The last batch of each account that was checked."""
        self._completed: list[tuple[str, datetime, datetime]] = []
        """The syncs since the last check that report completion: account, beginning and end."""

    def result(self) -> RunResult:
        """Make the run. It ends with the first failure."""
        setup, tally = self._setup, self._tally
        setup.new_ledger()
        began = setup.clock()
        for source in setup.sources:
            tally.update(count_row_changes(setup.versions[source.account], setup.provider_of(source)))
        for number, session in enumerate(self._scenario.sessions):
            setup.clock.move(session.after)
            self._run_session(number, session)
            if self._result.failures:
                break
        else:
            setup.settle()
            settled_at = setup.clock()
            self._run_calm_session()
            if not self._result.failures:
                self._check_final_state(settled_at)
        tally.update(count_ledger_contents(setup.ledger))
        setup.ledger.close()
        tally.update({"runs": 1, "accounts": len(setup.sources), "virtual days": (setup.clock() - began) // DAY})
        setup.close()
        self._result.tally = dict(tally)
        return self._result

    def warm_up(self) -> None:
        """Sync in this process, so that the processes forked later inherit compiled statements and decoders."""
        self._setup.new_ledger()
        self._setup.settle()
        self._run_calm_session()
        self._setup.close()

    # ------------------------------------------------------------ workers

    def _run_session(self, number: int, session: Session) -> None:
        """Let the workers of a session end or be killed, then check what they left."""
        workers, tally = len(session.workers), self._tally
        takes_turns = workers > 1 and not self._scenario.in_real_time
        turns = TurnTaking(workers, f"{self._scenario.seed}/{number}") if takes_turns else None
        log = self._setup.folder / f"session-{number}.log"
        pids = {self._fork(WorkerId(number, worker), session, turns, log): worker for worker in range(workers)}
        tally["sessions"] += 1
        tally["workers"] += workers
        tally.update(f"deviation: {name}" for name in session.deviations)
        try:
            self._kill_workers(pids, session)
            while pids:
                pid, status = os.wait()
                worker = pids.pop(pid)
                if turns:
                    turns.ended(worker)
                if os.WIFSIGNALED(status):
                    kill = session.workers[worker].kill
                    tally[f"killed at: {kill.at.value if kill else 'nothing'}"] += 1
        finally:
            for pid in pids:  # only if the run is given up
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            if turns:
                turns.close()
        self._after_session(number, log)

    def _run_calm_session(self) -> None:
        """Sync without faults or kills until nothing is new. This runs in this process, because nothing is forked after
        it."""
        number = len(self._scenario.sessions)
        log = self._setup.folder / f"session-{number}.log"
        worker = Worker(self._setup, CALM_SESSION, WorkerId(number, 0), turns=None, without=self._without, log=log)
        try:
            worker.work()
        except Exception as error:  # reported as a forked worker would report it
            worker.note_exception(error)
        finally:
            worker.close()
        self._tally.update({"sessions": 1, "workers": 1})
        self._after_session(number, log)

    def _after_session(self, number: int, log: Path) -> None:
        """Read what the workers of a session noted, and check the invariant."""
        with suppress(FileNotFoundError):
            for line in log.read_text().splitlines():
                self._count_note(line, number)
        if not self._result.failures:
            self._check_invariant(f"after session {number}")

    def _fork(self, worker_id: WorkerId, session: Session, turns: TurnTaking | None, log: Path) -> int:
        pid = os.fork()
        if not pid:
            Worker(self._setup, session, worker_id, turns=turns, without=self._without, log=log).run()
        return pid

    def _kill_workers(self, pids: Mapping[int, int], session: Session) -> None:
        """Kill the workers that their parent has to kill, each after its time."""
        passed_ms = 0
        for pid, worker in pids.items():
            kill = session.workers[worker].kill
            if kill is not None and kill.at is KillPoint.PARENT:
                time.sleep((max(0, kill.number - passed_ms) * MILLISECOND).total_seconds())
                passed_ms = max(passed_ms, kill.number)
                os.kill(pid, signal.SIGKILL)

    def _count_note(self, line: str, number: int) -> None:
        what, _, more = line.partition(": ")
        if what == "raised":
            self._fail(f"session {number} {what}: " + more.replace("\\n", "\n"))
        elif what == DONE:
            began_us, ended_us, account = more.split(" ", 2)
            self._completed.append((account, from_us(int(began_us)), from_us(int(ended_us))))
        else:
            self._tally[line] += 1

    # ------------------------------------------------------------ checks

    def _check_invariant(self, when: str) -> None:
        """Check the conditions that must hold after every session, and that completed syncs kept their claim."""
        setup, ledger = self._setup, self._setup.ledger
        records = [setup.record(source, self._checked_batches.get(source.account, 0)) for source in setup.sources]
        breaches = invariant_breaches(ledger, *records)
        self._checked_batches = _last_batches(ledger)
        ranges = {source.account: (source, ranges_of(ledger, source.account)) for source in setup.sources}
        ledger.close()
        self._report(when, breaches)
        for account, began_at, ended_at in self._completed:
            source, known = ranges[account]
            rules = setup.provider_of(source).rules
            for claim in false_claims(rules, known, since=source.since, began_at=began_at, ended_at=ended_at):
                self._fail(f"{when}: {account}: {claim}")
        self._completed.clear()

    def _check_final_state(self, settled_at: datetime) -> None:
        """Check that the ledger has every row, once no row can change any more."""
        ledger, records = self._setup.ledger, []
        for source in self._setup.sources:
            proven, unproven = self._proven_and_unproven(ledger, source, settled_at)
            records.append(self._setup.record_now(source, proven))
            for since_us, until_us in unproven:
                self._fail(f"{source.account}: {us_to_iso(since_us)} to {us_to_iso(until_us)} was never proven")
        self._report("in the end", content_differences(ledger, *records))
        ledger.close()

    def _proven_and_unproven(
        self, ledger: Ledger, source: Source, settled_at: datetime
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The ranges of an account that were proven since an instant, and those that should have been."""
        provider = self._setup.provider_of(source)
        ranges = [
            known
            for known in ranges_of(ledger, source.account)
            if known.state is State.PROVEN and known.checked_at_us >= to_us(settled_at)
        ]
        whole = provable_range(provider.rules, since=source.since, now=settled_at)
        proven = [(known.since_us, known.until_us) for known in ranges]
        if whole is None:
            return proven, []
        # Shortly before rows are (or may be) forgotten, their absence proves nothing.
        margin_end, _ = provider.rules.provable(self._setup.clock() + RETENTION_MARGIN)
        gaps = uncovered(ranges, (to_us(max(whole.since, margin_end)), to_us(whole.until)))
        return proven, [gap for gap in gaps if not self._is_unreadable(source, gap)]

    def _is_unreadable(self, source: Source, gap: tuple[int, int]) -> bool:
        """Whether each instant of a gap has more rows than a provider without further pages can give."""
        rules = self._setup.provider_of(source).rules
        step_us = rules.resolution // MICROSECOND
        steps, rest = divmod(gap[1] - gap[0], step_us)
        if not isinstance(rules.paging, RangeOnly) or rest or steps > UNREADABLE_INSTANTS_MAX:
            return False
        versions = self._setup.versions[source.account]
        rows = Counter(version.at_us // step_us for version in versions if version.until_us == FOREVER_US)
        first = gap[0] // step_us
        return all(rows[instant] >= rules.paging.size_max for instant in range(first, first + steps))

    def _report(self, when: str, breaches: list[Breach]) -> None:
        for breach in breaches[:BREACHES_SHOWN]:
            self._fail("\n".join([f"{when}: {breach}", *self._histories(breach)]))
        if len(breaches) > BREACHES_SHOWN:
            self._fail(f"{when}: and {len(breaches) - BREACHES_SHOWN} more")

    def _histories(self, breach: Breach) -> Iterator[str]:
        """Every version of the rows that a breach shows."""
        for row in dict.fromkeys((*breach.lacks, *breach.has)):
            for version in versions_of_row(self._setup, breach.account, row):
                yield f"    {_describe(version)}"

    def _fail(self, reason: str) -> None:
        self._result.failures.append(reason)


def false_claims(
    rules: Rules[Paging], ranges: Sequence[Range], *, since: datetime, began_at: datetime, ended_at: datetime
) -> Iterator[str]:
    """Return the work that a sync reports as done but has not done, as text. Pure.

    `ranges` are the ranges after the sync. It must have proven every range that was provable when it began and that was
    still kept when it ended. It must have read the newest part, and older parts, as recently as the rules require.
    """
    at_begin = provable_range(rules, since=since, now=began_at)
    at_end = provable_range(rules, since=since, now=ended_at)
    if at_begin is None or at_end is None:
        return
    proven = [known for known in ranges if known.state is State.PROVEN]
    everything = at_end.until - at_end.since
    claims = [
        ("was never proven", everything, None),
        ("was not read again", rules.lookback, timedelta(0)),
        *((f"was not read again within {policy.every}", policy.age, policy.every) for policy in rules.refresh),
    ]
    for what, age, every in claims:
        recent = [known for known in proven if every is None or known.checked_at_us >= to_us(began_at - every)]
        window = to_us(max(at_end.since, at_end.until - age)), to_us(at_begin.until)
        for since_us, until_us in uncovered(recent, window):
            yield f"{us_to_iso(since_us)} to {us_to_iso(until_us)} {what}, and a sync of {to_iso(began_at)} is done"


def _last_batches(ledger: Ledger) -> dict[str, int]:
    with ledger.reading() as connection:
        return {str(row[0]): int(row[1]) for row in connection.exec_driver_sql("SELECT account, head FROM accounts")}


def _describe(version: RowVersion) -> str:
    until = "for ever" if version.until_us == FOREVER_US else f"until {us_to_iso(version.until_us)}"
    corruption = "" if version.corruption is None else ", corrupted"
    flow = f"{version.flow.amount} {version.flow.currency} {version.flow.label!r}"
    since = f"from {us_to_iso(version.from_us)}"
    return f"row {version.number} of {us_to_iso(version.at_us)}: {flow} {since} {until}{corruption}"
