"""The coverage of an account: its proven and open ranges. Pure functions from ranges to ranges."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from liushui.ledger.flow_row import Row
from liushui.ledger.schema import batches as batches_table

_BATCH_COLUMNS: Final = tuple(column.name for column in batches_table.columns)


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
    """The ranges after `change`. A proof replaces what it covers. A failure opens only what is not proven."""
    if change.state is State.PROVEN:
        kept = [part for known in ranges for part in _outside(known, change)]
        return sorted([*kept, change])
    proven = [known for known in ranges if known.state is State.PROVEN]
    kept = proven + [part for known in ranges if known.state is State.OPEN for part in _outside(known, change)]
    opened = [change._replace(since_us=since, until_us=until) for since, until in uncovered(proven, change)]
    return sorted(kept + opened)


def replay(changes: Iterable[Range]) -> list[Range]:
    """The ranges after many changes, beginning with none. A change costs time for the ranges that it touches only."""
    ranges: list[Range] = []
    for change in changes:
        begin = bisect_right(ranges, change.since_us, key=lambda known: known.until_us)
        end = bisect_left(ranges, change.until_us, key=lambda known: known.since_us)
        ranges[begin:end] = apply_change(ranges[begin:end], change)
    return ranges


def ranges_from_batches(batches: Iterable[Row]) -> list[Range]:
    """The ranges after batches, which have the columns of schema.batches. Batches without a range are skipped."""
    return replay(filter(None, map(_range_of, batches)))


def _range_of(batch: Row) -> Range | None:
    row = dict(zip(_BATCH_COLUMNS, batch, strict=True))
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
    for known in sorted(ranges):
        if known.until_us <= since or known.since_us >= until:
            continue
        if known.since_us > since:
            gaps.append((since, known.since_us))
        since = max(since, known.until_us)
    if since < until:
        gaps.append((since, until))
    return gaps


def merge_adjacent(ranges: Iterable[Range]) -> list[Range]:
    """Adjacent ranges of one state and reason as one, checked when the oldest of them was. For display."""
    result: list[Range] = []
    for known in sorted(ranges):
        last = result[-1] if result else None
        if last and last.until_us == known.since_us and (last.state, last.reason) == (known.state, known.reason):
            result[-1] = last._replace(
                until_us=known.until_us,
                checked_at_us=min(last.checked_at_us, known.checked_at_us),
                batch=max(last.batch, known.batch),
            )
        else:
            result.append(known)
    return result


def _outside(known: Range, cut: Range) -> Iterator[Range]:
    if known.until_us <= cut.since_us or known.since_us >= cut.until_us:
        yield known
        return
    if known.since_us < cut.since_us:
        yield known._replace(until_us=cut.since_us)
    if known.until_us > cut.until_us:
        yield known._replace(since_us=cut.until_us)
