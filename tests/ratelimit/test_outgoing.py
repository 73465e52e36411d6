"""Calls to a provider: no window ever has more calls than the rate allows, from any number of processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.ledger.jobs.sources import Source
from liushui.provider import Provider
from liushui.providers import get_provider
from liushui.ratelimit import BLOCK_MAX, POLL, OutgoingLimits, Permit, Wait, credential_key
from liushui.rules import Rate
from liushui.testing.clock import MovableClock
from tests.ratelimit import calling
from tests.sync.rows import source

SECOND = timedelta(seconds=1)
CALL_MAX = timedelta(seconds=20)
THREE = Rate(calls=3, per=timedelta(seconds=10))


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def limits(tmp_path: Path, clock: MovableClock) -> Iterator[OutgoingLimits]:
    with closing(OutgoingLimits(tmp_path / "x.calls", clock)) as limits:
        yield limits


@pytest.fixture
def other(tmp_path: Path, clock: MovableClock) -> Iterator[OutgoingLimits]:
    """The limits of another worker, in the same file."""
    with closing(OutgoingLimits(tmp_path / "x.calls", clock)) as limits:
        yield limits


def begin(limits: OutgoingLimits, rate: Rate = THREE, key: str = "k") -> Permit:
    """A call that is let through."""
    permit = limits.begin(key, rate, call_max=CALL_MAX)
    assert isinstance(permit, Permit)
    return permit


def wait(limits: OutgoingLimits, rate: Rate = THREE, key: str = "k") -> Wait:
    """A call that is held back."""
    wait = limits.begin(key, rate, call_max=CALL_MAX)
    assert isinstance(wait, Wait)
    return wait


def test_a_call_counts_from_its_end(limits: OutgoingLimits, clock: MovableClock) -> None:
    first, second, third = begin(limits), begin(limits), begin(limits)
    for begun in (first, second, third):
        clock.move(SECOND)
        limits.end("k", begun)
    assert wait(limits) == Wait(8 * SECOND, blocked=False)
    clock.move(8 * SECOND)
    begin(limits)
    assert wait(limits) == Wait(POLL, blocked=False), "one is under way: nobody knows when it will end"
    begin(limits, key="another")


def test_calls_are_spaced_from_the_end_of_the_last_one(limits: OutgoingLimits, clock: MovableClock) -> None:
    spaced = Rate(calls=3, per=timedelta(seconds=10), spacing=2 * SECOND)
    begun = begin(limits, spaced)
    assert wait(limits, spaced).duration == POLL
    clock.move(5 * SECOND)
    limits.end("k", begun)
    assert wait(limits, spaced).duration == 2 * SECOND
    clock.move(2 * SECOND)
    begin(limits, spaced)


def test_a_call_of_a_killed_worker_expires(limits: OutgoingLimits, clock: MovableClock) -> None:
    for _ in range(3):
        begin(limits)
    clock.move(CALL_MAX + THREE.per - timedelta(microseconds=1))
    wait(limits)
    clock.move(timedelta(microseconds=1))
    begin(limits)


def test_a_clock_that_is_set_back_locks_nobody_out(limits: OutgoingLimits, clock: MovableClock) -> None:
    for begun in [begin(limits) for _ in range(3)]:
        limits.end("k", begun)
    limits.block("k", clock() + timedelta(days=1))
    clock.move(timedelta(days=-30))
    begin(limits)


def test_a_block_that_one_worker_records_holds_for_all(
    tmp_path: Path, clock: MovableClock, limits: OutgoingLimits, other: OutgoingLimits
) -> None:
    one = limits
    assert other.blocked_until("k") is None
    assert not (tmp_path / "x.calls").exists(), "a source that is not paced makes no file"
    one.block("k", clock() + 60 * SECOND)
    one.block("k", clock() + 5 * SECOND)
    assert wait(other) == Wait(60 * SECOND, blocked=True)
    assert other.blocked_until("k") == clock() + 60 * SECOND
    begin(other, key="another")
    clock.move(60 * SECOND)
    assert other.blocked_until("k") is None
    begin(other)
    one.block("k", clock() + 2 * BLOCK_MAX)
    assert wait(other) == Wait(BLOCK_MAX, blocked=True)
    clock.move(-SECOND)
    begin(other)  # a longer wait is left by a clock that was set back


def key_of(provider: Provider, source: Source) -> str:
    return credential_key(provider, source.base_url, source.credentials)


def test_a_key_reveals_no_credential_and_differs_where_the_credential_does() -> None:
    broker = get_provider("longbridge")
    key = key_of(broker, source("a"))
    assert key == key_of(broker, source("b", key="a")), "two accounts of one credential count together"
    assert key != "a"
    assert key != key_of(broker, source("b"))
    assert key != key_of(get_provider("longbridge_legacy"), source("a"))
    assert key != key_of(broker, source("a")._replace(base_url="http://127.0.0.1:10"))


def is_kept(rate: Rate, arrived_us: list[int]) -> bool:
    """Whether calls that arrived then are within a rate, in every window."""
    arrived_us = sorted(arrived_us)
    per_us, spacing_us = (time // timedelta(microseconds=1) for time in (rate.per, rate.spacing))
    windows = zip(arrived_us, arrived_us[rate.calls :], strict=False)
    neighbours = pairwise(arrived_us)
    return all(late - early >= per_us for early, late in windows) and all(
        late - early >= spacing_us for early, late in neighbours
    )


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["begin", "arrive", "end", "kill"]), st.integers(0, 3), st.integers(0, 4_000_000)),
        max_size=120,
    ),
    calls=st.integers(1, 4),
    spacing_ms=st.sampled_from([0, 1, 700]),
)
def test_every_window_keeps_the_rate_however_calls_overlap(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], calls: int, spacing_ms: int
) -> None:
    """Several workers begin calls, the provider has them at any time until they end, and some never say so."""
    clock = MovableClock()
    path = tmp_path_factory.mktemp("limits") / "x.calls"
    rate = Rate(calls=calls, per=timedelta(seconds=5), spacing=timedelta(milliseconds=spacing_ms))
    workers = [OutgoingLimits(path, clock) for _ in range(4)]
    under_way: dict[int, tuple[Permit, datetime]] = {}
    arrived: list[int] = []
    waiting: set[int] = set()

    def arrive(worker: int) -> None:
        if worker in waiting:
            waiting.discard(worker)
            arrived.append((clock.at - MovableClock().at) // timedelta(microseconds=1))

    for what, worker, pause_us in steps:
        clock.move(timedelta(microseconds=pause_us))
        for late, (_, since) in list(under_way.items()):
            if clock.at - since >= CALL_MAX:
                under_way.pop(late)
                waiting.discard(late)
        if what == "begin" and worker not in under_way:
            begun = workers[worker].begin("k", rate, call_max=CALL_MAX)
            if isinstance(begun, Permit):
                under_way[worker] = (begun, clock.at)
                waiting.add(worker)
        elif what == "arrive":
            arrive(worker)
        elif worker in under_way:
            permit, _ = under_way.pop(worker)
            arrive(worker)
            if what == "end":
                workers[worker].end("k", permit)
    for one in workers:
        one.close()
    assert is_kept(rate, arrived)


def test_processes_that_share_a_key_keep_its_rate_together(tmp_path: Path) -> None:
    command = [sys.executable, "-m", calling.__name__, str(tmp_path / "x.calls"), "20"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    arrived = [[int(line) for line in worker.communicate(timeout=120)[0].split()] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert [len(times) for times in arrived] == [20, 20, 20]
    assert is_kept(calling.RATE, [at for times in arrived for at in times])
