"""liushui verify: whether the ledger is whole."""

from collections.abc import Iterator

import typer
from rich.progress import Progress

from liushui.cli import EXIT_DAMAGED
from liushui.cli.options import FormatOption, LedgerOption, format_of, opened
from liushui.cli.output import Record, emit, messages
from liushui.ledger.maintenance.verify import Damage
from liushui.ledger.maintenance.verify import verify as verify_ledger


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

    with Progress(console=messages.console, disable=not messages.is_terminal, transient=True) as bars:
        every = list(records(bars))
    emit(every, ("account", "batch", "flows", "result"), format_of(ctx, form))
    if damaged:
        raise typer.Exit(EXIT_DAMAGED)
