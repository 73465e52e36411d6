"""The commands, put together."""

import gc
from collections import UserDict
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from liushui.cli.options import FormatOption, Globals, LedgerOption
from liushui.cli.parameters import spare_conversions

COMMANDS: Final = {
    "source": "source:app",
    "sync": "collect:sync",
    "import": "collect:import_",
    "flows": "show:flows",
    "balances": "show:balances",
    "summary": "show:summary",
    "coverage": "coverage:coverage",
    "status": "status:status",
    "verify": "verify:verify",
    "findings": "findings:findings",
    "quarantine": "quarantine:app",
    "rebuild": "rebuild:rebuild",
    "db": "db:app",
    "key": "key:app",
    "token": "token:app",
    "password": "login:app",
    "login": "login:login",
    "serve": "serve:serve",
    "simulate": "serve:simulate",
    "demo": "serve:demo",
}
"""The module of each command, and what it is named there: a function, or commands of its own."""

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


def _print_version(wanted: bool) -> None:
    if wanted:
        from liushui import __version__  # inside: what is installed is asked for when it is to be said

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
    gc.freeze()
    gc.enable()
    ctx.obj = Globals(ledger, form)


def program() -> TyperGroup:
    """All of it. A command's module is imported when it is asked for: who wants balances does not wait for a server."""
    spare_conversions()
    made = typer.main.get_command(app)
    if not isinstance(made, TyperGroup):
        raise TypeError("expected a group of commands")
    made.commands = _Lazy(dict.fromkeys(COMMANDS))
    return made


class _Lazy(UserDict[str, Any]):
    """Commands that are put together when they are asked for."""

    def __getitem__(self, name: str) -> object:
        if self.data[name] is None:
            self.data[name] = _command(name)
        return self.data[name]


def _command(name: str) -> object:
    module, attribute = COMMANDS[name].split(":")
    found = getattr(import_module(f"liushui.cli.{module}"), attribute)
    alone = typer.Typer()
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name)(found)
    return typer.main.get_group(alone).commands[name]
