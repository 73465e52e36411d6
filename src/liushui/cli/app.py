"""The commands, put together."""

from typing import Annotated

import typer

from liushui import __version__
from liushui.cli import (
    collect,
    coverage,
    db,
    findings,
    key,
    login,
    quarantine,
    rebuild,
    serve,
    show,
    source,
    status,
    token,
)
from liushui.cli.options import FormatOption, Globals, LedgerOption

EPILOG = (
    "Exit codes: 0 done; 1 failed, nothing half-written; 2 wrong usage; 3 done, but incomplete: a gap is open "
    "or rows are in quarantine, or a rebuild would change something; 4 `verify` found damage; 130 interrupted."
)

app = typer.Typer(
    name="liushui",
    help="liushui (流水): one ledger for every fund flow. Collect, keep, prove, show and serve them.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(source.app, name="source")
app.command()(collect.sync)
app.command("import")(collect.import_)
app.command()(show.flows)
app.command()(show.balances)
app.command()(show.summary)
app.command()(coverage.coverage)
app.command()(status.status)
app.command()(show.verify)
app.command()(findings.findings)
app.add_typer(quarantine.app, name="quarantine")
app.command()(rebuild.rebuild)
app.add_typer(db.app, name="db")
app.add_typer(key.app, name="key")
app.add_typer(token.app, name="token")
app.add_typer(login.app, name="password")
app.command()(login.login)
app.command("serve")(serve.serve)
app.command()(serve.simulate)
app.command()(serve.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"liushui {__version__}")
        raise typer.Exit


@app.callback()
def global_options(
    ctx: typer.Context,
    ledger: LedgerOption = None,
    form: FormatOption = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options that may stand before or after the command."""
    ctx.obj = Globals(ledger, form)
