"""Putting a slice that was read whole into the ledger, where it proves to be what was asked for; or its gap."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from liushui.errors import SyncError, WouldEnd
from liushui.instant import iso, to_us
from liushui.ledger.change import Committed
from liushui.ledger.commit import commit_gap, commit_slice
from liushui.ledger.engine import Ledger
from liushui.ledger.rows import Rejected, Together, read_rows, read_together
from liushui.provider import Provider, Received, Slice
from liushui.sync import proofs
from liushui.sync.drain import Overfull
from liushui.sync.events import range_of

FORGETTING: Final = timedelta(days=1)
"""So long before a provider forgets rows, one that is gone counts as forgotten already: clocks and zones differ."""


class Keeper:
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

    async def slice(self, asked: Slice, read_at: datetime, rows: list[bytes]) -> Committed:
        """Keep a slice whose reading began at `read_at`.

        Where that ends versions of flows, it is read again first. Raises SyncError where the slice proves nothing,
        StaleRead where somebody else has proven it from a later read, and what reading raises.
        """
        received, rejected = await asyncio.to_thread(self._read, asked, rows)
        self._check_kept(asked, "its beginning is not kept by the provider any more")
        committed = await self._commit(asked, read_at, received, rejected, may_end=False)
        if committed is None:
            self._check_kept(asked, "rows that were known went, where the provider is about to forget", FORGETTING)
            await self._confirm(asked, rows)
            committed = await self._commit(asked, read_at, received, rejected, may_end=True)
        if committed is None:
            raise SyncError("it was not kept")
        return committed

    async def gap(self, asked: Slice, tried_at: datetime, reason: str) -> None:
        """Record that a slice could not be proven."""
        async with self._writing:
            await asyncio.to_thread(commit_gap, self._ledger, self._account, asked, tried_at=tried_at, reason=reason)

    def _read(self, asked: Slice, rows: list[bytes]) -> tuple[list[Received] | Together, list[Rejected]]:
        together = read_together(self._provider.codec, rows)
        if together and to_us(asked.since) <= min(together.at_us) and max(together.at_us) < to_us(asked.until):
            return together, []
        received, rejected = read_rows(self._provider.codec, rows)
        inside = [row for row in received if asked.since <= row.flow.at < asked.until]
        if len(inside) < len(received) and proofs.PROOFS.rows_outside_the_slice_refused:
            outside = next(row.flow.at for row in received if not asked.since <= row.flow.at < asked.until)
            raise SyncError(f"a row of {iso(outside)} came where {range_of(asked)} was asked for")
        return received, rejected

    def _check_kept(self, asked: Slice, reason: str, margin: timedelta = timedelta(0)) -> None:
        """Raises SyncError where a slice begins before what the provider keeps, `margin` from now: what it has
        forgotten is not withdrawn, and a range that it forgot a part of is not read whole."""
        kept, _ = self._provider.rules.readable(self._ledger.clock() + margin)
        if asked.since < kept and proofs.PROOFS.retention_guard:
            raise SyncError(reason)

    async def _confirm(self, asked: Slice, rows: list[bytes]) -> None:
        """Read the slice as often again as the rules want it. Raises SyncError where a read says something else."""
        expected = sorted(rows)
        for _ in range(self._provider.rules.confirmations):
            try:
                again = await self._read_again(asked)
            except Overfull as error:
                raise SyncError("rows that were known changed or went, and a second read found more of them") from error
            if sorted(again) != expected:
                raise SyncError("rows that were known changed or went, and a second read did not say the same")

    async def _commit(
        self,
        asked: Slice,
        read_at: datetime,
        received: list[Received] | Together,
        rejected: list[Rejected],
        *,
        may_end: bool,
    ) -> Committed | None:
        """Commit. None: it would end versions, and may not."""
        checks = proofs.PROOFS
        commit = partial(
            commit_slice,
            self._ledger,
            self._account,
            asked,
            read_at=read_at if checks.stale_read_refused else self._ledger.clock(),
            received=received,
            rejected=rejected,
            may_end=may_end or not checks.second_read_before_versions_end,
        )
        async with self._writing:
            try:
                return await asyncio.to_thread(commit)
            except WouldEnd:
                return None
