"""Requests to a server, counted against the rate of their key by all processes that serve one ledger."""

from datetime import datetime, timedelta

from liushui.instant import from_us
from liushui.provider import RateCheck
from liushui.ratelimit.shared_file import MICROSECOND, SharedCalls
from liushui.rules import Rate


class IncomingLimits(SharedCalls):
    """A provider.Limits that processes share."""

    tables = ("CREATE TABLE IF NOT EXISTS sessions (name TEXT PRIMARY KEY, began_us INTEGER NOT NULL) STRICT",)

    def admit(self, name: str, rate: Rate) -> RateCheck:
        """Count one call. Where `rate.calls` were made within the last `rate.per` it is neither admitted nor counted.

        The rate's spacing is for callers to keep: a server does not refuse calls for it.
        """
        with self._writing() as (connection, now_us):
            window = self._window(connection, name, now_us, rate)
            if window.next_us > now_us:
                return RateCheck(admitted=False, used=window.calls)
            connection.execute("INSERT INTO calls (key, end_us, under_way) VALUES (?, ?, 0)", (name, now_us))
            return RateCheck(admitted=True, used=window.calls + 1)

    def session_start(self, name: str, life: timedelta) -> datetime:
        """Return when the session of that name began: the same instant for `life`, then a new one, now."""
        with self._writing() as (connection, now_us):
            row = connection.execute("SELECT began_us FROM sessions WHERE name = ?", (name,)).fetchone()
            if row is not None and row[0] <= now_us < row[0] + life // MICROSECOND:
                return from_us(row[0])
            connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?)", (name, now_us))
            return from_us(now_us)
