"""liushui flows, summary: what is in the ledger."""

import sys
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, messages
from liushui.errors import ConfigError
from liushui.flow import Category, Direction, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from liushui.ledger.read.completeness import Gap, Verdict
    from liushui.ledger.read.fees import FeeRow
    from liushui.ledger.read.filters import Bound
    from liushui.ledger.read.flows import LedgerFlow
    from liushui.ledger.read.history import Version
    from liushui.ledger.read.model import ReadModel
    from liushui.ledger.read.summaries import SummaryQuery, SummaryRow

P = ParamSpec("P")
R = TypeVar("R")

TABLE_ROWS: Final = 50
"""The rows of a table without --limit."""
REASONS_MAX: Final = 6
"""How many gaps are explained below a result that is not complete."""

FLOW_TABLE_COLUMNS: Final = ("account", "at", "amount", "currency", "direction", "kind", "label", "symbol", "note")
VERSION_COLUMNS: Final = ("recorded_at", "ended_at", "ended_batch", "ended_as")
SUMMARY_COLUMNS: Final = (
    *("period", "account", "currency", "kind", "flows", "money_in", "money_out", "net", "own_in", "own_out"),
    *("complete", "complete_until"),
)
MEANING_COLUMNS: Final = (
    *("period", "account", "currency", "meaning", "section", "flows", "money_in", "money_out", "net"),
    *("complete", "complete_until"),
)
FEE_COLUMNS: Final = (
    *("period", "account", "currency", "flows", "flows_in", "flows_out", "rows_with_fee", "within_in", "within_out"),
    *("net", "complete", "complete_until", "reason"),
)

as_of_option = click.option(
    "--as-of",
    metavar="WHEN",
    help="Use what the ledger had recorded before this time, or before this day of the account. "
    "(default: everything recorded)",
)


