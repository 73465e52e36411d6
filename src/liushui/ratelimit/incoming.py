"""Calls counted against a rate, in a window that slides, and sessions begun, by all processes that serve one ledger."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from liushui.instant import Clock, from_us, to_us
from liushui.provider import RateCheck
from liushui.ratelimit.shared_file import Scratch
from liushui.rules import Rate

_MICROSECOND = timedelta(microseconds=1)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS calls (key TEXT NOT NULL, at_us INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS sessions (name TEXT PRIMARY KEY, began_us INTEGER NOT NULL) STRICT",
    "CREATE INDEX IF NOT EXISTS calls_of_key ON calls (key, at_us)",
)
_FORGET = "DELETE FROM calls WHERE key = ? AND (at_us <= ? OR at_us > ?)"
"""Calls that are too old to count; and those of a clock that was set back since, or a key would be locked out."""


class SharedLimits:
    """Counts in a small SQLite file of its own. It holds nothing worth keeping: a crash may empty it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file, self._clock = Scratch(path, _SCHEMA), clock

    def admit(self, name: str, rate: Rate) -> RateCheck:
        """Count one call. It is not admitted, and not counted, where `rate.calls` were within the last `rate.per`."""
        with self._file.writing() as connection:
            now_us = to_us(self._clock())  # not before: a call counted while we waited would be of the future
            oldest_us = now_us - rate.per // _MICROSECOND
            connection.execute(_FORGET, (name, oldest_us, now_us))
            (made,) = connection.execute("SELECT count(*) FROM calls WHERE key = ?", (name,)).fetchone()
            if made >= rate.calls:
                return RateCheck(admitted=False, used=made)
            connection.execute("INSERT INTO calls VALUES (?, ?)", (name, now_us))
            return RateCheck(admitted=True, used=made + 1)

    def session_start(self, name: str, life: timedelta) -> datetime:
        """When the session of that name began: the same instant for `life`, then a new one, now."""
        with self._file.writing() as connection:
            now_us = to_us(self._clock())
            found = connection.execute("SELECT began_us FROM sessions WHERE name = ?", (name,)).fetchone()
            if found is not None and found[0] <= now_us < found[0] + life // _MICROSECOND:
                return from_us(found[0])
            connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?)", (name, now_us))
            return from_us(now_us)

    def close(self) -> None:
        """Let the file go, in every thread. Counting again opens it again."""
        self._file.close()
