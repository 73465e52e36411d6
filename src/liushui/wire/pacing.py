"""Waiting between calls, so that a provider's documented rate is never broken in any window."""

import asyncio
from collections import deque
from collections.abc import Callable

from liushui.provider import Rate


class Pacer:
    """Holds calls back until `rate` allows one more.

    A leaky bucket lets a burst and its refill through in one window, up to twice the documented number; this keeps
    the times of the last `rate.calls` calls and so keeps to it in every window.
    """

    def __init__(self, rate: Rate, *, now: Callable[[], float] | None = None) -> None:
        self._rate = rate
        self._now = now or (lambda: asyncio.get_running_loop().time())
        self._calls: deque[float] = deque(maxlen=rate.calls)
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Return when the next call may be made, and count it."""
        async with self._turn:
            due = self._due()
            if (pause := due - self._now()) > 0:
                await asyncio.sleep(pause)
            self._calls.append(max(due, self._now()))

    def _due(self) -> float:
        if not self._calls:
            return self._now()
        due = self._calls[-1] + self._rate.spacing.total_seconds()
        if len(self._calls) == self._rate.calls:
            due = max(due, self._calls[0] + self._rate.per.total_seconds())
        return due
