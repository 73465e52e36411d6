"""The settings of a sync, its environment, and the objects that all syncs of a process share."""

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
"""The number of timeouts that a whole call may take: to connect, to send, to receive, and one in reserve."""

MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Options:
    """The settings of a sync that users can choose."""

    since: datetime | None = None
    until: datetime | None = None
    everything: bool = False
    """Whether the whole range is read again, and not only the ranges that are due."""
    size: int | None = None
    """The number of rows to request for a page. None: the provider's maximum."""
    timeout: timedelta = timedelta(seconds=30)
    """The longest wait for one part of an answer."""
    silence_max: timedelta = timedelta(minutes=1)
    """How long calls for one page may go unanswered, over all attempts. Then the sync of the source ends, and the
    source is put off as after other failures."""
    attempts: int = 6
    """The most attempts of one call."""
    retries_max: int = 24
    """The most repetitions of calls within one slice, all together."""
    wait: timedelta = timedelta(milliseconds=500)
    """The wait before a call's first repetition; it doubles with each further one."""
    patience: timedelta = timedelta(minutes=2)
    """The longest wait that a sync accepts from a provider. After a request for a longer wait, the source makes no
    calls until the wait has ended."""
    sources_at_once: int = 32
    leases: bool = True
    """Whether to skip an account that another process is syncing. Without leases both read it, with the same result."""

    @property
    def call_max(self) -> timedelta:
        """The longest time of a whole call."""
        return TIMEOUTS_PER_CALL * self.timeout


def connect(provider: Provider, source: Source, options: Options) -> Client:
    """Creates a source's client. The client does not pace its calls, because other workers share the rate of its
    credential."""
    return provider.connect(
        base_url=source.base_url,
        credentials=source.credentials,
        rate=None,
        timeout_s=options.timeout.total_seconds(),
    )


async def sleep(duration: timedelta) -> None:
    """Waits for a duration of real time."""
    await asyncio.sleep(duration.total_seconds())


@dataclass(frozen=True)
class Environment:
    """The environment of a sync; tests replace it. The clock is the ledger's clock, because there must be only one
    time."""

    sleep: Callable[[timedelta], Awaitable[None]] = sleep
    random: Random = field(default_factory=Random)
    """Spreads the waits of many workers. No stored value depends on it."""
    connect: Callable[[Provider, Source, Options], Client] = connect
    provider: Callable[[str], Provider] = get_provider

    def jittered(self, duration: timedelta) -> timedelta:
        """Return a random time between half of a duration and all of it."""
        half_us = duration // MICROSECOND // 2
        return duration - self.random.randrange(half_us + 1) * MICROSECOND


@dataclass(frozen=True)
class SyncContext:
    """The objects that all syncs of one process share."""

    ledger: Ledger
    options: Options
    environment: Environment
    notify: Observer
    limits: OutgoingLimits
    write_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """SQLite has one writer at a time. Writers of one process wait here in turn, instead of waiting in SQLite."""
