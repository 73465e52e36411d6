"""The data of charts, with amounts as exact text and as formatted text, and the drawing of calendars."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from babel.dates import format_skeleton
from markupsafe import Markup

from liushui.ledger.day_totals import Total
from liushui.ledger.read.completeness import Completeness
from liushui.ledger.read.coverage import Day, DayRun, DayState, day_runs
from liushui.ledger.read.money_streams import Streams
from liushui.ledger.read.summaries import ChartPeriod, Span, by_kind, sum_totals
from liushui.money import ZERO, exact_sum, to_plain_string
from liushui.server.web.i18n import Language
from liushui.server.web.labels import Labels, axis_name, cause_text, coverage_label, period_name

SERIES_MAX: Final = 12
"""The number of colours for series. If there are more kinds, the smallest ones are drawn as one series."""


class Figure(msgspec.Struct, frozen=True):
    """An amount as exact and as formatted text."""

    exact: str
    text: str


class Series(msgspec.Struct, frozen=True):
    """Money in and out of one kind by period. `colour`: 1 or more; 0 for the series of all other kinds."""

    name: str
    colour: int
    came: Sequence[Figure]
    went: Sequence[Figure]


class BarChart(msgspec.Struct, frozen=True):
    """The chart of money in and out by period."""

    label: str
    currency: str
    axis: Sequence[str]
    periods: Sequence[str]
    marks: Sequence[str]
    gaps: Sequence[int]
    """The indexes of the periods that may lack flows."""
    addresses: Sequence[str]
    series: Sequence[Series]
    net: Sequence[Figure]
    words: Mapping[str, str]


class Node(msgspec.Struct, frozen=True):
    """A node of the Sankey chart. `column`: 0 an origin of money, 1 an account, 2 a destination.

    `colour` is the colour of the kind in the other chart; 0 for an account.
    """

    name: str
    title: str
    column: int
    colour: int


class Link(msgspec.Struct, frozen=True):
    """A stream between two nodes, with the lines of its tooltip."""

    source: str
    target: str
    exact: str
    lines: Sequence[str]


class SankeyChart(msgspec.Struct, frozen=True):
    """The chart of the sources and destinations of money. Transfers between own accounts are not in it."""

    label: str
    nodes: Sequence[Node]
    links: Sequence[Link]


def script_json(value: msgspec.Struct) -> Markup:
    """JSON for a <script> element."""
    return Markup(msgspec.json.encode(value).decode().replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704 - no "</script>" can be in it


def kind_colours(kinds: Sequence[str]) -> dict[str, int]:
    """Return the number of each kind's colour; 0 for kinds that are drawn together as one series. `kinds`: the largest
    first."""
    own = len(kinds) if len(kinds) <= SERIES_MAX else SERIES_MAX - 1
    return {kind: number if number <= own else 0 for number, kind in enumerate(kinds, 1)}


def bar_chart(
    periods: Sequence[ChartPeriod], span: Span, currency: str, zone: str, addresses: Sequence[str], language: Language
) -> BarChart:
    """The chart of money in and out of each period, by kind."""
    labels, colours = Labels(language), kind_colours(list(by_kind(periods)))
    series = [
        _series(labels.kind(kind), number, [period.kinds.get(kind, Total()) for period in periods], currency, language)
        for kind, number in colours.items()
        if number
    ]
    rest = [kind for kind, number in colours.items() if not number]
    if rest:
        summed = [sum_totals(period.kinds[kind] for kind in rest if kind in period.kinds) for period in periods]
        series.append(_series(language.say("Other kinds"), 0, summed, currency, language))
    return BarChart(
        label=language.say("Money in and out in %(currency)s, by kind", currency=currency),
        currency=currency,
        axis=[axis_name(span.unit, period.first, language) for period in periods],
        periods=[period_name(span.unit, period.first, period.last, language) for period in periods],
        marks=[coverage_label(period.verdict, zone, language).name for period in periods],
        gaps=[number for number, period in enumerate(periods) if period.verdict.status is Completeness.INCOMPLETE],
        addresses=addresses,
        series=series,
        net=[_figure(period.total.net, currency, language) for period in periods],
        words={"net": language.say("Net"), "came": language.say("In"), "went": language.say("Out")},
    )


def _series(name: str, colour: int, totals: Sequence[Total], currency: str, language: Language) -> Series:
    return Series(
        name,
        colour,
        [_figure(total.money_in, currency, language) for total in totals],
        [_figure(total.money_out, currency, language) for total in totals],
    )


def _figure(amount: Decimal, currency: str, language: Language) -> Figure:
    return Figure(to_plain_string(amount), language.short_amount(amount, currency))


def sankey_chart(streams: Streams, colours: Mapping[str, int], currency: str, language: Language) -> SankeyChart:
    """The chart of the sources and destinations of money: a column each for origins, accounts and destinations."""
    labels, say = Labels(language), language.say
    nodes: dict[str, Node] = {}
    links: list[Link] = []
    for account, kind, inward, outward in streams.outside:
        kind_name, colour, own = labels.kind(kind), colours.get(kind, 0), f"account:{account}"
        if inward > ZERO or outward > ZERO:
            nodes.setdefault(own, Node(own, account, 1, 0))
        if inward > ZERO:
            name = f"from:{kind}"
            nodes.setdefault(name, Node(name, kind_name, 0, colour))
            line = say("%(kind)s into %(account)s", kind=kind_name, account=account)
            links.append(_link(name, own, inward, line, currency, language))
        if outward > ZERO:
            name = f"to:{kind}"
            nodes.setdefault(name, Node(name, kind_name, 2, colour))
            line = say("%(kind)s out of %(account)s", kind=kind_name, account=account)
            links.append(_link(own, name, outward, line, currency, language))
    label = say("Where money in %(currency)s came from and went", currency=currency)
    return SankeyChart(label, list(nodes.values()), links)


def own_transfers_line(streams: Streams, currency: str, language: Language) -> str:
    """Return a sentence about the transfers between own accounts, which are not drawn. Empty if there are none."""
    own = [*streams.between, *streams.inside]
    if not own:
        return ""
    return language.say_many(
        "Not drawn: %(number)s transfer between your own accounts, %(amount)s.",
        "Not drawn: %(number)s transfers between your own accounts, %(amount)s.",
        sum(one.transfers for one in own),
        amount=language.money(exact_sum(one.amount for one in own), currency),
    )


def views_line(streams: Streams, currency: str, language: Language) -> str:
    """Return a sentence about the flows that are not drawn because another account shows the same money. Empty if there
    are none."""
    flows, amount = streams.views
    if not flows:
        return ""
    return language.say_many(
        "Not drawn: %(number)s flow whose money another of these accounts shows too, %(amount)s.",
        "Not drawn: %(number)s flows whose money another of these accounts shows too, %(amount)s.",
        flows,
        amount=language.money(amount, currency),
    )


def how_matched(language: Language) -> str:
    """How transfers between own accounts are recognised."""
    return language.say(
        "What left one account and arrived in another counts as a transfer where a reference or an unusual amount ties "
        "both ends and no other flow could take the place of either, or where a person has confirmed it."
    )


def _link(source: str, target: str, amount: Decimal, line: str, currency: str, language: Language) -> Link:
    return Link(source, target, to_plain_string(amount), [line, language.money(amount, currency)])


# ---------------------------------------------------------------- the calendar of coverage

YEAR_WEEKS: Final = 53
PITCH: Final = 12
SIDE: Final = 10
TOP: Final = 16
LETTER: Final = 8
"""Lengths in units of the drawing: distance of squares, side of a square, height of the months, width of a letter."""

STATE_LOOKS: Final = {
    DayState.COMPLETE: "good",
    DayState.OPEN: "warn",
    DayState.UNPUBLISHED: "busy",
    DayState.LOST: "bad",
}


class Shape(NamedTuple):
    """The squares of one state as an SVG path, and the state's CSS class."""

    look: str
    path: str


