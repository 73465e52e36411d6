"""Putting slices that were read whole into the ledger, where they prove to be what was asked for; or their gaps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from liushui.errors import ProviderError, StaleRead, SyncError, WireError
from liushui.instant import to_iso, to_us
from liushui.ledger.coverage import State, missing
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import Rejected, read_batch, read_rows
from liushui.ledger.read.balances import ranges_of
from liushui.ledger.write.change import Committed
from liushui.ledger.write.commit import SliceRead, commit_gap, commit_slice, commit_slices
from liushui.provider import DecodedRow, Provider, Slice
from liushui.sync.events import range_of
from liushui.sync.fetch import SliceTooLarge
from liushui.sync.plan import RETENTION_MARGIN

OVERTAKEN_MAX: Final = 3
"""How often a slice is read again whose parts others prove meanwhile, each time from a later read."""

UNPROVEN: Final = (ProviderError, WireError, SyncError)
"""What leaves a slice an open gap."""

Outcome = Committed | ProviderError | WireError | SyncError | None
"""What became of a slice: kept; unproven, and why; None: others have proven it from later reads."""


class FetchedSlice(NamedTuple):
    """A slice that was read whole: its rows as they came, and when its reading began."""

    asked: Slice
    read_at: datetime
    rows: list[bytes]


class Committer:
    """Commits the slices of one account."""

    def __init__(
        self,
        ledger: Ledger,
        account: str,
        provider: Provider,
        *,
        read_again: Callable[[Slice], Awaitable[list[bytes]]],
        writing: asyncio.Lock,
    ) -> None:
        self._ledger, self._account, self._provider = ledger, account, provider
        self._read_again = read_again
        self._writing = writing

    async def slices(self, drained: Sequence[FetchedSlice]) -> AsyncIterator[tuple[FetchedSlice, Outcome]]:
        """Keep slices in one transaction, and say what became of each. One that ends versions of flows is read again
        before, and is kept by itself; so is one of which others have proven a part since. Raises what the ledger does:
        then those that nothing was said of are not kept.
        """
        read: list[tuple[FetchedSlice, SliceRead]] = []
        for one, found in zip(drained, await asyncio.to_thread(self._read_all, drained), strict=True):
            if isinstance(found, SyncError):
                yield one, found
            else:
                read.append((one, found))
        while read:
            kept = await self._commit([found for _, found in read])
            for (one, _), committed in zip(read, kept, strict=False):
                yield one, committed or await self._overtaken(one)
            read = read[len(kept) :]
            if read:
                (one, found), *read = read
                yield one, await self._commit_ending(found, one.rows) or await self._overtaken(one)

    async def _overtaken(self, drained: FetchedSlice) -> Outcome:
        """What becomes of a slice of which somebody else has proven a part from a later read: where that is not all of
        it, it is read again. None: it is."""
        asked, read_at, _ = drained
        reason = "others proved parts of it, and another read found more"
        try:
            for _ in range(OVERTAKEN_MAX):
                if await asyncio.to_thread(self._is_proven, asked, read_at):
                    return None
                read_at = self._ledger.clock()
                outcome = await self._alone(FetchedSlice(asked, read_at, await self._once_more(asked, reason)))
                if outcome is not None:
                    return outcome
        except UNPROVEN as error:
            return error
        return SyncError(f"others proved parts of it, each of the {OVERTAKEN_MAX + 1} times that it was read")

    def _is_proven(self, asked: Slice, since: datetime) -> bool:
        """Whether all of a slice was proven by reads that began after an instant."""
        later = [
            known
            for known in ranges_of(self._ledger, self._account)
            if known.state is State.PROVEN and known.checked_at_us > to_us(since)
        ]
        return not missing(later, (to_us(asked.since), to_us(asked.until)))

    async def _alone(self, drained: FetchedSlice) -> Outcome:
        """Keep a slice by itself."""
        read = await asyncio.to_thread(self._read, drained)
        if isinstance(read, SyncError):
            return read
        kept = await self._commit([read])
        return kept[0] if kept else await self._commit_ending(read, drained.rows)

    async def gap(self, asked: Slice, tried_at: datetime, reason: str) -> None:
        """Record that a slice could not be proven."""
        async with self._writing:
            await asyncio.to_thread(commit_gap, self._ledger, self._account, asked, tried_at=tried_at, reason=reason)

    def _read_all(self, drained: Sequence[FetchedSlice]) -> list[SliceRead | SyncError]:
        return [self._read(one) for one in drained]

    def _read(self, drained: FetchedSlice) -> SliceRead | SyncError:
        """Read the rows of a slice. Returns the error where it proves nothing."""
        asked, read_at, rows = drained
        try:
            together = read_batch(self._provider.codec, rows)
            if together and to_us(asked.since) <= min(together.at_us) and max(together.at_us) < to_us(asked.until):
                found = SliceRead(asked, read_at, together)
            else:
                found = SliceRead(asked, read_at, *self._read_alone(asked, rows))
            self._check_kept(asked, "its beginning is not kept by the provider any more")
        except SyncError as error:
            return error
        return found

    def _read_alone(self, asked: Slice, rows: list[bytes]) -> tuple[list[DecodedRow], list[Rejected]]:
        received, rejected = read_rows(self._provider.codec, rows)
        check_inside(asked, received)
        return received, rejected

    def _check_kept(self, asked: Slice, reason: str, margin: timedelta = timedelta(0)) -> None:
        """Raises SyncError where a slice begins before what the provider keeps, `margin` from now: what it has
        forgotten is not withdrawn, and a range that it forgot a part of is not read whole."""
        kept, _ = self._provider.rules.readable(self._ledger.clock() + margin)
        if asked.since < kept:
            raise SyncError(reason)

    async def _confirm(self, asked: Slice, rows: list[bytes]) -> None:
        """Read the slice as often again as the rules want it. Raises SyncError where a read says something else."""
        self._check_kept(asked, "rows that were known went, where the provider is about to forget", RETENTION_MARGIN)
        expected = sorted(rows)
        for _ in range(self._provider.rules.confirmations):
            again = await self._once_more(asked, "rows that were known changed or went, and a second read found more")
            if sorted(again) != expected:
                raise SyncError("rows that were known changed or went, and a second read did not say the same")

    async def _once_more(self, asked: Slice, reason: str) -> list[bytes]:
        """Read a slice again. Raises SyncError with that reason where it has become too large for one answer."""
        try:
            return await self._read_again(asked)
        except SliceTooLarge as error:
            raise SyncError(reason) from error

    async def _commit(self, read: list[SliceRead]) -> list[Committed | None]:
        """Commit slices, up to the first that would end versions and may not."""
        async with self._writing:
            return await asyncio.to_thread(commit_slices, self._ledger, self._account, read)

    async def _commit_one(self, read: SliceRead) -> Committed | None:
        """Commit a slice that may end versions."""
        asked, read_at, received, rejected = read
        commit = partial(
            commit_slice,
            self._ledger,
            self._account,
            asked,
            read_at=read_at,
            received=received,
            rejected=rejected,
        )
        async with self._writing:
            try:
                return await asyncio.to_thread(commit)
            except StaleRead:
                return None

    async def _commit_ending(self, read: SliceRead, rows: list[bytes]) -> Outcome:
        """Keep a slice that ends versions of flows, once further reads of it have said the same."""
        try:
            await self._confirm(read.asked, rows)
            return await self._commit_one(read)
        except UNPROVEN as error:
            return error


def check_inside(asked: Slice, received: Sequence[DecodedRow]) -> None:
    """Raise SyncError where a row is of another time: the answer was to another question."""
    for row in received:
        if not asked.since <= row.flow.at < asked.until:
            raise SyncError(f"a row of {to_iso(row.flow.at)} came where {range_of(asked)} was asked for")
