"""The reports of a sync: events while it runs, and a result at its end."""

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
    """Some slices failed and are now open gaps."""
    WAITING = "waiting"
    """The provider asked for a longer wait than a sync makes. The rest is due afterwards."""
    BUSY = "busy"
    """Another process is syncing the account."""
    CREDENTIALS = "credentials"
    """The provider refused the credentials; the source needs new ones."""
    FAILED = "failed"


@dataclass
class SyncResult:
    """The result of syncing one source."""

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
    """Why the sync ended early. Empty if it did not, or if the reason is not an error."""
    note: str = ""
    """A further remark for people, such as who else is syncing the account."""
    status: SyncStatus = SyncStatus.DONE
    not_before: datetime | None = None
    """The earliest time at which another sync can achieve more than this one. None: any time."""
    proven_until: datetime | None = None
    """The end of the complete range from the source's beginning. None: nothing is proven."""
    retention_left: timedelta | None = None
    """The time until the provider deletes rows of an unproven range. None: it never deletes rows, or everything is
    proven."""


class SyncStarted(NamedTuple):
    """A sync has begun. `span`: the length of all ranges that are due."""

    account: str
    span: timedelta


class SyncAdvanced(NamedTuple):
    """A slice of length `span` has been read or has failed. `rows`: the rows of the whole sync so far."""

    account: str
    span: timedelta
    rows: int
    slices_left: int
    """An estimate."""


class SliceCommitted(NamedTuple):
    """A slice is in the ledger. `took`: the time since its reading began."""

    account: str
    slice: Slice
    rows: int
    committed: Committed
    took: timedelta


class SliceFailed(NamedTuple):
    """A slice is an open gap. `took`: the time since its reading began."""

    account: str
    slice: Slice
    reason: str
    took: timedelta


class CallRetried(NamedTuple):
    """A call failed, and is repeated after `wait` at the earliest."""

    account: str
    slice: Slice
    reason: str
    attempt: int
    wait: timedelta


class CallDelayed(NamedTuple):
    """A call is delayed: by the "rate", because the provider "blocked" calls, or before a "retry"."""

    account: str
    wait: timedelta
    reason: str


class SyncEnded(NamedTuple):
    """A sync has ended."""

    account: str
    result: SyncResult


class NextSyncDue(NamedTuple):
    """The scheduler will sync a source again at that time."""

    account: str
    at: datetime


Event = SyncStarted | SyncAdvanced | SliceCommitted | SliceFailed | CallRetried | CallDelayed | SyncEnded | NextSyncDue
Observer = Callable[[Event], None]


def ignore_events(_event: Event) -> None:
    """An observer that does nothing."""


def notify_all(observers: Sequence[Observer]) -> Observer:
    """Combine several observers into one."""

    def notify(event: Event) -> None:
        for observer in observers:
            observer(event)

    return notify


def slice_text(slice_: Slice) -> str:
    """Return a slice as text for people."""
    return f"{to_iso(slice_.since)} to {to_iso(slice_.until)}"
