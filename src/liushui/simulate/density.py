"""How many rows an account has on each day. Days are numbered from the Unix epoch, in UTC."""

from array import array
from random import Random
from threading import Lock

Rhythm = tuple[tuple[int, int], ...]
"""The weights that each day of a week may have, Monday first: the least, and how many different ones there are."""

BUSY_ROWS = 4
"""Rows a day has on average where an account is too quiet to move every day: it rests on most days instead,
because a day of one row could hold no purchase with its fee."""

_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Density:
    """The running count of one account's rows. Every day weighs something, and shares in `flows` by its weight, so
    the days of [begin, end) sum to `flows` exactly. In a `live` one the days after them go on as dense. Accounts whose
    `resting` is the same chance rest on the same days."""

    def __init__(
        self, random: Random, *, begin: int, end: int, flows: int, live: bool, rhythm: Rhythm, resting: Random
    ) -> None:
        self._random = random
        self._resting = resting
        self._rhythm = rhythm
        self._begin = begin
        self._days = end - begin
        self._flows = flows
        self._live = live
        self._weights = array("q", [0])  # before each day
        self._lock = Lock()
        self._grow(self._days)
        self._all = self._weights[-1]
        if not self._all:  # it rested throughout: its rows fall on the last day
            self._all = self._weights[-1] = rhythm[0][0]

    def __len__(self) -> int:
        return len(self._weights)

    def before(self, day: int) -> int:
        """Rows before that day begins."""
        at = max(day - self._begin, 0)
        if at >= len(self._weights):
            if self._live:
                self._grow(at)
            else:
                at = self._days
        return self._flows * self._weights[at] // self._all

    def _grow(self, days: int) -> None:
        """Weigh the days up to that many. They are weighed in order, so each comes out the same whoever asks."""
        with self._lock:
            for day in range(len(self._weights) - 1, days):
                self._weights.append(self._weights[-1] + self._weight((self._begin + day + _EPOCH_WEEKDAY) % 7))

    def _weight(self, weekday: int) -> int:
        least, choices = self._rhythm[weekday]
        weight = least + self._random.getrandbits(16) % choices
        rests = self._resting.getrandbits(32) % (BUSY_ROWS * self._days) >= self._flows
        return 0 if rests else weight
