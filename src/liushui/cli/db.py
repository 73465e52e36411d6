"""liushui db: the ledger's own file."""

import typer

from liushui.cli.options import FormatOption, LedgerOption, format_of, ledger_url
from liushui.cli.output import emit_one
from liushui.ledger.engine import upgrade_ledger

app = typer.Typer(help="The ledger's own file.", no_args_is_help=True)


@app.callback()
def db() -> None:
    """The ledger's own file."""


@app.command()
def upgrade(ctx: typer.Context, ledger: LedgerOption = None, form: FormatOption = None) -> None:
    """Bring the ledger's schema up to this program's, and say from which. Every other command does so in silence."""
    upgraded = upgrade_ledger(ledger_url(ctx, ledger))
    emit_one({"path": upgraded.ledger, "before": upgraded.before, "after": upgraded.after}, format_of(ctx, form))
