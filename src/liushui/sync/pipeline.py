"""The sync of one account: slices are read one after the other, and committed while the next ones are being read."""

import asyncio
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, LiushuiError, SyncError
from liushui.instant import from_us, to_iso
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.leases import new_holder, release_lease, take_lease
from liushui.ledger.jobs.sources import Run, Source, record_run
from liushui.ledger.read.balances import daily_flows, ranges_of
from liushui.ledger.write.change import Committed
from liushui.provider import Slice
from liushui.ratelimit.outgoing import OutgoingLimits, credential_key
from liushui.sync.caller import CallLimit, Deferred, RateLimitedCaller
from liushui.sync.committer import UNPROVEN, Committer, FetchedSlice, Outcome
from liushui.sync.events import (
    Observer,
    SliceCommitted,
    SliceFailed,
    SyncAdvanced,
    SyncEnded,
    SyncResult,
    SyncStarted,
    SyncStatus,
    range_of,
)
from liushui.sync.fetch import SliceTooLarge, fetch_slice
from liushui.sync.options import Environment, Options
from liushui.sync.plan import due_ranges, first_unproven, retention_left
from liushui.sync.slicer import Slicer

FAILURES_MAX: Final = 3
"""Slices in a row that may fail before a source is left alone until the next sync."""
ENDS: Final = (AuthError, Deferred)
"""After these no other slice can be read either."""
DAYS_KNOWN: Final = 28
"""Of so many days before and after the beginning of a sync it is looked up how much there was to read."""
LEASE: Final = timedelta(minutes=5)
"""How long an account is left to a worker of another machine that says nothing, beside the time of a call."""

ROWS_AHEAD: Final = 5_000
"""Rows that may wait to be kept before reading waits for them: what a sync holds does not grow with the account. Slices
that wait are kept in one transaction, for each has to reach the disk."""


class Busy(SyncError):
    """Another worker has the account."""

    def __init__(self, holder: str, until: datetime) -> None:
        super().__init__(
            f"{holder} is syncing it, or was until a moment ago: it is free at {to_iso(until)} at the latest"
        )
        self.until = until


