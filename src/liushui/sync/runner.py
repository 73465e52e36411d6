"""Syncs of many sources at once. A source that fails says so in its result and stops no other."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from liushui.errors import ConfigError, LiushuiError
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source
from liushui.ledger.read.balances import ranges_of
from liushui.provider import Slice
from liushui.providers import get_provider
from liushui.ratelimit.outgoing import OutgoingLimits
from liushui.sync.events import Observer, SyncEnded, SyncResult, SyncStatus, ignore_events
from liushui.sync.options import Environment, Options
from liushui.sync.pipeline import AccountSync
from liushui.sync.plan import retention_left


class SyncRunner:
    """What the syncs of one process share: the rate limits of credentials, and the turn to write."""

    def __init__(self, ledger: Ledger, options: Options, environment: Environment, tell: Observer) -> None:
        self._ledger, self._options, self._environment, self._tell = ledger, options, environment, tell
        self._limits = OutgoingLimits(ledger.local_path(".calls"), ledger.clock)
        self._writing = asyncio.Lock()
        self._places = asyncio.Semaphore(options.sources_at_once)

    async def sync(self, source: Source, options: Options | None = None) -> SyncResult:
        """Sync a source, when there is a place for it, with options of its own where it has any.

        Raises nothing of liushui's: the result says it.
        """
        async with self._places:
            try:
                one = AccountSync(
                    self._ledger,
                    source,
                    options or self._options,
                    self._environment,
                    limits=self._limits,
                    writing=self._writing,
                    tell=self._tell,
                )
            except ConfigError as error:  # a provider that is not installed any more
                failed = SyncResult(source.account, status=SyncStatus.FAILED, error=str(error))
                self._tell(SyncEnded(source.account, failed))
                return failed
            return await one.run()

    def close(self) -> None:
        """Close the file of the rate limits."""
        self._limits.close()


@asynccontextmanager
async def working(
    ledger: Ledger, options: Options, environment: Environment, tell: Observer = ignore_events
) -> AsyncIterator[SyncRunner]:
    """Workers, until the block ends."""
    workers = SyncRunner(ledger, options, environment, tell)
    try:
        yield workers
    finally:
        workers.close()


async def sync_sources(
    ledger: Ledger,
    sources: Sequence[Source],
    options: Options,
    tell: Observer = ignore_events,
    environment: Environment | None = None,
) -> list[SyncResult]:
    """Sync sources side by side, those first whose provider is about to forget something. Results as the sources."""
    world = environment or Environment()
    async with working(ledger, options, world, tell) as workers:
        tasks = {
            source.account: asyncio.create_task(workers.sync(source))
            for source in sorted(sources, key=lambda source: time_left(ledger, source, world))
        }
        try:
            return [await tasks[source.account] for source in sources]
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


def time_left(ledger: Ledger, source: Source, environment: Environment) -> timedelta:
    """How long until a source's provider forgets something that is not proven; the longest time where it never does."""
    left = None
    with suppress(LiushuiError):  # its sync will say so
        rules = environment.provider(source.provider).rules
        if rules.retention is not None:
            left = retention_left(rules, ranges_of(ledger, source.account), since=source.since, now=ledger.clock())
    return timedelta.max if left is None else left


async def check_credentials(source: Source, *, now: datetime, timeout_s: float) -> int:
    """Make one small call with a source's credentials. Raises LiushuiError by class."""
    provider = get_provider(source.provider)
    client = provider.connect(
        base_url=source.base_url,
        credentials=source.credentials,
        rate=provider.rules.rate if source.paced else None,
        timeout_s=timeout_s,
    )
    try:
        begin, end = provider.rules.readable(now)
        page = await client.fetch_page(Slice(max(begin, end - timedelta(days=1)), end), 1)
    finally:
        await client.close()
    return len(page.rows)
