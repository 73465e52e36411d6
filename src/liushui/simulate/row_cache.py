"""A cache bounded by the rows it holds, not by its entries: the days of a world differ in size by thousands."""

from collections import OrderedDict
from collections.abc import Callable, Sized
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V", bound=Sized)

ENTRY_ROWS = 4
"""What an entry weighs beside its rows, so that a million empty days are not free."""


class RowCache(Generic[K, V]):
    """The values used last, as many as hold `rows_max` rows together; the newest one stays whatever it weighs."""

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._rows = 0
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of that key, made where it is not held. Two threads may both make it: the values are equal."""
        with self._lock:
            held = self._kept.get(key)
            if held is not None:
                self._kept.move_to_end(key)
                return held[0]
        value = make()
        with self._lock:
            if key not in self._kept:
                self._keep(key, value)
        return value

    def _keep(self, key: K, value: V) -> None:
        rows = len(value) + ENTRY_ROWS
        self._kept[key] = value, rows
        self._rows += rows
        while self._rows > self._rows_max and len(self._kept) > 1:
            _, (_, rows) = self._kept.popitem(last=False)
            self._rows -= rows
