"""Taking turns: of several processes one goes on at a time, in an order that a seed gives and repeats."""

import os
from mmap import mmap
from typing import Final

from liushui.simulate.random_draw import seeded_random

STAYS_ONE_IN: Final = 3
"""How often a process that could let another one go on does."""


class Turns:
    """Some processes, numbered from 0, and which of them goes on. Made before they are forked, used by all of them.

    A process may lose its turn only where it holds no lock, or the next one would wait for it for ever.
    """

    def __init__(self, processes: int, seed: str) -> None:
        self._pipes = [os.pipe() for _ in range(processes)]
        self._at_work = mmap(-1, processes)
        self._at_work[:] = bytes([1]) * processes
        self._holder = mmap(-1, 1)
        self._random = seeded_random("turns", seed)

    def begin(self, number: int) -> None:
        """Wait for one's first turn. Number 0 has it already."""
        if number:
            os.read(self._pipes[number][0], 1)

    def next(self, number: int) -> None:
        """Let another process go on, perhaps, and wait until it is one's turn again."""
        others = [other for other, working in enumerate(self._at_work[:]) if working and other != number]
        if others and not self._random.randrange(STAYS_ONE_IN):
            self._give(self._random.choice(others))
            os.read(self._pipes[number][0], 1)

    def gone(self, number: int) -> None:
        """A process has ended, however: somebody else has its turn."""
        self._at_work[number] = 0
        left = [other for other, working in enumerate(self._at_work[:]) if working]
        if left and self._holder[0] == number:
            self._give(left[0])

    def close(self) -> None:
        """Let the pipes go."""
        for end in (end for pipe in self._pipes for end in pipe):
            os.close(end)

    def _give(self, number: int) -> None:
        self._holder[0] = number
        os.write(self._pipes[number][1], b".")
