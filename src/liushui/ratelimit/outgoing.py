"""Calls to providers, held to the rate of their credential by all syncs of this machine that use it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from secrets import randbits
from typing import Final, NamedTuple

import msgspec

from liushui.instant import from_us, to_us
from liushui.provider import Provider
from liushui.ratelimit.shared_file import MICROSECOND, SharedCalls
from liushui.rules import Rate

POLL: Final = timedelta(milliseconds=20)
"""How long to wait for another worker's call that is under way: nobody knows when it will end."""
BLOCK_MAX: Final = timedelta(days=2)
"""The longest that a provider is believed to want no calls. A longer time is left by a clock that was set back."""


class Permit(NamedTuple):
    """A call may be made now. OutgoingLimits.end wants this back when the call has ended."""

    id: int
    """Random, because a call may be forgotten before its end is recorded, and must not then end another one."""


class Wait(NamedTuple):
    """A call may not be made yet: ask again after `duration`. `blocked`: because the provider wants no calls."""

    duration: timedelta
    blocked: bool


def credential_key(provider: Provider, base_url: str, credentials: Mapping[str, str]) -> str:
    """The key that a credential's calls are counted under. It is a digest, and gives nothing of the credential away."""
    text = msgspec.json.encode([provider.name, base_url, provider.key_name(credentials)])
    return blake2b(text, digest_size=16).hexdigest()


class OutgoingLimits(SharedCalls):
    """Calls by their ends, and until when each provider wants none.

    A call counts from its end, as in pacing.Pacer. One that is under way counts as if it ended at the latest instant
    that it can. So the provider sees the rate kept in every window, however many workers there are, and the calls of a
    worker that was killed expire by themselves.
    """

    tables = ("CREATE TABLE IF NOT EXISTS blocks (key TEXT PRIMARY KEY, until_us INTEGER NOT NULL) STRICT",)

    def begin(self, key: str, rate: Rate, *, call_max: timedelta) -> Permit | Wait:
        """Begin a call where the rate and the provider allow one now. It must end within `call_max`."""
        with self._writing() as (connection, now_us):
            if blocked_us := self._blocked_us(key, now_us):
                return Wait(blocked_us * MICROSECOND, blocked=True)
            window = self._window(connection, key, now_us, rate, call_max=call_max, spacing=rate.spacing)
            if window.next_us > now_us:
                wait = (window.next_us - now_us) * MICROSECOND
                return Wait(min(wait, POLL) if window.is_one_under_way else wait, blocked=False)
            permit = Permit(randbits(62))
            end_us = now_us + call_max // MICROSECOND
            connection.execute("INSERT INTO calls VALUES (?, ?, ?, 1)", (permit.id, key, end_us))
            return permit

    def end(self, key: str, permit: Permit) -> None:
        """Record that a call has ended, well or not."""
        with self._writing() as (connection, now_us):
            # Inserted again where it was forgotten meanwhile: the call reached the provider all the same.
            connection.execute("INSERT OR REPLACE INTO calls VALUES (?, ?, ?, 0)", (permit.id, key, now_us))

    def block(self, key: str, until: datetime) -> None:
        """Let nobody make a call before an instant, or a later one that was recorded before."""
        with self._writing() as (connection, _):
            connection.execute(
                "INSERT INTO blocks VALUES (?, ?) "
                "ON CONFLICT (key) DO UPDATE SET until_us = max(until_us, excluded.until_us)",
                (key, to_us(until)),
            )

    def blocked_until(self, key: str) -> datetime | None:
        """Return the instant before which the provider wants no calls; None where it takes some now."""
        if not self.path.exists():
            return None  # nobody was ever told to wait, and a source that is not paced makes no file
        now_us = to_us(self._clock())
        blocked_us = self._blocked_us(key, now_us)
        return from_us(now_us + blocked_us) if blocked_us else None

    def _blocked_us(self, key: str, now_us: int) -> int:
        row = self._connection().execute("SELECT until_us FROM blocks WHERE key = ?", (key,)).fetchone()
        wait_us = row[0] - now_us if row else 0
        return wait_us if 0 < wait_us <= BLOCK_MAX // MICROSECOND else 0
