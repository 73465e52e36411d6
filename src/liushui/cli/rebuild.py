"""liushui rebuild: derive flows again from the rows as they came, for a codec that learned something."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from liushui.cli import EXIT_INCOMPLETE
from liushui.cli.options import AccountsArgument, Format, FormatOption, LedgerOption, format_of, opened
from liushui.cli.output import Record, emit, messages
from liushui.errors import short_repr
from liushui.instant import us_to_iso
from liushui.ledger.read.balances import accounts_named
from liushui.ledger.write.record import OWN
from liushui.ledger.write.reprocess import EXAMPLES_MAX, Advance, Difference, Example, difference
from liushui.ledger.write.reprocess import rebuild as rebuild_account
from liushui.providers import get_provider

COLUMNS = ("account", "flows", "changed", "unreadable", "identities", "fields")


def rebuild(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the difference, and change nothing.")] = False,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Derive the flows again from the rows as they came, print what differs, and commit it once you agree.

    Versions that end so are kept as rederived; coverage and the received rows stay. Exit code 3 where something
    differs and was not committed, and where rows cannot be read any more and are in quarantine now.
    """
    book = opened(ctx, ledger)
    with book.reading() as connection:
        chosen = accounts_named(connection, tuple(accounts or ()))
    codecs = {one.account: get_provider(one.provider).codec for one in chosen if one.provider != OWN}
    with _bar() as advance:
        found = [difference(book, account, codec, advance) for account, codec in codecs.items()]
    _print(found, format_of(ctx, form))
    differing = [one for one in found if one.changed]
    if not differing:
        return
    if dry_run or not (yes or _agreed()):
        raise typer.Exit(EXIT_INCOMPLETE)
    with _bar() as advance:
        done = [rebuild_account(book, one.account, codecs[one.account], advance) for one in differing]
    messages.print(f"rebuilt {sum(one.changed for one in done):,} flows")
    if any(one.unreadable for one in done):
        raise typer.Exit(EXIT_INCOMPLETE)


def _agreed() -> bool:
    """Whether somebody at a terminal says so."""
    return sys.stdin.isatty() and typer.confirm("Commit this?", err=True)


def _print(found: list[Difference], form: Format) -> None:
    """A line an account. JSON has the examples in it; beside a table or CSV they are messages."""
    with_examples = form in (Format.JSON, Format.JSONL)
    examples = [example for one in found for example in one.examples][:EXAMPLES_MAX]
    emit([_record(one) for one in found], (*COLUMNS, "examples") if with_examples else COLUMNS, form)
    for example in () if with_examples else examples:
        messages.print(escape(_line(example)))


def _record(one: Difference) -> Record:
    return {
        "account": one.account,
        "flows": one.flows,
        "changed": one.changed,
        "unreadable": one.unreadable,
        "identities": one.identities,
        "fields": [f"{name} {many}" for name, many in one.fields.most_common()],
        "examples": [_example(example) for example in one.examples],
    }


def _example(example: Example) -> Record:
    at = us_to_iso(example.at_us)
    return {"at": at, "id": example.id, "field": example.field, "old": example.old, "new": example.new}


def _line(example: Example) -> str:
    about = f"{example.account} {us_to_iso(example.at_us)} {example.id}"
    return f"{about}: {example.field}: {short_repr(example.old)} -> {short_repr(example.new)}"


@contextmanager
def _bar() -> Iterator[Advance]:
    """Counts flows, on a terminal only."""
    with Progress(console=messages.console, disable=not messages.is_terminal, transient=True) as bars:
        task = bars.add_task("reading rows again", total=None)
        yield lambda flows: bars.advance(task, flows)
