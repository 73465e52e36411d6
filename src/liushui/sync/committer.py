"""The committer: proves that rows belong to their slice; commits the slice, or records why it was not proven."""

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
from liushui.sync.fetch import TIMELESS_MARGIN, SliceTooLarge
from liushui.sync.options import SyncContext
from liushui.sync.plan import RETENTION_MARGIN
from liushui.sync.undecoded_rows import have_ids, row_times

REREADS_MAX: Final = 3
"""How often a slice is read again because others prove parts of it meanwhile."""

UNPROVEN: Final = (ProviderError, WireError, SyncError)
"""The errors that leave a slice an open gap. Others end the sync."""

Outcome = Committed | ProviderError | WireError | SyncError | None
"""What became of a slice: it is committed; it is not proven, for this reason; None: others have proven all of it from
later reads."""


class FetchedSlice(NamedTuple):
    """A slice, all its rows as they came, and when its reading began."""

    slice: Slice
    read_at: datetime
    rows: list[bytes]


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
        """`now`: the provider's time. `check`: raises for a slice that lacks too many known rows."""
        self._check = check
        self._ledger, self._write_lock, self._now = context.ledger, context.write_lock, now
        self._account, self._provider, self._fetch = account, provider, fetch

    async def commit(self, fetched: Sequence[FetchedSlice]) -> AsyncIterator[tuple[FetchedSlice, Outcome]]:
        """Commit slices, and yield what became of each.

        They share a transaction, up to one that would end versions of flows: that one is read again before, and
        committed by itself. Raises what the ledger raises; slices that were not yielded before are not committed then.
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
        """Commit a slice in a transaction of its own. None: others have proven a part of it from a later read."""
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
        """Decode the rows of a slice. Returns the error where they prove nothing."""
        slice_, read_at, rows = fetched
        try:
            batch = read_batch(self._provider.codec, rows)
            if batch and to_us(slice_.since) <= min(batch.at_us) and max(batch.at_us) < to_us(slice_.until):
                read = SliceRead(slice_, read_at, batch)
            else:
                decoded, rejected = self.decode_each(rows)
                check_inside(slice_, decoded)
                read = SliceRead(slice_, read_at, decoded, rejected)
            # Between the read and now the provider may have forgotten the beginning of the slice. Its rows would be
            # taken for withdrawn, and a range of which a part was lacking for proven.
            self.check_retained(slice_, "the provider does not keep its beginning any more")
        except SyncError as error:
            return error
        return read

    def decode_each(self, rows: list[bytes]) -> tuple[list[DecodedRow], list[Rejected]]:
        """Decode rows one by one. Those that cannot be decoded go to quarantine with the commit."""
        received, rejected = read_rows(self._provider.codec, rows)
        return received, with_margins(rejected, self._provider.rules)

    def check_retained(self, slice_: Slice, reason: str, margin: timedelta = timedelta(0)) -> None:
        """Raise SyncError where a slice begins before what the provider will still keep after `margin`."""
        kept_from, _ = self._provider.rules.readable(self._now() + margin)
        if slice_.since < kept_from:
            raise SyncError(reason)

    async def confirm(self, slice_: Slice, rows: list[bytes]) -> None:
        """Read a slice again, as often as the provider's rules want. Raises SyncError where a read differs."""
        reason = "known rows went, where the provider is about to forget rows"
        self.check_retained(slice_, reason, RETENTION_MARGIN)
        expected = sorted(rows)
        for _ in range(self._provider.rules.confirmations):
            again = await self._fetch_again(slice_, "known rows changed or went, and a second read found more")
            if sorted(again) != expected:
                raise SyncError("known rows changed or went, and a second read differed")

    async def reread_overtaken(self, fetched: FetchedSlice) -> Outcome:
        """Read a slice again of which others have proven a part from a later read, unless they have proven all of it.

        Their rows may be newer, so what was fetched before must not replace them.
        """
        slice_, read_at, _ = fetched
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
        """Whether all of a slice was proven by reads that began after an instant."""
        later = [
            known
            for known in ranges_of(self._ledger, self._account)
            if known.state is State.PROVEN and known.checked_at_us > to_us(at)
        ]
        return not uncovered(later, (to_us(slice_.since), to_us(slice_.until)))

    async def _fetch_again(self, slice_: Slice, reason: str) -> list[bytes]:
        """Fetch a slice again. Raises SyncError with that reason where it does not fit one page any more."""
        try:
            return await self._fetch(slice_)
        except SliceTooLarge as error:
            raise SyncError(reason) from error

    # ---------------------------------------------------------------- transactions

    async def _commit_additions(self, read: list[SliceRead]) -> list[Committed | None]:
        """Commit slices, up to the first that would end versions of flows."""
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
    """Rejected rows, with how far beside their slice those without a readable time may lie."""
    if rules.time_field is None or not rejected:
        return rejected
    rows = [one.row for one in rejected]
    margin_us = TIMELESS_MARGIN * rules.resolution // timedelta(microseconds=1)
    return [
        one if at is not None else one._replace(margin_us=margin_us, is_record=has_id)
        for one, at, has_id in zip(rejected, row_times(rows, rules), have_ids(rows, rules), strict=True)
    ]


def check_inside(slice_: Slice, decoded: Sequence[DecodedRow]) -> None:
    """Raise SyncError where a row is of another time: the answer was to another question."""
    for row in decoded:
        if not slice_.since <= row.flow.at < slice_.until:
            raise SyncError(f"a row of {to_iso(row.flow.at)} came where {slice_text(slice_)} was asked for")
