"""Rate limits: when a call may be made, for one process (pacing) or all processes of a machine (shared limits)."""

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from secrets import randbits
from typing import Final, NamedTuple, TypeVar

import msgspec

from liushui.instant import Clock, from_us, to_us
from liushui.provider import Provider, RateCheck
from liushui.rules import Rate

# ---------------------------------------------------------------- pacing: no I/O


DOUBLINGS_MAX: Final = 20
"""Limits the exponent, so that a wait fits a timedelta. The wait has long reached its maximum by then."""

N = TypeVar("N", int, float)


def next_call(now: N, *, nth_last: N | None, last: N | None, per: N, spacing: N) -> N:
    """Return when the next call may begin, so that each period `per` has at most `n` calls, at least `spacing` apart.

    `last` is the end of the last call, and `nth_last` the end of the n-th last call. They are None if there were fewer
    calls. All times are in one unit.
    """
    # This is a sliding window over single calls. A leaky bucket would let a burst and its refill through in one window,
    # up to twice the documented number.
    begin = now
    if nth_last is not None:
        begin = max(begin, nth_last + per)
    if last is not None and spacing:
        begin = max(begin, last + spacing)
    return begin


class Pacer:
    """Makes the calls of one client, one at a time, each when `rate` allows it."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._ends_s: deque[float] = deque(maxlen=rate.calls)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Make one call in the block, which is entered when the call may begin."""
        rate, ends_s = self._rate, self._ends_s
        async with self._lock:
            now_s = asyncio.get_running_loop().time
            begin_s = next_call(
                now_s(),
                nth_last=ends_s[0] if len(ends_s) == rate.calls else None,
                last=ends_s[-1] if ends_s else None,
                per=rate.per.total_seconds(),
                spacing=rate.spacing.total_seconds(),
            )
            if (pause_s := begin_s - now_s()) > 0:
                await asyncio.sleep(pause_s)
            try:
                yield
            finally:
                # The provider saw the call before the call's end. Counted from the end, calls never reach it too close
                # together, even after a long transit.
                ends_s.append(now_s())


class Backoff(NamedTuple):
    """How long to wait before a repetition: `first`, then twice as long each time, and at most `longest`."""

    first: timedelta
    longest: timedelta

    def wait(self, attempt: int) -> timedelta:
        """Return the wait after the failed attempt with this number, counted from 1."""
        return min(self.longest, self.first * (1 << min(attempt - 1, DOUBLINGS_MAX)))


# ---------------------------------------------------------------- limits that all processes of one machine share

# The calls are to providers (outgoing) or to us (incoming). They are counted in a small SQLite file, which does not
# have to survive a crash.


LOCK_TIMEOUT_S: Final = 30
POLL: Final = timedelta(milliseconds=20)
"""How long to wait for another worker's call in progress, whose end is unknown."""
BLOCK_MAX: Final = timedelta(days=2)
"""The longest that others who use a credential are held back. A longer time is left by a clock that was set back; of a
longer wait the source itself knows."""

_MICROSECOND: Final = timedelta(microseconds=1)
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, key TEXT NOT NULL, end_us INTEGER NOT NULL, "
    "under_way INTEGER NOT NULL) STRICT",
    "CREATE INDEX IF NOT EXISTS calls_of_key ON calls (key, end_us, under_way)",
    "CREATE TABLE IF NOT EXISTS received (key TEXT NOT NULL, at_us INTEGER NOT NULL, number INTEGER NOT NULL, "
    "PRIMARY KEY (key, at_us, number)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS blocks (key TEXT PRIMARY KEY, until_us INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS sessions (name TEXT PRIMARY KEY, began_us INTEGER NOT NULL) STRICT",
)


class Window(NamedTuple):
    """The calls of a key that count now, and when the next one may begin."""

    calls: int
    next_us: int
    is_one_under_way: bool


