"""The coverage of an account: its proven and open ranges. Pure functions from ranges to ranges."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from liushui.ledger.chain import REMOVED
from liushui.ledger.flow_row import Row


class State(StrEnum):
    """Whether a range is proven."""

    PROVEN = "proven"
    """Everything that the provider had when it was read is in the ledger."""
    OPEN = "open"
    """Reading it failed, for a reason."""


class Range(NamedTuple):
    """[since, until) in microseconds since the epoch, and when it was read and by which batch."""

    since_us: int
    until_us: int
    state: State
    reason: str
    checked_at_us: int
    batch: int


def apply_change(ranges: Sequence[Range], change: Range) -> list[Range]:
    """The ranges after `change`. A proof replaces the ranges that it covers. A failure opens only ranges that are not
    proven."""
    if change.state is State.PROVEN:
        rest = [part for range_ in ranges for part in _outside(range_, change)]
        return sorted([*rest, change])
    # A failed read does not contradict an earlier proof.
    proven = [range_ for range_ in ranges if range_.state is State.PROVEN]
    rest = proven + [part for range_ in ranges if range_.state is State.OPEN for part in _outside(range_, change)]
    opened = [change._replace(since_us=since, until_us=until) for since, until in uncovered(proven, change)]
    return sorted(rest + opened)


def replay(changes: Iterable[Range]) -> list[Range]:
    """The ranges after many changes, beginning with none. The time of a change depends only on the ranges that it
    touches."""
    ranges: list[Range] = []
    for change in changes:
        # Ranges are sorted and do not overlap, so the ranges that touch the change are adjacent.
        begin = bisect_right(ranges, change.since_us, key=lambda range_: range_.until_us)
        end = bisect_left(ranges, change.until_us, key=lambda range_: range_.since_us)
        ranges[begin:end] = apply_change(ranges[begin:end], change)
    return ranges


def ranges_from_batches(batches: Iterable[Row]) -> list[Range]:
    """The ranges after batches, which have the columns of schema.batches. Batches without a range are skipped.

    Ranges from before the account was removed are ignored.
    """
    from liushui.ledger.schema import batches as table  # imported here: most readers need no SQLAlchemy

    names = [column.name for column in table.columns]
    changes: list[Range] = []
    for batch in batches:
        row = dict(zip(names, batch, strict=True))
        if row["state"] == REMOVED:
            changes.clear()
        elif (change := _range_of(row)) is not None:
            changes.append(change)
    return replay(changes)


def _range_of(row: Mapping[str, object]) -> Range | None:
    since_us, until_us, checked_at_us, seq = (row[name] for name in ("since_us", "until_us", "read_at_us", "seq"))
    if row["state"] not in (*State,) or not isinstance(since_us, int) or not isinstance(until_us, int):
        return None
    if not isinstance(checked_at_us, int) or not isinstance(seq, int):
        return None
    return Range(since_us, until_us, State(str(row["state"])), str(row["reason"]), checked_at_us, seq)


def uncovered(ranges: Iterable[Range], within: Range | tuple[int, int]) -> list[tuple[int, int]]:
    """The parts of [since, until) that none of `ranges` covers, oldest first."""
    since, until = within[0], within[1]
    gaps: list[tuple[int, int]] = []
    for range_ in sorted(ranges):
        if range_.until_us <= since or range_.since_us >= until:
            continue
        if range_.since_us > since:
            gaps.append((since, range_.since_us))
        since = max(since, range_.until_us)
    if since < until:
        gaps.append((since, until))
    return gaps


def merge_adjacent(ranges: Iterable[Range]) -> list[Range]:
    """Merge adjacent ranges with the same state and reason, with the oldest check time. For display."""
    result: list[Range] = []
    for range_ in sorted(ranges):
        last = result[-1] if result else None
        if last and last.until_us == range_.since_us and (last.state, last.reason) == (range_.state, range_.reason):
            result[-1] = last._replace(
                until_us=range_.until_us,
                checked_at_us=min(last.checked_at_us, range_.checked_at_us),
                batch=max(last.batch, range_.batch),
            )
        else:
            result.append(range_)
    return result


def _outside(range_: Range, cut: Range) -> Iterator[Range]:
    if range_.until_us <= cut.since_us or range_.since_us >= cut.until_us:
        yield range_
        return
    if range_.since_us < cut.since_us:
        yield range_._replace(until_us=cut.since_us)
    if range_.until_us > cut.until_us:
        yield range_._replace(since_us=cut.until_us)
