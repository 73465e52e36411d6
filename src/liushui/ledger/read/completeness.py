"""Whether a range of an account is complete and, if not, why. Pure.

The command line, the API, the page and the exports all use it.

A range is complete only if a sync has read all of it, no row of it was rejected, and no older flow can be missing. In
doubt a range is not complete.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from liushui.instant import from_us, load_zone, to_local, to_us, us_to_iso
from liushui.ledger.coverage import Range, State, uncovered
from liushui.ledger.read.accounts import AccountSnapshot, RejectedRows
from liushui.rules import Paging, Rules

END_OF_TIME_US: Final = 2**62
"""Later than every instant that a datetime can hold; minus this is earlier than every such instant."""


def end_instant(at_us: int | None) -> datetime | None:
    """Return an end of a range as an instant. None: the range has no end, or an open one."""
    return None if at_us is None or is_open_end(at_us) else from_us(at_us)


def is_open_end(at_us: int) -> bool:
    """Whether this end of a range means that the range has no end."""
    return abs(at_us) >= END_OF_TIME_US


class Completeness(StrEnum):
    """How far a range, or a sum over it, is known to be complete."""

    COMPLETE = "complete"
    """Every flow of the range that the provider has is in the ledger."""
    PARTIAL = "partial"
    """Every flow up to an instant is in the ledger; nothing after that instant has been read."""
    INCOMPLETE = "incomplete"
    """Flows may be missing."""
    UNKNOWN = "unknown"
    """No source says which flows should exist."""


class Cause(StrEnum):
    """Why a range is not complete."""

    NO_SOURCE = "no_source"
    BEFORE_SOURCE = "before_source"
    BEFORE_FLOOR = "before_floor"
    NOT_KEPT = "not_kept"
    READ_FAILED = "read_failed"
    NOT_READ = "not_read"
    NOT_PUBLISHED = "not_published"
    REJECTED_ROWS = "rejected_rows"


UNKNOWABLE: Final = frozenset({Cause.NO_SOURCE, Cause.BEFORE_SOURCE})
"""Causes that do not say that rows are missing: completeness was never claimed."""
_LATER: Final = frozenset({Cause.NOT_READ, Cause.NOT_PUBLISHED})
"""Causes of a gap that may just be later than the newest read."""


class Gap(NamedTuple):
    """A range [since, until) of an account that is not complete, in microseconds since the epoch.

    `detail` is the error of a failed read. `rows` counts rejected rows.
    """

    account: str
    since_us: int
    until_us: int
    cause: Cause
    detail: str = ""
    rows: int = 0

    @property
    def reason(self) -> str:
        """The reason in English, for programs and terminals."""
        match self.cause:
            case Cause.NO_SOURCE:
                return "no source to check it against"
            case Cause.BEFORE_SOURCE:
                return "before the source's start date"
            case Cause.BEFORE_FLOOR:
                return "older than what the provider's API answers"
            case Cause.NOT_KEPT:
                return "older than what the provider keeps"
            case Cause.READ_FAILED:
                return f"read failed: {self.detail}" if self.detail else "read failed"
            case Cause.NOT_READ:
                return "not read yet"
            case Cause.NOT_PUBLISHED:
                return "not published yet"
            case Cause.REJECTED_ROWS:
                return f"{self.rows} rejected row{'' if self.rows == 1 else 's'}"

    def describe(self) -> str:
        """The reason and the range, in English: `not read yet (2024-01-01T00:00:00Z to 2024-02-01T00:00:00Z)`."""
        since, until = (None if is_open_end(at_us) else us_to_iso(at_us) for at_us in (self.since_us, self.until_us))
        if since is None and until is None:
            return self.reason
        return f"{self.reason} ({since or 'the beginning'} to {until or 'now'})"


class Verdict(NamedTuple):
    """The verdict on a range. `until_us`: everything from the beginning of the range up to this time is in the ledger;
    None: not even its beginning. `gaps` are the incomplete parts, oldest first."""

    status: Completeness
    until_us: int | None
    gaps: tuple[Gap, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every flow of the range is in the ledger."""
        return self.status is Completeness.COMPLETE

    @property
    def reason(self) -> str:
        """The reason in English why the range is not complete; empty if it is complete."""
        return "; ".join(dict.fromkeys(gap.reason for gap in self.gaps))


class Basis(NamedTuple):
    """The meaning of the sum of all flows of an account.

    It is a balance if the flows reach back to the account's beginning (`since_us` None). Otherwise it is the net change
    since an instant, with the cause.
    """

    since_us: int | None = None
    cause: Cause | None = None
    zone: str = "UTC"

    @property
    def is_balance(self) -> bool:
        """Whether the sum is a balance."""
        return self.since_us is None

    @property
    def since_day(self) -> date | None:
        """The day, in the account's zone, since which the sum is a net change. None: the sum is a balance."""
        return None if self.since_us is None else to_local(from_us(self.since_us), load_zone(self.zone)).date()

    @property
    def measure(self) -> str:
        """The JSON name of the measure: `balance` or `net_change`."""
        return "balance" if self.is_balance else "net_change"


