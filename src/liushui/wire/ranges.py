"""Ranges on a wire, whose both ends are inclusive at the wire's finest step, and ours, [since, until)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from liushui.errors import WireError, short_repr
from liushui.instant import EPOCH, MAX_INSTANT, MIN_INSTANT, to_us
from liushui.provider import Slice

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_FIRST_US, _LAST_US = to_us(MIN_INSTANT), to_us(MAX_INSTANT)


def inclusive_ends(asked: Slice, step: timedelta) -> tuple[int, int] | None:
    """The first and the last step of a slice, counted from the Unix epoch. None: no whole step begins in it."""
    step_us = step // _MICROSECOND
    first, last = -(-to_us(asked.since) // step_us), -(-to_us(asked.until) // step_us) - 1
    return (first, last) if first <= last else None


def to_steps(at: datetime, step: timedelta) -> int:
    """How many whole steps an instant is after the Unix epoch."""
    return to_us(at) // (step // _MICROSECOND)


def exclusive_end(last: datetime, step: timedelta) -> datetime:
    """The `until` of a range whose last step begins at `last`."""
    return last + step if last < MAX_INSTANT - step else MAX_INSTANT


def parse_steps(field: str, steps: int, step: timedelta) -> datetime:
    """The instant so many seconds or milliseconds after the Unix epoch. Raises WireError naming `field`."""
    try:
        return from_steps(steps, step)
    except OverflowError:
        unit = "seconds" if step == _SECOND else "milliseconds"
        raise WireError(field, f"expected Unix {unit} of the years 1 to 9999, got {short_repr(steps)}") from None


def steps_to_us(steps: Sequence[int], step: timedelta) -> list[int] | None:
    """Microseconds since the Unix epoch of as many steps, at least one. None where `parse_steps` would refuse one."""
    step_us = step // _MICROSECOND
    times_us = [one * step_us for one in steps]
    return times_us if min(times_us) >= _FIRST_US and max(times_us) <= _LAST_US else None


def parse_integers(texts: Sequence[str]) -> list[int] | None:
    """The whole numbers that stand in texts. None where one of them is no number, or is not written as plainly."""
    try:
        numbers = list(map(int, texts))
    except ValueError:
        return None
    return numbers if list(map(str, numbers)) == texts else None


def from_steps(steps: int, step: timedelta) -> datetime:
    """The instant so many steps after the Unix epoch. Raises OverflowError outside the years 1 to 9999."""
    return EPOCH + steps * step
