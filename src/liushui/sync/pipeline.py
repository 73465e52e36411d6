"""The sync of one account: reads slices of the plan one after another, and commits earlier ones at the same time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from liushui.errors import (
    AuthError,
    ClockRefused,
    LiushuiError,
    SyncError,
    Unanswered,
    Unfinished,
    Unreachable,
    Untrustworthy,
)
from liushui.instant import MAX_INSTANT, from_us, to_iso
from liushui.ledger.jobs.source_state import (
    REPEATED_ROWS,
    Observation,
    SourceState,
    Wait,
    forget_observations,
    list_observations,
    load_state,
    record_clock,
    record_observations,
    record_unproven,
    record_wait,
    replace_doubts,
)
from liushui.ledger.jobs.sources import Run, Source, record_run
from liushui.ledger.jobs.workers import new_holder, release_lease, take_lease
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.read.flows import daily_flows
from liushui.ledger.write.chain_segments import store_chains
from liushui.ledger.write.change import Change, Committed
from liushui.ledger.write.resolve_rejected import resolve_corrected
from liushui.provider import Page, PageRequest, Slice
from liushui.rules import PageNumber
from liushui.sync import events
from liushui.sync.caller import CORRECTIONS_MAX, ClockCorrected, Deferred, RateLimitedCaller, clock_text
from liushui.sync.committer import UNPROVEN, Committer, FetchedSlice, Outcome
from liushui.sync.doubts import WithdrawalCheck
from liushui.sync.events import SyncResult, SyncStatus, slice_text
from liushui.sync.fetch import Answer, fetch_answer
from liushui.sync.options import SyncContext
from liushui.sync.plan import Plan
from liushui.sync.question import CUTS_MIN, EndlessPages, SliceTooLarge, SourceTraits
from liushui.sync.range_ends import RangeEnds
from liushui.sync.same_account import WrongAccount, known_rows, prove_account
from liushui.sync.slicer import LENGTH_MAX, Slicer
from liushui.sync.undecoded_rows import row_times, step_of
from liushui.sync.window import EDGES, WINDOW_MIN, Window, Witness, unproven_parts

FAILURES_MAX: Final = 3
"""The number of consecutive slices that may fail before the sync gives up."""
ENDING: Final = (AuthError, Deferred, EndlessPages, Untrustworthy, Unreachable, Unfinished)
"""Errors after which no other slice can be read either."""
OBSERVATIONS: Final = frozenset(("page_cap", "whole_range_s", "range_limit_s", "whole_ends_s", REPEATED_ROWS))
"""The names of the observations about the service that a sync stores, and deletes when they no longer hold."""
LEARNED_DAYS: Final = 28
"""The slicer learns from this number of days before and after the first due day, if the ledger has rows of them."""
LEASE_TIME: Final = timedelta(minutes=5)
"""How long an account stays reserved for a silent worker of another machine, in addition to the time of one call."""
ROWS_AHEAD: Final = 5_000
"""The number of rows that may wait for their commit before reading stops, so that memory does not grow with the
account."""


class AccountBusy(SyncError):
    """Another worker is syncing the account."""

    def __init__(self, holder: str, until: datetime) -> None:
        super().__init__(
            f"{holder} is syncing it, or was until a moment ago: it is free at {to_iso(until)} at the latest"
        )
        self.until = until


class AccountLease:
    """The exclusive right of one worker to sync an account."""

    def __init__(self, context: SyncContext, account: str) -> None:
        self._ledger, self._write_lock, self._account = context.ledger, context.write_lock, account
        self._is_needed = context.options.leases
        self._time = LEASE_TIME + context.options.call_max
        self._holder = new_holder()
        self._until: datetime | None = None

    @property
    def is_held(self) -> bool:
        """Whether this worker may write in the account's name."""
        return self._until is not None or not self._is_needed

    async def keep(self) -> None:
        """Take the lease, or renew it after half of its time. Raises AccountBusy if another worker has it."""
        if not self._is_needed or (self._until is not None and self._ledger.clock() < self._until - self._time // 2):
            return
        async with self._write_lock:
            lease = await asyncio.to_thread(take_lease, self._ledger, self._account, self._holder, self._time)
        if lease.holder != self._holder:
            self._until = None
            raise AccountBusy(lease.holder, lease.until)
        self._until = lease.until

    def release(self) -> None:
        """Give the lease back. If the ledger cannot be written, it expires by itself."""
        with suppress(LiushuiError):
            release_lease(self._ledger, self._account, self._holder)


class SeenAnswer(NamedTuple):
    """An answer that was too long for its page."""

    slice: Slice | None
    """None: there was no such answer yet."""
    rows: list[tuple[int, bytes]]
    """Its rows with a readable time, and the step of time of each."""


class AccountSync:
    """One sync of one source. Raises ConfigError if its provider is not installed."""

    def __init__(self, context: SyncContext, source: Source) -> None:
        self._context, self._source = context, source
        self._ledger, self._options, self._notify = context.ledger, context.options, context.notify
        provider = context.environment.provider(source.provider)
        self._provider, self._rules = provider, provider.rules
        self._size = context.options.size or self._rules.paging.size_max
        self._traits = SourceTraits()
        self._window = Window(self._rules)
        self._observed: dict[str, str] = {}
        """The observations of earlier syncs about the service, by name."""
        zones = dict.fromkeys(("UTC", self._rules.zone, source.zone))
        self._ends = RangeEnds(self._rules, tuple(map(ZoneInfo, zones)))
        self._seen = SeenAnswer(None, [])
        """The last answer that was too long for its page."""
        self._held: list[FetchedSlice] = []
        """Slices that are longer than the ranges that the service is known to answer completely."""
        self._open: list[FetchedSlice] = []
        """Slices whose ends the service may have cut off, and that need no other proof."""
        self._untested: list[Slice] = []
        """Slices whose pages may have been cut, and are short enough to be tested now."""
        self._slicer = Slicer.for_rules(self._rules, self._size)
        self._committer = Committer(context, source.account, provider, self._fetch, self._now, self._check_withdrawals)
        self._lease = AccountLease(context, source.account)
        self._caller: RateLimitedCaller | None = None
        self._result = SyncResult(source.account)
        self._state = SourceState()
        self._wait_reason = ""
        self._withdrawals: WithdrawalCheck | None = None
        self._queue: list[FetchedSlice] = []
        """Slices that wait for their commit, oldest first."""
        self._queue_taken = asyncio.Event()
        """Set when the commit task has taken the queue, or has ended."""
        self._commit_task: asyncio.Task[None] | None = None

    async def run(self) -> SyncResult:
        """Read and commit everything that is due. Never raises because of the provider or another worker."""
        started_at = self._ledger.clock()
        result = self._result
        try:
            await self._lease.keep()
            await asyncio.to_thread(self._load_state)
            self._caller = RateLimitedCaller(self._context, self._source, keep_lease=self._lease.keep)
            await asyncio.to_thread(self._load_observations)
            if self._state.is_unproven:
                await self._prove_account(self._caller)
            await self._sync_due()
        except LiushuiError as error:
            self._record_error(error)
        finally:
            await self._close(started_at)
        if result.gaps and result.status is SyncStatus.DONE:
            result.status = SyncStatus.INCOMPLETE
        if self._caller is not None and self._caller.clock_offset and not result.note:
            result.note = f"{clock_text(self._caller.clock_offset)}. Ranges are read and proven by the provider's time"
        if self._traits.repeated_rows:
            repeated = f"Answers listed a record twice {self._traits.repeated_rows} times: each counts once"
            result.note = f"{result.note}. {repeated}" if result.note else repeated
        with suppress(LiushuiError):  # the sync is done, even if its coverage cannot be read now
            await asyncio.to_thread(self._measure_coverage)
        self._notify(events.SyncEnded(self._source.account, result))
        return result

    def _load_state(self) -> None:
        """Load the state that earlier syncs have stored. Raises Deferred if the provider still asks for no calls."""
        self._state = load_state(self._ledger, self._source.account, self._ledger.clock())
        if self._state.wait is not None:
            raise Deferred(self._state.wait.reason, self._state.wait.until)

    def _check_withdrawals(self, slice_: Slice, change: Change, received: int) -> None:
        if self._withdrawals is not None:
            self._withdrawals.check(slice_, change, received)

    def _now(self) -> datetime:
        """The provider's time, as far as it is known."""
        return self._ledger.clock() if self._caller is None else self._caller.now()

    async def _prove_account(self, caller: RateLimitedCaller) -> None:
        """Raise WrongAccount if the credentials read another account than the ledger's."""
        name = self._source.account
        known = await asyncio.to_thread(known_rows, self._ledger, name, self._provider, self._now())
        if known:
            for _ in range(CORRECTIONS_MAX + 1):
                with suppress(ClockCorrected):
                    await prove_account(caller, self._provider, name, known)
                    break
        await asyncio.to_thread(record_unproven, self._ledger, name, is_unproven=False)

    async def _sync_due(self) -> None:
        """Sync the ranges that are due by the provider's clock, which the first answer shows."""
        while True:
            doubts = self._state.doubts if self._withdrawals is None else tuple(self._withdrawals.doubts)
            self._withdrawals = WithdrawalCheck(self._rules.withdrawals, doubts, self._now())
            plan = self._plan(self._now(), since=self._options.since, until=self._options.until)
            plan = replace(plan, doubted=self._withdrawals.due())
            ranges = plan.due_ranges(everything=self._options.everything)
            self._learn_from_ledger(ranges)
            try:
                await self._sync_ranges(ranges)
            except ClockCorrected:
                await self._wait_for_commits()
            else:
                return

    def _plan(self, now: datetime, *, since: datetime | None = None, until: datetime | None = None) -> Plan:
        ranges = ranges_of(self._ledger, self._source.account)
        return Plan(self._rules, ranges, since=since or self._source.since, until=until, now=now)

    def _learn_from_ledger(self, ranges: list[Slice]) -> None:
        """Let the slicer learn from the days around the first due day."""
        if not ranges:
            return
        begin = ranges[0].since.date().toordinal()
        first = date.fromordinal(max(1, begin - LEARNED_DAYS))
        last = date.fromordinal(min(date.max.toordinal() - 1, begin + LEARNED_DAYS))
        for day, flows in daily_flows(self._ledger, self._source.account, first, last):
            self._slicer.learn(flows, day)

    # ---------------------------------------------------------------- reading

    async def _sync_ranges(self, ranges: list[Slice]) -> None:
        account = self._source.account
        self._notify(events.SyncStarted(account, sum((range_.until - range_.since for range_ in ranges), timedelta())))
        failures = 0
        self._held, self._open = [], []
        again = 0  # the number of ranges that are read again
        while ranges:
            slice_, is_read = await self._sync_slice(self._slicer.next_slice(ranges[0]))
            failures = 0 if is_read else failures + 1
            if failures == FAILURES_MAX:
                raise SyncError(f"{FAILURES_MAX} slices in a row failed, the last one: {self._result.gaps[-1]}")
            rest = Slice(slice_.until, ranges[0].until)
            progress = timedelta(0) if again else slice_.until - slice_.since
            is_over = rest.since >= rest.until
            again -= bool(again) and is_over
            ranges = ranges[1:] if is_over else [rest, *ranges[1:]]
            left = self._slicer.slices_left(ranges)
            self._notify(events.SyncAdvanced(account, progress, self._result.rows_in, left))
            if not ranges or sum(len(held.rows) for held in (*self._held, *self._open)) >= ROWS_AHEAD:
                unread = await self.prove_held()
                ranges, again = [*unread, *ranges], again + len(unread)
        await self._wait_for_commits()

    async def _sync_slice(self, slice_: Slice) -> tuple[Slice, bool]:
        """Read a slice, or its beginning as far as one page holds it, and queue it for its commit.

        Returns the slice that was read, and whether it was proven; if not, it is now an open gap.
        """
        if self._caller is not None:
            self._caller.begin_slice()
        while True:
            read_at = self._now()
            try:
                rows, answered = await self._fetch_answer(slice_)
                if self._lacks_seen_rows(slice_, rows):
                    # The service may have cut off an end of the range, or an answer was wrong by chance.
                    rows = await self._with_ends(slice_, rows)
                if self._lacks_seen_rows(slice_, rows):
                    read_at = self._now()
                    rows, answered = await self._fetch_answer(slice_)
                    if self._lacks_seen_rows(slice_, rows):
                        raise SyncError("rows of it that came in the answer for a longer range do not come any more")
                await self._hold(FetchedSlice(slice_, read_at, rows, answered))
            except SliceTooLarge as error:
                self._note_seen(slice_, error.rows)
                slice_ = self._slicer.split(slice_, error.rows_in_page)
            except UNPROVEN as error:
                await self._fail(slice_, read_at, error)
                return slice_, False
            else:
                self._slicer.learn(len(rows), slice_)
                self._slicer.grow(self._traits.page_max(self._size))
                return slice_, True

    def _note_seen(self, slice_: Slice, rows: Sequence[bytes]) -> None:
        """Remember the rows of an answer that was too long for its page. Rows without a readable time are left out."""
        times = row_times(rows, self._rules)
        self._seen = SeenAnswer(slice_, [(at, row) for row, at in zip(rows, times, strict=True) if at is not None])

    def _lacks_seen_rows(self, slice_: Slice, rows: Sequence[bytes]) -> bool:
        """Whether a slice lacks a row that the last answer for a longer range had.

        Then one of the two answers is wrong, for example because a proxy returned an older answer again. A slice that
        reaches beyond that range may lack rows because the service cuts long ranges, which is tested elsewhere.
        """
        longer = self._seen.slice
        if longer is None or slice_.since < longer.since or slice_.until > longer.until:
            return False
        first, end = step_of(slice_.since, self._rules), step_of(slice_.until, self._rules)
        seen = {row for at, row in self._seen.rows if first <= at < end}
        return not seen.issubset(rows)

    async def _fetch(self, slice_: Slice) -> list[bytes]:
        return (await self._fetch_answer(slice_)).rows

    async def _fetch_answer(self, slice_: Slice) -> Answer:
        earliest, _ = self._rules.readable(self._ledger.clock())
        self._traits.window = self._window.length + EDGES * self._rules.resolution
        return await fetch_answer(
            self._client(),
            slice_,
            self._rules,
            self._size,
            can_split=self._slicer.can_split(slice_),
            traits=self._traits,
            earliest=earliest,
        )

    def _client(self) -> RateLimitedCaller:
        if self._caller is None:
            raise SyncError("the client is not there")
        return self._caller

    # ---------------------------------------------------------------- long ranges

    async def _hold(self, fetched: FetchedSlice) -> None:
        """Queue a slice for its commit. If it is longer than the ranges that the service is known to answer, hold it
        instead."""
        length, is_tested = self._window.length, self._window.covers(fetched.slice)
        if not is_tested or min(length, self._ends.whole_until, self._ends.whole_since) < LENGTH_MAX:
            self._window.learn(fetched.slice, fetched.rows)
            self._ends.learn(fetched.rows)
        if is_tested:
            await self._release_tested(fetched)
        else:
            self._held.append(fetched)
        if self._window.length > length:
            held, self._held = self._held, []
            for waiting in held:
                if self._window.covers(waiting.slice):
                    await self._release(waiting)
                else:
                    self._held.append(waiting)

    async def _release(self, held: FetchedSlice) -> None:
        """Queue a held slice to be committed, or have it read again if its page may have been cut.

        The fetcher does not test the ends of pages of long ranges: the service may have cut the range instead of the
        page.
        """
        if self._may_be_cut(held):
            self._untested.append(held.slice)
        else:
            await self._release_tested(held)

    def _may_be_cut(self, held: FetchedSlice) -> bool:
        """Whether the page of a held slice has to be tested."""
        is_longest = bool(held.rows) and held.answered >= self._traits.rows_max
        return is_longest and isinstance(self._rules.paging, PageNumber)

    async def _release_tested(self, fetched: FetchedSlice) -> None:
        """Queue a slice for its commit, or keep it until its ends are proven."""
        if self._ends.unproven_parts(fetched.slice, fetched.rows):
            self._open.append(fetched)
        else:
            await self._enqueue(fetched)

    async def prove_held(self) -> list[Slice]:
        """Prove the held slices by known rows and by shorter ranges. Returns the slices to read again."""
        held, self._held = self._held, []
        opened, self._open = self._open, []
        unread, self._untested = self._untested, []
        if held:
            await self._prove_window(max(fetched.slice.until - fetched.slice.since for fetched in held))
        if any(self._ends.unproven_parts(fetched.slice, fetched.rows) for fetched in (*held, *opened)):
            await self._prove_ends()
        for fetched in opened:
            with_ends = await self._try_with_ends(fetched)
            if with_ends is not None:
                await self._enqueue(with_ends)
        for fetched in held:
            shorter = timedelta.max if self._window.covers(fetched.slice) else self._length_of_parts(fetched)
            with_ends = await self._try_with_ends(fetched, shorter)
            if with_ends is not None and not await self._try_release(with_ends):
                unread.append(fetched.slice)
        unread += self._untested
        self._untested = []
        return unread

    def _length_of_parts(self, held: FetchedSlice) -> timedelta:
        """The longest request that is made to show that a slice is whole."""
        parts = unproven_parts(held.slice, held.rows, self._window)
        return max(part.until - part.since for part in parts) + EDGES * self._rules.resolution

    async def _try_release(self, fetched: FetchedSlice) -> bool:
        """Queue a slice for its commit if shorter ranges show that it is whole. False: it has to be read again."""
        try:
            is_whole = self._window.covers(fetched.slice) or await self._is_whole(fetched)
        except SliceTooLarge:
            # A part has more rows than its answer, or a total says so, perhaps wrongly. Slices as short as the window
            # need no such proof, so the same slice is not read repeatedly for it.
            self._slicer.length_max = self._window.length
            return False
        except UNPROVEN as error:
            await self._fail(fetched.slice, fetched.read_at, error)
            return True
        if is_whole and self._window.covers(fetched.slice) and self._may_be_cut(fetched):
            self._untested.append(fetched.slice)
        elif is_whole:
            await self._enqueue(fetched)
        return is_whole

    async def _try_with_ends(self, fetched: FetchedSlice, shorter: timedelta = timedelta.max) -> FetchedSlice | None:
        """Return a slice with the rows that its answer may lack at its ends. None: they cannot be read."""
        try:
            return fetched._replace(rows=await self._with_ends(fetched.slice, fetched.rows, shorter))
        except UNPROVEN as error:
            await self._fail(fetched.slice, fetched.read_at, error)
            return None

    async def _with_ends(self, slice_: Slice, rows: list[bytes], shorter: timedelta = timedelta.max) -> list[bytes]:
        """Return the rows of a slice, with those that only a request for the part at one of its ends returns."""
        for part in self._ends.unproven_parts(slice_, rows, shorter):
            found = await self.read_end(part)
            rows = rows + list((Counter(found) - Counter(rows)).elements())
        return rows

    async def read_end(self, range_: Slice) -> list[bytes]:
        """Return the rows of a range, in as many slices as they need."""
        rows: list[bytes] = []
        since = range_.since
        while since < range_.until:
            part = Slice(since, range_.until)
            while True:
                try:
                    rows += await self._fetch(part)
                    break
                except SliceTooLarge as error:
                    part = self._slicer.split(part, error.rows_in_page)
            since = part.until
        return rows

    async def _prove_ends(self) -> None:
        """Show by a known row that the service answers long ranges up to their ends, and from their beginnings."""
        witness = self._ends.witness
        if witness is None:
            return
        step, (earliest, _) = self._rules.resolution, self._rules.readable(self._ledger.clock())
        longest = min(LENGTH_MAX + EDGES * step, (self._rules.slice_max or timedelta.max) - EDGES * step)
        before = Slice(max(earliest, witness.at - longest), witness.at + EDGES * step)
        if before.until - before.since > self._ends.whole_until and await self._finds(witness, before, 1):
            self._ends.whole_until = before.until - before.since
        begin = witness.at - step
        until, rows = self._window.rows_to(begin + longest)
        after = Slice(begin, min(until, begin + longest))
        last_page = -(-rows // self._traits.page_max(self._size))
        if after.until - after.since > self._ends.whole_since and await self._finds(witness, after, last_page):
            self._ends.whole_since = after.until - after.since

    async def _is_whole(self, fetched: FetchedSlice) -> bool:
        """Whether shorter ranges have no further rows of the slice."""
        for part in unproven_parts(fetched.slice, fetched.rows, self._window):
            rows = await self._fetch(part)
            self._window.learn(part, rows)
            lacking = Counter(rows) - Counter(fetched.rows)
            if lacking:
                # One answer may have been wrong by chance, so a second one decides.
                if lacking - Counter(await self._fetch(fetched.slice)):
                    self._window.is_cut = True
                    self._slicer.length_max = self._window.length
                return False
        return True

    async def _prove_window(self, length: timedelta) -> None:
        """Search rows that show that the service answers ranges of this length completely.

        That is the oldest row, in the middle of a range that is twice as long. If no request may be that long, it is
        the rows of the longest possible request.
        """
        witness = self._window.oldest
        if witness is None:
            return
        earliest, _ = self._rules.readable(self._ledger.clock())
        slice_max = self._rules.slice_max
        half = length + EDGES * self._rules.resolution
        if slice_max is not None and slice_max < 2 * half:
            newest = self._window.rows_to(MAX_INSTANT)[0]
            for since in (witness.at, max(earliest, newest - slice_max)):
                range_ = Slice(since, min(newest, since + slice_max))
                if self._window.length < length:
                    page = await self._try_page(range_)
                    self._window.learn_rows(range_, page.rows if page else [])
            return
        since = max(witness.at - half, earliest)
        until, rows = self._window.rows_to(witness.at + half)
        if not isinstance(self._rules.paging, PageNumber):
            until = min(until, witness.at + half)  # the row is on the first page, even if there are many rows
        last_page = -(-rows // self._traits.page_max(self._size))
        if self._window.length < min(witness.at - since, until - witness.at):
            range_ = Slice(since, until)
            if await self._finds(witness, range_, last_page):
                self._window.learn_row(range_, witness.at)

    async def _finds(self, witness: Witness, range_: Slice, last_page: int) -> bool:
        """Whether the first or the last page of a range has this row, or another row of its instant, which may have
        more rows than a page."""
        pages: list[str | None] = [None]
        if isinstance(self._rules.paging, PageNumber) and last_page > 1:
            # Providers with numbered pages return the newest rows first.
            pages = [str(last_page), None]
        for token in pages:
            page = await self._try_page(range_, token)
            if page is None:
                return False
            if step_of(witness.at, self._rules) in row_times(page.rows, self._rules):
                return True
        return False

    async def _try_page(self, range_: Slice, token: str | None = None) -> Page | None:
        """Return a page of a range. None: the service did not return it."""
        try:
            return await self._client().fetch_page(PageRequest(range_, self._size, page_token=token))
        except UNPROVEN as error:
            if isinstance(error, (*ENDING, AccountBusy)):
                raise
            return None

    # ---------------------------------------------------------------- committing

    async def _enqueue(self, fetched: FetchedSlice) -> None:
        """Queue a slice for its commit when there is room. Raises the errors of earlier commits."""
        while self._is_committing() and sum(len(waiting.rows) for waiting in self._queue) >= ROWS_AHEAD:
            self._queue_taken.clear()
            await self._queue_taken.wait()
        if not self._is_committing():
            await self._wait_for_commits()
        self._queue.append(fetched)
        if self._commit_task is None:
            self._commit_task = asyncio.create_task(self._commit_queue())

    def _is_committing(self) -> bool:
        return self._commit_task is not None and not self._commit_task.done()

    async def _wait_for_commits(self) -> None:
        """Wait until all queued slices are committed. Raises the errors of the commits."""
        if self._commit_task is not None:
            task, self._commit_task = self._commit_task, None
            await task

    async def _commit_queue(self) -> None:
        """Commit queued slices until the queue is empty."""
        try:
            while self._queue:
                # All waiting slices share a transaction, because each transaction has to reach the disk.
                taken, self._queue = self._queue, []
                self._queue_taken.set()
                async for fetched, outcome in self._committer.commit(taken):
                    await self._record_outcome(fetched, outcome)
        finally:
            self._queue_taken.set()

    async def _record_outcome(self, fetched: FetchedSlice, outcome: Outcome) -> None:
        slice_, read_at, rows, _ = fetched
        if outcome is None:
            return
        if not isinstance(outcome, Committed):
            await self._fail(slice_, read_at, outcome)
            return
        result = self._result
        result.slices += 1
        result.rows_in += len(rows)
        result.added += outcome.added
        result.restated += outcome.restated
        result.withdrawn += outcome.withdrawn
        result.quarantined += outcome.quarantined
        took = self._now() - read_at
        self._notify(events.SliceCommitted(self._source.account, slice_, len(rows), outcome, took))

    async def _fail(self, slice_: Slice, tried_at: datetime, error: LiushuiError) -> None:
        """Record a slice as an open gap. Raises the error if no other slice can be read either."""
        if not isinstance(error, AccountBusy):  # then another worker writes to the account
            await self.record_gap(slice_, tried_at, error)
        is_silent = isinstance(error, Unanswered) and self._caller is not None and self._caller.is_silent
        if is_silent or isinstance(error, (*ENDING, AccountBusy)):
            raise error

    async def record_gap(self, slice_: Slice, tried_at: datetime, error: LiushuiError) -> None:
        """Record a failed slice in the ledger and in the result."""
        self._result.gaps.append(f"{slice_text(slice_)}: {error}")
        await self._committer.record_gap(slice_, tried_at, str(error))
        took = self._now() - tried_at
        self._notify(events.SliceFailed(self._source.account, slice_, str(error), took))

    # ---------------------------------------------------------------- the end

    def _record_error(self, error: LiushuiError) -> None:
        """Record in the result why the sync ended early."""
        result = self._result
        match error:
            case ClockRefused():
                result.status, result.error = (
                    SyncStatus.FAILED,
                    f"the provider refuses the time of the request: {error}",
                )
            case WrongAccount():
                result.status, result.error = SyncStatus.CREDENTIALS, str(error)
            case AuthError():
                result.status = SyncStatus.CREDENTIALS
                result.error = f"its credentials are refused, and new ones are needed: {error}"
            case Deferred():
                result.status, result.not_before, result.note = SyncStatus.WAITING, error.until, str(error)
                self._wait_reason = error.reason
            case AccountBusy():
                result.status, result.not_before, result.note = SyncStatus.BUSY, error.until, str(error)
            case _:
                result.status, result.error = SyncStatus.FAILED, str(error)

    async def _close(self, started_at: datetime) -> None:
        """Finish the commits that have begun, for any end of the sync, and release its resources."""
        if self._commit_task is not None:
            with suppress(LiushuiError):
                await asyncio.shield(self._commit_task)
        if self._caller is not None:
            await self._caller.close()
        if self._lease.is_held:
            async with self._context.write_lock:
                await asyncio.to_thread(self._record_run, started_at)

    def _record_run(self, started_at: datetime) -> None:
        result = self._result
        run = Run(
            account=self._source.account,
            started_at=started_at + (self._now() - self._ledger.clock()),
            ended_at=self._now(),
            slices=result.slices,
            rows_in=result.rows_in,
            added=result.added,
            gaps=len(result.gaps),
            error=result.error or "; ".join(result.gaps[:1]),
        )
        with suppress(LiushuiError):  # the result already contains the reason of the end
            record_run(self._ledger, run)
            self._record_state()
            self._store_observations()
            if result.added:
                resolve_corrected(self._ledger, self._source.account, self._rules)
            store_chains(self._ledger, self._source.account, self._rules.balances)
        self._lease.release()

    def _record_state(self) -> None:
        """Store the data that the next syncs need and people see: a wait, the clock's offset, doubted reads."""
        account, now, before = self._source.account, self._ledger.clock(), self._state
        result = self._result
        if result.status is SyncStatus.WAITING and result.not_before is not None:
            if before.wait is None:
                record_wait(self._ledger, account, Wait(result.not_before, self._wait_reason), now)
            return
        if before.has_ended_wait:
            record_wait(self._ledger, account, None, now)
        if self._caller is not None and self._caller.clock_offset != (before.clock_offset or timedelta(0)):
            record_clock(self._ledger, account, self._caller.clock_offset, now)
        if self._withdrawals is not None and tuple(self._withdrawals.doubts) != before.doubts:
            replace_doubts(self._ledger, account, before.doubts, self._withdrawals.doubts, now)

    def _load_observations(self) -> None:
        """Load the observations of earlier syncs about the service, except those that are due to be tested again."""
        now = self._ledger.clock()
        for observation in list_observations(self._ledger, self._source.account):
            if observation.name not in OBSERVATIONS:
                continue
            # An observation with a clock that was ahead is tested again too.
            is_believed = now - self._rules.observations_kept < observation.observed_at <= now
            if not is_believed or observation.name == REPEATED_ROWS:
                # Stored again with a new time if this sync observes it too, and otherwise deleted.
                self._observed[observation.name] = ""
                continue
            self._observed[observation.name] = observation.value
            match observation.name:
                case "page_cap":
                    self._traits.cap, self._traits.cuts = int(observation.value), CUTS_MIN
                    self._slicer.grow(self._traits.page_max(self._size))
                case "whole_range_s":
                    self._window.length = timedelta(seconds=int(observation.value))
                case "whole_ends_s":
                    until, since = map(int, observation.value.split())
                    self._ends.whole_until, self._ends.whole_since = timedelta(seconds=until), timedelta(seconds=since)
                case "range_limit_s":
                    self._window.is_cut = True
                    self._slicer.length_max = timedelta(seconds=int(observation.value))

    def _observations(self) -> dict[str, str]:
        """The current observations about the service, by name."""
        observed: dict[str, str] = {}
        if self._traits.page_max(self._size) < self._size:
            observed["page_cap"] = str(self._traits.cap)
        if self._window.length > WINDOW_MIN:
            observed["whole_range_s"] = str(self._window.length // timedelta(seconds=1))
        if self._ends.whole_until or self._ends.whole_since:
            whole = (self._ends.whole_until, self._ends.whole_since)
            observed["whole_ends_s"] = " ".join(str(length // timedelta(seconds=1)) for length in whole)
        if self._window.is_cut:
            observed["range_limit_s"] = str(self._slicer.length_max // timedelta(seconds=1))
        if self._traits.repeated_rows:
            observed[REPEATED_ROWS] = str(self._traits.repeated_rows)
        if self._traits.ignored:
            observed["ignored_parameters"] = " ".join(sorted(self._traits.ignored))
        return observed

    def _store_observations(self) -> None:
        """Store new observations about the service."""
        observed, account, now = self._observations(), self._source.account, self._ledger.clock()
        changed = {name: value for name, value in observed.items() if self._observed.get(name) != value}
        if changed:
            record_observations(
                self._ledger, [Observation(account, name, value, now) for name, value in changed.items()]
            )
        gone = self._observed.keys() - observed.keys()
        if gone:
            forget_observations(self._ledger, account, *gone)

    def _measure_coverage(self) -> None:
        """Add to the result how far the account is proven."""
        plan = self._plan(self._now())
        last_us = max((known.until_us for known in plan.proven), default=None)
        self._result.proven_until = plan.first_unproven() or (None if last_us is None else from_us(last_us))
        self._result.retention_left = plan.retention_left()
