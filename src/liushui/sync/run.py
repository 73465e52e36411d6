"""Running a sync: slices are read one after the other, and committed while the next one is being read."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

import stamina

from liushui.errors import (
    AuthError,
    LiushuiError,
    ProviderError,
    RateLimited,
    StaleRead,
    SyncError,
    Unavailable,
    WireError,
)
from liushui.instant import iso
from liushui.ledger.commit import Committed, commit_gap, commit_slice, would_end_versions
from liushui.ledger.engine import Ledger
from liushui.ledger.query import ranges_of
from liushui.ledger.rows import Rejected, read_rows
from liushui.ledger.sources import Run, Source, record_run
from liushui.provider import NOTHING, Client, Page, Provider, Received, Slice
from liushui.providers import provider_named
from liushui.sync.drain import Overfull, drain
from liushui.sync.plan import Cutter, due

FORGETTING: Final = timedelta(days=1)
"""So long before a provider forgets rows, one that is gone counts as forgotten already: clocks and zones differ."""

FAILURES_MAX: Final = 3
"""Slices in a row that may fail before a source is left alone until the next sync."""


@dataclass(frozen=True)
class Options:
    """What a user may say about a sync."""

    since: datetime | None = None
    until: datetime | None = None
    everything: bool = False
    size: int | None = None
    timeout_s: float = 30.0
    attempts: int = 6
    wait_s: float = 0.5


@dataclass
class Result:
    """What a sync of one source did. `gaps` are the slices that failed, with their reasons."""

    account: str
    slices: int = 0
    rows_in: int = 0
    added: int = 0
    restated: int = 0
    withdrawn: int = 0
    quarantined: int = 0
    gaps: list[str] = field(default_factory=list)
    error: str = ""


class Progress(Protocol):
    """Told how a sync goes on."""

    def begin(self, account: str, span: timedelta) -> None:
        """A source has so much time to be read."""

    def advance(self, account: str, *, span: timedelta, rows: int, slices_left: int) -> None:
        """A slice was read: so much time, so many rows."""

    def end(self, account: str, result: Result) -> None:
        """A source is done."""


async def sync(ledger: Ledger, sources: Sequence[Source], options: Options, progress: Progress) -> list[Result]:
    """Sync sources side by side. A source that fails says so in its result and stops no other."""
    writing = asyncio.Lock()
    return list(await asyncio.gather(*(_Sync(ledger, source, options, progress, writing).run() for source in sources)))


async def check(source: Source, *, now: datetime, timeout_s: float) -> int:
    """Make one small call with a source's credentials. Raises LiushuiError by class."""
    provider = provider_named(source.provider)
    client = _connect(provider, source, timeout_s)
    try:
        begin, end = provider.rules.readable(now)
        page = await client.page(Slice(max(begin, end - timedelta(days=1)), end), 1)
    finally:
        await client.close()
    return len(page.rows)


def _connect(provider: Provider, source: Source, timeout_s: float) -> Client:
    return provider.connect(
        base_url=source.base_url,
        credentials=source.credentials,
        rate=provider.rules.rate if source.paced else None,
        timeout_s=timeout_s,
    )


