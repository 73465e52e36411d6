"""A document's rows, read and put in order on disk, so that equal ones meet however far apart they stood."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from typing import Final, NamedTuple

from liushui.errors import LedgerError
from liushui.instant import to_us
from liushui.ledger.flow_row import Rejected, read_rows
from liushui.provider import Codec, DecodedRow

CHUNK: Final = 5_000


class Copies(NamedTuple):
    """The rows of one identity in one document."""

    at_us: int
    identity: str
    rows: list[DecodedRow]


class Stage:
    """One document at a time, in a temporary database that is gone when it is closed."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE rows (at_us INTEGER, identity TEXT, row BLOB) STRICT")
        self._database.execute("CREATE TABLE rejected (row BLOB, field TEXT, reason TEXT) STRICT")

    def fill(self, rows: Iterable[bytes]) -> None:
        """Put a document's rows in place of those before. Raises LedgerError where there is no room for them."""
        with _plain_words():
            self._database.execute("BEGIN")
            try:
                self._replace(rows)
            except BaseException:
                self._database.rollback()
                raise
            self._database.execute("COMMIT")

    def _replace(self, rows: Iterable[bytes]) -> None:
        self._database.execute("DELETE FROM rows")
        self._database.execute("DELETE FROM rejected")
        walk = iter(rows)
        while chunk := list(islice(walk, CHUNK)):
            received, rejected = read_rows(self._codec, chunk)
            self._database.executemany(
                "INSERT INTO rows VALUES (?, ?, ?)",
                [(to_us(row.flow.at), row.flow.identity, row.row) for row in received],
            )
            self._database.executemany("INSERT INTO rejected VALUES (?, ?, ?)", rejected)

    def ends(self) -> tuple[int, int] | None:
        """The times of the oldest and the newest row; None where none could be read."""
        oldest, newest = self._database.execute("SELECT min(at_us), max(at_us) FROM rows").fetchone()
        return None if oldest is None else (oldest, newest)

    def chunks(self) -> Iterator[list[Copies]]:
        """The rows, oldest first, about CHUNK at a time; rows of one identity are never parted."""
        with _plain_words():
            found = self._database.execute("SELECT at_us, identity, row FROM rows ORDER BY at_us, identity, row")
            groups = (
                Copies(at_us, identity, read_rows(self._codec, [row[2] for row in rows])[0])
                for (at_us, identity), rows in groupby(found, key=lambda row: (row[0], row[1]))
            )
            for first in groups:
                count = len(first.rows)
                chunk = [first]
                while count < CHUNK and (copies := next(groups, None)):
                    chunk.append(copies)
                    count += len(copies.rows)
                yield chunk

    def rejected(self) -> Iterator[list[Rejected]]:
        """What could not be read, about CHUNK at a time; equal rows are never parted."""
        with _plain_words():
            found = self._database.execute("SELECT row, field, reason FROM rejected ORDER BY row")
            chunk: list[Rejected] = []
            for _, rows in groupby((Rejected(*row) for row in found), key=lambda rejected: rejected.row):
                chunk += rows
                if len(chunk) >= CHUNK:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk

    def close(self) -> None:
        """Forget the rows."""
        self._database.close()


@contextmanager
def _plain_words() -> Iterator[None]:
    """Turn the temporary database's errors into a LedgerError of one line."""
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerError(f"rows could not be set aside in temporary files: {error}") from error
