"""liushui flows, balances, summary: what is in the ledger."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from liushui.cli.options import (
    AccountsArgument,
    Format,
    FormatOption,
    LedgerOption,
    SinceOption,
    UntilOption,
    format_of,
    instant_of,
    opened,
)
from liushui.cli.output import Record, emit, messages
from liushui.errors import ConfigError
from liushui.flow import Kind
from liushui.ledger.read import balances as query
from liushui.ledger.read.history import Version, balances_as_of, list_flows_as_of, list_versions, summary_as_of

TABLE_ROWS = 50

FLOW_COLUMNS = (
    "account", "at", "amount", "currency", "direction", "kind", "category", "label", "symbol", "note", "subaccount",
    "balance_after", "settled_at", "ref", "order_ref", "name", "price", "quantity", "fx_currency", "fx_amount",
    "fx_rate", "detail", "id", "batch",
)  # fmt: skip
FLOW_TABLE_COLUMNS = ("account", "at", "amount", "currency", "direction", "kind", "label", "symbol", "note")

VERSION_COLUMNS = ("recorded_at", "ended_at", "ended_batch", "ended_as")

AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="WHEN",
        help="As the ledger stood at this date or ISO 8601 time: what was recorded until then. (default: as it stands)",
    ),
]


class Period(StrEnum):
    """How a summary is cut."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    ALL = "all"


def flows(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    since: SinceOption = None,
    until: UntilOption = None,
    currency: Annotated[str | None, typer.Option("--currency", help="Only this currency, such as USD.")] = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only this kind.")] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this symbol, such as AAPL.US.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=0, help=f"At most so many, 0 for all. (default: {TABLE_ROWS} in tables)"),
    ] = None,
    newest: Annotated[
        bool | None, typer.Option("--newest/--oldest", help="Which come first. (default: newest in tables)")
    ] = None,
    as_of: AsOfOption = None,
    versions: Annotated[
        bool,
        typer.Option("--versions", help="Every version of them: when each was recorded, and when and how it ended."),
    ] = False,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Print flows, by account and time. All but tables are streamed, and hold every column."""
    shape = format_of(ctx, form)
    table = shape is Format.TABLE
    most = TABLE_ROWS if limit is None and table else limit
    wanted = query.FlowFilter(
        accounts=tuple(accounts or ()),
        since=instant_of("since", since),
        until=instant_of("until", until),
        currency=currency,
        kind=kind.value if kind else None,
        symbol=symbol,
        limit=most or None,
        newest_first=table if newest is None else newest,
    )
    then = instant_of("as-of", as_of)
    if then is not None and versions:
        raise ConfigError("as-of: expected without --versions, which has every one with its times")
    book = opened(ctx, ledger)
    columns = FLOW_TABLE_COLUMNS if table else FLOW_COLUMNS
    if versions:
        emit(map(version_record, list_versions(book, wanted)), (*columns, *VERSION_COLUMNS), shape)
    else:
        found = query.list_flows(book, wanted) if then is None else list_flows_as_of(book, wanted, then)
        emit(map(flow_record, found), columns, shape)
    if table and limit is None:
        messages.print(f"[dim]the newest {TABLE_ROWS} at most; --limit 0 for all[/]")


def flow_record(found: query.LedgerFlow) -> Record:
    """A flow as it is printed."""
    flow = found.flow
    return {
        "account": found.account,
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
        "id": found.id,
        "batch": found.batch,
    }


def version_record(version: Version) -> Record:
    """A version of a flow as it is printed."""
    return {**flow_record(version.found), **{name: getattr(version, name) for name in VERSION_COLUMNS}}


def balances(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="WHEN", help="Before this date or ISO 8601 time. (default: all)")
    ] = None,
    as_of: AsOfOption = None,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Print the sum of each account's flows by currency, exact, and whether every flow up to there is proven.

    With --as-of it is summed from the flows' versions, in time that grows with their number.
    """
    book, names, until = opened(ctx, ledger), tuple(accounts or ()), instant_of("at", at)
    then = instant_of("as-of", as_of)
    found = query.balances(book, names, until) if then is None else balances_as_of(book, names, until, then)
    emit((balance._asdict() for balance in found), query.Balance._fields, format_of(ctx, form))


def summary(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    by: Annotated[Period, typer.Option("--by", help="How it is cut, in each account's own days.")] = Period.MONTH,
    since: Annotated[str | None, typer.Option("--since", metavar="DAY", help="From this day on.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="Up to this day, itself left out.")
    ] = None,
    as_of: AsOfOption = None,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Print what moved in and out, by period, account, currency and kind. Currencies are never added together.

    With --as-of it is summed from the flows' versions, in time that grows with their number.
    """
    first, after = instant_of("since", since), instant_of("until", until)
    first_day = first.date().isoformat() if first else query.FIRST_DAY
    last_day = (after - timedelta(days=1)).date().isoformat() if after else query.LAST_DAY
    book, names, then = opened(ctx, ledger), tuple(accounts or ()), instant_of("as-of", as_of)
    if then is None:
        found = query.summary(book, names, period=by.value, first_day=first_day, last_day=last_day)
    else:
        found = summary_as_of(book, names, then, period=by.value, first_day=first_day, last_day=last_day)
    emit((record._asdict() for record in found), query.Summary._fields, format_of(ctx, form))
