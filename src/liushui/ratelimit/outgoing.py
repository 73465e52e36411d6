"""The calls that one credential may make, shared by every worker that uses it, in every process of this machine."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from liushui.instant import Clock, from_us, to_us
from liushui.ledger.jobs.sources import Source
from liushui.provider import Provider
from liushui.ratelimit.shared_file import Scratch
from liushui.rules import Rate

POLL: Final = timedelta(milliseconds=20)
"""How often one looks again where another's call is still under way: nobody knows when it will end."""
BLOCK_MAX: Final = timedelta(days=2)
"""No provider's word reaches further: what does is of a clock that was set back since."""

_MICROSECOND = timedelta(microseconds=1)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, "
    "end_us INTEGER NOT NULL, under_way INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS blocks (key TEXT PRIMARY KEY, until_us INTEGER NOT NULL) STRICT",
    "CREATE INDEX IF NOT EXISTS calls_of_key ON calls (key, end_us)",
)
_FORGET = "DELETE FROM calls WHERE key = ? AND (end_us <= ? OR end_us > ?)"
"""Calls that are too old to count; and those of a clock that was set back since, or a key would be locked out."""

_BLOCK = """
INSERT INTO blocks VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET until_us = max(until_us, excluded.until_us)
"""


class Begun(NamedTuple):
    """A call may be made; its end is to be told."""

    call: int


class Wait(NamedTuple):
    """A call may not be made yet: ask again after `time`. `blocked`: the provider itself said so."""

    time: timedelta
    blocked: bool


def budget_key(provider: Provider, base_url: str, credentials: Mapping[str, str]) -> str:
    """The name of a credential's budget: it tells nothing of the credential."""
    named = msgspec.json.encode([provider.name, base_url, provider.key_name(credentials)])
    return blake2b(named, digest_size=16).hexdigest()


def key_of(provider: Provider, source: Source) -> str:
    """The name of the budget that a source's calls count against."""
    return budget_key(provider, source.base_url, source.credentials)


class Budget:
    """Calls by their ends, and how long the provider wants none at all.

    A call is timed by its end, as by wire.pacing, for it arrived at the provider before that; one that is under way
    counts as if it ended when it must have. So the provider sees the rate kept in every window, however many workers
    there are, and what a killed worker leaves runs out by itself.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file, self._clock = Scratch(path, _SCHEMA), clock

    def begin(self, key: str, rate: Rate, *, call_max: timedelta) -> Begun | Wait:
        """Begin a call, where the rate and the provider allow one now. It takes no longer than `call_max`."""
        with self._file.writing() as connection:
            now_us = to_us(self._clock())
            call_max_us, per_us = call_max // _MICROSECOND, rate.per // _MICROSECOND
            spacing_us = rate.spacing // _MICROSECOND
            blocked = self._blocked_us(key, now_us)
            if blocked:
                return Wait(blocked * _MICROSECOND, blocked=True)
            connection.execute(_FORGET, (key, now_us - max(per_us, spacing_us), now_us + call_max_us))
            found = connection.execute(
                "SELECT end_us, under_way FROM calls WHERE key = ? ORDER BY end_us", (key,)
            ).fetchall()
            due_us = now_us
            if len(found) >= rate.calls:
                due_us = found[-rate.calls][0] + per_us
            if found and spacing_us:
                due_us = max(due_us, found[-1][0] + spacing_us)
            if due_us > now_us:
                wait = (due_us - now_us) * _MICROSECOND
                return Wait(min(wait, POLL) if any(under_way for _, under_way in found) else wait, blocked=False)
            made = connection.execute(
                "INSERT INTO calls (key, end_us, under_way) VALUES (?, ?, 1)", (key, now_us + call_max_us)
            )
            return Begun(made.lastrowid or 0)

    def end(self, key: str, begun: Begun) -> None:
        """A call has ended, well or not."""
        with self._file.writing() as connection:
            values = (begun.call, key, to_us(self._clock()))
            connection.execute("INSERT OR REPLACE INTO calls (id, key, end_us, under_way) VALUES (?, ?, ?, 0)", values)

    def block(self, key: str, until: datetime) -> None:
        """Have nobody make a call before an instant. What was said of a later one holds."""
        with self._file.writing() as connection:
            connection.execute(_BLOCK, (key, to_us(until)))

    def blocked_until(self, key: str) -> datetime | None:
        """The instant before which no call may be made; None: now one may."""
        if not self._file.path.exists():
            return None  # nobody was ever told to wait
        now_us = to_us(self._clock())
        blocked = self._blocked_us(key, now_us)
        return from_us(now_us + blocked) if blocked else None

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _blocked_us(self, key: str, now_us: int) -> int:
        """For how long the provider wants no call."""
        found = self._file.connection().execute("SELECT until_us FROM blocks WHERE key = ?", (key,)).fetchone()
        wait_us = found[0] - now_us if found else 0
        return wait_us if 0 < wait_us <= BLOCK_MAX // _MICROSECOND else 0
