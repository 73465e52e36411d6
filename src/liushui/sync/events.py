"""What a sync reports: events while it runs, and a result at its end."""

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
    """Some slices failed, and are open gaps now."""
    WAITING = "waiting"
    """The provider asked for a longer wait than a sync makes. The rest is due after it."""
    BUSY = "busy"
    """Another process is syncing the account."""
    CREDENTIALS = "credentials"
    """The provider refused the credentials: new ones are needed."""
    FAILED = "failed"


@dataclass
class SyncResult:
    """What a sync of one source did."""

    account: str
    slices: int = 0
    rows_in: int = 0
    added: int = 0
    restated: int = 0
    withdrawn: int = 0
    quarantined: int = 0
    gaps: list[str] = field(default_factory=list)
    """The slices that failed, each with its reason."""
    error: str = ""
    """Why it ended early. Empty where it did not, or where that is no fault."""
    note: str = ""
    """What a person should know beside the status, such as who else is syncing the account."""
    status: SyncStatus = SyncStatus.DONE
    not_before: datetime | None = None
    """The earliest time at which another sync can do more than this one. None: any time."""
    proven_until: datetime | None = None
    """The end of what is proven without a gap since the source's beginning. None: nothing is."""
    retention_left: timedelta | None = None
    """How long until the provider forgets something that is not proven. None: it never does, or all is proven."""


class SyncStarted(NamedTuple):
    """A sync has begun. `span`: the length of all ranges that are due."""

    account: str
    span: timedelta


class SyncAdvanced(NamedTuple):
    """A slice of length `span` has been read, or has failed. `rows`: rows of the whole sync so far."""

    account: str
    span: timedelta
    rows: int
    slices_left: int
    """An estimate."""


class SliceCommitted(NamedTuple):
    """A slice is in the ledger. `took`: since its reading began."""

    account: str
    slice: Slice
    rows: int
    committed: Committed
    took: timedelta


class SliceFailed(NamedTuple):
    """A slice is an open gap. `took`: since its reading began."""

    account: str
    slice: Slice
    reason: str
    took: timedelta


class CallRetried(NamedTuple):
    """A call failed, and will be made again after `wait` at the earliest."""

    account: str
    slice: Slice
    reason: str
    attempt: int
    wait: timedelta


class CallDelayed(NamedTuple):
    """A call is held back: for the "rate", because the provider "blocked" calls, or before a "retry"."""

    account: str
    wait: timedelta
    reason: str


class SyncEnded(NamedTuple):
    """A sync has ended."""

    account: str
    result: SyncResult


class NextSyncDue(NamedTuple):
    """The scheduler syncs a source again at that time."""

    account: str
    at: datetime


Event = SyncStarted | SyncAdvanced | SliceCommitted | SliceFailed | CallRetried | CallDelayed | SyncEnded | NextSyncDue
Observer = Callable[[Event], None]


def ignore_events(_event: Event) -> None:
    """An observer that does nothing."""


def notify_all(observers: Sequence[Observer]) -> Observer:
    """Make one observer of several."""

    def notify(event: Event) -> None:
        for observer in observers:
            observer(event)

    return notify


def slice_text(slice_: Slice) -> str:
    """A slice, for people."""
    return f"{to_iso(slice_.since)} to {to_iso(slice_.until)}"
