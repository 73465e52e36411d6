"""liushui coverage: what is proven of each day, what is open and why, and what will soon be out of reach."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape

from liushui.cli import EXIT_INCOMPLETE
from liushui.cli.options import AccountsArgument, Format, FormatOption, LedgerOption, format_of, opened
from liushui.cli.output import Record, emit, messages
from liushui.instant import from_us, load_zone
from liushui.ledger.coverage import Range, State
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import list_sources
from liushui.ledger.read import balances
from liushui.ledger.read.coverage_calendar import Day, DayState, days_of, deadline, stretches
from liushui.providers import load_providers

RANGE_COLUMNS: Final = ("account", "since", "until", "state", "reason", "checked_at")
DAY_COLUMNS: Final = ("account", "day", "state", "reason")
MONTHS: Final = 13
"""The newest months of an account that are always drawn; older ones are where a day of them is not proven."""
REASONS: Final = 12
"""Stretches of open days that are listed for an account."""

MARKS: Final = {
    DayState.PROVEN: ("■", "green"),
    DayState.OPEN: ("□", "bold red"),
    DayState.UNPUBLISHED: ("·", "dim"),
    DayState.LOST: ("×", "yellow"),
}
LEGEND: Final = "■ proven  □ open  · not published yet  × open, and kept by the provider no more"


class Account(NamedTuple):
    """An account, its days, and the sentence about what is running out."""

    name: str
    provider: str
    days: Sequence[Day]
    warning: str


def coverage(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    by_day: Annotated[
        bool, typer.Option("--days", help="A row a day, in the account's own zone, instead of a row a range.")
    ] = False,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Show which days are proven complete, which are open, and why. Exit code 3 where one is open.

    A table is a calendar; the other formats are a row for each range, or, with --days, for each day.
    """
    book, names, shape = opened(ctx, ledger), tuple(accounts or ()), format_of(ctx, form)
    found = balances.coverage_of(book, names)
    if by_day:
        emit(_day_records(book, found), DAY_COLUMNS, shape)
    elif shape is Format.TABLE:
        for account in calendars(book, found):
            draw(account)
        messages.print(f"[dim]{LEGEND}[/]")
    else:
        emit(_range_records(found), RANGE_COLUMNS, shape)
    if any(known.state is State.OPEN for ranges in found.values() for known in ranges):
        raise typer.Exit(EXIT_INCOMPLETE)


def calendars(book: Ledger, found: dict[str, list[Range]]) -> Iterator[Account]:
    """The days of each account, from where its source begins, or its first range where it has none."""
    sources = {source.account: source for source in list_sources(book)}
    with book.reading() as connection:
        named = {account.account: account for account in balances.accounts_named(connection, tuple(found))}
    for name, ranges in found.items():
        provider = load_providers().get(named[name].provider)
        begins = sources[name].since if name in sources else from_us(ranges[0].since_us) if ranges else None
        if provider is None or begins is None:
            yield Account(name, named[name].provider, (), "nothing of it was synced")
            continue
        now = book.clock()
        days = list(days_of(provider.rules, ranges, zone=load_zone(named[name].zone), since=begins, now=now))
        last = deadline(provider.rules, days, now)
        warning = (
            "" if last is None else f"{_many(last.days_left)} until rows of {last.day:%Y-%m} can no longer be fetched"
        )
        yield Account(name, provider.title, days, warning)


def draw(account: Account) -> None:
    """Print an account's calendar: the newest months, and older ones that have a day which is not proven."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(account.name)}[/]  {escape(account.provider)}")
    months = [(month, list(days)) for month, days in groupby(account.days, key=lambda day: f"{day.day:%Y-%m}")]
    hidden: list[tuple[str, DayState]] = []
    for number, (month, days) in enumerate(months):
        states = {day.state for day in days}
        if number < len(months) - MONTHS and len(states) == 1 and DayState.OPEN not in states:
            hidden.append((month, days[0].state))
            continue
        _draw_hidden(console, hidden)
        cells = "".join("[{1}]{0}[/]".format(*MARKS[day.state]) for day in days)
        console.print(f"  {month}  {' ' * (days[0].day.day - 1)}{cells}")
    _draw_hidden(console, hidden)
    open_ones = [one for one in stretches(account.days) if one.state is DayState.OPEN]
    for one in open_ones[-REASONS:]:
        console.print(f"  [red]{_span(one.since, one.until)}[/]  {escape(one.reason)}")
    if account.warning:
        console.print(f"  [yellow]{escape(account.warning)}[/]")


def _draw_hidden(console: Console, hidden: list[tuple[str, DayState]]) -> None:
    """Whole months in a row of one state, on one line; and forget them."""
    for state, group in groupby(hidden, key=lambda pair: pair[1]):
        months = [month for month, _ in group]
        mark, style = MARKS[state]
        console.print(f"  {_span(months[0], months[-1])}  [{style}]{mark}[/] {state.value}")
    hidden.clear()


def _span(first: date | str, last: date | str) -> str:
    return str(first) if first == last else f"{first} … {last}"


def _many(days: int) -> str:
    return f"{days} day" if days == 1 else f"{days} days"


def _range_records(found: dict[str, list[Range]]) -> Iterator[Record]:
    for account, ranges in found.items():
        for known in ranges:
            yield {
                "account": account,
                "since": from_us(known.since_us),
                "until": from_us(known.until_us),
                "state": known.state.value,
                "reason": known.reason or None,
                "checked_at": from_us(known.checked_at_us),
            }


def _day_records(book: Ledger, found: dict[str, list[Range]]) -> Iterator[Record]:
    for account in calendars(book, found):
        for day in account.days:
            yield {
                "account": account.name,
                "day": day.day.isoformat(),
                "state": day.state.value,
                "reason": day.reason or None,
            }
