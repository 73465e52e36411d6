"""State that the forked workers of one run share: a virtual clock, and the order of their turns."""

import fcntl
import os
from datetime import datetime, timedelta
from mmap import mmap
from typing import Final

from liushui.instant import from_us, to_us
from liushui.simulate.random_draw import seeded_random
from liushui.testing.clock import MovableClock

CLOCK_BYTES: Final = 8
STAYS_ONE_IN: Final = 3
"""One time in this number, a process that could hand over its turn keeps it."""


class SharedClock(MovableClock):
    """A movable clock in shared memory. Within a process only one thread at a time may move it."""

    def __init__(self, at: datetime) -> None:
        self._memory = mmap(-1, CLOCK_BYTES)
        self._us = memoryview(self._memory).cast("q")
        self._lock = os.memfd_create("clock")
        super().__init__(at)

    @property
    def at(self) -> datetime:
        """The current instant."""
        return from_us(self._us[0])

    @at.setter
    def at(self, at: datetime) -> None:
        self._us[0] = to_us(at)

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        # A file lock, because the kernel releases it when the process is killed.
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            super().move(by)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the memory."""
        os.close(self._lock)
        self._us.release()
        self._memory.close()


class TurnTaking:
    """Lets one of several processes run at a time, in an order that follows from a seed.

    Created before the processes are forked. A process must not hand over its turn while it holds a lock: the next
    process could wait for that lock forever.
    """

    def __init__(self, processes: int, seed: str) -> None:
        self._pipes = [os.pipe() for _ in range(processes)]
        self._running = mmap(-1, processes)
        self._running[:] = bytes([1]) * processes
        self._holder = mmap(-1, 1)
        self._random = seeded_random("turns", seed)

    def begin(self, number: int) -> None:
        """Wait for the first turn of a process. Process number 0 has it already."""
        if number:
            os.read(self._pipes[number][0], 1)

    def hand_over(self, number: int) -> None:
        """Perhaps let another process run, and then wait for this process's next turn."""
        others = [other for other, runs in enumerate(self._running[:]) if runs and other != number]
        if others and not self._random.randrange(STAYS_ONE_IN):
            self._give(self._random.choice(others))
            os.read(self._pipes[number][0], 1)

    def ended(self, number: int) -> None:
        """Give the turn to another process, because one has ended or was killed."""
        self._running[number] = 0
        left = [other for other, runs in enumerate(self._running[:]) if runs]
        if left and self._holder[0] == number:
            self._give(left[0])

    def close(self) -> None:
        """Close the pipes."""
        for end in (end for pipe in self._pipes for end in pipe):
            os.close(end)

    def _give(self, number: int) -> None:
        self._holder[0] = number
        os.write(self._pipes[number][1], b".")
