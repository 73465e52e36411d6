"""liushui flows, balances, summary: what is in the ledger."""

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import options
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, messages
from liushui.errors import ConfigError
from liushui.flow import Kind

if TYPE_CHECKING:
    from liushui.ledger.read.balances import LedgerFlow
    from liushui.ledger.read.history import Version

TABLE_ROWS: Final = 50
"""The rows of a table without --limit."""

FLOW_COLUMNS: Final = (
    "account", "at", "amount", "currency", "direction", "kind", "category", "label", "symbol", "note", "subaccount",
    "balance_after", "settled_at", "ref", "order_ref", "name", "price", "quantity", "fx_currency", "fx_amount",
    "fx_rate", "detail", "id", "batch",
)  # fmt: skip
FLOW_TABLE_COLUMNS: Final = ("account", "at", "amount", "currency", "direction", "kind", "label", "symbol", "note")
VERSION_COLUMNS: Final = ("recorded_at", "ended_at", "ended_batch", "ended_as")

as_of_option = click.option(
    "--as-of",
    metavar="WHEN",
    help="Use the ledger as it was at this date or ISO 8601 time: only what was recorded before. (default: as it is)",
)


class Period(StrEnum):
    """The length of a summary's periods."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    ALL = "all"


@click.command()
@options.accounts
@options.since
@options.until
@click.option("--currency", metavar="CODE", help="Only this currency, such as USD.")
@click.option("--kind", type=options.EnumChoice(Kind), help="Only this kind.")
@click.option("--symbol", metavar="SYMBOL", help="Only this symbol, such as AAPL.US.")
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
    accounts: tuple[str, ...],
    since: str | None,
    until: str | None,
    currency: str | None,
    kind: Kind | None,
    symbol: str | None,
    limit: int | None,
    newest: bool | None,
    as_of: str | None,
    versions: bool,
) -> None:
    """Print flows by account and time.

    A table has the most important columns; the other formats have all of them.

    \b
    Example: liushui flows broker --since 2026-01-01 --kind dividend
    """
    from liushui.ledger.read.balances import FlowFilter, list_flows
    from liushui.ledger.read.history import list_flows_as_of, list_versions

    form = settings.format
    is_table = form is Format.TABLE
    flow_filter = FlowFilter(
        accounts=accounts,
        since=options.parse_when("since", since),
        until=options.parse_when("until", until),
        currency=currency,
        kind=kind.value if kind else None,
        symbol=symbol,
        limit=(TABLE_ROWS if limit is None and is_table else limit) or None,
        newest_first=is_table if newest is None else newest,
    )
    recorded_until = options.parse_when("as-of", as_of)
    if recorded_until is not None and versions:
        raise ConfigError("as-of: expected without --versions, which prints every version with its times")
    ledger = settings.open_ledger()
    columns = FLOW_TABLE_COLUMNS if is_table else FLOW_COLUMNS
    if versions:
        emit(map(version_record, list_versions(ledger, flow_filter)), (*columns, *VERSION_COLUMNS), form)
    elif recorded_until is None:
        emit(map(flow_record, list_flows(ledger, flow_filter)), columns, form)
    else:
        emit(map(flow_record, list_flows_as_of(ledger, flow_filter, recorded_until)), columns, form)
    if is_table and limit is None:
        messages.print(f"[dim]at most {TABLE_ROWS} flows are shown; --limit 0 shows all[/]")


def flow_record(entry: "LedgerFlow") -> Record:
    """A flow by its columns, in the order of FLOW_COLUMNS."""
    flow = entry.flow
    return {
        "account": entry.account,
        "at": flow.at,
        "amount": flow.amount,
        "currency": flow.currency,
        "direction": flow.direction.value,
        "kind": flow.kind.value,
        "category": flow.category.value,
        "label": flow.label,
        "symbol": flow.symbol,
        "note": flow.note,
        "subaccount": flow.subaccount,
        "balance_after": flow.balance_after,
        "settled_at": flow.settled_at,
        "ref": flow.ref,
        "order_ref": flow.order_ref,
        "name": flow.name,
        "price": flow.price,
        "quantity": flow.quantity,
        "fx_currency": flow.fx.currency if flow.fx else None,
        "fx_amount": flow.fx.amount if flow.fx else None,
        "fx_rate": flow.fx.rate if flow.fx else None,
        "detail": flow.detail,
        "id": entry.id,
        "batch": entry.batch,
    }


def version_record(version: "Version") -> Record:
    """A version of a flow by its columns."""
    return {**flow_record(version.found), **{name: getattr(version, name) for name in VERSION_COLUMNS}}


@click.command()
@options.accounts
@click.option("--at", metavar="WHEN", help="Sum only flows before this date or ISO 8601 time. (default: all)")
@as_of_option
@options.ledger_and_format
def balances(settings: Settings, accounts: tuple[str, ...], at: str | None, as_of: str | None) -> None:
    """Print the sum of each account's flows by currency.

    The sums are exact. Each says whether every flow up to its date is known. With --as-of the sums are computed from
    all versions of the flows, which takes longer the more there are.

    \b
    Example: liushui balances broker --at 2026-01-01
    """
    from liushui.ledger.read.balances import Balance
    from liushui.ledger.read.balances import balances as balances_now
    from liushui.ledger.read.history import balances_as_of

    until, recorded_until = options.parse_when("at", at), options.parse_when("as-of", as_of)
    ledger = settings.open_ledger()
    if recorded_until is None:
        found = balances_now(ledger, accounts, until)
    else:
        found = balances_as_of(ledger, accounts, until, recorded_until)
    emit((balance._asdict() for balance in found), Balance._fields, settings.format)


@click.command()
@options.accounts
@click.option(
    "--by",
    type=options.EnumChoice(Period),
    default=Period.MONTH.value,
    help="The length of a period, in each account's own days.",
)
@click.option("--since", metavar="DAY", help="From this day on, inclusive.")
@click.option("--until", metavar="DAY", help="Before this day, exclusive.")
@as_of_option
@options.ledger_and_format
def summary(
    settings: Settings,
    accounts: tuple[str, ...],
    by: Period,
    since: str | None,
    until: str | None,
    as_of: str | None,
) -> None:
    """Print money in and out by period, account, currency and kind.

    Currencies are never added together. With --as-of the sums are computed from all versions of the flows, which
    takes longer the more there are.

    \b
    Example: liushui summary broker --by year
    """
    from liushui.ledger.read.balances import FIRST_DAY, LAST_DAY, Summary
    from liushui.ledger.read.balances import summary as summary_now
    from liushui.ledger.read.history import summary_as_of

    first, after = options.parse_when("since", since), options.parse_when("until", until)
    first_day = first.date().isoformat() if first else FIRST_DAY
    last_day = (after - timedelta(days=1)).date().isoformat() if after else LAST_DAY
    recorded_until = options.parse_when("as-of", as_of)
    ledger = settings.open_ledger()
    if recorded_until is None:
        found = summary_now(ledger, accounts, period=by.value, first_day=first_day, last_day=last_day)
    else:
        found = summary_as_of(ledger, accounts, recorded_until, period=by.value, first_day=first_day, last_day=last_day)
    emit((record._asdict() for record in found), Summary._fields, settings.format)
