"""What a user may say about a sync, and what a sync needs of the world: waiting, chance, clients."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from liushui.ledger.jobs.sources import Source
from liushui.provider import Client, Provider
from liushui.providers import get_provider

CALL_TIMEOUTS: Final = 4
"""How many waits for a part of its answer a whole call may take: to connect, to send, to be answered, and once more."""

MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Options:
    """What a user may say about a sync."""

    since: datetime | None = None
    until: datetime | None = None
    everything: bool = False
    size: int | None = None
    timeout: timedelta = timedelta(seconds=30)
    attempts: int = 6
    """How often one call that may yet succeed is made."""
    retries_max: int = 24
    """How often calls of one slice are repeated, all of them together."""
    wait: timedelta = timedelta(milliseconds=500)
    """How long the first repetition of a call waits; each one after it twice as long."""
    patience: timedelta = timedelta(minutes=2)
    """For how long a provider may ask us to wait. A source that is told to wait for longer is put off until then."""
    sources_at_once: int = 32
    leases: bool = True
    """Whether an account that another process syncs is left to it. Without, both read it, and what they read agrees."""

    @property
    def call_max(self) -> timedelta:
        """How long a whole call may take."""
        return CALL_TIMEOUTS * self.timeout


def connect(provider: Provider, source: Source, options: Options) -> Client:
    """Make a source's client. It does not pace itself: other workers share the rate of its credential."""
    return provider.connect(
        base_url=source.base_url,
        credentials=source.credentials,
        rate=None,
        timeout_s=options.timeout.total_seconds(),
    )


async def sleep(time: timedelta) -> None:
    """Let so much time pass."""
    await asyncio.sleep(time.total_seconds())


@dataclass(frozen=True)
class Environment:
    """What a sync needs of the world. The clock is the ledger's: there is one time only, and tests move it."""

    sleep: Callable[[timedelta], Awaitable[None]] = sleep
    random: Random = field(default_factory=Random)
    """Spreads repeated calls of many workers. Nothing that is kept depends on it."""
    connect: Callable[[Provider, Source, Options], Client] = connect
    provider: Callable[[str], Provider] = get_provider

    def jittered(self, time: timedelta) -> timedelta:
        """Between half of a time and all of it."""
        half_us = time // MICROSECOND // 2
        return time - self.random.randrange(half_us + 1) * MICROSECOND
