"""A cache that is bounded by the number of its rows. The days of a world differ in size by thousands of rows."""

from collections import OrderedDict
from collections.abc import Callable, Sized
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V", bound=Sized)

ENTRY_ROWS = 4
"""The cost of an entry in addition to its rows, so that a million empty days are not free."""


class RowCache(Generic[K, V]):
    """Keeps the most recently used values, up to `rows_max` rows in total. The newest value always stays.

    Safe to use from several threads.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._rows = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the cached value of a key. If it is missing, `make` makes it."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                return entry[0]
        # Outside the lock: two threads may make the same value, but neither waits for the other.
        value = make()
        with self._lock:
            if key not in self._entries:
                self._add(key, value)
        return value

    def _add(self, key: K, value: V) -> None:
        rows = len(value) + ENTRY_ROWS
        self._entries[key] = value, rows
        self._rows += rows
        while self._rows > self._rows_max and len(self._entries) > 1:
            _, (_, rows) = self._entries.popitem(last=False)
            self._rows -= rows
