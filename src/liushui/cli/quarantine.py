"""liushui quarantine: rows that could not be read."""

import sys
from typing import Annotated

import typer

from liushui.cli import EXIT_INCOMPLETE
from liushui.cli.options import AccountsArgument, FormatOption, LedgerOption, format_of, opened
from liushui.cli.output import Record, emit, emit_one
from liushui.instant import from_us, us_to_iso
from liushui.ledger.read.balances import accounts_named
from liushui.ledger.read.review import Quarantined, list_quarantined, quarantined_named
from liushui.ledger.write.record import OWN
from liushui.ledger.write.reprocess import retry as retry_account
from liushui.providers import get_provider

COLUMNS = (
    "account",
    "id",
    "field",
    "reason",
    "since",
    "until",
    "batch",
    "recorded_at",
    "resolved_batch",
    "resolved_as",
)

app = typer.Typer(help="Rows that could not be read: they are kept byte for byte.", no_args_is_help=True)


@app.command("list")
def list_(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    resolved: Annotated[bool, typer.Option("--all", help="Those that were resolved, too.")] = False,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """List the rows, what of each does not fit, and the span it was seen in. Exit code 3 where one is open."""
    is_open = False

    def record(entry: Quarantined) -> Record:
        nonlocal is_open
        is_open = is_open or entry.resolved_batch is None
        return entry_record(entry)

    every = list_quarantined(opened(ctx, ledger), tuple(accounts or ()), resolved=resolved)
    emit(map(record, every), COLUMNS, format_of(ctx, form))
    if is_open:
        raise typer.Exit(EXIT_INCOMPLETE)


@app.command()
def show(
    ctx: typer.Context,
    account: Annotated[str, typer.Argument(help="The account it came to.")],
    id_: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `quarantine list` prints it.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write its bytes as they came, and nothing else.")] = False,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Print one row, what cannot be printed escaped, and all that is known of it."""
    entry = quarantined_named(opened(ctx, ledger), account, id_)
    if raw:
        sys.stdout.buffer.write(entry.wire)
        sys.stdout.flush()
        return
    seen = None if entry.span is None else [f"{us_to_iso(since)} to {us_to_iso(until)}" for since, until in entry.span]
    emit_one({**entry_record(entry), "seen": seen, "row": escaped(entry.wire)}, format_of(ctx, form))


@app.command()
def retry(
    ctx: typer.Context, accounts: AccountsArgument = None, ledger: LedgerOption = None, form: FormatOption = None
) -> None:
    """Read every one again: what can be read now becomes flows. Exit code 3 where some are still open."""
    book = opened(ctx, ledger)
    with book.reading() as connection:
        chosen = accounts_named(connection, tuple(accounts or ()))
    collected = [account for account in chosen if account.provider != OWN]
    done = [retry_account(book, account.account, get_provider(account.provider).codec) for account in collected]
    columns = ("account", "tried", "read", "unreadable", "outside")
    emit([{name: getattr(one, name) for name in columns} for one in done], columns, format_of(ctx, form))
    if any(one.unreadable or one.outside for one in done):
        raise typer.Exit(EXIT_INCOMPLETE)


def entry_record(entry: Quarantined) -> Record:
    """An entry as it is listed."""
    return {
        "account": entry.account,
        "id": entry.id,
        "field": entry.field,
        "reason": entry.reason,
        "since": from_us(entry.span[0].since_us) if entry.span else None,
        "until": from_us(entry.span[-1].until_us) if entry.span else None,
        "batch": entry.batch,
        "recorded_at": entry.recorded_at,
        "resolved_batch": entry.resolved_batch,
        "resolved_as": entry.resolved_as,
    }


def escaped(row: bytes) -> str:
    """Bytes as text for a terminal: what is no UTF-8 and what does not print as escapes, a backslash doubled."""
    text = row.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)
