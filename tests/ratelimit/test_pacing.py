"""Pacing: in every pattern of calls, no window of the documented length has more than the documented number."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.ratelimit import Backoff, Pacer
from liushui.rules import Rate


class Call(NamedTuple):
    """A call, in seconds: when it was wanted, when it was let begin, when it ended."""

    wanted_s: float
    begin_s: float
    end_s: float


class StandingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands until somebody sleeps."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s


def paced(rate: Rate, work: Callable[[Pacer, StandingLoop], Awaitable[None]]) -> None:
    """Run `work` with a pacer, in no time."""
    loop = StandingLoop()
    real = asyncio.sleep

    async def sleep(pause_s: float) -> None:
        assert pause_s > 0
        loop.now_s += pause_s
        await real(0)

    async def working() -> None:
        await work(Pacer(rate), loop)

    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=lambda: loop) as runner:
        patch.setattr(asyncio, "sleep", sleep)
        runner.run(working())


def rate(calls: int, per_s: float, spacing_s: float) -> Rate:
    return Rate(calls=calls, per=timedelta(seconds=per_s), spacing=timedelta(seconds=spacing_s))


_seconds = st.integers(0, 40).map(lambda quarters: quarters / 4)
_rates = st.builds(rate, st.integers(1, 5), st.integers(1, 10), st.sampled_from([0, 0.25, 1]))


@given(kept=_rates, calls=st.lists(st.tuples(_seconds, _seconds), min_size=1, max_size=30))
def test_no_window_has_too_many_calls(kept: Rate, calls: Sequence[tuple[float, float]]) -> None:
    """A call arrives at the provider somewhere between its begin and its end: no two places break the rate."""
    made: list[Call] = []

    async def work(pacer: Pacer, loop: StandingLoop) -> None:
        for pause_s, length_s in calls:
            loop.now_s += pause_s
            wanted_s = loop.now_s
            async with pacer.call():
                begin_s = loop.now_s
                loop.now_s += length_s
            made.append(Call(wanted_s, begin_s, loop.now_s))

    paced(kept, work)
    spacing_s, per_s = kept.spacing.total_seconds(), kept.per.total_seconds()
    for number, call in enumerate(made):
        due_s = call.wanted_s
        if number:
            due_s = max(due_s, made[number - 1].end_s + spacing_s)
        if number >= kept.calls:
            due_s = max(due_s, made[number - kept.calls].end_s + per_s)
        assert call.begin_s == due_s  # never earlier, and never later than it must


def test_concurrent_calls_take_turns() -> None:
    begins_s: list[float] = []

    async def work(pacer: Pacer, loop: StandingLoop) -> None:
        async def call() -> None:
            async with pacer.call():
                begins_s.append(loop.now_s)
                await asyncio.sleep(0.5)

        await asyncio.gather(*(call() for _ in range(5)))

    paced(rate(2, 10, 1), work)
    assert begins_s == [0, 1.5, 10.5, 12, 21]


def test_a_call_that_fails_counts() -> None:
    begins_s: list[float] = []

    async def work(pacer: Pacer, loop: StandingLoop) -> None:
        for _ in range(2):
            with pytest.raises(OSError, match="cut"):
                async with pacer.call():
                    begins_s.append(loop.now_s)
                    raise OSError("cut")

    paced(rate(1, 10, 0), work)
    assert begins_s == [0, 10]


def test_a_backoff_doubles_up_to_its_longest_wait() -> None:
    backoff = Backoff(timedelta(seconds=1), timedelta(minutes=1))
    assert [backoff.wait(attempt).seconds for attempt in (1, 2, 3, 6, 7, 8, 10_000)] == [1, 2, 4, 32, 60, 60, 60]
