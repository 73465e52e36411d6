"""The commands, put together."""

import gc
from collections import UserDict
from enum import Enum
from importlib import import_module
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from liushui.cli.options import FormatOption, Globals, LedgerOption

COMMANDS: Final = {
    "source": "source:app",
    "sync": "sync:sync",
    "import": "sync:import_",
    "flows": "flows:flows",
    "balances": "flows:balances",
    "summary": "flows:summary",
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


_PARAMETERS: Final[tuple[Any, ...]] = (TyperArgument, TyperOption)
_usual: Final[Any] = getattr(TyperOption, "get_runtime_param", None)
"""typer's own: gives a parameter's conversion, and makes it first. None: a typer that goes about it in another way."""
_UNREAD: Final = object()


def spare_conversions() -> None:
    """Have typer make a parameter's conversion only where a value needs one. Doing it again changes nothing."""
    if _usual is not None:
        for parameter in _PARAMETERS:
            parameter.get_runtime_param = _get_runtime_param


def _get_runtime_param(parameter: object) -> "_Typed":
    return _Typed(parameter)


class _Typed(NamedTuple):
    """Stands where typer has its conversion of a parameter, and hands on to that what is not taken as it is."""

    parameter: Any

    def coerce(self, value: object, **asked: Any) -> object:  # noqa: ANN401 - typer's own: the parameter, the context
        """The value as the command takes it. Raises typer.BadParameter."""
        read = _read(self.parameter.type_descriptor.annotation, value)
        return _usual(self.parameter).coerce(value, **asked) if read is _UNREAD else read


def _read(annotation: Any, value: object) -> object:  # noqa: ANN401 - whatever a parameter is declared as
    """A value that needs no conversion, as the command takes it; _UNREAD where it needs one, or cannot be right."""
    if get_origin(annotation) is list:
        return _many(get_args(annotation)[0], value)
    if annotation is str or not isinstance(value, str):  # what was typed comes as text: all else is a default
        return value
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next((member for member in annotation if value == member.value), _UNREAD)
    return _UNREAD


def _many(annotation: object, values: object) -> object:
    if values is None:
        return ()
    found = [_read(annotation, value) for value in values] if isinstance(values, list | tuple) else [_UNREAD]
    return _UNREAD if _UNREAD in found else found