def keep_private(path: Path) -> None:
    """Create a file that only its owner can read. Restricts an existing file too: older versions made it readable."""
    path.touch(mode=0o600)  # SQLite gives its additional files the same mode
    status = path.stat()
    if status.st_mode & 0o007 and status.st_uid == os.geteuid():
        path.chmod(0o600)


class _SharedCalls:
    """Calls by key and time, in a file that any thread of any process may use. It is made when it is first used.

    Using it after `close` opens it again.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self._clock = path, clock
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    def close(self) -> None:
        """Close the connections of every thread."""
        self._local = threading.local()
        while self._opened:
            self._opened.pop().close()

    @contextmanager
    def _writing(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction during which no other process writes, and the time in it, in microseconds."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            # The clock is read after the wait for the lock. Otherwise a call that was counted in the meantime would lie
            # in the future, and look like one of a clock that was set back.
            yield connection, to_us(self._clock())
        finally:
            connection.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection. Outside `_writing`, each of its statements is a separate transaction."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
            self._opened.append(connection)
        return connection

    def _open(self) -> sqlite3.Connection:
        # Imported here: whoever needs only the name of a class does not wait for SQLAlchemy.
        from liushui.ledger.engines.sqlite import enable_wal

        keep_private(self.path)
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=LOCK_TIMEOUT_S, check_same_thread=False)
        enable_wal(connection)
        connection.execute("PRAGMA synchronous = OFF")
        for statement in _TABLES:
            connection.execute(statement)
        return connection

    @staticmethod
    def _window(
        connection: sqlite3.Connection,
        key: str,
        now_us: int,
        rate: Rate,
        *,
        call_max: timedelta = timedelta(0),
        spacing: timedelta = timedelta(0),
    ) -> Window:
        """The calls of a key in the window that ends now, after older ones have been forgotten."""
        per_us, spacing_us = rate.per // _MICROSECOND, spacing // _MICROSECOND
        # A call that ends later than any call of now can is of a clock that was set back. It would lock the key out.
        newest_us = now_us + call_max // _MICROSECOND
        connection.execute(
            "DELETE FROM calls WHERE key = ? AND (end_us <= ? OR end_us > ?)",
            (key, now_us - max(per_us, spacing_us), newest_us),
        )
        calls, last_us, under_way, nth_last_us = connection.execute(
            "SELECT count(*), max(end_us), max(under_way), "
            "(SELECT end_us FROM calls WHERE key = ? ORDER BY end_us DESC LIMIT 1 OFFSET ?) "
            "FROM calls WHERE key = ?",
            (key, rate.calls - 1, key),
        ).fetchone()
        next_us = next_call(now_us, nth_last=nth_last_us, last=last_us, per=per_us, spacing=spacing_us)
        return Window(calls, next_us, bool(under_way))


# ---------------------------------------------------------------- incoming


_NUMBER: Final = "SELECT number FROM received WHERE key = ?"


class IncomingLimits(_SharedCalls):
    """A provider.Limits that processes share."""

    def admit(self, name: str, rate: Rate) -> RateCheck:
        """Count one call. If `rate.calls` were made within the last `rate.per`, the call is not admitted and not
        counted.

        The rate's spacing is for callers to keep: a server does not refuse calls for it.
        """
        with self._writing() as (connection, now_us):
            begin_us = now_us - rate.per // _MICROSECOND
            connection.execute("DELETE FROM received WHERE key = ? AND at_us <= ?", (name, begin_us))
            # Calls of a clock that was set back.
            connection.execute("DELETE FROM received WHERE key = ? AND at_us > ?", (name, now_us))
            # Calls are numbered and leave at the ends only. So they are counted without reading all of them, which a
            # caller with a high rate would have everybody wait for.
            first, last = (
                connection.execute(f"{_NUMBER} {order} LIMIT 1", (name,)).fetchone()
                for order in ("ORDER BY at_us, number", "ORDER BY at_us DESC, number DESC")
            )
            used = last[0] - first[0] + 1 if last else 0
            if used >= rate.calls:
                return RateCheck(admitted=False, used=used)
            connection.execute("INSERT INTO received VALUES (?, ?, ?)", (name, now_us, last[0] + 1 if last else 0))
            return RateCheck(admitted=True, used=used + 1)

    def session_start(self, name: str, life: timedelta) -> datetime:
        """Return when the session with this name began. After `life`, a new session begins now."""
        with self._writing() as (connection, now_us):
            row = connection.execute("SELECT began_us FROM sessions WHERE name = ?", (name,)).fetchone()
            if row is not None and row[0] <= now_us < row[0] + life // _MICROSECOND:
                return from_us(row[0])
            connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?)", (name, now_us))
            return from_us(now_us)


# ---------------------------------------------------------------- outgoing


class Permit(NamedTuple):
    """A call may be made now. OutgoingLimits.end wants this back when the call has ended."""

    id: int
    """Random, because a call may be forgotten before its end is recorded, and must not end another call then."""


class Wait(NamedTuple):
    """A call may not be made yet: ask again after `duration`. `blocked`: because the provider wants no calls."""

    duration: timedelta
    blocked: bool


def credential_key(provider: Provider, base_url: str, credentials: Mapping[str, str]) -> str:
    """The key that a credential's calls are counted under. It is a digest, and reveals nothing about the credential."""
    text = msgspec.json.encode([provider.name, base_url, provider.key_name(credentials)])
    return blake2b(text, digest_size=16).hexdigest()


