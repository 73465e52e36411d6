"""Stores one document's decoded rows in temporary files, and returns them in order of time.

A document is committed only after it was read completely. Then its oldest and newest time are known, all equal rows
have been counted, and a file that is refused halfway has changed nothing.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, groupby, repeat
from operator import itemgetter
from tempfile import TemporaryFile
from typing import Any, Final, NamedTuple

import msgspec

from liushui.errors import LedgerError
from liushui.importing.read_rows import CHUNK_ROWS, Chunk
from liushui.ledger.flow_row import AT_US, COLUMNS, ID, Rejected, Row, RowBatch, read_batch, read_rows, to_row
from liushui.provider import BatchCodec, Codec, DecodedRow

ONE_BY_ONE: Final = 40
"""The number of rows that are decoded one by one if they cannot be decoded together. More rows are first split in
halves."""

OVERLAP_MAX: Final = 3
"""The most blocks whose times may overlap. If a document is less ordered, SQLite sorts it, with little memory."""

_FIELDS: Final = (*COLUMNS[1:-1], "number")
"""The columns of a block: all except the account and the batch, which are equal for all rows, and also the row's number
in its file."""
_AT_US, _ID = AT_US - 1, ID - 1
_INSERT: Final = f"INSERT INTO rows VALUES ({', '.join('?' * len(_FIELDS))})"
_EMPTY: Final = repeat(None)


class Block:
    """Decoded rows, oldest first, stored by column. The id column holds each row's identity.

    The columns are those of schema.flows without `account` and `batch`, plus the row's number in its file. A column is
    None if it has no values.
    """

    def __init__(self, columns: Sequence[Sequence[Any] | None]) -> None:
        self._columns = columns

    @classmethod
    def of(cls, batch: RowBatch, numbers: Iterable[int] | None = None) -> "Block":
        """Return a block of the rows of a batch. `numbers` default to 1, 2, …."""
        return cls([*batch.columns, list(range(1, 1 + len(batch)) if numbers is None else numbers)])._sorted()

    @classmethod
    def of_decoded(cls, rows: Sequence[DecodedRow], numbers: Iterable[int] | None = None) -> "Block":
        """Return a block of rows that were decoded one by one. Needs at least one row. `numbers` default to 1, 2, …."""
        return cls.of_values(
            [
                (*to_row("", row.flow.identity, row, 0)[1:-1], number)
                for row, number in zip(rows, count(1) if numbers is None else numbers, strict=False)
            ]
        )

    @classmethod
    def of_values(cls, rows: Sequence[Sequence[Any]]) -> "Block":
        """Return a block of rows that have the block's columns. Needs at least one row."""
        columns = [None if column.count(None) == len(rows) else column for column in zip(*rows, strict=True)]
        return cls(columns)._sorted()

    def __len__(self) -> int:
        return len(self.at_us)

    @property
    def at_us(self) -> Sequence[int]:
        """The time of each row."""
        return self._columns[_AT_US] or ()

    @property
    def identity(self) -> Sequence[str]:
        """The identity of each row."""
        return self._columns[_ID] or ()

    @property
    def numbers(self) -> Sequence[int]:
        """The number of each row in its file."""
        return self._columns[-1] or ()

    @property
    def filled(self) -> tuple[int, ...]:
        """The indexes of the columns of schema.flows that have values."""
        fields = (index for index, column in enumerate(self._columns[:-1], 1) if column is not None)
        return (0, *fields, len(COLUMNS) - 1)

    def rows(self, account: str, batch: int) -> list[Row]:
        """Yield the rows for schema.flows."""
        columns = (_EMPTY if column is None else column for column in self._columns[:-1])
        return list(zip(repeat(account), *columns, repeat(batch), strict=False))

    def values(self) -> Iterator[Row]:
        """Yield the values of each row, in the order of the block's columns."""
        return zip(*(repeat(None, len(self)) if column is None else column for column in self._columns), strict=True)

    def encode(self) -> bytes:
        """Return the block as bytes, for `decode`."""
        return msgspec.msgpack.encode(self._columns)

    @classmethod
    def decode(cls, encoded: bytes) -> "Block":
        """Return the block from its bytes."""
        return cls(_columns.decode(encoded))

    def split(self, at_us: int) -> tuple["Block", "Block"]:
        """Split into the rows before a time and the others."""
        index = bisect_left(self.at_us, at_us)
        return self._part(slice(0, index)), self._part(slice(index, None))

    @classmethod
    def joined(cls, blocks: Sequence["Block"]) -> "Block":
        """Join the rows of all blocks."""
        if len(blocks) == 1:
            return blocks[0]
        columns: list[Sequence[Any] | None] = []
        for parts in zip(*(block._columns for block in blocks), strict=True):
            whole: list[Any] = []
            for part, block in zip(parts, blocks, strict=True):
                whole += repeat(None, len(block)) if part is None else part
            columns.append(None if parts.count(None) == len(parts) else whole)
        return cls(columns)._sorted()

    def _part(self, part: slice) -> "Block":
        return Block([None if column is None else column[part] for column in self._columns])

    def _sorted(self) -> "Block":
        times = self.at_us
        if all(map(int.__le__, times, times[1:])):
            return self
        order = itemgetter(*sorted(range(len(times)), key=times.__getitem__))
        return Block([None if column is None else order(column) for column in self._columns])


