"""liushui flows, balances, summary, coverage, status, verify: what is in the ledger, and whether it is whole."""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.progress import Progress

from liushui.cli import EXIT_DAMAGED, EXIT_INCOMPLETE
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
from liushui.flow import Kind
from liushui.instant import from_us
from liushui.ledger import query
from liushui.ledger.coverage import State
from liushui.ledger.sources import last_runs, list_sources
from liushui.ledger.verify import Damage
from liushui.ledger.verify import verify as verify_ledger

TABLE_ROWS = 50

FLOW_COLUMNS = (
    "account", "at", "amount", "currency", "direction", "kind", "category", "label", "symbol", "note", "subaccount",
    "balance_after", "settled_at", "ref", "order_ref", "name", "price", "quantity", "fx_currency", "fx_amount",
    "fx_rate", "detail", "id", "batch",
)  # fmt: skip
FLOW_TABLE_COLUMNS = ("account", "at", "amount", "currency", "direction", "kind", "label", "symbol", "note")

AccountOption = Annotated[list[str] | None, typer.Option("--account", help="Only this account; may be given again.")]


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
    found = query.list_flows(opened(ctx, ledger), wanted)
    emit(map(flow_record, found), FLOW_TABLE_COLUMNS if table else FLOW_COLUMNS, shape)
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


def balances(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="WHEN", help="Before this date or ISO 8601 time. (default: all)")
    ] = None,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Print the sum of each account's flows by currency, exact, and whether every flow up to there is proven."""
    found = query.balances(opened(ctx, ledger), tuple(accounts or ()), instant_of("at", at))
    emit((balance._asdict() for balance in found), query.Balance._fields, format_of(ctx, form))


def summary(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    by: Annotated[Period, typer.Option("--by", help="How it is cut, in each account's own days.")] = Period.MONTH,
    since: Annotated[str | None, typer.Option("--since", metavar="DAY", help="From this day on.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="Up to this day, itself left out.")
    ] = None,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Print what moved in and out, by period, account, currency and kind. Currencies are never added together."""
    first, after = instant_of("since", since), instant_of("until", until)
    found = query.summary(
        opened(ctx, ledger),
        tuple(accounts or ()),
        period=by.value,
        first_day=first.date().isoformat() if first else query.FIRST_DAY,
        last_day=(after - timedelta(days=1)).date().isoformat() if after else query.LAST_DAY,
    )
    emit((record._asdict() for record in found), query.Summary._fields, format_of(ctx, form))


def coverage(
    ctx: typer.Context, accounts: AccountsArgument = None, ledger: LedgerOption = None, form: FormatOption = None
) -> None:
    """Print which ranges are proven complete, which are open, and why."""
    found = query.coverage_of(opened(ctx, ledger), tuple(accounts or ()))
    records: list[Record] = [
        {
            "account": account,
            "since": from_us(known.since_us),
            "until": from_us(known.until_us),
            "state": known.state.value,
            "reason": known.reason or None,
            "checked_at": from_us(known.checked_at_us),
        }
        for account, ranges in found.items()
        for known in ranges
    ]
    columns = ("account", "since", "until", "state", "reason", "checked_at")
    emit(records, columns, format_of(ctx, form))
    if any(record["state"] == State.OPEN.value for record in records):
        raise typer.Exit(EXIT_INCOMPLETE)


def status(
    ctx: typer.Context, accounts: AccountsArgument = None, ledger: LedgerOption = None, form: FormatOption = None
) -> None:
    """Print how far each account is collected, and how its last sync went. Exit code 3 where something is open."""
    book = opened(ctx, ledger)
    runs = last_runs(book)
    sources = {source.account for source in list_sources(book)}
    records: list[Record] = []
    for account in query.statuses(book, tuple(accounts or ())):
        run = runs.get(account.account)
        records.append(
            {
                **account._asdict(),
                "source": account.account in sources,
                "last_sync": run.started_at if run else None,
                "last_error": (run.error or None) if run else None,
            }
        )
    columns = (*query.AccountStatus._fields, "source", "last_sync", "last_error")
    emit(records, columns, format_of(ctx, form))
    if any(record["gaps"] or record["quarantined"] or record["last_error"] for record in records):
        raise typer.Exit(EXIT_INCOMPLETE)


def verify(ctx: typer.Context, ledger: LedgerOption = None, form: FormatOption = None) -> None:
    """Prove that nothing changed a fact behind the ledger's back: every chain, fact, coverage and total again."""
    book = opened(ctx, ledger)
    damaged = 0

    def records(bars: Progress) -> Iterator[Record]:
        nonlocal damaged
        task = bars.add_task("verifying", total=None)
        for found in verify_ledger(book, lambda _account, done, total: bars.update(task, completed=done, total=total)):
            if isinstance(found, Damage):
                damaged += 1
                yield {
                    "account": found.account,
                    "batch": found.batch,
                    "flows": None,
                    "result": f"damaged: {found.what}",
                }
            else:
                result = f"intact, chain {found.link[:16]}…"
                yield {"account": found.account, "batch": found.batches, "flows": found.flows, "result": result}

    with Progress(console=messages, disable=not messages.is_terminal, transient=True) as bars:
        every = list(records(bars))
    emit(every, ("account", "batch", "flows", "result"), format_of(ctx, form))
    if damaged:
        raise typer.Exit(EXIT_DAMAGED)
