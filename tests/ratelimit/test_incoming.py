"""Rates: one sliding window for all processes that serve a ledger."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.instant import Clock, system_clock, to_us
from liushui.provider import RateCheck
from liushui.ratelimit import IncomingLimits
from liushui.rules import Rate
from liushui.testing.clock import MovableClock

THREE = Rate(calls=3, per=timedelta(seconds=10))


Open = Callable[[Clock], IncomingLimits]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Opens the file by a clock, as often as is wanted, and lets it go at the end."""
    with ExitStack() as stack:
        yield lambda clock: stack.enter_context(closing(IncomingLimits(path, clock)))


def test_a_window_slides(opened: Open) -> None:
    clock = MovableClock()
    limits = opened(clock)
    begin = clock()

    def admitted(at_s: float) -> bool:
        clock.at = begin + timedelta(seconds=at_s)
        return limits.admit("key", THREE).admitted

    times = (0, 4, 9.999999, 9.999999, 10, 10, 13.999999, 14, 14, 19.999998, 19.999999)
    assert [admitted(at_s) for at_s in times] == [
        True, True, True, False, True, False, False, True, False, False, True,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limits") / "limits.db"


_names = map("key-{}".format, count())


@given(steps=st.lists(st.integers(0, 40), min_size=1, max_size=60), calls=st.integers(1, 4))
def test_every_window_admits_as_many_calls_as_the_rate_allows(shared: Path, steps: list[int], calls: int) -> None:
    clock = MovableClock()
    key = next(_names)
    rate = Rate(calls=calls, per=timedelta(seconds=10))
    let_in: list[int] = []
    with closing(IncomingLimits(shared, clock)) as limits:
        for quarters in steps:
            clock.move(timedelta(seconds=quarters / 4))
            now_us = to_us(clock())
            within = [at_us for at_us in let_in if at_us > now_us - 10_000_000]
            assert limits.admit(key, rate) == RateCheck(len(within) < calls, min(len(within) + 1, calls))
            if len(within) < calls:
                let_in.append(now_us)


def test_keys_have_windows_of_their_own(opened: Open) -> None:
    limits = opened(MovableClock())
    names = ("a", "b", "a", "a", "a", "b")
    assert [limits.admit(key, THREE).admitted for key in names] == [True, True, True, True, False, True]


def test_a_clock_that_is_set_back_locks_nobody_out(opened: Open) -> None:
    clock = MovableClock()
    limits = opened(clock)
    assert [limits.admit("key", THREE).admitted for _ in range(4)] == [True, True, True, False]
    clock.move(timedelta(hours=-1))
    assert [limits.admit("key", THREE).admitted for _ in range(4)] == [True, True, True, False]


def test_instances_share_their_file(opened: Open) -> None:
    clock = MovableClock()
    limits = [opened(clock) for _ in range(3)]
    assert [limits[number % 3].admit("key", THREE).admitted for number in range(6)] == [True] * 3 + [False] * 3


def test_a_new_file_may_be_locked_by_another_process(path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers begin at once. SQLite itself does not wait for another that is making the same file ready."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(time, "sleep", pause)
    assert opened(MovableClock()).admit("key", THREE).admitted
    other.close()
    assert len(pauses) == 3


def test_the_clock_is_read_while_the_file_is_locked(path: Path, opened: Open) -> None:
    """Read before, it could be earlier than a call that was counted meanwhile, and take that for one of the future."""
    clock = MovableClock()
    opened(clock).admit("key", THREE)
    locked: list[bool] = []

    def looking() -> datetime:
        with sqlite3.connect(path, timeout=0) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                locked.append(True)
            else:
                locked.append(False)
        other.close()
        return clock()

    opened(looking).admit("key", THREE)
    assert locked == [True]


CALLING = """
import json, sys
from datetime import timedelta
from pathlib import Path
from liushui.instant import system_clock, to_us
from liushui.ratelimit import IncomingLimits
from liushui.rules import Rate

limits = IncomingLimits(Path(sys.argv[1]), system_clock)
rate = Rate(calls=30, per=timedelta(seconds=float(sys.argv[2])))
tries, admitted_max = int(sys.argv[3]), int(sys.argv[4])
sys.stdin.readline()
admitted = []
while tries and len(admitted) < admitted_max:
    tries -= 1
    before = to_us(system_clock())
    if limits.admit("key", rate).admitted:
        admitted.append((before, to_us(system_clock())))
print(json.dumps(admitted))
"""


def admitted(
    path: Path, *, per_s: float, tries: int = 1_000_000_000, admitted_max: int = 1_000_000_000
) -> list[tuple[int, int]]:
    """Have two processes call as fast as they can; the calls let in, each between two instants in microseconds."""
    command = [sys.executable, "-c", CALLING, str(path), str(per_s), str(tries), str(admitted_max)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return sorted(
            (begin, end) for process in running for begin, end in json.loads(process.communicate(timeout=120)[0])
        )
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_two_processes_share_one_window(path: Path) -> None:
    assert len(admitted(path, per_s=3_600, tries=1_000)) == 30


def test_two_processes_keep_every_window(path: Path) -> None:
    """Of any 31 calls let in, the last one ended more than a window after the first began."""
    calls = admitted(path, per_s=0.5, admitted_max=60)
    assert len(calls) == 120
    for place in range(len(calls) - 30):
        window = calls[place : place + 31]
        assert max(end_us for _, end_us in window) - window[0][0] >= 500_000


def test_calls_that_do_not_count_any_more_are_deleted(path: Path, opened: Open) -> None:
    clock = MovableClock(system_clock())
    limits = opened(clock)
    for _ in range(1_000):
        limits.admit("key", THREE)
        clock.move(timedelta(seconds=1))
    with sqlite3.connect(path) as reading:
        (held,) = reading.execute("SELECT count(*) FROM received").fetchone()
    reading.close()
    assert 0 < held <= THREE.calls


def test_a_call_takes_no_longer_after_many_others(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """All callers of all processes wait for each other's calls to be counted."""
    steps = [0]

    class Connection(sqlite3.Connection):
        def execute(self, *statement: Any) -> sqlite3.Cursor:  # noqa: ANN401 - as sqlite3 has it
            self.set_progress_handler(count_step, 10)
            return super().execute(*statement)

    def count_step() -> int:
        steps[0] += 1
        return 0

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Connection))
    limits, rate = opened(MovableClock()), Rate(calls=1_000_000, per=timedelta(minutes=1))

    def steps_of(calls: int) -> int:
        steps[0] = 0
        for _ in range(calls):
            limits.admit("key", rate)
        return steps[0]

    limits.admit("key", rate)
    first = steps_of(20)
    assert first > 0
    steps_of(2_000)
    assert steps_of(20) <= first * 2
    assert limits.admit("key", rate) == RateCheck(admitted=True, used=2_042)


def test_a_closed_file_is_opened_again(path: Path) -> None:
    limits = IncomingLimits(path, MovableClock())
    for expected in (True, True, True, False):
        assert limits.admit("key", THREE).admitted is expected
        limits.close()


# ---------------------------------------------------------------- sessions


def test_a_session_lasts_exactly_for_its_life(opened: Open) -> None:
    clock = MovableClock()
    limits, life, began = opened(clock), timedelta(hours=2), clock()
    assert limits.session_start("one", life) == began
    clock.move(life - timedelta(microseconds=1))
    assert limits.session_start("one", life) == began
    clock.move(timedelta(microseconds=1))
    assert limits.session_start("one", life) == began + life
    assert limits.session_start("other", life) == began + life


def test_a_clock_that_is_set_back_ends_a_session(opened: Open) -> None:
    clock = MovableClock()
    limits, life = opened(clock), timedelta(hours=2)
    limits.session_start("one", life)
    clock.move(timedelta(hours=-1))
    assert limits.session_start("one", life) == clock()


def test_processes_share_a_session(opened: Open) -> None:
    clock = MovableClock()
    first, second, life = opened(clock), opened(clock), timedelta(hours=2)
    began = first.session_start("one", life)
    clock.move(timedelta(minutes=5))
    assert second.session_start("one", life) == began
