"""A provider's rules in words, for pages and tables: nothing is said here that its data does not say.

`say` turns each English phrase into the reader's language before its figures are put in; by itself it is English.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

from liushui.provider import Provider
from liushui.rules import Cursor, PageNumber, Paging, RangeOnly, Rate, Rules

Say: TypeAlias = Callable[[str], str]

SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)


def english(text: str) -> str:
    """The phrase itself."""
    return text


def paging(rules: Rules[Paging], say: Say = english) -> str:
    """How pages follow each other, and how large they are."""
    kind = rules.paging
    sizes = say("{default} rows per page, at most {most}").format(default=kind.size_default, most=kind.size_max)
    match kind:
        case PageNumber(has_total=True):
            how = say("page numbers from {first}, with a total count").format(first=kind.first)
        case PageNumber():
            how = say("page numbers from {first}, no total count").format(first=kind.first)
        case Cursor():
            how = say("cursor")
        case RangeOnly():
            how = say("one page per time range, no further pages")
    return _joined([how, sizes], say)


def rate(limit: Rate, say: Say = english) -> str:
    """How many calls in which time."""
    text = say("{calls} calls in {time}").format(calls=f"{limit.calls:,}", time=span(limit.per, say))
    return (
        say("{rate}, at least {time} apart").format(rate=text, time=span(limit.spacing, say)) if limit.spacing else text
    )


def ranges(rules: Rules[Paging], say: Say = english) -> str:
    """What a request's range may be, and which rows there are."""
    said = []
    if rules.window_max:
        said.append(say("at most {time} per request").format(time=span(rules.window_max, say)))
    if rules.window_default:
        said.append(say("the last {time} if no times are given").format(time=span(rules.window_default, say)))
    if rules.floor:
        said.append(say("nothing before {day}").format(day=f"{rules.floor.astimezone(ZoneInfo(rules.zone)):%Y-%m-%d}"))
    if rules.retention:
        said.append(say("kept for {years} years").format(years=rules.retention.years))
    if rules.publish:
        clock_time, zone = f"{rules.publish.at:%H:%M}", rules.publish.zone
        said.append(say("a day is published at {time} the next day ({zone})").format(time=clock_time, zone=zone))
    return _joined(said, say) or say("any time range")


def filters(rules: Rules[Paging], say: Say = english) -> str:
    """What requests may filter by."""
    named = [
        f"`{known.parameter}`" + (f" ({', '.join(known.values)})" if known.values else "") for known in rules.filters
    ]
    return ", ".join(named) or say("none")


def clock(rules: Rules[Paging], say: Say = english) -> str:
    """In which steps times are told."""
    if rules.resolution == SECOND:
        return say("seconds")
    if rules.resolution == MILLISECOND:
        return say("milliseconds")
    return span(rules.resolution, say)


def routes(provider: Provider) -> list[str]:
    """What its server answers, as its document prints it."""
    return [f"`{route.method} {route.path}`" for route in provider.server.routes]


def span(length: timedelta, say: Say = english) -> str:
    """A length of time in its largest whole unit: 31 days, 48 hours, 20 ms."""
    units = (
        (timedelta(days=1), say("{number} day"), say("{number} days")),
        (timedelta(hours=1), say("{number} hour"), say("{number} hours")),
        (timedelta(minutes=1), say("{number} minute"), say("{number} minutes")),
        (SECOND, say("{number} second"), say("{number} seconds")),
    )
    for unit, one, several in units:
        if length >= unit and not length % unit:
            many = length // unit
            return (one if many == 1 else several).format(number=many)
    return say("{number} ms").format(number=length // MILLISECOND)


def _joined(said: list[str], say: Say) -> str:
    return say("; ").join(said)