class OutgoingLimits(_SharedCalls):
    """Calls by their ends, and until when each provider wants none.

    A call counts from its end, as in Pacer. A call in progress counts as if it ended at its latest possible instant.
    The provider therefore sees the rate kept in every window, with any number of workers, and the calls of a killed
    worker expire by themselves.
    """

    def begin(self, key: str, rate: Rate, *, call_max: timedelta) -> Permit | Wait:
        """Begin a call if the rate and the provider allow one now. It must end within `call_max`."""
        with self._writing() as (connection, now_us):
            if blocked_us := self._blocked_us(key, now_us):
                return Wait(blocked_us * _MICROSECOND, blocked=True)
            window = self._window(connection, key, now_us, rate, call_max=call_max, spacing=rate.spacing)
            if window.next_us > now_us:
                wait = (window.next_us - now_us) * _MICROSECOND
                return Wait(min(wait, POLL) if window.is_one_under_way else wait, blocked=False)
            permit = Permit(randbits(62))
            end_us = now_us + call_max // _MICROSECOND
            connection.execute("INSERT INTO calls VALUES (?, ?, ?, 1)", (permit.id, key, end_us))
            return permit

    def end(self, key: str, permit: Permit) -> None:
        """Record that a call has ended, well or not."""
        with self._writing() as (connection, now_us):
            # Inserted again if it was forgotten in the meantime, because the call reached the provider in any case.
            connection.execute("INSERT OR REPLACE INTO calls VALUES (?, ?, ?, 0)", (permit.id, key, now_us))

    def block(self, key: str, until: datetime) -> None:
        """Block every call before an instant. A later block that was recorded before stays."""
        with self._writing() as (connection, _):
            connection.execute(
                "INSERT INTO blocks VALUES (?, ?) "
                "ON CONFLICT (key) DO UPDATE SET until_us = max(until_us, excluded.until_us)",
                (key, to_us(min(until, self._clock() + BLOCK_MAX))),
            )

    def blocked_until(self, key: str) -> datetime | None:
        """Return the instant before which the provider wants no calls; None if it takes calls now."""
        if not self.path.exists():
            return None  # no block was ever recorded, and a source that is not paced makes no file
        now_us = to_us(self._clock())
        blocked_us = self._blocked_us(key, now_us)
        return from_us(now_us + blocked_us) if blocked_us else None

    def _blocked_us(self, key: str, now_us: int) -> int:
        row = self._connection().execute("SELECT until_us FROM blocks WHERE key = ?", (key,)).fetchone()
        wait_us = row[0] - now_us if row else 0
        return wait_us if 0 < wait_us <= BLOCK_MAX // _MICROSECOND else 0
