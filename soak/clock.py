"""One virtual time for several processes: whoever moves the clock moves it for all of them."""

import fcntl
import os
from datetime import datetime, timedelta
from mmap import mmap
from typing import Final

from liushui.instant import from_us, to_us
from liushui.testing.clock import MovableClock

_BYTES: Final = 8


class SharedClock(MovableClock):
    """A movable clock in memory that forked processes share. Each of them moves it in one thread at a time."""

    def __init__(self, at: datetime) -> None:
        self._shared = mmap(-1, _BYTES)
        self._us = memoryview(self._shared).cast("q")
        self._lock = os.memfd_create("clock")
        super().__init__(at)

    @property
    def at(self) -> datetime:
        """The instant that it is."""
        return from_us(self._us[0])

    @at.setter
    def at(self, at: datetime) -> None:
        self._us[0] = to_us(at)

    def move(self, by: timedelta) -> None:
        """Let time pass. A process that is killed meanwhile leaves the lock to the others."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            super().move(by)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let the memory go."""
        os.close(self._lock)
        self._us.release()
        self._shared.close()