class AccountCompleteness:
    """Decides which ranges of one account are complete, in one state of the ledger."""

    def __init__(self, account: AccountSnapshot, rules: Rules[Paging] | None, now_us: int) -> None:
        """`rules` None: the account's provider is not installed."""
        self._account = account
        self._proven = [known for known in account.ranges if known.state is State.PROVEN]
        self._failed = [known for known in account.ranges if known.state is State.OPEN]
        self._rejected = _merge_rejected(account.account, account.rejected)
        self.has_source = account.since is not None and rules is not None
        self.begin_us = 0
        """The beginning of the source; 0 without a source."""
        self.reaches_back = False
        """Whether the provider has nothing older than `begin_us`."""
        self._floor_us: int | None = None
        """Before this time the provider may have rows, but refuses requests."""
        self._kept_us = self._settled_us = now_us
        if account.since is not None and rules is not None:
            self._floor_us = None if rules.floor is None else to_us(rules.floor)
            self.begin_us = max(to_us(account.since), self._floor_us or 0)
            older = account.first_flow_us is not None and account.first_flow_us < self.begin_us
            self.reaches_back = (
                rules.answers_from_first_row and self.begin_us <= to_us(rules.history_start) and not older
            )
            kept, settled = rules.provable(from_us(now_us))
            self._kept_us, self._settled_us = to_us(kept), to_us(settled)
        self.read_until_us = self._proven[-1].until_us if self._proven else None
        """The end of the newest complete read. None: no read was complete."""

    @property
    def name(self) -> str:
        """The account's name."""
        return self._account.account

    @property
    def zone(self) -> str:
        """The IANA zone of the account's days."""
        return self._account.zone

    def of(self, since_us: int | None = None, until_us: int | None = None) -> Verdict:
        """Return the verdict on [since, until). None: from the account's beginning, and up to the newest read or
        flow."""
        low = self._lowest_us() if since_us is None else since_us
        high = self._horizon_us() if until_us is None else until_us
        if not self.has_source:
            return self._without_source(low, high)
        if since_us is None and high <= low and not self.reaches_back:
            low = -END_OF_TIME_US  # the range ends before the source begins
        gaps = self.gaps(low, high)
        if not gaps:
            return Verdict(Completeness.COMPLETE, high)
        complete_until_us = gaps[0].since_us if gaps[0].since_us > low else None
        return Verdict(self._status(gaps, complete_until_us), complete_until_us, tuple(gaps))

    def _without_source(self, low: int, high: int) -> Verdict:
        """Return the verdict for an account without a source: complete if statement files prove the range."""
        rejected = self._rejected_in(low, high)
        unproven = uncovered(self._account.stated, (low, high)) if low < high else [(low, high)]
        gaps = [*(Gap(self.name, begin, end, Cause.NO_SOURCE) for begin, end in unproven), *rejected]
        if not gaps:
            return Verdict(Completeness.COMPLETE, high)
        begin_us = min(gap.since_us for gap in gaps)
        status = Completeness.UNKNOWN if unproven else Completeness.INCOMPLETE
        return Verdict(status, begin_us if begin_us > low else None, tuple(gaps))

    def _status(self, gaps: Sequence[Gap], complete_until_us: int | None) -> Completeness:
        if all(gap.cause in UNKNOWABLE for gap in gaps):
            return Completeness.UNKNOWN
        after_read = self.read_until_us is not None and gaps[0].since_us >= self.read_until_us
        if complete_until_us is not None and after_read and all(gap.cause in _LATER for gap in gaps):
            return Completeness.PARTIAL
        return Completeness.INCOMPLETE

    def gaps(self, since_us: int, until_us: int) -> list[Gap]:
        """Return the incomplete parts of [since, until), oldest first. Only for accounts with a source."""
        first = bisect_right(self._proven, since_us, key=lambda known: known.until_us)
        after = bisect_left(self._proven, until_us, key=lambda known: known.since_us)
        found = [
            gap
            for begin_us, end_us in uncovered(self._proven[first:after], (since_us, until_us))
            for gap in self._explain(begin_us, end_us)
        ]
        rejected = self._rejected_in(since_us, until_us)
        return sorted(found + rejected) if rejected else found

    def _explain(self, since_us: int, until_us: int) -> Iterator[Gap]:
        """Split a range that no read has proven into gaps with one cause each."""
        edges = {self._kept_us, self.begin_us, self.begin_us if self._floor_us is None else self._floor_us}
        failed = [known for known in self._failed if known.since_us < until_us and known.until_us > since_us]
        edges.update(edge for known in failed for edge in (known.since_us, known.until_us))
        points = [since_us, *sorted(edge for edge in edges if since_us < edge < until_us), until_us]
        last: Gap | None = None
        for begin_us, end_us in pairwise(points):
            part = self._part(begin_us, end_us, failed)
            if part is None or (last is not None and (part.cause, part.detail) != (last.cause, last.detail)):
                if last is not None:
                    yield last
                last = part
            else:
                last = part if last is None else last._replace(until_us=end_us)
        if last is not None:
            yield last

    def _part(self, since_us: int, until_us: int, failed: Sequence[Range]) -> Gap | None:
        """Return the gap for an unproven range that no boundary divides. None: the provider has nothing there."""
        if until_us <= self.begin_us:
            return None if self.reaches_back else Gap(self.name, since_us, until_us, self._cause_before(until_us))
        if until_us <= self._kept_us:
            return Gap(self.name, since_us, until_us, Cause.NOT_KEPT)
        for known in failed:
            if known.since_us <= since_us and until_us <= known.until_us:
                return Gap(self.name, since_us, until_us, Cause.READ_FAILED, known.reason)
        cause = Cause.NOT_PUBLISHED if since_us >= self._settled_us else Cause.NOT_READ
        return Gap(self.name, since_us, until_us, cause)

    def _cause_before(self, until_us: int) -> Cause:
        """Return the reason why nothing before the source's beginning was read, up to an instant."""
        is_refused = self._floor_us is not None and until_us <= self._floor_us
        return Cause.BEFORE_FLOOR if is_refused else Cause.BEFORE_SOURCE

    def _rejected_in(self, since_us: int, until_us: int) -> list[Gap]:
        """Return the rejected rows that may belong to a range, with their ranges cut to it."""
        begin = bisect_right(self._rejected, since_us, key=lambda gap: gap.until_us)
        found = []
        for gap in self._rejected[begin:]:
            if gap.since_us >= until_us:
                break
            found.append(gap._replace(since_us=max(gap.since_us, since_us), until_us=min(gap.until_us, until_us)))
        return found

    def _lowest_us(self) -> int:
        """Return the beginning of the account's history: the source's beginning, or an older flow. Without a source:
        open."""
        if not self.has_source:
            return -END_OF_TIME_US
        first_us = self._account.first_flow_us
        return self.begin_us if first_us is None else min(self.begin_us, first_us)

    def _horizon_us(self) -> int:
        """Return the end for a range without an end: the newest read (complete or attempted), or the newest flow if
        later."""
        if not self.has_source:
            return END_OF_TIME_US
        ends = [known.until_us for known in (self._proven[-1:] + self._failed[-1:]) if known.until_us > self.begin_us]
        if not ends:  # nothing was read of the range that the source covers
            return END_OF_TIME_US
        if self._account.last_flow_us is not None:
            ends.append(self._account.last_flow_us + 1)
        return max(ends)

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """A value that changes whenever a verdict may change without a new batch: when the source changes, and as time
        passes."""
        is_published = self.read_until_us is None or self.read_until_us < self._settled_us
        return self.has_source, self.begin_us, self._kept_us if self.has_source else 0, is_published

    def basis(self) -> Basis:
        """Whether the sum of all flows is a balance, or else since when it is a net change."""
        first_us = self._account.first_flow_us
        if not self.has_source:
            return Basis(0 if first_us is None else first_us, Cause.NO_SOURCE, self.zone)
        unread = [gap for gap in self.gaps(self.begin_us, self._horizon_us()) if gap.cause is not Cause.REJECTED_ROWS]
        if unread and unread[0].since_us == self.begin_us:
            after = [known.since_us for known in self._proven if known.since_us > self.begin_us]
            begins = [*after[:1], *([] if first_us is None else [first_us])]
            return Basis(min(begins, default=self.begin_us), unread[0].cause, self.zone)
        if self.reaches_back:
            return Basis()
        begin_us = self.begin_us if first_us is None else min(self.begin_us, first_us)
        return Basis(begin_us, self._cause_before(self.begin_us), self.zone)