_columns = msgspec.msgpack.Decoder(list[list[Any] | None])


class _Spilled(NamedTuple):
    """A block in the temporary file: its first and last time, and its position."""

    first_us: int
    last_us: int
    offset: int
    length: int


class Staging:
    """The rows of one document at a time."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._file = TemporaryFile()  # noqa: SIM115 - closed by close()
        self._spilled: list[_Spilled] = []
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(f"CREATE TABLE rows ({', '.join(_FIELDS)})")
        self._database.execute("CREATE TABLE rejected (row BLOB, field TEXT, reason TEXT, number INTEGER) STRICT")
        self._database.execute("BEGIN")  # never committed: nothing in this file is needed after the process ends

    def clear(self) -> None:
        """Drop the rows of the previous document."""
        with naming_staging():
            self._spilled = []
            self._file.seek(0)
            self._file.truncate()
            self._database.execute("DELETE FROM rows")
            self._database.execute("DELETE FROM rejected")

    def add(self, chunk: Chunk) -> None:
        """Decode rows and store them. Raises LedgerError if the temporary files cannot be written."""
        with naming_staging():
            if blocks := list(self._decoded(chunk)):
                block = Block.joined(blocks)
                encoded = block.encode()
                self._spilled.append(_Spilled(block.at_us[0], block.at_us[-1], self._file.tell(), len(encoded)))
                self._file.write(encoded)

    def _decoded(self, chunk: Chunk) -> Iterator[Block]:
        """Return the rows that can be decoded. The others are stored as rejected."""
        rows, batch, numbers = chunk.rows, chunk.batch, chunk.numbers
        if batch is not None:
            yield Block.of(batch, numbers)
        elif len(rows) > ONE_BY_ONE and isinstance(self._codec, BatchCodec):
            half = len(rows) // 2
            for part in (slice(None, half), slice(half, None)):
                batch = read_batch(self._codec, rows[part])
                yield from self._decoded(Chunk(rows[part], batch, of_lines=numbers[part]))
        else:
            received, rejected = read_rows(self._codec, rows)
            numbered = zip(rejected, _numbers(rows, numbers, [entry.row for entry in rejected]), strict=True)
            entries = ((entry.row, entry.field, entry.reason, number) for entry, number in numbered)
            self._database.executemany("INSERT INTO rejected VALUES (?, ?, ?, ?)", entries)
            if received:
                yield Block.of_decoded(received, _numbers(rows, numbers, [decoded.row for decoded in received]))

    def ends(self) -> tuple[int, int] | None:
        """The times of the oldest and the newest row. None: no row could be decoded."""
        if not self._spilled:
            return None
        return min(block.first_us for block in self._spilled), max(block.last_us for block in self._spilled)

    def blocks(self) -> Iterator[Block]:
        """Yield the rows in order of time, in blocks of a few thousand. Rows with the same identity and time are always
        in the same block."""
        with naming_staging():
            yield from self._merged() if self._is_nearly_ordered() else self._sorted()

    def keys(self) -> Iterator[list[tuple[str, int]]]:
        """Yield the identity and time of every row, a few thousand at a time."""
        with naming_staging():
            for spilled in self._spilled:
                block = self._read(spilled)
                yield list(zip(block.identity, block.at_us, strict=True))

    def _is_nearly_ordered(self) -> bool:
        """Whether few blocks overlap in time, as in a file that is sorted in either direction."""
        last_us: list[int] = []
        for block in sorted(self._spilled):
            last_us = [*(last for last in last_us if last >= block.first_us), block.last_us]
            if len(last_us) > OVERLAP_MAX:
                return False
        return True

    def _merged(self) -> Iterator[Block]:
        """Read the blocks by their first time. Rows older than the first row of the next block are complete."""
        waiting: list[Block] = []
        for spilled in sorted(self._spilled):
            if waiting:
                ready, rest = Block.joined(waiting).split(spilled.first_us)
                if len(ready):
                    yield ready
                waiting = [rest] if len(rest) else []
            waiting.append(self._read(spilled))
        if waiting:
            yield Block.joined(waiting)

    def _sorted(self) -> Iterator[Block]:
        """Let SQLite sort the rows, on disk."""
        for spilled in self._spilled:
            self._database.executemany(_INSERT, self._read(spilled).values())
        rows: list[Row] = []
        ordered = self._database.execute("SELECT * FROM rows ORDER BY at_us, id")
        for _, copies in groupby(ordered, key=itemgetter(_AT_US, _ID)):
            rows += copies
            if len(rows) >= CHUNK_ROWS:
                yield Block.of_values(rows)
                rows = []
        if rows:
            yield Block.of_values(rows)

    def _read(self, spilled: _Spilled) -> Block:
        self._file.seek(spilled.offset)
        return Block.decode(self._file.read(spilled.length))

    def rejected(self) -> Iterator[list[Rejected]]:
        """Yield the rows that could not be decoded, a few thousand at a time. Equal rows are always in the same
        list."""
        with naming_staging():
            ordered = self._database.execute("SELECT row, field, reason FROM rejected ORDER BY row")
            rows: list[Rejected] = []
            for _, copies in groupby((Rejected(*row) for row in ordered), key=itemgetter(0)):
                rows += copies
                if len(rows) >= CHUNK_ROWS:
                    yield rows
                    rows = []
            if rows:
                yield rows

    def first_rejected(self, most: int) -> list[tuple[int, Rejected]]:
        """Return the first rows that could not be decoded, each with its number in its file."""
        with naming_staging():
            query = "SELECT number, row, field, reason FROM rejected ORDER BY number LIMIT ?"
            rows = self._database.execute(query, (most,))
            return [(number, Rejected(*entry)) for number, *entry in rows]

    def close(self) -> None:
        """Delete the temporary files."""
        self._file.close()
        self._database.close()


def _numbers(rows: Sequence[bytes], numbers: Sequence[int], some: Sequence[bytes]) -> Iterator[int]:
    """Return the number of each row; the rows are in the order of `rows`."""
    numbered = zip(numbers, rows, strict=True)
    for wanted in some:
        yield next(number for number, row in numbered if row == wanted)


@contextmanager
def naming_staging() -> Iterator[None]:
    """Turn errors of the temporary files into a LedgerError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(f"rows could not be written to temporary files: {error}") from error
