"""Shared by commands: the ledger and the format, common options, and types of option values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import click

from liushui.instant import parse_instant

if TYPE_CHECKING:
    from pathlib import Path

    from liushui.ledger.engine import Ledger
    from liushui.ledger.read.model import ReadModel
    from liushui.provider import Dialect, Provider


LEDGER_VARIABLE: Final = "LIUSHUI_LEDGER"


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


@dataclass
class Settings:
    """The values of --ledger and --format. Both may be before or after the command; the later one counts."""

    ledger: str | None = None
    chosen_format: Format | None = None

    @property
    def ledger_url(self) -> str:
        """The ledger's path or URL: from --ledger, else LIUSHUI_LEDGER, else the file in the user's data folder."""
        return self._named_ledger or str(default_ledger())

    @property
    def names_ledger(self) -> bool:
        """Whether the user named a ledger, by --ledger or LIUSHUI_LEDGER."""
        return self._named_ledger is not None

    @property
    def _named_ledger(self) -> str | None:
        from liushui.environment import read_secret

        return self.ledger or read_secret(LEDGER_VARIABLE)  # a URL may contain a password

    @property
    def format(self) -> Format:
        """The output format, a table by default."""
        return self.chosen_format or Format.TABLE

    def open_ledger(self, *, create: bool = False) -> "Ledger":
        """Open the ledger. `create`: create it if it does not exist. Raises ConfigError and LedgerError."""
        from liushui.cli.audited import audit_command
        from liushui.ledger.engine import open_ledger

        ledger = open_ledger(self.ledger_url, create=create)
        audit_command(ledger)
        context = click.get_current_context(silent=True)
        if context is not None:
            context.call_on_close(lambda: _record_heads(ledger))
        return ledger

    def open_read_model(self) -> "ReadModel":
        """The read model of the ledger, with the rules of all installed providers. Raises ConfigError, LedgerError."""
        from liushui.ledger.read.model import ReadModel
        from liushui.providers import ProviderRules

        return ReadModel(self.open_ledger(), ProviderRules())


def _record_heads(ledger: "Ledger") -> None:
    """Record the heads of the chains that the command has extended; print a message if that fails."""
    if not ledger.has_appended:
        return
    from liushui.cli.output import messages
    from liushui.ledger.maintenance.heads_file import try_record_heads

    for warning in try_record_heads(ledger):
        messages.warn(warning)


def default_ledger() -> "Path":
    """The ledger that is used when none is named."""
    from platformdirs import user_data_path

    return user_data_path("liushui") / "ledger.db"


def parse_when(name: str, text: str | None, zone: ZoneInfo | None = None) -> datetime | None:
    """The instant given as option `name`, None if it was not given. Raises ConfigError."""
    return None if text is None else parse_instant(name, text, zone)


class OrderedGroup(click.Group):
    """A group that lists its commands in the order of their definition, which is the order of their use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the commands."""
        return list(self.commands)


def account_zone(settings: Settings, account: str, wanted: str | None, default: str) -> ZoneInfo:
    """Return the time zone of an account: its own or, for a new account, the wanted or the default one.

    Raises ConfigError for an unknown zone, and for a zone that differs from the account's.
    """
    from liushui.errors import ConfigError, LedgerNotFound
    from liushui.instant import load_zone
    from liushui.ledger.read.accounts import find_accounts

    zone = load_zone(wanted or default)
    try:
        with settings.open_ledger().querying() as queries:
            known = {name.account: name.zone for name in find_accounts(queries)}
    except LedgerNotFound:
        return zone
    if account not in known:
        return zone
    if wanted is not None and zone.key != known[account]:
        raise ConfigError(
            f"zone: the days of account {account} are those of {known[account]}, which cannot change, got {wanted!r}: "
            "leave --zone out"
        )
    return load_zone(known[account])


# ---------------------------------------------------------------- types of values

E = TypeVar("E", bound=Enum)
P = ParamSpec("P")
R = TypeVar("R")


class EnumChoice(click.Choice[E], Generic[E]):
    """A choice between the values of an enum. (click would show and take the members' names.)"""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's signature
        """Return what the user types for a member: its value."""
        return str(choice.value if isinstance(choice, Enum) else choice)


class ProviderType(click.ParamType["Provider"]):
    """The name of an installed provider."""

    name = "provider"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Provider":  # noqa: ANN401, ARG002 - click's signature
        """The provider with this name. Raises ConfigError listing those there are."""
        from liushui.providers import get_provider

        return get_provider(value)


class DialectType(click.ParamType["Dialect"]):
    """The name of an API that keys can be for."""

    name = "dialect"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Dialect":  # noqa: ANN401, ARG002 - click's signature
        """The API with this name. Raises ConfigError listing those there are."""
        from liushui.services.dialects import get_dialect

        return get_dialect(value)


class LazyHelpOption(click.Option):
    """An option whose help ends with the result of `more_help`. It is called only when the help is shown, because it
    imports the providers or the simulator."""

    def __init__(self, *args: Any, more_help: Callable[[], str], **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **attributes)
        self._short, self._more = self.help, more_help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option's line in the help."""
        self.help = f"{self._short} {self._more()}"
        return super().get_help_record(ctx)


class ProviderArgument(click.Argument):
    """An argument that names a provider. Its help lists the installed ones when it is shown."""

    def __init__(self, names: Sequence[str], **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(names, None, "The provider.", type=ProviderType(), metavar="PROVIDER", **attributes)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """The argument's line in the help."""
        left, text = super().get_help_record(ctx)
        return left, f"{text} {_provider_names()}"


def provider_option(name: str, text: str, *, required: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """An option that names a provider. Its help lists the installed ones when it is shown."""
    return click.option(
        name,
        "provider",
        type=ProviderType(),
        required=required,
        metavar="PROVIDER",
        cls=LazyHelpOption,
        more_help=_provider_names,
        help=text,
    )


dialect_option = click.option(
    "--dialect",
    type=DialectType(),
    required=True,
    metavar="DIALECT",
    cls=LazyHelpOption,
    more_help=lambda: _dialect_names(),
    help="The provider whose API the key is for, or simplefin.",
)
"""The option that names the API of a key. Its help lists them when it is shown."""


def _dialect_names() -> str:
    from liushui.providers import load_providers
    from liushui.services.dialects import with_served

    return f"One of {', '.join(with_served(load_providers()))}."


def _provider_names() -> str:
    from liushui.providers import load_providers

    return f"One of {', '.join(load_providers())}."


# ---------------------------------------------------------------- common options


def _remember(attribute: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def remember(ctx: click.Context, _parameter: click.Parameter, value: object) -> None:
        settings = ctx.ensure_object(Settings)
        if value:
            setattr(settings, attribute, value)

    return remember


_ledger = click.option(
    "--ledger",
    metavar="URL",
    expose_value=False,
    callback=_remember("ledger"),
    help="The ledger: a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE. "
    "(env: LIUSHUI_LEDGER or LIUSHUI_LEDGER_FILE; default: a file in your data folder)",
)
_format = click.option(
    "--format",
    type=EnumChoice(Format),
    expose_value=False,
    callback=_remember("chosen_format"),
    help="How to print results; json is one document, jsonl one object a line. (default: table)",
)


def ledger_and_format(function: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Add --ledger and --format to a command, and pass it the Settings as its first argument."""
    return _ledger(_format(click.pass_obj(function)))


def ledger_only(function: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Add --ledger to a command that prints no results, and pass it the Settings."""
    return _ledger(click.pass_obj(function))


def format_only(function: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Add --format to a command without a ledger (or with its own option for it), and pass it the Settings."""
    return _format(click.pass_obj(function))


accounts = click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...", help="The accounts. (default: all)")
since = click.option("--since", metavar="WHEN", help="Begin with this time, or with this day of the account.")
until = click.option("--until", metavar="WHEN", help="End before this time, or before this day of the account.")

until_eof = click.option(
    "--until-eof", is_flag=True, hidden=True, help="End when standard input ends: when the server that started us ends."
)


def end_with_input() -> None:
    """End this process with SIGTERM when standard input ends, which happens however the parent process ended."""
    import os
    import signal
    import sys
    import threading

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="input", daemon=True).start()
