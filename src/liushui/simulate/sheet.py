"""A day's rows as a dialect writes them, newest first, in one piece of bytes that any run of rows is cut from."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate

from liushui.flow import Flow
from liushui.instant import SECOND_US, to_us


class Sheet:
    """Rows joined by commas, where each begins, and when each happened."""

    __slots__ = ("_begins", "_seconds", "_text")

    def __init__(self, flows: Sequence[Flow], write: Callable[[Flow], bytes]) -> None:
        rows = [write(flow) for flow in reversed(flows)]
        self._text = b",".join(rows)
        self._begins = array("Q", accumulate((len(row) + 1 for row in rows), initial=0))
        self._seconds = array("q", (to_us(flow.at) // SECOND_US for flow in flows))  # oldest first, to search in

    def __len__(self) -> int:
        return len(self._seconds)

    def within(self, begin_s: int, end_s: int) -> range:
        """The rows of [begin_s, end_s), Unix seconds, as their places from the newest."""
        rows = len(self)
        return range(rows - bisect_left(self._seconds, end_s), rows - bisect_left(self._seconds, begin_s))

    def text(self, places: range) -> bytes:
        """The rows in those places, newest first, joined by commas; `places` is not empty."""
        return self._text[self._begins[places.start] : self._begins[places.stop] - 1]
