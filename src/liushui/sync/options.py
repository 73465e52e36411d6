"""What a user may choose about a sync, what it needs of the world, and what all syncs of one process share."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source
from liushui.provider import Client, Provider
from liushui.providers import get_provider
from liushui.ratelimit import OutgoingLimits
from liushui.sync.events import Observer

TIMEOUTS_PER_CALL: Final = 4
"""How many timeouts a whole call may take: to connect, to send, to be answered, and one to spare."""

MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Options:
    """What a user may choose about a sync."""

    since: datetime | None = None
    until: datetime | None = None
    everything: bool = False
    """Whether all of the range is read again, and not only what is due."""
    size: int | None = None
    """Rows to ask for a page. None: as many as the provider gives."""
    timeout: timedelta = timedelta(seconds=30)
    """The longest wait for any one part of an answer."""
    silence_max: timedelta = timedelta(minutes=1)
    """How long calls for one page may go without any answer, all attempts together. Then the sync of the source ends,
    and it is put off as after other failures."""
    attempts: int = 6
    """How often one call is made at most."""
    retries_max: int = 24
    """How often calls are repeated within one slice, all of them together."""
    wait: timedelta = timedelta(milliseconds=500)
    """How long the first repetition of a call waits; each one after it twice as long."""
    patience: timedelta = timedelta(minutes=2)
    """The longest wait that a provider may ask for. After a longer one the source is left alone until it is over."""
    sources_at_once: int = 32
    leases: bool = True
    """Whether an account that another process is syncing is left to it. Without leases both read it, and agree."""

    @property
    def call_max(self) -> timedelta:
        """The longest time that a whole call may take."""
        return TIMEOUTS_PER_CALL * self.timeout


def connect(provider: Provider, source: Source, options: Options) -> Client:
    """Make a source's client. It does not pace itself: other workers share the rate of its credential."""
    return provider.connect(
        base_url=source.base_url,
        credentials=source.credentials,
        rate=None,
        timeout_s=options.timeout.total_seconds(),
    )


async def sleep(duration: timedelta) -> None:
    """Wait so long, in real time."""
    await asyncio.sleep(duration.total_seconds())


@dataclass(frozen=True)
class Environment:
    """What a sync needs of the world; tests replace it. The clock is the ledger's, for there must be only one time."""

    sleep: Callable[[timedelta], Awaitable[None]] = sleep
    random: Random = field(default_factory=Random)
    """Spreads the waits of many workers. Nothing that is kept depends on it."""
    connect: Callable[[Provider, Source, Options], Client] = connect
    provider: Callable[[str], Provider] = get_provider

    def jittered(self, duration: timedelta) -> timedelta:
        """A random time between half of a duration and all of it."""
        half_us = duration // MICROSECOND // 2
        return duration - self.random.randrange(half_us + 1) * MICROSECOND


@dataclass(frozen=True)
class SyncContext:
    """What all syncs of one process share."""

    ledger: Ledger
    options: Options
    environment: Environment
    notify: Observer
    limits: OutgoingLimits
    write_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """SQLite has one writer at a time. Those of one process wait here, in turn, and not each by itself in SQLite."""
