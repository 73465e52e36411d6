"""One run: its sessions one after the other, the invariant after each of them, and exactly all rows in the end."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from liushui.instant import from_us, to_us, us_to_iso
from liushui.ledger.coverage import State, missing
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source
from liushui.ledger.read.balances import ranges_of
from liushui.rules import RangeOnly
from liushui.simulate.faults.row_lifecycle import FOREVER_US, RowVersion
from liushui.sync.plan import RETENTION_MARGIN, provable_range
from soak.invariant import Breach, broken, different
from soak.promises import broken_promises
from soak.script import KilledAt, Script, Session
from soak.stage import Shelf, Stage, showings_of
from soak.tally import Tally, kept_in, rows_of
from soak.turns import Turns
from soak.worker import CALM, DONE, Place, Work

BREACHES_SHOWN: Final = 3
OVERFULL_MAX: Final = 5
"""Instants next to each other that may have too many rows: the crowds and bursts of one account."""
DAY: Final = timedelta(days=1)
MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass
class RunResult:
    """What came of a run. `failures`: what is wrong, in words; none where all is right."""

    seed: int
    tally: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Run:
    """A run of a script, in the folder of a shelf. `without`: a step of the proof that is left out."""

    def __init__(self, script: Script, shelf: Shelf, *, without: str | None) -> None:
        self._script, self._without = script, without
        self._stage = Stage(script, shelf)
        self._outcome, self._tally = RunResult(script.seed), Tally()
        self._judged: dict[str, int] = {}
        """The last batch of each account that was looked at."""
        self._done: list[tuple[str, datetime, datetime]] = []
        """The syncs since that say that they are done: of which account, from when until when."""

    def outcome(self) -> RunResult:
        """Make the run. It ends with the first thing that is wrong."""
        stage, tally = self._stage, self._tally
        stage.new_ledger()
        began = stage.clock()
        for source in stage.sources:
            tally.update(rows_of(stage.versions[source.account], stage.provider_of(source)))
        for number, session in enumerate(self._script.sessions):
            stage.clock.move(session.after)
            self._session(number, session)
            if self._outcome.failures:
                break
        else:
            stage.settle()
            settled_at = stage.clock()
            self._calm()
            if not self._outcome.failures:
                self._judge_end(settled_at)
        tally.update(kept_in(stage.ledger))
        stage.ledger.close()
        tally.update({"runs": 1, "accounts": len(stage.sources), "virtual days": (stage.clock() - began) // DAY})
        stage.close()
        self._outcome.tally = dict(tally)
        return self._outcome

    def rehearse(self) -> None:
        """Sync in this process, so that what is compiled once is compiled for those that are forked."""
        self._stage.new_ledger()
        self._stage.settle()
        self._calm()
        self._stage.close()

    # ------------------------------------------------------------ workers

    def _session(self, number: int, session: Session) -> None:
        """Let workers work, one way or the other to their end, and judge what they leave."""
        many, tally = len(session.workers), self._tally
        turns = Turns(many, f"{self._script.seed}/{number}") if many > 1 and not self._script.side_by_side else None
        log = self._stage.folder / f"session-{number}.log"
        pids = {self._forked(Place(number, place), session, turns, log): place for place in range(many)}
        tally["sessions"] += 1
        tally["workers"] += many
        try:
            self._kill_from_outside(pids, session)
            while pids:
                pid, status = os.wait()
                place = pids.pop(pid)
                if turns:
                    turns.gone(place)
                if os.WIFSIGNALED(status):
                    kill = session.workers[place].kill
                    tally[f"killed at: {kill.at.value if kill else 'nothing'}"] += 1
        finally:
            for pid in pids:  # there are some where the run is given up
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            if turns:
                turns.close()
        self._after(number, log)

    def _calm(self) -> None:
        """Work as long as anything is new, with nobody who fails or is killed: in this process, which forks no more."""
        number = len(self._script.sessions)
        log = self._stage.folder / f"session-{number}.log"
        work = Work(self._stage, CALM, Place(number, 0), turns=None, without=self._without, log=log)
        try:
            work.work()
        except Exception as error:  # as a worker of its own would say it
            work.fell_over(error)
        finally:
            work.close()
        self._tally.update({"sessions": 1, "workers": 1})
        self._after(number, log)

    def _after(self, number: int, log: Path) -> None:
        """Take in what the workers of a session noted, and judge what they left."""
        with suppress(FileNotFoundError):
            for line in log.read_text().splitlines():
                self._take_in(line, number)
        if not self._outcome.failures:
            self._judge(f"after session {number}")

    def _forked(self, place: Place, session: Session, turns: Turns | None, log: Path) -> int:
        pid = os.fork()
        if not pid:
            Work(self._stage, session, place, turns=turns, without=self._without, log=log).run()
        return pid

    def _kill_from_outside(self, pids: Mapping[int, int], session: Session) -> None:
        """Kill those that are to be killed so, each after its time."""
        passed = 0
        for pid, place in pids.items():
            kill = session.workers[place].kill
            if kill is not None and kill.at is KilledAt.PARENT:
                time.sleep((max(0, kill.number - passed) * MILLISECOND).total_seconds())
                passed = max(passed, kill.number)
                os.kill(pid, signal.SIGKILL)

    def _take_in(self, line: str, number: int) -> None:
        """Count what a worker noted."""
        what, _, more = line.partition(": ")
        if what == "fell over":
            self._fail(f"session {number} {what}: " + more.replace("\\n", "\n"))
        elif what == DONE:
            began_us, ended_us, account = more.split(" ", 2)
            self._done.append((account, from_us(int(began_us)), from_us(int(ended_us))))
        else:
            self._tally[line] += 1

    # ------------------------------------------------------------ judging

    def _judge(self, when: str) -> None:
        """Look whether the invariant holds now."""
        ledger = self._stage.ledger
        every = [self._stage.told(source, self._judged.get(source.account, 0)) for source in self._stage.sources]
        breaches = broken(ledger, *every)
        self._judged = _heads(ledger)
        ranges = {source.account: (source, ranges_of(ledger, source.account)) for source in self._stage.sources}
        ledger.close()
        self._report(when, breaches)
        for account, began_at, ended_at in self._done:
            source, known = ranges[account]
            rules = self._stage.provider_of(source).rules
            for promise in broken_promises(rules, known, since=source.since, began_at=began_at, ended_at=ended_at):
                self._fail(f"{when}: {account}: {promise}")
        self._done.clear()

    def _judge_end(self, settled_at: datetime) -> None:
        """Look whether everything is here, where nothing is to come any more."""
        ledger, told = self._stage.ledger, []
        for source in self._stage.sources:
            proven, left = self._proven(ledger, source, settled_at)
            told.append(self._stage.told_now(source, proven))
            for since_us, until_us in left:
                self._fail(f"{source.account}: {us_to_iso(since_us)} to {us_to_iso(until_us)} was never proven")
        self._report("in the end", different(ledger, *told))
        ledger.close()

    def _proven(
        self, ledger: Ledger, source: Source, settled_at: datetime
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """What is proven of an account since an instant, and what is not, though it could have been."""
        provider = self._stage.provider_of(source)
        ranges = [
            known
            for known in ranges_of(ledger, source.account)
            if known.state is State.PROVEN and known.checked_at_us >= to_us(settled_at)
        ]
        whole = provable_range(provider.rules, since=source.since, now=settled_at)
        proven = [(known.since_us, known.until_us) for known in ranges]
        if whole is None:
            return proven, []
        forgetting, _ = provider.rules.readable(
            self._stage.clock() + RETENTION_MARGIN
        )  # where nothing is said of what went
        left = missing(ranges, (to_us(max(whole.since, forgetting)), to_us(whole.until)))
        return proven, [gap for gap in left if not self._is_overfull(source, gap)]

    def _is_overfull(self, source: Source, gap: tuple[int, int]) -> bool:
        """Whether a gap has to stay: at each of its instants there are more rows than a provider that has no second
        page can give."""
        rules = self._stage.provider_of(source).rules
        step_us = rules.resolution // timedelta(microseconds=1)
        steps, some = divmod(gap[1] - gap[0], step_us)
        if not isinstance(rules.paging, RangeOnly) or some or steps > OVERFULL_MAX:
            return False
        versions = self._stage.versions[source.account]
        rows = Counter(one.at_us // step_us for one in versions if one.until_us == FOREVER_US)
        first = gap[0] // step_us
        return all(rows[instant] >= rules.paging.size_max for instant in range(first, first + steps))

    def _report(self, when: str, breaches: list[Breach]) -> None:
        for breach in breaches[:BREACHES_SHOWN]:
            self._fail("\n".join([f"{when}: {breach}", *self._lives_of(breach)]))
        if len(breaches) > BREACHES_SHOWN:
            self._fail(f"{when}: and {len(breaches) - BREACHES_SHOWN} more")

    def _lives_of(self, breach: Breach) -> Iterator[str]:
        """The lives of the rows that a breach shows."""
        for row in dict.fromkeys((*breach.lacks, *breach.has)):
            for version in showings_of(self._stage, breach.account, row):
                yield f"    {_life(version)}"

    def _fail(self, what: str) -> None:
        self._outcome.failures.append(what)


def _heads(ledger: Ledger) -> dict[str, int]:
    with ledger.reading() as connection:
        return {str(row[0]): int(row[1]) for row in connection.exec_driver_sql("SELECT account, head FROM accounts")}


def _life(version: RowVersion) -> str:
    until = "for ever" if version.until_us == FOREVER_US else f"until {us_to_iso(version.until_us)}"
    corruption = "" if version.corruption is None else ", corrupted"
    flow = f"{version.flow.amount} {version.flow.currency} {version.flow.label!r}"
    since = f"from {us_to_iso(version.from_us)}"
    return f"row {version.number} of {us_to_iso(version.at_us)}: {flow} {since} {until}{corruption}"
