"""The rows of one day as a dialect writes them, oldest first, with each row's position in the order of all rows."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from liushui.errors import NotRepresentable, WireError, short_repr
from liushui.flow import Flow
from liushui.instant import to_us


class RowPosition(NamedTuple):
    """A keyset cursor: a row's position in the order of all rows. It stays valid when the world grows."""

    at_us: int
    account: str
    number: int
    """The index of the row among its account's rows of that day, or of all rows."""

    def to_cursor(self) -> str:
        """Return the text of `FlowPage.end_cursor`."""
        return msgspec.json.encode(self).decode()


_position = msgspec.json.Decoder(RowPosition)


def position_of(cursor: str) -> RowPosition:
    """Return the position in a cursor. Raises WireError for a cursor that no page returned."""
    try:
        return _position.decode(cursor)
    except msgspec.MsgspecError as error:
        raise WireError("after", f"expected a cursor that a page named, got {short_repr(cursor)}") from error


class DayEntry(NamedTuple):
    """A row of a day, before it is encoded."""

    flow: Flow
    account: int
    """The index of its account among the accounts of the filter."""
    number: int


class EncodedDay:
    """The rows of one day, each encoded once.

    A row that the dialect cannot represent is stored as its error. Reading that row raises the error.
    """

    __slots__ = ("_account_indexes", "_accounts", "_instants", "_numbers", "_rows")

    def __init__(self, entries: Sequence[DayEntry], accounts: Sequence[str], write: Callable[[Flow], bytes]) -> None:
        self._accounts = accounts
        self._instants = array("q", (to_us(entry.flow.at) for entry in entries))
        self._account_indexes = array("L", (entry.account for entry in entries))
        self._numbers = array("L", (entry.number for entry in entries))
        self._rows = [_encoded(entry.flow, write) for entry in entries]

    def __len__(self) -> int:
        return len(self._rows)

    def within(self, begin_us: int, end_us: int) -> range:
        """The indexes of the rows in [begin_us, end_us)."""
        return range(bisect_left(self._instants, begin_us), bisect_left(self._instants, end_us))

    def count_up_to(self, position: RowPosition) -> int:
        """Return the number of rows up to and including a position."""
        return bisect_right(range(len(self)), position, key=self.position)

    def count_before(self, position: RowPosition) -> int:
        """Return the number of rows before a position."""
        return bisect_left(range(len(self)), position, key=self.position)

    def position(self, index: int) -> RowPosition:
        """The position of a row."""
        return RowPosition(self._instants[index], self._accounts[self._account_indexes[index]], self._numbers[index])

    def rows(self, indexes: Iterable[int]) -> Iterator[bytes]:
        """Return the rows with these indexes, in this order. Raises NotRepresentable if one cannot be encoded."""
        for index in indexes:
            row = self._rows[index]
            if isinstance(row, NotRepresentable):
                raise NotRepresentable(row.field, row.reason)
            yield row


def _encoded(flow: Flow, write: Callable[[Flow], bytes]) -> bytes | NotRepresentable:
    try:
        return write(flow)
    except NotRepresentable as error:
        return error
