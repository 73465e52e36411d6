"""Which ranges are due. Pure: rules, coverage and the clock in, ranges out. How they are cut: `cut`."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Final

from liushui.instant import MIN_INSTANT, from_us, to_us
from liushui.ledger.coverage import Range, State, missing
from liushui.provider import Slice
from liushui.rules import Paging, RefreshPolicy, Rules

DAY: Final = timedelta(days=1)
RETENTION_MARGIN: Final = DAY
"""So long before a provider forgets rows, one that is gone counts as forgotten already: clocks and zones differ."""
SLACK: Final = 24
"""The part of its interval that a range may be read again before its time: ranges that were proven one after the other
in one sync are due together in the next."""


def provable_range(
    rules: Rules[Paging], *, since: datetime, until: datetime | None = None, now: datetime
) -> Slice | None:
    """All that a read of now can prove, of what is asked for. None: nothing.

    What the provider does not keep any more, has not published yet, or may still have on its way is left out; so is
    the step of its clock that is going on.
    """
    begin, end = rules.provable(now)
    since = max(since, _ceiling(begin, rules.resolution))
    end = _floor(min(now, end, until) if until else min(now, end), rules.resolution)
    return Slice(since, end) if since < end else None


def due_ranges(
    rules: Rules[Paging],
    coverage: Iterable[Range],
    *,
    since: datetime,
    until: datetime | None,
    now: datetime,
    everything: bool = False,
) -> list[Slice]:
    """The ranges to read, oldest first: what is not proven, the newest part again for rows that came late, and older
    parts again whose last proof is older than the rules want it.

    What the provider is about to forget is a range of its own: of it less can be told than of the rest.
    """
    whole = provable_range(rules, since=since, until=until, now=now)
    if whole is None:
        return []
    ranges = [whole] if everything else _stale(rules, coverage, whole, now)
    kept, _ = rules.readable(now + RETENTION_MARGIN)
    return _parted(ranges, _ceiling(kept, rules.resolution))


def _stale(rules: Rules[Paging], coverage: Iterable[Range], whole: Slice, now: datetime) -> list[Slice]:
    """The ranges of a whole that are not proven, or whose proof is older than the rules want it."""
    proven = [known for known in coverage if known.state is State.PROVEN]
    ranges = [*missing(proven, _us(whole)), *newest_part(rules, whole), *stale_parts(rules, proven, whole, now)]
    return _joined([Slice(from_us(begin), from_us(end)) for begin, end in sorted(ranges)])


def newest_part(rules: Rules[Paging], whole: Slice) -> list[tuple[int, int]]:
    """The range that every sync reads again, for rows that were published late or have changed."""
    return [(to_us(max(whole.since, _back(whole.until, rules.lookback))), to_us(whole.until))]


def stale_parts(rules: Rules[Paging], proven: list[Range], whole: Slice, now: datetime) -> list[tuple[int, int]]:
    """The older ranges whose proof has reached the age at which the rules want them read again."""
    ranges = []
    for look in rules.refresh:
        stale_us = to_us(now - look.every + look.every // SLACK)
        ranges += [(begin, end) for begin, end, checked_us in _within(proven, whole, look) if checked_us <= stale_us]
    return ranges


def first_unproven(
    rules: Rules[Paging],
    coverage: Iterable[Range],
    *,
    since: datetime,
    until: datetime | None = None,
    now: datetime,
) -> datetime | None:
    """The oldest instant that could be proven now and is not. None: there is none."""
    whole = provable_range(rules, since=since, until=until, now=now)
    gaps = whole and missing([known for known in coverage if known.state is State.PROVEN], _us(whole))
    return from_us(gaps[0][0]) if gaps else None


def retention_left(
    rules: Rules[Paging],
    coverage: Iterable[Range],
    *,
    since: datetime,
    until: datetime | None = None,
    now: datetime,
) -> timedelta | None:
    """How long until the provider forgets something that is not proven. None: it never does, or all of it is."""
    if rules.retention is None:
        return None
    missing = first_unproven(rules, coverage, since=since, until=until, now=now)
    return None if missing is None else missing - rules.retention.kept_from(now)


def next_refresh_at(
    rules: Rules[Paging],
    coverage: Iterable[Range],
    *,
    since: datetime,
    until: datetime | None = None,
    now: datetime,
) -> datetime | None:
    """When the first of what is proven now will be due again for its age. None: never."""
    whole = provable_range(rules, since=since, until=until, now=now)
    if whole is None:
        return None
    proven = [known for known in coverage if known.state is State.PROVEN]
    return min(
        (
            from_us(checked_us) + look.every
            for look in rules.refresh
            for _, _, checked_us in _within(proven, whole, look)
        ),
        default=None,
    )


def _within(proven: list[Range], whole: Slice, look: RefreshPolicy) -> Iterator[tuple[int, int, int]]:
    """The parts of what is proven that are young enough to be read again, each with its last check."""
    since_us, until_us = to_us(max(whole.since, _back(whole.until, look.age))), to_us(whole.until)
    for known in proven:
        begin, end = max(known.since_us, since_us), min(known.until_us, until_us)
        if begin < end:
            yield begin, end, known.checked_at_us


def _back(at: datetime, by: timedelta) -> datetime:
    """The beginning of the day so long before."""
    return _day(at - min(by, at - MIN_INSTANT))


def _us(whole: Slice) -> tuple[int, int]:
    return to_us(whole.since), to_us(whole.until)


def _floor(at: datetime, step: timedelta) -> datetime:
    at_us, step_us = to_us(at), step // timedelta(microseconds=1)
    return from_us(at_us - at_us % step_us)


def _ceiling(at: datetime, step: timedelta) -> datetime:
    floor = _floor(at, step)
    return floor if floor == at else floor + step


def _day(at: datetime) -> datetime:
    return datetime.combine(at.date(), time.min, tzinfo=UTC)


def _parted(ranges: list[Slice], at: datetime) -> list[Slice]:
    """Ranges, none of which has the instant in its middle."""
    ends = ([one.since, at, one.until] if one.since < at < one.until else one for one in ranges)
    return [Slice(since, until) for some in ends for since, until in pairwise(some)]


def _joined(slices: list[Slice]) -> list[Slice]:
    result: list[Slice] = []
    for one in slices:
        if result and result[-1].until >= one.since:
            result[-1] = Slice(result[-1].since, max(result[-1].until, one.until))
        else:
            result.append(one)
    return result
