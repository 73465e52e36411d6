"""When a call may be made: the window over past calls, a pacer for one client, and waits before repetitions. No I/O."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, NamedTuple, TypeVar

from liushui.rules import Rate

DOUBLINGS_MAX: Final = 20
"""Keeps a wait within what a timedelta can hold. By then it has long reached its longest."""

N = TypeVar("N", int, float)


def next_call(now: N, *, nth_last: N | None, last: N | None, per: N, spacing: N) -> N:
    """Return when the next call may begin, so that no `per` has over `n` calls and `spacing` lies between two.

    `last` is the end of the last call, `nth_last` that of the n-th last one; None where there were fewer. All times are
    in one unit.
    """
    # This is a sliding window over single calls. A leaky bucket would let a burst and its refill through in one window,
    # up to twice the documented number.
    begin = now
    if nth_last is not None:
        begin = max(begin, nth_last + per)
    if last is not None and spacing:
        begin = max(begin, last + spacing)
    return begin


class Pacer:
    """Makes the calls of one client one at a time, and each when `rate` allows it."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._ends_s: deque[float] = deque(maxlen=rate.calls)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Make one call in the block, which is entered when the call may begin."""
        rate, ends_s = self._rate, self._ends_s
        async with self._lock:
            now_s = asyncio.get_running_loop().time
            begin_s = next_call(
                now_s(),
                nth_last=ends_s[0] if len(ends_s) == rate.calls else None,
                last=ends_s[-1] if ends_s else None,
                per=rate.per.total_seconds(),
                spacing=rate.spacing.total_seconds(),
            )
            if (pause_s := begin_s - now_s()) > 0:
                await asyncio.sleep(pause_s)
            try:
                yield
            finally:
                # The provider saw the call before its end. Counted from there, no two calls reach it too close
                # together, however long each was on its way.
                ends_s.append(now_s())


class Backoff(NamedTuple):
    """How long to wait before a repetition: `first`, then twice as long each time, and at most `longest`."""

    first: timedelta
    longest: timedelta

    def wait(self, attempt: int) -> timedelta:
        """Return the wait after the attempt of that number, counted from 1, has failed."""
        return min(self.longest, self.first * (1 << min(attempt - 1, DOUBLINGS_MAX)))