class _Sync:
    """One source's sync."""

    def __init__(
        self, ledger: Ledger, source: Source, options: Options, progress: Progress, writing: asyncio.Lock
    ) -> None:
        self._ledger, self._source, self._options, self._progress = ledger, source, options, progress
        self._writing = writing
        self._provider = provider_named(source.provider)
        self._size = options.size or self._provider.rules.paging.size_max
        self._cutter = Cutter.for_rules(self._provider.rules, self._size)
        self._result = Result(source.account)
        self._keeping: asyncio.Task[None] | None = None
        self._client: Client | None = None

    async def run(self) -> Result:
        """Read and commit all that is due. Never raises for what a provider did."""
        started_at = self._ledger.clock()
        result = self._result
        try:
            self._client = _connect(self._provider, self._source, self._options.timeout_s)
            await self._every_slice(self._due(started_at))
        except LiushuiError as error:
            result.error = str(error)
        finally:
            if self._keeping is not None:
                with suppress(LiushuiError):
                    await asyncio.shield(self._keeping)
            if self._client is not None:
                await self._client.close()
            run = Run(
                account=self._source.account,
                started_at=started_at,
                ended_at=self._ledger.clock(),
                slices=result.slices,
                rows_in=result.rows_in,
                added=result.added,
                gaps=len(result.gaps),
                error=result.error or "; ".join(result.gaps[:1]),
            )
            async with self._writing:
                await asyncio.to_thread(record_run, self._ledger, run)
        self._progress.end(self._source.account, result)
        return result

    def _due(self, now: datetime) -> list[Slice]:
        return due(
            self._provider.rules,
            ranges_of(self._ledger, self._source.account),
            since=self._options.since or self._source.since,
            until=self._options.until,
            now=now,
            everything=self._options.everything,
        )

    async def _every_slice(self, ranges: list[Slice]) -> None:
        self._progress.begin(self._source.account, sum((r.until - r.since for r in ranges), timedelta()))
        failures = 0
        while ranges:
            asked = self._cutter.next(ranges[0])
            asked, failed = await self._one_slice(asked)
            failures = failures + 1 if failed else 0
            if failures == FAILURES_MAX:
                raise SyncError(f"{FAILURES_MAX} slices in a row failed, the last one: {self._result.gaps[-1]}")
            ranges = [Slice(asked.until, ranges[0].until), *ranges[1:]]
            if ranges[0].since >= ranges[0].until:
                ranges = ranges[1:]
            self._progress.advance(
                self._source.account,
                span=asked.until - asked.since,
                rows=self._result.rows_in,
                slices_left=self._cutter.left(ranges),
            )
        await self._kept()

    async def _one_slice(self, asked: Slice) -> tuple[Slice, bool]:
        """Read the slice, or as much of its beginning as one page holds, and have it kept. Says whether it failed."""
        while True:
            read_at = self._ledger.clock()
            try:
                rows = await self._drained(asked)
                await self._kept()
                self._keeping = asyncio.create_task(self._keep(asked, read_at, rows))
            except Overfull as overfull:
                asked = self._cutter.overfull(overfull.rows_in_page, asked)
                continue
            except AuthError as error:
                await self._gap(asked, read_at, error)
                raise
            except (ProviderError, WireError, SyncError) as error:
                await self._gap(asked, read_at, error)
                return asked, True
            self._cutter.seen(len(rows), asked)
            return asked, False

    async def _drained(self, asked: Slice) -> list[bytes]:
        divisible = self._cutter.divisible(asked)
        return await drain(self._page, asked, self._provider.rules, self._size, divisible=divisible)

    async def _page(
        self,
        asked: Slice,
        size: int,
        *,
        mark: str | None = None,
        part: Mapping[str, str] = NOTHING,
        newest: bool = False,
    ) -> Page:
        if self._client is None:
            raise SyncError("the client is closed")
        async for attempt in stamina.retry_context(
            on=self._wait_s,
            attempts=self._options.attempts,
            timeout=None,
            wait_initial=self._options.wait_s,
            wait_max=30.0,
        ):
            with attempt:
                return await self._client.page(asked, size, mark=mark, part=part, newest=newest)
        raise SyncError("no attempt was made")

    def _wait_s(self, error: Exception) -> bool | float:
        """Whether a call is tried again; after a refusal for its rate, in how many seconds."""
        if isinstance(error, RateLimited):
            window_s = self._provider.rules.rate.per.total_seconds()
            return min(window_s, self._options.wait_s * 20) if error.retry_after_s is None else error.retry_after_s
        return isinstance(error, (Unavailable, WireError))

    async def _kept(self) -> None:
        """Wait until the slice before is in the ledger. Raises what went wrong there."""
        if self._keeping is not None:
            task, self._keeping = self._keeping, None
            await task

    async def _keep(self, asked: Slice, read_at: datetime, rows: list[bytes]) -> None:
        try:
            committed = await self._committed(asked, read_at, rows)
        except StaleRead:
            return  # somebody else has proven it meanwhile, from a later read
        except (ProviderError, WireError, SyncError) as error:
            await self._gap(asked, read_at, error)
            return
        result = self._result
        result.slices += 1
        result.rows_in += len(rows)
        result.added += committed.added
        result.restated += committed.restated
        result.withdrawn += committed.withdrawn
        result.quarantined += committed.quarantined

    async def _committed(self, asked: Slice, read_at: datetime, rows: list[bytes]) -> Committed:
        received, rejected = await asyncio.to_thread(self._read, asked, rows)
        self._check_kept(asked, "its beginning is not kept by the provider any more")
        if await asyncio.to_thread(self._ends_versions, asked, received):
            self._check_kept(asked, "rows that were known went, where the provider is about to forget", FORGETTING)
            await self._confirm(asked, rows)
        async with self._writing:
            return await asyncio.to_thread(self._commit, asked, read_at, received, rejected)

    def _check_kept(self, asked: Slice, reason: str, margin: timedelta = timedelta(0)) -> None:
        """Raises SyncError where a slice begins before what the provider keeps, `margin` from now: what it has
        forgotten is not withdrawn, and a range that it forgot a part of is not read whole."""
        kept, _ = self._provider.rules.readable(self._ledger.clock() + margin)
        if asked.since < kept:
            raise SyncError(reason)

    async def _confirm(self, asked: Slice, rows: list[bytes]) -> None:
        """Read the slice again before versions of flows are ended. Raises SyncError where the two reads differ."""
        try:
            again = await self._drained(asked)
        except Overfull:
            again = []
        if sorted(again) != sorted(rows):
            raise SyncError("rows that were known changed or went, and a second read did not say the same")

    def _read(self, asked: Slice, rows: list[bytes]) -> tuple[list[Received], list[Rejected]]:
        received, rejected = read_rows(self._provider.codec, rows)
        for row in received:
            if not asked.since <= row.flow.at < asked.until:
                raise SyncError(f"a row of {iso(row.flow.at)} came where {_range(asked)} was asked for")
        return received, rejected

    def _ends_versions(self, asked: Slice, received: list[Received]) -> bool:
        with self._ledger.reading() as connection:
            return would_end_versions(connection, self._source.account, asked, received)

    def _commit(self, asked: Slice, read_at: datetime, received: list[Received], rejected: list[Rejected]) -> Committed:
        return commit_slice(
            self._ledger, self._source.account, asked, read_at=read_at, received=received, rejected=rejected
        )

    async def _gap(self, asked: Slice, tried_at: datetime, error: LiushuiError) -> None:
        self._result.gaps.append(f"{_range(asked)}: {error}")
        async with self._writing:
            await asyncio.to_thread(
                commit_gap, self._ledger, self._source.account, asked, tried_at=tried_at, reason=str(error)
            )


def _range(asked: Slice) -> str:
    return f"{iso(asked.since)} to {iso(asked.until)}"
