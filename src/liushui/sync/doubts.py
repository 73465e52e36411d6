"""Doubts: if a read would withdraw a large part of the known rows, it is believed only when another run agrees.

A service in trouble may answer with empty lists. Missing rows are withdrawn only if reads of two runs, some hours
apart, lack them. Until then they stay, and their range is due in every sync.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from liushui.errors import SyncError
from liushui.instant import from_us, to_us
from liushui.ledger.flow_row import AT_US, ID
from liushui.ledger.jobs.source_state import Doubt, row_hash
from liushui.ledger.write.change import RESTATED, WITHDRAWN, Change
from liushui.provider import Slice
from liushui.rules import WithdrawalBound

REMEMBERED: Final = timedelta(days=30)
"""Ranges from which many rows were withdrawn are read again for this time."""


class WithdrawalDoubted(SyncError):
    """The read lacks too many known rows. They stay, and the range is due again soon."""


class WithdrawalCheck:
    """Decides for the slices of one sync, in order, whether their missing rows may be withdrawn."""

    def __init__(self, bound: WithdrawalBound, doubts: tuple[Doubt, ...], now: datetime) -> None:
        self._bound, self._now = bound, now
        self.doubts = [doubt for doubt in doubts if from_us(doubt.first_read_us) > now - REMEMBERED]
        self._counts: dict[Slice, tuple[int, int]] = {}
        self._known = self._lost = 0
        """The number of known rows in this sync's slices, and the number that were missing."""
        self._withdrawn: list[Doubt] = []
        """Rows that this sync withdrew before the first doubt: the same outage may have hidden them."""

    def due(self) -> list[Slice]:
        """The ranges to read again."""
        return [Slice(from_us(doubt.since_us), from_us(doubt.until_us)) for doubt in self.doubts]

    def check(self, slice_: Slice, change: Change, received: int) -> None:
        """Raise WithdrawalDoubted if the rows that a change withdraws may still exist at the provider.

        Called before the change is written. `received`: the number of rows in the slice.
        """
        since_us, until_us = to_us(slice_.since), to_us(slice_.until)
        missing = _missing(change)
        known = received - len(change.added) + len(change.ended)
        before = self._counts.get(slice_, (0, 0))  # a commit is repeated after a lost connection
        self._counts[slice_] = known, len(missing)
        self._known += known - before[0]
        self._lost += len(missing) - before[1]
        overlapping = [doubt for doubt in self.doubts if doubt.overlaps(since_us, until_us)]
        if missing and (self.is_large(len(missing), known) or self.is_large(self._lost, self._known)):
            earlier = [doubt for doubt in overlapping if not doubt.believed]
            if not self._agrees(missing, earlier):
                self._add(Doubt(since_us, until_us, to_us(self._now), known, missing), earlier)
                raise WithdrawalDoubted(
                    f"a read lacks {len(missing)} of {known} known rows, and is not believed before one that begins "
                    f"{self._bound.agree_after} later lacks them too"
                )
            self._trim(since_us, until_us)
            self.doubts.append(Doubt(since_us, until_us, to_us(self._now), known, believed=True))
            return
        if missing:
            self._withdrawn.append(Doubt(since_us, until_us, to_us(self._now), known, believed=True))
        if not missing or change.added:
            self._trim(since_us, until_us)

    def is_large(self, lost: int, known: int) -> bool:
        """Whether the missing rows are too large a part of the known ones to be believed at once."""
        return lost > self._bound.rows and lost * 100 > self._bound.percent * known

    def _agrees(self, missing: frozenset[bytes], earlier: list[Doubt]) -> bool:
        """Whether reads that began long enough ago lacked the same rows."""
        latest_us = to_us(self._now - self._bound.agree_after)
        seen = [doubt.missing for doubt in earlier if doubt.first_read_us <= latest_us]
        return missing <= frozenset[bytes]().union(*seen)

    def _add(self, doubt: Doubt, earlier: list[Doubt]) -> None:
        self.doubts += self._withdrawn
        self._withdrawn = []
        # A doubt about the same rows keeps the time of its first read, so that it can be believed later.
        if not doubt.missing <= frozenset[bytes]().union(*(known.missing for known in earlier)):
            self._trim(doubt.since_us, doubt.until_us)
            self.doubts.append(doubt)

    def _trim(self, since_us: int, until_us: int) -> None:
        """Cut a range out of the doubts."""
        parts = []
        for doubt in self.doubts:
            if not doubt.overlaps(since_us, until_us):
                parts.append(doubt)
                continue
            if doubt.since_us < since_us:
                parts.append(doubt._replace(until_us=since_us))
            if doubt.until_us > until_us:
                parts.append(doubt._replace(since_us=until_us))
        self.doubts = parts


def _missing(change: Change) -> frozenset[bytes]:
    """Return the known rows that a change withdraws and does not restate by another row at the same instant."""
    if all(ending != WITHDRAWN for _, ending in change.ended):
        return frozenset()  # nearly always so, and counting the rows of a first sync takes long
    new = Counter(row[AT_US] for row in change.added) - Counter(
        row[AT_US] for row, ending in change.ended if ending == RESTATED
    )
    missing = set()
    for row, ending in change.ended:
        if ending != WITHDRAWN:
            continue
        if new[row[AT_US]]:
            new[row[AT_US]] -= 1
        else:
            missing.add(row_hash(row[AT_US], row[ID]))
    return frozenset(missing)
