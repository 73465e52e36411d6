"""Options that many commands share, and what they become."""

import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from zoneinfo import ZoneInfo

import typer
from platformdirs import user_data_path

from liushui.instant import parse_instant

if TYPE_CHECKING:
    from liushui.ledger.engine import Ledger


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class Globals(NamedTuple):
    """What stood before the command."""

    ledger: str | None
    format: Format | None


_LEDGER_HELP = (
    "The ledger: a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE. "
    "(env: LIUSHUI_LEDGER; default: in the user's data folder)"
)
_FORMAT_HELP = "How results are printed: json is one document, jsonl a row a line. (default: table)"

LedgerOption = Annotated[str | None, typer.Option("--ledger", metavar="URL", help=_LEDGER_HELP, show_default=False)]
FormatOption = Annotated[Format | None, typer.Option("--format", help=_FORMAT_HELP, show_default=False)]
AccountsArgument = Annotated[list[str] | None, typer.Argument(metavar="[ACCOUNT]...", help="Which accounts; all.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="From this date or ISO 8601 time on, itself included.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Up to this date or ISO 8601 time, itself left out.")
]


def ledger_url(ctx: typer.Context, option: str | None) -> str:
    """The ledger that the command is about: its own option, the one before it, the environment, the default."""
    before = ctx.find_object(Globals)
    named = option or (before.ledger if before else None) or os.environ.get("LIUSHUI_LEDGER")
    return named or str(default_ledger())


def default_ledger() -> Path:
    """Where the ledger is when nobody says."""
    return user_data_path("liushui") / "ledger.db"


def format_of(ctx: typer.Context, option: Format | None) -> Format:
    """How to print: the command's own option, the one before it, a table."""
    before = ctx.find_object(Globals)
    return option or (before.format if before else None) or Format.TABLE


def opened(ctx: typer.Context, option: str | None, *, create: bool = False) -> "Ledger":
    """The ledger that the command is about, open."""
    from liushui.ledger.engine import open_ledger  # inside: who asks for help or a version waits for no database

    return open_ledger(ledger_url(ctx, option), create=create)


def instant_of(name: str, text: str | None, zone: ZoneInfo | None = None) -> datetime | None:
    """The instant that an option names; None where it was not given."""
    return None if text is None else parse_instant(name, text, zone)
