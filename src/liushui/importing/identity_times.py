"""The known times of each identity, on disk, to recognise a record whose time has changed."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from liushui.importing.staging import naming_staging

_encode = msgspec.json.Encoder().encode


class TimeIndex:
    """The times of identities, in a temporary file. Identities are stored as hashes that are valid in this process
    only.

    Two identities may have the same hash, so the caller has to check the flow at the returned time.
    """

    def __init__(self, keys: Iterable[Sequence[tuple[str, int]]]) -> None:
        """`keys` are identities with their times, in batches. Raises LedgerError as `Staging.add` does."""
        self._database = sqlite3.connect("", isolation_level=None)
        with naming_staging():
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("PRAGMA cache_size = -16000")
            self._database.execute("CREATE TABLE times (hash INTEGER NOT NULL, at_us INTEGER NOT NULL)")
            self._database.execute("BEGIN")  # never committed: nothing in this file is needed after the process ends
            for batch in keys:
                self.add(batch)
            # Created at the end, because sorting all keys at once is much faster than inserting each in order.
            self._database.execute("CREATE INDEX times_by_hash ON times (hash, at_us)")

    def add(self, keys: Iterable[tuple[str, int]]) -> None:
        """Add identities with their times."""
        with naming_staging():
            hashed = ((hash(identity), at_us) for identity, at_us in keys)
            self._database.executemany("INSERT INTO times VALUES (?, ?)", hashed)

    def times_of(self, identities: Iterable[str]) -> dict[str, set[int]]:
        """Return the times of each identity that has any."""
        by_hash = {hash(identity): identity for identity in identities}
        times: dict[str, set[int]] = defaultdict(set)
        with naming_staging():
            for hash_, at_us in self._database.execute(_SELECT, (_encode(list(by_hash)).decode(),)):
                times[by_hash[hash_]].add(at_us)
        return times

    def close(self) -> None:
        """Delete the temporary file."""
        self._database.close()


_SELECT = "SELECT hash, at_us FROM json_each(?) AS given CROSS JOIN times ON hash = given.value"
