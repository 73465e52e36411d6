"""What charts draw, as JSON: amounts as exact text, beside how the reader's language writes them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from markupsafe import Markup

from liushui.ledger.day_totals import Total
from liushui.ledger.read.completeness import Completeness
from liushui.ledger.read.money_streams import Between
from liushui.ledger.read.overview import SpanStreams
from liushui.ledger.read.summaries import ChartPeriod, Span, by_kind, sum_totals
from liushui.ledger.read.transfer_matching import WINDOW
from liushui.money import ZERO, to_plain_string
from liushui.server.web.i18n import Language
from liushui.server.web.labels import Words
from liushui.server.web.overview.labels import axis_name, coverage_label, period_name

SERIES_MAX: Final = 8
"""Colours that series have. Of more kinds the least are drawn as one."""


class Figure(msgspec.Struct, frozen=True):
    """An amount: exact for drawing, and as it is written."""

    exact: str
    text: str


class Series(msgspec.Struct, frozen=True):
    """What came in and went out of one kind, period by period. `colour` is the number of a series' colour."""

    name: str
    colour: int
    came: Sequence[Figure]
    went: Sequence[Figure]


class Bars(msgspec.Struct, frozen=True):
    """The chart of what moved."""

    label: str
    currency: str
    axis: Sequence[str]
    periods: Sequence[str]
    marks: Sequence[str]
    gaps: Sequence[int]
    """The numbers of the periods from which flows may be missing."""
    addresses: Sequence[str]
    series: Sequence[Series]
    net: Sequence[Figure]
    words: Mapping[str, str]


class Node(msgspec.Struct, frozen=True):
    """A box of the streams: `side` -1 where money comes from, 0 an account, 1 where it goes."""

    name: str
    title: str
    side: int


class Link(msgspec.Struct, frozen=True):
    """A stream between two boxes, with the lines that tell of it."""

    source: str
    target: str
    exact: str
    lines: Sequence[str]
    own: bool


class Sankey(msgspec.Struct, frozen=True):
    """The chart of the streams."""

    label: str
    nodes: Sequence[Node]
    links: Sequence[Link]


def embedded(value: msgspec.Struct) -> Markup:
    """JSON that can stand in a <script> of a page."""
    return Markup(msgspec.json.encode(value).decode().replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704 - nothing in it ends a script


def colours_of(kinds: Sequence[str]) -> dict[str, int]:
    """The number of the colour of each kind, those of the greatest first; 0 where it is drawn with the rest."""
    own = len(kinds) if len(kinds) <= SERIES_MAX else SERIES_MAX - 1
    return {kind: number if number <= own else 0 for number, kind in enumerate(kinds, 1)}


def bars(
    periods: Sequence[ChartPeriod], span: Span, currency: str, zone: str, addresses: Sequence[str], language: Language
) -> Bars:
    """The chart of what moved in each period, by kind."""
    words, colours = Words(language), colours_of(list(by_kind(periods)))
    series = [
        _series(words.kind(kind), number, [period.kinds.get(kind, Total()) for period in periods], language)
        for kind, number in colours.items()
        if number
    ]
    rest = [kind for kind, number in colours.items() if not number]
    if rest:
        summed = [sum_totals(period.kinds[kind] for kind in rest if kind in period.kinds) for period in periods]
        series.append(_series(language.say("Other kinds"), 0, summed, language))
    return Bars(
        label=language.say("Money in and out in %(currency)s, by kind", currency=currency),
        currency=currency,
        axis=[axis_name(span.unit, period.first, language) for period in periods],
        periods=[period_name(span.unit, period.first, period.last, language) for period in periods],
        marks=[coverage_label(period.verdict, zone, language).name for period in periods],
        gaps=[number for number, period in enumerate(periods) if period.verdict.status is Completeness.INCOMPLETE],
        addresses=addresses,
        series=series,
        net=[_figure(period.total.net, language) for period in periods],
        words={"net": language.say("Net"), "came": language.say("In"), "went": language.say("Out")},
    )


def _series(name: str, colour: int, moves: Sequence[Total], language: Language) -> Series:
    return Series(
        name,
        colour,
        [_figure(moved.money_in, language) for moved in moves],
        [_figure(moved.money_out, language) for moved in moves],
    )


def _figure(amount: Decimal, language: Language) -> Figure:
    return Figure(to_plain_string(amount), language.amount(amount))


def sankey(flowing: SpanStreams, currency: str, language: Language) -> Sankey:
    """The chart of where money came from and went."""
    words, say = Words(language), language.say
    nodes: dict[str, Node] = {}
    links: list[Link] = []
    streams = flowing.streams
    for account in sorted(
        {one.account for one in streams.outside} | {name for one in streams.between for name in one[:2]}
    ):
        nodes[f"account:{account}"] = Node(f"account:{account}", account, 0)
    for account, kind, inward, outward in streams.outside:
        kind_name = words.kind(kind)
        if inward > ZERO:
            name = f"from:{kind}"
            nodes.setdefault(name, Node(name, kind_name, -1))
            line = say("%(kind)s into %(account)s", kind=kind_name, account=account)
            links.append(_link(name, f"account:{account}", inward, [line], currency, language))
        if outward > ZERO:
            name = f"to:{kind}"
            nodes.setdefault(name, Node(name, kind_name, 1))
            line = say("%(kind)s out of %(account)s", kind=kind_name, account=account)
            links.append(_link(f"account:{account}", name, outward, [line], currency, language))
    back = {(one.source, one.target): one for one in streams.between}
    links += [
        _own(one, back.get((one.target, one.source)), currency, language) for one in streams.between if one.drawn > ZERO
    ]
    return Sankey(say("Where money in %(currency)s came from and went", currency=currency), list(nodes.values()), links)


def _own(one: Between, back: Between | None, currency: str, language: Language) -> Link:
    say = language.say
    lines = [transfers_line(one, currency, language)]
    if back is not None:
        lines.append(transfers_line(back, currency, language))
    if one.drawn != one.amount:
        drawn = f"{language.amount(one.drawn)} {currency}"
        lines.append(say("The chart shows only the net of both directions: %(amount)s", amount=drawn))
    lines.append(how_matched(language))
    source, target = f"account:{one.source}", f"account:{one.target}"
    return Link(source, target, to_plain_string(one.drawn), lines, own=True)


def transfers_line(one: Between, currency: str, language: Language) -> str:
    """What went from one account to another, in a line."""
    return language.say_many(
        "%(source)s to %(target)s: %(amount)s in %(number)s transfer",
        "%(source)s to %(target)s: %(amount)s in %(number)s transfers",
        one.transfers,
        source=one.source,
        target=one.target,
        amount=f"{language.amount(one.amount)} {currency}",
    )


def how_matched(language: Language) -> str:
    """What makes two flows one transfer of one's own."""
    return language.say(
        "Money that left one account and the same amount that arrived in another, at most %(days)s days apart, count "
        "as a transfer. Only transfers, deposits and withdrawals are compared.",
        days=WINDOW.days,
    )


def _link(source: str, target: str, amount: Decimal, lines: Sequence[str], currency: str, language: Language) -> Link:
    return Link(source, target, to_plain_string(amount), [*lines, f"{language.amount(amount)} {currency}"], own=False)
