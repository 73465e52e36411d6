"""Waiting between calls, so that a provider's documented rate is never broken in any window."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from liushui.rules import Rate


class Pacer:
    """Lets calls through one at a time, and holds each back until `rate` allows it.

    A leaky bucket lets a burst and its refill through in one window, up to twice the documented number; this keeps
    the times of the last `rate.calls` calls. A call is timed by its end, for it arrived at the provider before that:
    however long it took to get there, the provider never sees two too close together.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._ends: deque[float] = deque(maxlen=rate.calls)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Make one call inside: entered when it may be made."""
        async with self._turn:
            now = asyncio.get_running_loop().time
            if (pause := self._due() - now()) > 0:
                await asyncio.sleep(pause)
            try:
                yield
            finally:
                self._ends.append(now())

    def _due(self) -> float:
        """When the next call may begin, in the loop's time."""
        if not self._ends:
            return 0.0
        due = self._ends[-1] + self._rate.spacing.total_seconds()
        if len(self._ends) == self._rate.calls:
            due = max(due, self._ends[0] + self._rate.per.total_seconds())
        return due
