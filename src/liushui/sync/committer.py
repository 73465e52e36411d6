"""The committer: checks that rows belong to their slice, and commits the slice or records why it was not proven."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from liushui.errors import ProviderError, StaleRead, SyncError, WireError
from liushui.instant import to_iso, to_us
from liushui.ledger.coverage import State, uncovered
from liushui.ledger.flow_row import Rejected, read_batch, read_rows
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.write.change import Committed
from liushui.ledger.write.commit import CheckChange, SliceRead, commit_gap, commit_slice, commit_slices
from liushui.provider import DecodedRow, Provider, Slice
from liushui.rules import Paging, Rules
from liushui.sync.events import slice_text
from liushui.sync.fetch import TIMELESS_MARGIN
from liushui.sync.options import SyncContext
from liushui.sync.plan import RETENTION_MARGIN
from liushui.sync.question import SliceTooLarge
from liushui.sync.undecoded_rows import have_ids, row_times

REREADS_MAX: Final = 3
"""How often a slice is read again because other workers prove parts of it at the same time."""

UNPROVEN: Final = (ProviderError, WireError, SyncError)
"""Errors after which a slice stays an open gap. Other errors end the sync."""

Outcome = Committed | ProviderError | WireError | SyncError | None
"""The outcome for a slice: committed, or not proven with a reason. None: other workers have proven all of it from later
reads."""


class FetchedSlice(NamedTuple):
    """A slice, all its rows as received, and when reading it began."""

    slice: Slice
    read_at: datetime
    rows: list[bytes]
    answered: int = 0
    """The number of rows in the answer, including those of the steps beside the slice."""


class Committer:
    """Commits the slices of one account."""

    def __init__(
        self,
        context: SyncContext,
        account: str,
        provider: Provider,
        fetch: Callable[[Slice], Awaitable[list[bytes]]],
        now: Callable[[], datetime],
        check: CheckChange,
    ) -> None:
        """`now`: the provider's time. `check`: raises if a slice lacks too many known rows."""
        self._check = check
        self._ledger, self._write_lock, self._now = context.ledger, context.write_lock, now
        self._account, self._provider, self._fetch = account, provider, fetch

    async def commit(self, fetched: Sequence[FetchedSlice]) -> AsyncIterator[tuple[FetchedSlice, Outcome]]:
        """Commit slices, and yield the outcome for each.

        They share a transaction, except a slice that would end versions of flows. That slice is read again first, and
        committed alone. Raises the ledger's errors; then slices that were not yielded are not committed.
        """
        decoded: list[tuple[FetchedSlice, SliceRead]] = []
        for slice_, read in zip(fetched, await asyncio.to_thread(self._decode_all, fetched), strict=True):
            if isinstance(read, SyncError):
                yield slice_, read
            else:
                decoded.append((slice_, read))
        while decoded:
            outcomes = await self._commit_additions([read for _, read in decoded])
            for (slice_, _), committed in zip(decoded, outcomes, strict=False):
                yield slice_, committed or await self.reread_overtaken(slice_)
            decoded = decoded[len(outcomes) :]
            if decoded:
                (slice_, read), *decoded = decoded
                yield slice_, await self._commit_endings(read, slice_.rows) or await self.reread_overtaken(slice_)

    async def commit_alone(self, fetched: FetchedSlice) -> Outcome:
        """Commit a slice in its own transaction. None: other workers have proven a part of it from a later read."""
        read = await asyncio.to_thread(self._decode, fetched)
        if isinstance(read, SyncError):
            return read
        outcomes = await self._commit_additions([read])
        return outcomes[0] if outcomes else await self._commit_endings(read, fetched.rows)

    async def record_gap(self, slice_: Slice, tried_at: datetime, reason: str) -> None:
        """Record that a slice could not be proven."""
        async with self._write_lock:
            await asyncio.to_thread(commit_gap, self._ledger, self._account, slice_, tried_at=tried_at, reason=reason)

    # ---------------------------------------------------------------- proof

    def _decode_all(self, fetched: Sequence[FetchedSlice]) -> list[SliceRead | SyncError]:
        return [self._decode(slice_) for slice_ in fetched]

    def _decode(self, fetched: FetchedSlice) -> SliceRead | SyncError:
        """Decode the rows of a slice. Returns an error if the rows prove nothing."""
        slice_, read_at, rows, _ = fetched
        try:
            batch = read_batch(self._provider.codec, rows)
            if batch and to_us(slice_.since) <= min(batch.at_us) and max(batch.at_us) < to_us(slice_.until):
                read = SliceRead(slice_, read_at, batch)
            else:
                decoded, rejected = self.decode_each(rows)
                check_inside(slice_, decoded)
                read = SliceRead(slice_, read_at, decoded, rejected)
            # Since the read, the provider may have deleted the beginning of the slice. Then missing rows would look
            # withdrawn, and an incomplete range would look proven.
            self.check_retained(slice_, "the provider does not keep its beginning any more")
        except SyncError as error:
            return error
        return read

    def decode_each(self, rows: list[bytes]) -> tuple[list[DecodedRow], list[Rejected]]:
        """Decode rows one by one. Those that cannot be decoded go to quarantine with the commit."""
        received, rejected = read_rows(self._provider.codec, rows)
        return received, with_margins(rejected, self._provider.rules)

    def check_retained(self, slice_: Slice, reason: str, margin: timedelta = timedelta(0)) -> None:
        """Raise SyncError if a slice begins before what the provider will still keep after `margin`."""
        kept_from, _ = self._provider.rules.readable(self._now() + margin)
        if slice_.since < kept_from:
            raise SyncError(reason)

    async def confirm(self, slice_: Slice, rows: list[bytes]) -> None:
        """Read a slice again, as often as the provider's rules require. Raises SyncError if a read differs."""
        reason = "known rows went, where the provider is about to forget rows"
        self.check_retained(slice_, reason, RETENTION_MARGIN)
        expected = sorted(rows)
        for _ in range(self._provider.rules.confirmations):
            again = await self._fetch_again(slice_, "known rows changed or went, and a second read found more")
            if sorted(again) != expected:
                raise SyncError("known rows changed or went, and a second read differed")

    async def reread_overtaken(self, fetched: FetchedSlice) -> Outcome:
        """Read a slice again if other workers have proven a part of it from a later read, unless they have proven all
        of it.

        Their rows may be newer, so the rows fetched before must not replace them.
        """
        slice_, read_at, *_ = fetched
        try:
            for _ in range(REREADS_MAX):
                if await asyncio.to_thread(self._is_proven_since, slice_, read_at):
                    return None
                read_at = self._now()
                rows = await self._fetch_again(slice_, "other syncs proved parts of it, and a further read found more")
                outcome = await self.commit_alone(FetchedSlice(slice_, read_at, rows))
                if outcome is not None:
                    return outcome
        except UNPROVEN as error:
            return error
        return SyncError(f"other syncs proved parts of it, each of the {REREADS_MAX + 1} times that it was read")

    def _is_proven_since(self, slice_: Slice, at: datetime) -> bool:
        """Whether reads that began after an instant have proven all of a slice."""
        later = [
            known
            for known in ranges_of(self._ledger, self._account)
            if known.state is State.PROVEN and known.checked_at_us > to_us(at)
        ]
        return not uncovered(later, (to_us(slice_.since), to_us(slice_.until)))

    async def _fetch_again(self, slice_: Slice, reason: str) -> list[bytes]:
        """Fetch a slice again. Raises SyncError with that reason if it no longer fits one page."""
        try:
            return await self._fetch(slice_)
        except SliceTooLarge as error:
            raise SyncError(reason) from error

    # ---------------------------------------------------------------- transactions

    async def _commit_additions(self, read: list[SliceRead]) -> list[Committed | None]:
        """Commit slices, up to the first one that would end versions of flows."""
        async with self._write_lock:
            return await asyncio.to_thread(commit_slices, self._ledger, self._account, read, self._check)

    async def _commit_endings(self, read: SliceRead, rows: list[bytes]) -> Outcome:
        """Commit a slice that ends versions of flows, once further reads have confirmed it."""
        slice_, read_at, decoded, rejected = read
        try:
            await self.confirm(slice_, rows)
            async with self._write_lock:
                return await asyncio.to_thread(
                    commit_slice,
                    self._ledger,
                    self._account,
                    slice_,
                    read_at=read_at,
                    received=decoded,
                    rejected=rejected,
                    check=self._check,
                )
        except StaleRead:
            return None
        except UNPROVEN as error:
            return error


def with_margins(rejected: list[Rejected], rules: Rules[Paging]) -> list[Rejected]:
    """Return rejected rows. Each has the margin by which a row without a readable time may lie outside its slice."""
    if rules.time_field is None or not rejected:
        return rejected
    rows = [one.row for one in rejected]
    margin_us = TIMELESS_MARGIN * rules.resolution // timedelta(microseconds=1)
    return [
        one if at is not None else one._replace(margin_us=margin_us, is_record=has_id)
        for one, at, has_id in zip(rejected, row_times(rows, rules), have_ids(rows, rules), strict=True)
    ]


def check_inside(slice_: Slice, decoded: Sequence[DecodedRow]) -> None:
    """Raise SyncError if a row has a time outside the slice: it is the answer to another request."""
    for row in decoded:
        if not slice_.since <= row.flow.at < slice_.until:
            raise SyncError(f"a row of {to_iso(row.flow.at)} came where {slice_text(slice_)} was asked for")
