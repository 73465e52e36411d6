"""Conversion of time ranges: ours is half-open, [since, until), a wire's has two inclusive ends in whole steps.

A step is the smallest unit of a provider's clock, a second or a millisecond. Steps are counted from the Unix epoch.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from liushui.errors import WireError, short_repr
from liushui.instant import EPOCH, MAX_INSTANT, MIN_INSTANT, to_us
from liushui.provider import Slice

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_MIN_US, _MAX_US = to_us(MIN_INSTANT), to_us(MAX_INSTANT)


def inclusive_ends(slice_: Slice, step: timedelta) -> tuple[int, int] | None:
    """The first and the last step that begin in a slice. None: no step begins in it."""
    step_us = step // _MICROSECOND
    first, last = -(-to_us(slice_.since) // step_us), -(-to_us(slice_.until) // step_us) - 1
    return (first, last) if first <= last else None


def exclusive_end(last: datetime, step: timedelta) -> datetime:
    """The `until` of a range whose last step begins at `last`."""
    return last + step if last < MAX_INSTANT - step else MAX_INSTANT


def to_steps(at: datetime, step: timedelta) -> int:
    """The number of whole steps from the Unix epoch to an instant."""
    return to_us(at) // (step // _MICROSECOND)


def from_steps(steps: int, step: timedelta) -> datetime:
    """Return the instant this number of steps after the Unix epoch. Raises OverflowError outside the years 1 to
    9999."""
    return EPOCH + steps * step


def parse_steps(field: str, steps: int, step: timedelta) -> datetime:
    """`from_steps` of a field's value. Raises WireError naming `field`."""
    try:
        return from_steps(steps, step)
    except OverflowError:
        unit = "seconds" if step == _SECOND else "milliseconds"
        raise WireError(field, f"expected Unix {unit} of the years 1 to 9999, got {short_repr(steps)}") from None


def steps_to_us(steps: Sequence[int], step: timedelta) -> list[int] | None:
    """Convert steps to microseconds since the Unix epoch. Returns None if `parse_steps` rejects one of them."""
    step_us = step // _MICROSECOND
    times_us = [count * step_us for count in steps]
    return times_us if min(times_us) >= _MIN_US and max(times_us) <= _MAX_US else None


def parse_integers(texts: Sequence[str]) -> list[int] | None:
    """Parse the integers in texts. None: a text is not an integer, or not in plain form (`+1`, `01`, ` 1`)."""
    try:
        numbers = list(map(int, texts))
    except ValueError:
        return None
    return numbers if list(map(str, numbers)) == texts else None
