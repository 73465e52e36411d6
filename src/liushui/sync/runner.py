"""The runner: syncs many sources at the same time. If one fails, its result says so and the others continue."""

import asyncio
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from liushui.errors import ConfigError, LiushuiError
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source
from liushui.ledger.maintenance.heads_file import try_record_heads
from liushui.ledger.read.accounts import ranges_of
from liushui.provider import PageRequest, Slice
from liushui.providers import get_provider
from liushui.ratelimit import OutgoingLimits
from liushui.sync.events import Observer, SyncEnded, SyncResult, SyncStatus, ignore_events
from liushui.sync.options import Environment, Options, SyncContext
from liushui.sync.pipeline import AccountSync
from liushui.sync.plan import Plan


class SyncRunner:
    """Syncs sources, up to `sources_at_once` at a time. Close it at the end."""

    def __init__(
        self, ledger: Ledger, options: Options, environment: Environment, notify: Observer = ignore_events
    ) -> None:
        limits = OutgoingLimits(ledger.local_path(".calls"), ledger.clock)
        self._context = SyncContext(ledger, options, environment, notify, limits)
        self._running = asyncio.Semaphore(options.sources_at_once)

    async def sync(self, source: Source, *, everything: bool = False) -> SyncResult:
        """Sync a source, or read `everything` of it again. Raises no LiushuiError: the result contains the error."""
        context = self._context
        if everything:
            context = replace(context, options=replace(context.options, everything=True))
        async with self._running:
            try:
                account_sync = AccountSync(context, source)
            except ConfigError as error:  # a provider that is no longer installed
                failed = SyncResult(source.account, status=SyncStatus.FAILED, error=str(error))
                context.notify(SyncEnded(source.account, failed))
                return failed
            result = await account_sync.run()
            warnings = await asyncio.to_thread(try_record_heads, context.ledger)
            result.note = "; ".join([*([result.note] if result.note else []), *warnings])
            return result

    def close(self) -> None:
        """Close the file of the rate limits."""
        self._context.limits.close()


async def sync_sources(
    ledger: Ledger,
    sources: Sequence[Source],
    options: Options,
    notify: Observer = ignore_events,
    environment: Environment | None = None,
) -> list[SyncResult]:
    """Sync sources, the most urgent ones first. Returns the results in the order of the sources."""
    environment = environment or Environment()
    with closing(SyncRunner(ledger, options, environment, notify)) as runner:
        tasks = {
            source.account: asyncio.create_task(runner.sync(source))
            for source in sorted(sources, key=lambda source: urgency(ledger, source, environment))
        }
        try:
            return [await tasks[source.account] for source in sources]
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


def urgency(ledger: Ledger, source: Source, environment: Environment) -> timedelta:
    """Return the time until a source's provider deletes something unproven; the longest time if it never does."""
    left = None
    with suppress(LiushuiError):  # its sync will report the fault
        rules = environment.provider(source.provider).rules
        if rules.retention is not None:
            ranges = ranges_of(ledger, source.account)
            left = Plan(rules, ranges, since=source.since, now=ledger.clock()).retention_left()
    return timedelta.max if left is None else left


async def check_credentials(source: Source, *, now: datetime, timeout_s: float) -> int:
    """Make one small call with a source's credentials. Returns the number of rows. Raises LiushuiError by class."""
    provider = get_provider(source.provider)
    client = provider.connect(
        base_url=source.base_url,
        credentials=source.credentials,
        rate=provider.rules.rate if source.paced else None,
        timeout_s=timeout_s,
    )
    try:
        begin, end = provider.rules.readable(now)
        newest_day = Slice(max(begin, end - timedelta(days=1)), end)
        page = await client.fetch_page(PageRequest(newest_day, provider.rules.size_min))
    finally:
        await client.close()
    return len(page.rows)