class Month(NamedTuple):
    """The name of a month and its position."""

    x: int
    name: str


class Calendar(NamedTuple):
    """The calendar of an account: one square a day, one column a week. `days` counts days by the state's name."""

    account: str
    width: int
    height: int
    shapes: Sequence[Shape]
    months: Sequence[Month]
    day_runs: Sequence[DayRun]
    days: Mapping[str, int]
    tooltip: "CalendarTooltip"


class CalendarTooltip(msgspec.Struct, frozen=True):
    """The data of the tooltips. `runs`: first day, number of days, state, reason."""

    account: str
    origin: str
    pitch: int
    top: int
    runs: Sequence[tuple[str, int, str, str]]


def state_names(language: Language) -> dict[DayState, str]:
    """The names of the states of days."""
    say = language.say
    return {
        DayState.COMPLETE: say("Complete"),
        DayState.OPEN: say("Gap"),
        DayState.UNPUBLISHED: say("Not published yet"),
        DayState.LOST: say("No longer available"),
    }


def state_looks(language: Language) -> list[tuple[str, str]]:
    """Return the CSS class and the name of each state of days, for a legend."""
    return [(STATE_LOOKS[state], name) for state, name in state_names(language).items()]


def draw_calendar(account: str, days: Sequence[Day], first: date, language: Language) -> Calendar:
    """The calendar of consecutive days of an account. It begins with the week of `first` and is a year wide."""
    names = state_names(language)
    origin = first - timedelta(days=first.weekday())
    squares: dict[DayState, list[str]] = {state: [] for state in DayState}
    months: list[Month] = []
    free_x = 0
    for day in days:
        number = (day.day - origin).days
        squares[day.state].append(_square(number))
        if day.day.day == 1 and (x := number // 7 * PITCH) >= free_x:
            months.append(Month(x, _month(day.day, language)))
            free_x = x + LETTER * (len(months[-1].name) + 1)
    weeks = max(YEAR_WEEKS, (days[-1].day - origin).days // 7 + 1)
    found = day_runs(days)
    runs = [
        (
            run.since.isoformat(),
            (run.until - run.since).days + 1,
            names[run.state],
            cause_text(run.gap, language) if run.gap else "",
        )
        for run in found
    ]
    return Calendar(
        account,
        weeks * PITCH,
        TOP + 7 * PITCH,
        [Shape(STATE_LOOKS[state], "".join(paths)) for state, paths in squares.items() if paths],
        months,
        found,
        {names[state]: len(paths) for state, paths in squares.items() if paths},
        CalendarTooltip(account, origin.isoformat(), PITCH, TOP, runs),
    )


@lru_cache(maxsize=1_024)
def _square(number: int) -> str:
    """The path of the square of a day, by its number from the calendar's origin on."""
    week, weekday = divmod(number, 7)
    return f"M{week * PITCH} {TOP + weekday * PITCH}h{SIDE}v{SIDE}h-{SIDE}z"


def _month(day: date, language: Language) -> str:
    return format_skeleton("yMMM" if day.month == 1 else "MMM", day, locale=language.locale)