def _merge_rejected(account: str, rejected: Iterable[RejectedRows]) -> list[Gap]:
    """Return the ranges of rejected rows as gaps that do not overlap, oldest first. A row may count in several of
    them."""
    groups = list(rejected)
    pieces = sorted(
        (since_us, until_us, number) for number, entry in enumerate(groups) for since_us, until_us in entry.pieces
    )
    merged: list[tuple[int, int, set[int]]] = []
    for since_us, until_us, number in pieces:
        if merged and since_us < merged[-1][1]:
            begin_us, end_us, numbers = merged[-1]
            merged[-1] = begin_us, max(end_us, until_us), numbers | {number}
        else:
            merged.append((since_us, until_us, {number}))
    return [
        Gap(account, since_us, until_us, Cause.REJECTED_ROWS, rows=sum(groups[number].rows for number in numbers))
        for since_us, until_us, numbers in merged
    ]


_WORST: Final = (Completeness.INCOMPLETE, Completeness.UNKNOWN, Completeness.PARTIAL, Completeness.COMPLETE)


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """Combine verdicts on several accounts: the worst completeness, the earliest `until_us`, and each gap once.

    Without accounts the result is complete, because nothing can be missing.
    """
    if not verdicts:
        return Verdict(Completeness.COMPLETE, None)
    status = min((verdict.status for verdict in verdicts), key=_WORST.index)
    untils = [verdict.until_us for verdict in verdicts]
    until_us = None if None in untils else min(until for until in untils if until is not None)
    return Verdict(status, until_us, tuple(dict.fromkeys(gap for verdict in verdicts for gap in verdict.gaps)))
