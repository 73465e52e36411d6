"""A provider's Rules in words, for the page and for generated documentation.

Every function takes `say`, which translates an English phrase before its figures are filled in.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

from liushui.provider import Provider
from liushui.rules import Cursor, DayDocument, IdKeyset, PageNumber, Paging, RangeOnly, Rate, Retention, Rules

Say: TypeAlias = Callable[[str], str]
"""Translates a phrase. The message catalogs are extracted from the calls of a function of this name."""

SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)


def english(text: str) -> str:
    """The phrase as it is: the default translation."""
    return text


def paging(rules: Rules[Paging], say: Say = english) -> str:
    """How the provider pages, and the size of a page."""
    style = rules.paging
    if rules.size_min > 1:
        sizes = say("{default} rows per page, from {least} to {most}").format(
            default=style.size_default, least=rules.size_min, most=style.size_max
        )
    else:
        sizes = say("{default} rows per page, at most {most}").format(default=style.size_default, most=style.size_max)
    match style:
        case PageNumber(has_total=True):
            how = say("page numbers from {first}, with a total count").format(first=style.first)
        case PageNumber():
            how = say("page numbers from {first}, no total count").format(first=style.first)
        case Cursor():
            how = say("cursor")
        case IdKeyset():
            how = say("after the ID of a row")
        case RangeOnly():
            how = say("one page per time range, no further pages")
        case DayDocument():
            return say("one document a day, with control totals")
    return _joined([how, sizes], say)


def rate(limit: Rate, say: Say = english) -> str:
    """A rate limit."""
    text = say("{calls} calls in {time}").format(calls=f"{limit.calls:,}", time=span(limit.per, say))
    if not limit.spacing:
        return text
    return say("{rate}, at least {time} apart").format(rate=text, time=span(limit.spacing, say))


def ranges(rules: Rules[Paging], say: Say = english) -> str:
    """The limits of a request's time range, how long rows are kept, and when they are published."""
    limits = []
    if rules.window_max:
        limits.append(say("at most {time} per request").format(time=span(rules.window_max, say)))
    if rules.window_default:
        limits.append(say("the last {time} if no times are given").format(time=span(rules.window_default, say)))
    if rules.floor:
        limits.append(
            say("no request before {day}").format(day=f"{rules.floor.astimezone(ZoneInfo(rules.zone)):%Y-%m-%d}")
        )
    if rules.retention:
        limits.append(kept(rules.retention, say))
    if rules.publish:
        clock_time, zone = f"{rules.publish.at:%H:%M}", rules.publish.zone
        limits.append(say("a day is published at {time} the next day ({zone})").format(time=clock_time, zone=zone))
    return _joined(limits, say) or say("any time range")


def kept(retention: Retention, say: Say = english) -> str:
    """How long rows are kept."""
    if retention.months:
        return say("kept for {months} months").format(months=12 * retention.years + retention.months)
    return say("kept for {years} years").format(years=retention.years)


def clock_tolerance(rules: Rules[Paging], say: Say = english) -> str:
    """How far the time in a signed request may be off."""
    if rules.clock_skew_max is None:
        return say("none: the time of a request is not checked")
    behind = span(rules.clock_skew_max, say)
    if rules.clock_ahead_max is None:
        return say("{time} either way").format(time=behind)
    return say("{time} behind, {ahead} ahead").format(time=behind, ahead=span(rules.clock_ahead_max, say))


def filters(rules: Rules[Paging], say: Say = english) -> str:
    """The request parameters that filter, with their values."""
    parameters = [
        f"`{known.parameter}`" + (f" ({', '.join(known.values)})" if known.values else "") for known in rules.filters
    ]
    return ", ".join(parameters) or say("none")


def time_unit(rules: Rules[Paging], say: Say = english) -> str:
    """The unit of times, and whether the end of a request's range belongs to it."""
    if rules.end_exclusive:
        return say("{unit}; a time range does not include its end").format(unit=clock(rules, say))
    return say("{unit}; a time range includes both ends").format(unit=clock(rules, say))


def clock(rules: Rules[Paging], say: Say = english) -> str:
    """The unit of times in requests and rows."""
    if rules.resolution == SECOND:
        return say("seconds")
    if rules.resolution == MILLISECOND:
        return say("milliseconds")
    return span(rules.resolution, say)


def routes(provider: Provider) -> list[str]:
    """The routes that the provider's server answers, as its documentation prints them."""
    return [f"`{route.method} {route.path}`" for route in provider.server.routes]


def span(length: timedelta, say: Say = english) -> str:
    """A duration in its largest whole unit: 31 days, 48 hours, 20 ms."""
    units = (
        (timedelta(days=1), say("{number} day"), say("{number} days")),
        (timedelta(hours=1), say("{number} hour"), say("{number} hours")),
        (timedelta(minutes=1), say("{number} minute"), say("{number} minutes")),
        (SECOND, say("{number} second"), say("{number} seconds")),
    )
    for unit, one, several in units:
        if length >= unit and not length % unit:
            number = length // unit
            return (one if number == 1 else several).format(number=number)
    return say("{number} ms").format(number=length // MILLISECOND)


def _joined(parts: list[str], say: Say) -> str:
    return say("; ").join(parts)
