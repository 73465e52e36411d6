"""The number of rows of an account on each day. Days are UTC days, counted from the Unix epoch."""

from array import array
from random import Random
from threading import Lock

WeekdayWeights = tuple[tuple[int, int], ...]
"""The weights for each weekday, Monday first: the smallest weight, and the number of possible weights."""

BUSY_ROWS = 4
"""Average rows a day. An account with fewer rows has none on most days, because a purchase and its fee need two
rows."""

_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Density:
    """The running count of one account's rows.

    Every day has a weight and gets a corresponding share of `flows`, so the days of [begin, end) have exactly `flows`
    rows together. With `live`, the days after `end` continue with the same density. Accounts with the same `resting`
    generator rest on the same days. Thread-safe.
    """

    def __init__(
        self,
        random: Random,
        *,
        begin: int,
        end: int,
        flows: int,
        live: bool,
        weekday_weights: WeekdayWeights,
        resting: Random,
    ) -> None:
        self._random = random
        self._resting = resting
        self._weekday_weights = weekday_weights
        self._begin = begin
        self._days = end - begin
        self._flows = flows
        self._live = live
        self._weights = array("q", [0])  # cumulative: the weight of all days before each day
        self._lock = Lock()
        self._grow(self._days)
        self._total = self._weights[-1]
        if not self._total:  # every day was a rest day: put all rows on the last one
            self._total = self._weights[-1] = weekday_weights[0][0]

    def __len__(self) -> int:
        return len(self._weights)

    def count_before(self, day: int) -> int:
        """The number of rows before that day begins."""
        index = max(day - self._begin, 0)
        if index >= len(self._weights):
            if self._live:
                self._grow(index)
            else:
                index = self._days
        return self._flows * self._weights[index] // self._total

    def _grow(self, days: int) -> None:
        """Extend the weights to that many days."""
        # Weights are always drawn in order, from one generator. The order of requests therefore does not affect a day's
        # weight.
        with self._lock:
            for day in range(len(self._weights) - 1, days):
                self._weights.append(self._weights[-1] + self._weight((self._begin + day + _EPOCH_WEEKDAY) % 7))

    def _weight(self, weekday: int) -> int:
        least, choices = self._weekday_weights[weekday]
        weight = least + self._random.getrandbits(16) % choices
        rests = self._resting.getrandbits(32) % (BUSY_ROWS * self._days) >= self._flows
        return 0 if rests else weight