class By(StrEnum):
    """What a summary is grouped by: the length of its periods, and further fields."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ALL = "all"
    MEANING = "meaning"
    FEE = "fee"


NOT_PERIODS: Final = (By.MEANING, By.FEE)


FILTER_OPTIONS: Final = (
    click.option("--currency", metavar="CODE", help="Only this currency, such as USD, in any case."),
    click.option("--kind", type=options.EnumChoice(Kind), help="Only this kind."),
    click.option("--category", type=options.EnumChoice(Category), help="Only this category."),
    click.option(
        "--direction", type=options.EnumChoice(Direction), help="Only this direction, as the provider names it."
    ),
    click.option("--symbol", metavar="SYMBOL", help="Only this symbol, such as AAPL.US, in any case."),
    click.option("--subaccount", metavar="NAME", help="Only this subaccount."),
    click.option("--ref", metavar="REFERENCE", help="Only flows with this reference or this order number."),
    click.option(
        "--text", metavar="TEXT", help="Only flows with this text in label, name, note, symbol or references."
    ),
    click.option("--amount-min", metavar="AMOUNT", help="Only amounts of at least this. -100 is less than 0."),
    click.option("--amount-max", metavar="AMOUNT", help="Only amounts of at most this. -100 is less than 0."),
    click.option(
        "--amount-near",
        metavar="AMOUNT",
        help="Only amounts near this: within 1 %, or within half a unit of its last digit if that is more. Without a "
        "sign, amounts of both signs match. `--text '≈ 88'` does the same.",
    ),
    click.option(
        "--finding",
        metavar="FINDING",
        help="Only flows to review for this reason: side, same_id or break; or the flows of the finding with this id.",
    ),
)


def filter_options(command: "Callable[P, R]") -> "Callable[P, R]":
    """The options that say which flows, beside accounts and times."""
    for option in reversed(FILTER_OPTIONS):
        command = option(command)
    return command


@click.command()
@options.accounts
@options.since
@options.until
@filter_options
@click.option(
    "--view",
    metavar="NAME",
    help="Start with this saved view: its filter, columns and order. Further options override it.",
)
@click.option("--break", "is_break", is_flag=True, help="Only the flows of breaks: the same as --finding break.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Print at most N flows; 0 prints all. (default: {TABLE_ROWS} in tables, else all)",
)
@click.option(
    "--newest/--oldest", default=None, help="Which come first. (default: the newest in tables, else the oldest)"
)
@as_of_option
@click.option(
    "--versions", is_flag=True, help="Print every version of the flows: when it was recorded, when and why it ended."
)
@options.ledger_and_format
def flows(
    settings: Settings,
    /,
    accounts: tuple[str, ...],
    limit: int | None,
    newest: bool | None,
    as_of: str | None,
    versions: bool,
    is_break: bool,
    view: str | None,
    **filters: str | StrEnum | None,
) -> None:
    """Print flows by account and time. Flows of one moment are in the order of their balances.

    A table has the most important columns; the other formats have all of them. The exit code is 3 if the ledger is
    known to lack flows of the range.

    With `--view NAME` every format has the columns of the view. A table shows times in the view's zone, if it names
    one.

    With `--finding ID` the command prints every flow that a finding is about: both flows that share an id, or the flows
    around a break and those that may be wrong.

    \b
    Example: liushui flows broker --since 2026-01-01 --kind dividend
    Example: liushui flows --view "Fees of the shop"
    """
    from liushui.ledger.access.saved_views import COLUMNS as VIEW_COLUMNS
    from liushui.ledger.access.saved_views import NEWEST
    from liushui.ledger.read.filters import read_filter
    from liushui.ledger.read.finding_lists import with_finding_rows
    from liushui.ledger.read.flows import COLUMNS, flow_record, list_flows
    from liushui.ledger.read.history import list_flows_as_of, list_versions
    from liushui.services.access import owner
    from liushui.services.views import find_view

    form = settings.format
    is_table = form is Format.TABLE
    texts = {name: str(value) for name, value in filters.items() if value is not None}
    columns: Sequence[str] = FLOW_TABLE_COLUMNS if is_table else COLUMNS
    model: ReadModel | None = None
    record_of: Callable[[LedgerFlow], Record] = flow_record
    if view is not None:
        model = settings.open_read_model()
        query = find_view(model.ledger, owner("command line"), view).query
        texts, accounts = {**query.filter, **texts}, accounts or query.accounts
        newest = query.order == NEWEST if newest is None else newest
        columns = list(dict.fromkeys(field for name in query.columns for field in VIEW_COLUMNS[name]))
        record_of = _record_in(query.zone) if is_table else flow_record
    if is_break and texts.setdefault("finding", "break") != "break":
        raise ConfigError(f"break: expected without --finding, got --finding {texts['finding']}")
    wanted = read_filter(texts, accounts=accounts)._replace(
        limit=(TABLE_ROWS if limit is None and is_table else limit) or None,
        newest_first=is_table if newest is None else newest,
    )
    recorded_until = bound_of("as-of", as_of)
    if recorded_until is not None and versions:
        raise ConfigError("as-of: expected without --versions, which prints every version with its times")
    model = model or settings.open_read_model()
    verdict = model.verdict(wanted, recorded_until)
    wanted = with_finding_rows(model, wanted)
    if versions:
        emit(map(version_record, list_versions(model.ledger, wanted)), (*columns, *VERSION_COLUMNS), form)
    elif recorded_until is None:
        emit(map(record_of, list_flows(model.ledger, wanted, model.rules)), columns, form)
    else:
        emit(map(record_of, list_flows_as_of(model.ledger, wanted, recorded_until, model.rules)), columns, form)
    if is_table and limit is None:
        messages.print(f"[dim]at most {TABLE_ROWS} flows are shown; --limit 0 shows all[/]")
    exit_with(verdict)


def _record_in(zone: str) -> "Callable[[LedgerFlow], Record]":
    """Writes flows for people, with their times in the zone that a view names; else in UTC."""
    from liushui.instant import load_zone, to_local
    from liushui.ledger.access.saved_views import ACCOUNT_ZONE
    from liushui.ledger.read.flows import flow_record

    if zone in ("", ACCOUNT_ZONE):
        return flow_record
    tz = load_zone(zone)

    def record(found: "LedgerFlow") -> Record:
        return {**flow_record(found), "at": to_local(found.flow.at, tz).isoformat(" ", "seconds")}

    return record


def version_record(version: "Version") -> Record:
    """A version of a flow by its columns."""
    from liushui.ledger.read.flows import flow_record

    return {**flow_record(version.found), **{name: getattr(version, name) for name in VERSION_COLUMNS}}


def bound_of(name: str, text: str | None) -> "Bound | None":
    """The day or time given as option `name`; None if it was not given. Raises ConfigError."""
    from liushui.ledger.read.filters import read_bound

    return None if text is None else read_bound(name, text)


def exit_with(verdict: "Verdict") -> None:
    """Say why a result is not complete, and exit with code 3. Return if nothing is known to be missing."""
    from liushui.ledger.read.completeness import Cause

    # If an account has no source, it is not known whether anything is missing; only `complete` names it.
    _exit_with_gaps([gap for gap in verdict.gaps if gap.cause is not Cause.NO_SOURCE])


def exit_with_sums(verdict: "Verdict") -> None:
    """The same as `exit_with` for sums. The sum of an account without a source is not complete."""
    _exit_with_gaps(verdict.gaps)


def _exit_with_gaps(gaps: "Sequence[Gap]") -> None:
    if not gaps:
        return
    messages.plain("not complete: flows may be missing from what is shown")
    for gap in gaps[:REASONS_MAX]:
        messages.plain(f"  {gap.account}: {gap.describe()}")
    if len(gaps) > REASONS_MAX:
        messages.plain(f"  and {len(gaps) - REASONS_MAX} more; `liushui coverage` shows all of them")
    sys.exit(EXIT_INCOMPLETE)


@click.command()
@options.accounts
@click.option(
    "--by",
    type=options.EnumChoice(By),
    multiple=True,
    help="The length of a period, in each account's own days: day, week, month, year, or all days together. `meaning` "
    "tells income, expense and money from outside apart, `fee` prints fees; either may be given beside a period. "
    "(default: month; with meaning or fee: all)",
)
@click.option("--since", metavar="DAY", help="Begin with this day of the account.")
@click.option("--until", metavar="DAY", help="End before this day of the account.")
@click.option("--currency", metavar="CODE", help="Only this currency, such as USD, in any case.")
@click.option("--kind", type=options.EnumChoice(Kind), help="Only this kind.")
@as_of_option
@options.ledger_and_format
def summary(
    settings: Settings,
    accounts: tuple[str, ...],
    by: tuple[By, ...],
    since: str | None,
    until: str | None,
    currency: str | None,
    kind: Kind | None,
    as_of: str | None,
) -> None:
    """Print money in and out by period, account, currency and kind.

    `--by meaning` replaces kinds by meanings: sales, refunds, fees, interest and so on, and money from and to outside.
    Trades, currency conversions, own transfers and flows whose money another account shows too have rows of their own.

    `--by fee` prints the fees of each account. `flows` counts the fees that are flows of their own, and `rows_with_fee`
    the other rows that contain a fee. `within_out` is the sum of the fees that these rows contain; their amounts
    already include it.

    Currencies are never added together. `own_in` and `own_out` are the part of money in and out that only moved between
    the printed accounts, or that another of them shows too. Without --until the range ends with the newest flow, or
    where the newest sync ended.

    The exit code is 3 if the result is not complete. The result of an account without a source is never complete. With
    --as-of the command adds up all versions of the flows, which takes longer.

    \b
    Example: liushui summary broker --by year
    Example: liushui summary --by month --by meaning --since 2026-10-01
    """
    from liushui.ledger.read.filters import check_range
    from liushui.ledger.read.summaries import SummaryQuery, Unit, read_summary

    period = _period_of(by)
    first, after = day_of("since", since), day_of("until", until)
    check_range(first, after)
    if after == date.min:
        raise ConfigError(f"until: expected a day after {date.min}, the calendar's first, got {date.min}")
    query = SummaryQuery(
        accounts,
        Unit(period.value),
        by_kind=By.MEANING not in by,
        by_meaning=By.MEANING in by,
        first=first,
        last=None if after is None else after - timedelta(days=1),
        currency=currency,
        kind=None if kind is None else kind.value,
    )
    if By.FEE in by:
        for name, value in (("kind", kind), ("as-of", as_of)):
            if value is not None:
                raise ConfigError(f"{name}: expected without --by fee, got --{name} {value}")
        _print_fees(settings, query)
        return
    found = read_summary(settings.open_read_model(), query, bound_of("as-of", as_of))
    is_by_meaning = By.MEANING in by
    record_of, columns = (_meaning_record, MEANING_COLUMNS) if is_by_meaning else (_summary_record, SUMMARY_COLUMNS)
    emit(map(record_of, found.rows), columns, settings.format)
    exit_with_sums(found.verdict)


def _period_of(by: tuple[By, ...]) -> By:
    """The period among the values of --by. Raises ConfigError if they contradict each other."""
    periods = [one for one in dict.fromkeys(by) if one not in NOT_PERIODS]
    if len(periods) > 1:
        raise ConfigError(f"by: expected one period, got {' and '.join(periods)}")
    if By.MEANING in by and By.FEE in by:
        raise ConfigError("by: expected meaning or fee, got both: ask for them one after the other")
    return periods[0] if periods else By.ALL if by else By.MONTH


def _print_fees(settings: Settings, query: "SummaryQuery") -> None:
    from liushui.ledger.read.fees import read_fees

    fees = read_fees(settings.open_read_model(), query)
    emit(map(_fee_record, fees.rows), FEE_COLUMNS, settings.format)
    for row in fees.rows:
        if row.within.unread:
            messages.warn(f"{row.account} {row.currency}: {row.reason}")
    exit_with_sums(fees.verdict)
    if not fees.is_complete:
        sys.exit(EXIT_INCOMPLETE)


def _fee_record(row: "FeeRow") -> Record:
    from liushui.ledger.read.completeness import end_instant

    return {
        "period": row.period.name,
        "account": row.account,
        "currency": row.currency,
        "flows": row.flows.flows,
        "flows_in": row.flows.money_in,
        "flows_out": row.flows.money_out,
        "rows_with_fee": row.within.total.flows,
        "within_in": row.within.total.money_in,
        "within_out": row.within.total.money_out,
        "net": row.total.net,
        "complete": row.is_complete,
        "complete_until": end_instant(row.verdict.until_us),
        "reason": row.reason or None,
    }


def _meaning_record(row: "SummaryRow") -> Record:
    from liushui.meaning import SECTIONS

    meaning = row.meaning
    return {
        **_summary_record(row),
        "meaning": None if meaning is None else meaning.value,
        "section": None if meaning is None else SECTIONS[meaning].value,
    }


def _summary_record(row: "SummaryRow") -> Record:
    from liushui.ledger.read.completeness import end_instant

    until_us = row.verdict.until_us
    return {
        "period": row.period.name,
        "account": row.account,
        "currency": row.currency,
        "kind": row.kind,
        "flows": row.total.flows,
        "money_in": row.total.money_in,
        "money_out": row.total.money_out,
        "net": row.total.net,
        "own_in": None if row.own is None else row.own.money_in,
        "own_out": None if row.own is None else row.own.money_out,
        "complete": row.verdict.is_complete,
        "complete_until": end_instant(until_us),
    }


def day_of(name: str, text: str | None) -> date | None:
    """The day given as option `name`; None if it was not given. Raises ConfigError."""
    if text is None:
        return None
    from liushui.errors import short_repr
    from liushui.instant import parse_day

    day = parse_day(text)
    if day is None:
        raise ConfigError(f"{name}: expected a day such as 2024-01-31, got {short_repr(text)}")
    return day
