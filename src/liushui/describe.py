"""A provider's rules in words, for pages and tables: nothing is said here that its data does not say."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from liushui.provider import Provider
from liushui.rules import Cursor, PageNumber, Paging, RangeOnly, Rate, Rules

SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
_UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
    (SECOND, "second"),
)


def paging(rules: Rules[Paging]) -> str:
    """How pages follow each other, and how large they are."""
    kind = rules.paging
    sizes = f"{kind.size_default} rows a page, at most {kind.size_max}"
    match kind:
        case PageNumber(counted=True):
            return f"by number from {kind.first}, with a total; {sizes}"
        case PageNumber():
            return f"by number from {kind.first}, no total; {sizes}"
        case Cursor():
            return f"by cursor; {sizes}"
        case RangeOnly():
            return f"one page a range, no second one; {sizes}"


def rate(limit: Rate) -> str:
    """How many calls in which time."""
    text = f"{limit.calls:,} calls in {span(limit.per)}"
    return f"{text}, {span(limit.spacing)} apart" if limit.spacing else text


def ranges(rules: Rules[Paging]) -> str:
    """What a request's range may be, and which rows there are."""
    said = []
    if rules.window_max:
        said.append(f"at most {span(rules.window_max)} a request")
    if rules.window_default:
        said.append(f"without times the last {span(rules.window_default)}")
    if rules.floor:
        said.append(f"none before {rules.floor.astimezone(ZoneInfo(rules.zone)):%Y-%m-%d}")
    if rules.retention:
        said.append(f"kept for {rules.retention.years} years")
    if rules.publish:
        said.append(f"a day is published at {rules.publish.at:%H:%M} on the next ({rules.publish.zone})")
    return "; ".join(said) or "any range"


def filters(rules: Rules[Paging]) -> str:
    """What requests may filter by."""
    named = [
        f"`{known.parameter}`" + (f" ({', '.join(known.values)})" if known.values else "") for known in rules.filters
    ]
    return ", ".join(named) or "none"


def clock(rules: Rules[Paging]) -> str:
    """In which steps times are told."""
    return {SECOND: "seconds", MILLISECOND: "milliseconds"}.get(rules.resolution, span(rules.resolution))


def routes(provider: Provider) -> list[str]:
    """What its server answers, as its document prints it."""
    return [f"`{route.method} {route.path}`" for route in provider.server.routes]


def span(length: timedelta) -> str:
    """A length of time in its largest whole unit: 31 days, 48 hours, 20 ms."""
    for unit, name in _UNITS:
        if length >= unit and not length % unit:
            many = length // unit
            return f"{many} {name}" if many == 1 else f"{many} {name}s"
    return f"{length // MILLISECOND} ms"
