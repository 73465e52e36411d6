"""How many rows an account has on each day. Days are numbered from the Unix epoch, in UTC."""

from array import array
from random import Random
from threading import Lock

WEEKDAY, SATURDAY, SUNDAY = (60, 81), (4, 7), (2, 5)
"""The weight of a day: the least, and how many different ones there are."""

BUSY_ROWS = 4
"""Rows a day has on average where an account is too quiet to move every day: it rests on most days instead,
because a day of one row could hold no purchase with its fee."""

_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Density:
    """The running count of one account's rows. Every day weighs something, and shares in `flows` by its weight, so
    the days of [begin, end) sum to `flows` exactly. In a `live` one the days after them go on as dense."""

    def __init__(self, random: Random, *, begin: int, end: int, flows: int, live: bool) -> None:
        self._random = random
        self._begin = begin
        self._days = end - begin
        self._flows = flows
        self._live = live
        self._weights = array("q", [0])  # before each day
        self._lock = Lock()
        self._grow(self._days)
        self._all = self._weights[-1]
        if not self._all:  # it rested throughout: its rows fall on the last day
            self._all = self._weights[-1] = WEEKDAY[0]

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
        least, choices = {5: SATURDAY, 6: SUNDAY}.get(weekday, WEEKDAY)
        bits = self._random.getrandbits
        weight = least + bits(16) % choices
        rests = bits(32) % (BUSY_ROWS * self._days) >= self._flows
        return 0 if rests else weight
