"""A day's rows as a dialect writes them, oldest first, and where each stands in the order of all rows."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from liushui.errors import NotRepresentable
from liushui.flow import Flow
from liushui.instant import to_us


class Place(NamedTuple):
    """Where a row stands: rows have one total order, which stays the same while a world goes on."""

    at_us: int
    account: str
    number: int
    """Of its row among all of its account's rows of that day."""


class Entry(NamedTuple):
    """A row of a day. `account` is its place in the filter that chose the row."""

    flow: Flow
    account: int
    number: int


class Sheet:
    """Rows, each written once. One that its dialect has no words for is kept as that fault, for whoever asks for it."""

    __slots__ = ("_accounts", "_instants", "_numbers", "_owners", "_rows")

    def __init__(self, entries: Sequence[Entry], accounts: Sequence[str], write: Callable[[Flow], bytes]) -> None:
        self._accounts = accounts
        self._instants = array("q", (to_us(entry.flow.at) for entry in entries))
        self._owners = array("L", (entry.account for entry in entries))
        self._numbers = array("L", (entry.number for entry in entries))
        self._rows = [_written(entry.flow, write) for entry in entries]

    def __len__(self) -> int:
        return len(self._rows)

    def within(self, begin_us: int, end_us: int) -> range:
        """The rows of [begin_us, end_us)."""
        return range(bisect_left(self._instants, begin_us), bisect_left(self._instants, end_us))

    def up_to(self, place: Place) -> int:
        """How many rows stand before that place, or in it."""
        return bisect_right(range(len(self)), place, key=self.place)

    def below(self, place: Place) -> int:
        """How many rows stand before that place."""
        return bisect_left(range(len(self)), place, key=self.place)

    def place(self, row: int) -> Place:
        """Where a row stands."""
        return Place(self._instants[row], self._accounts[self._owners[row]], self._numbers[row])

    def rows(self, wanted: Iterable[int]) -> Iterator[bytes]:
        """Those rows, in that order. Raises NotRepresentable where one of them cannot be written."""
        for number in wanted:
            row = self._rows[number]
            if isinstance(row, NotRepresentable):
                raise NotRepresentable(row.field, row.reason)
            yield row


def _written(flow: Flow, write: Callable[[Flow], bytes]) -> bytes | NotRepresentable:
    try:
        return write(flow)
    except NotRepresentable as fault:
        return fault