class AccountSync:
    """One sync of one source."""

    def __init__(
        self,
        ledger: Ledger,
        source: Source,
        options: Options,
        environment: Environment,
        *,
        limits: OutgoingLimits,
        writing: asyncio.Lock,
        tell: Observer,
    ) -> None:
        self._ledger, self._source, self._options, self._environment = ledger, source, options, environment
        self._limits, self._writing, self._tell = limits, writing, tell
        self._provider = environment.provider(source.provider)
        self._rules = self._provider.rules
        self._size = options.size or self._rules.paging.size_max
        self._cutter = Slicer.for_rules(self._rules, self._size)
        self._keeper = Committer(ledger, source.account, self._provider, read_again=self._drained, writing=writing)
        self._result = SyncResult(source.account)
        self._waiting: list[FetchedSlice] = []
        """Slices that were read, oldest first, and that nobody has begun to keep."""
        self._taken = asyncio.Event()
        """Set when slices that waited are being kept, or will not be."""
        self._keeping: asyncio.Task[None] | None = None
        self._caller: RateLimitedCaller | None = None
        self._holder = new_holder()
        self._held_until: datetime | None = None
        """When the lease that we hold is over. None: we hold none, and leave nothing in the account's name."""

    async def run(self) -> SyncResult:
        """Read and commit all that is due. Never raises for what a provider did, or another worker."""
        started_at = self._ledger.clock()
        result = self._result
        try:
            await self._alive()
            self._caller = self._connected()
            ranges = self._due(started_at)
            self._know_the_days_before(ranges)
            await self._every_slice(ranges)
        except LiushuiError as error:
            self._note(error)
        finally:
            await self._ended(started_at)
        if result.gaps and result.status is SyncStatus.DONE:
            result.status = SyncStatus.INCOMPLETE
        with suppress(LiushuiError):  # what it did is done, whether or not it can be looked at
            await asyncio.to_thread(self._look_round)
        self._tell(SyncEnded(self._source.account, result))
        return result

    def _connected(self) -> RateLimitedCaller:
        source, rate = self._source, self._rules.rate
        key = credential_key(self._provider, source.base_url, source.credentials)
        return RateLimitedCaller(
            source.account,
            self._environment.connect(self._provider, source, self._options),
            CallLimit(self._limits, key, rate if source.paced else None, rate.per),
            self._options,
            self._environment,
            clock=self._ledger.clock,
            tell=self._tell,
            keep_lease=self._alive,
        )

    def _due(self, now: datetime) -> list[Slice]:
        return due_ranges(
            self._rules,
            ranges_of(self._ledger, self._source.account),
            since=self._options.since or self._source.since,
            until=self._options.until,
            now=now,
            everything=self._options.everything,
        )

    def _know_the_days_before(self, ranges: list[Slice]) -> None:
        """Have the first slices cut by what the ledger knows of the weeks around them, if it does."""
        if not ranges:
            return
        begin = ranges[0].since.date().toordinal()
        first = date.fromordinal(max(1, begin - DAYS_KNOWN))
        last = date.fromordinal(min(date.max.toordinal() - 1, begin + DAYS_KNOWN))
        for day, flows in daily_flows(self._ledger, self._source.account, first, last):
            self._cutter.seen(flows, day)

    def _note(self, error: LiushuiError) -> None:
        """Say in the result why the sync ended before its end."""
        result = self._result
        match error:
            case AuthError():
                result.status = SyncStatus.CREDENTIALS
                result.error = f"its credentials are refused, and new ones are needed: {error}"
            case Deferred():
                result.status, result.not_before = SyncStatus.WAITING, error.until
            case Busy():
                result.status, result.not_before, result.note = SyncStatus.BUSY, error.until, str(error)
            case _:
                result.status, result.error = SyncStatus.FAILED, str(error)

    async def _ended(self, started_at: datetime) -> None:
        """Finish what was begun, whatever ended the sync, and let go of what it held."""
        if self._keeping is not None:
            with suppress(LiushuiError):
                await asyncio.shield(self._keeping)
        if self._caller is not None:
            await self._caller.close()
        if self._held_until is None:
            return
        async with self._writing:
            await asyncio.to_thread(self._sign_off, started_at)

    def _sign_off(self, started_at: datetime) -> None:
        result = self._result
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
        with suppress(LiushuiError):  # what ended the sync is said already
            record_run(self._ledger, run)
        with suppress(LiushuiError):  # a lease ends by itself
            release_lease(self._ledger, self._source.account, self._holder)

    def _look_round(self) -> None:
        """Add to the result how far the account is proven now."""
        result, now = self._result, self._ledger.clock()
        ranges = ranges_of(self._ledger, self._source.account)
        missing = first_unproven(self._rules, ranges, since=self._source.since, now=now)
        last = max((known.until_us for known in ranges if known.state is State.PROVEN), default=None)
        result.proven_until = missing or (None if last is None else from_us(last))
        result.pressing = retention_left(self._rules, ranges, since=self._source.since, now=now)

    # ------------------------------------------------------------ slices

    async def _every_slice(self, ranges: list[Slice]) -> None:
        self._tell(SyncStarted(self._source.account, sum((r.until - r.since for r in ranges), timedelta())))
        failures = 0
        while ranges:
            asked, failed = await self._one_slice(self._cutter.next(ranges[0]))
            failures = failures + 1 if failed else 0
            if failures == FAILURES_MAX:
                raise SyncError(f"{FAILURES_MAX} slices in a row failed, the last one: {self._result.gaps[-1]}")
            ranges = [Slice(asked.until, ranges[0].until), *ranges[1:]]
            if ranges[0].since >= ranges[0].until:
                ranges = ranges[1:]
            left = self._cutter.left(ranges)
            self._tell(SyncAdvanced(self._source.account, asked.until - asked.since, self._result.rows_in, left))
        await self._kept()

    async def _one_slice(self, asked: Slice) -> tuple[Slice, bool]:
        """Read the slice, or as much of its beginning as one page holds, and have it kept. Says whether it failed."""
        if self._caller is not None:
            self._caller.begin_slice()
        while True:
            read_at = self._ledger.clock()
            try:
                rows = await self._drained(asked)
                await self._hand_over(FetchedSlice(asked, read_at, rows))
            except SliceTooLarge as error:
                asked = self._cutter.overfull(error.rows_in_page, asked)
                continue
            except Busy:
                raise
            except UNPROVEN as error:
                await self._gap(asked, read_at, error)
                if isinstance(error, ENDS):
                    raise
                return asked, True
            self._cutter.seen(len(rows), asked)
            return asked, False

    async def _drained(self, asked: Slice) -> list[bytes]:
        if self._caller is None:
            raise SyncError("the client is not there")
        return await fetch_slice(
            self._caller.fetch_page, asked, self._rules, self._size, can_split=self._cutter.can_split(asked)
        )

    async def _hand_over(self, drained: FetchedSlice) -> None:
        """Have a slice kept, when there is room for it. Raises what went wrong with those before it."""
        while self._keeping and not self._keeping.done() and sum(len(one.rows) for one in self._waiting) >= ROWS_AHEAD:
            self._taken.clear()
            await self._taken.wait()
        if self._keeping and self._keeping.done():
            await self._kept()
        self._waiting.append(drained)
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())

    async def _kept(self) -> None:
        """Wait until the slices before are in the ledger. Raises what went wrong there."""
        if self._keeping is not None:
            task, self._keeping = self._keeping, None
            await task

    async def _keep(self) -> None:
        """Keep what waits, until nothing does."""
        try:
            while self._waiting:
                some, self._waiting = self._waiting, []
                self._taken.set()
                async for drained, outcome in self._keeper.slices(some):
                    await self._settled(drained, outcome)
        finally:
            self._taken.set()

    async def _settled(self, drained: FetchedSlice, outcome: Outcome) -> None:
        asked, read_at, rows = drained
        if outcome is None:
            return
        if isinstance(outcome, Busy):
            raise outcome
        if not isinstance(outcome, Committed):
            await self._gap(asked, read_at, outcome)
            if isinstance(outcome, ENDS):
                raise outcome
            return
        result = self._result
        result.slices += 1
        result.rows_in += len(rows)
        result.added += outcome.added
        result.restated += outcome.restated
        result.withdrawn += outcome.withdrawn
        result.quarantined += outcome.quarantined
        took = self._ledger.clock() - read_at
        self._tell(SliceCommitted(self._source.account, asked, len(rows), outcome, took))

    async def _gap(self, asked: Slice, tried_at: datetime, error: LiushuiError) -> None:
        self._result.gaps.append(f"{range_of(asked)}: {error}")
        await self._keeper.gap(asked, tried_at, str(error))
        took = self._ledger.clock() - tried_at
        self._tell(SliceFailed(self._source.account, asked, str(error), took))

    # ------------------------------------------------------------ the lease

    async def _alive(self) -> None:
        """Take the account's lease, or renew it where half of it is over. Raises Busy where another worker has it."""
        if not self._options.leases:
            self._held_until = self._ledger.clock()
            return
        life = LEASE + self._options.call_max
        if self._held_until is not None and self._ledger.clock() < self._held_until - life // 2:
            return
        async with self._writing:
            lease = await asyncio.to_thread(take_lease, self._ledger, self._source.account, self._holder, life)
        if lease.holder != self._holder:
            self._held_until = None
            raise Busy(lease.holder, lease.until)
        self._held_until = lease.until
