"""The possible downloads: formats by the programs that read them, file names, and the month-end pack of a filter."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from liushui.export.formats import FORMATS, Format
from liushui.instant import add_days
from liushui.ledger.read.filters import Bound, FlowFilter
from liushui.ledger.read.month_calendar import next_month
from liushui.server.downloads import file_name
from liushui.server.web.account_addresses import month_address
from liushui.server.web.i18n import Language

ACCOUNTS_NAMED = 3
"""The most accounts that a file name lists. If there are more, it has their number."""


class FormatGroup(NamedTuple):
    """Formats that the same kind of program reads."""

    name: str
    formats: Sequence[Format]


def download_choices(language: Language) -> list[FormatGroup]:
    """The formats, in groups: tables, bank statements, journals of double entry."""
    say, every = language.say, list(FORMATS.values())
    return [
        FormatGroup(say("Tables"), [one for one in every if one.takes_filter]),
        FormatGroup(say("Bank statements"), [one for one in every if not one.takes_filter and not one.needs_map]),
        FormatGroup(say("Journals of double entry"), [one for one in every if one.needs_map]),
    ]


def download_name(wanted: FlowFilter, known: Sequence[str]) -> str:
    """The name of a file with the flows of a filter, without its extension: its accounts and its period.

    `known`: all accounts that the reader may see.
    """
    names = wanted.accounts or tuple(known)
    accounts = "+".join(names) if len(names) <= ACCOUNTS_NAMED else f"{len(names)}-accounts"
    parts = [file_name(accounts), period_name(wanted.since, wanted.until)]
    return "-".join([*parts, "filtered"] if wanted.is_selective else parts)


def period_name(since: Bound | None, until: Bound | None) -> str:
    """Return a range in the form of file names: 2026, 2026-10, 2026-10-05..2026-10-20, from-2026-10-05, all."""
    first, after = _day(since), _day(until)
    if first is None and after is None:
        return "all"
    if first is not None and after is not None:
        if first.day == 1 and after == next_month(first):
            return f"{first:%Y-%m}"
        if (first.month, first.day, after.month, after.day) == (1, 1, 1, 1) and after.year == first.year + 1:
            return f"{first:%Y}"
    if after is None:
        return f"from-{first}"
    last = add_days(after, -1)
    return f"until-{last}" if first is None else f"{first}..{last}"


def pack_address(wanted: FlowFilter) -> str:
    """The address of the month-end pack of a filter for one account and one month. Empty for any other filter."""
    first, after = wanted.since, wanted.until
    if len(wanted.accounts) != 1 or wanted.is_selective or type(first) is not date or type(after) is not date:
        return ""
    is_month = first.day == 1 and after == next_month(first)
    return f"{month_address(wanted.accounts[0], f'{first:%Y-%m}')}/pack.zip" if is_month else ""


def _day(bound: Bound | None) -> date | None:
    return None if bound is None else date(bound.year, bound.month, bound.day)
