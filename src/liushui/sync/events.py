"""What a sync did, and what it tells while it does it: to bars, logs and metrics alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from liushui.instant import to_iso
from liushui.ledger.write.change import Committed
from liushui.provider import Slice


class SyncStatus(StrEnum):
    """How a sync of one source ended."""

    DONE = "done"
    INCOMPLETE = "incomplete"
    """Some slices failed and stay open gaps."""
    WAITING = "waiting"
    """The provider asked us to wait for longer than a sync does: the rest is due then."""
    BUSY = "busy"
    """Another process is syncing the account."""
    CREDENTIALS = "credentials"
    """The provider refuses the credentials: new ones are needed."""
    FAILED = "failed"


@dataclass
class SyncResult:
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
    """Why it ended before its end. Empty where it did not, or where nothing is wrong with that."""
    note: str = ""
    """What else is to be said of it."""
    status: SyncStatus = SyncStatus.DONE
    not_before: datetime | None = None
    """When the next sync can do more than this one, where it cannot before."""
    proven_until: datetime | None = None
    """The end of what is proven without a gap, from the source's beginning on. None: nothing is."""
    pressing: timedelta | None = None
    """How long until the provider forgets something that is not proven. None: it forgets nothing, or all is proven."""


# ---------------------------------------------------------------- told on the way


class SyncStarted(NamedTuple):
    """A source has so much time to be read."""

    account: str
    span: timedelta


class SyncAdvanced(NamedTuple):
    """A slice was read, or failed: so much time, so many rows of the whole sync."""

    account: str
    span: timedelta
    rows: int
    slices_left: int


class SliceCommitted(NamedTuple):
    """A slice is in the ledger. `took`: from the beginning of its reading."""

    account: str
    asked: Slice
    rows: int
    committed: Committed
    took: timedelta


class SliceFailed(NamedTuple):
    """A slice stays an open gap."""

    account: str
    asked: Slice
    reason: str
    took: timedelta


class CallRetried(NamedTuple):
    """A call failed and will be made again, at the earliest after `wait`."""

    account: str
    asked: Slice
    reason: str
    attempt: int
    wait: timedelta


class CallDelayed(NamedTuple):
    """A call is held back for so long: "rate", the provider's; "blocked", for it said so; "retry", after a failure."""

    account: str
    wait: timedelta
    reason: str


class SyncEnded(NamedTuple):
    """A source is done."""

    account: str
    result: SyncResult


class NextSyncDue(NamedTuple):
    """When a source that is watched is synced next."""

    account: str
    at: datetime


Event = SyncStarted | SyncAdvanced | SliceCommitted | SliceFailed | CallRetried | CallDelayed | SyncEnded | NextSyncDue
Observer = Callable[[Event], None]


def ignore_events(_event: Event) -> None:
    """Told, and does nothing."""


def notify_all(told: Sequence[Observer]) -> Observer:
    """Tells several."""

    def tell(event: Event) -> None:
        for one in told:
            one(event)

    return tell


def range_of(asked: Slice) -> str:
    """A slice, in words."""
    return f"{to_iso(asked.since)} to {to_iso(asked.until)}"
