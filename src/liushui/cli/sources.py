"""liushui source: the accounts that flows are collected from, and the credentials that read them."""

import getpass
import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_FAILED, options
from liushui.cli.options import Settings
from liushui.cli.output import Record, emit, messages
from liushui.environment import read_secret, read_secret_file
from liushui.errors import ConfigError, LiushuiError, short_repr
from liushui.provider import CredentialForm

if TYPE_CHECKING:
    from liushui.ledger.jobs.sources import Source
    from liushui.provider import CredentialField, Provider

STANDARD_INPUT: Final = "-"
FILE_SUFFIX: Final = "_file"
"""Suffix of a field in a credentials file that names a file with the value."""
SOURCE_COLUMNS: Final = ("source", "provider", "base_url", "since", "zone", "paced", "paused", "credentials")

name_argument = click.argument("name", metavar="NAME", help="The source.")


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def source() -> None:
    """Manage the sources that flows are collected from.

    A source is an account at a provider, with the credentials that read it.
    """


@source.command()
@click.argument("provider", cls=options.ProviderArgument)
@click.argument("name", metavar="NAME", help="Your name for the account: letters, digits, - _ . @")
@click.option("--base-url", metavar="URL", help="The address of the provider's API. (default: the real service)")
@click.option(
    "--credentials",
    metavar="FILE",
    help="A TOML or JSON file with the provider's credential fields, - for standard input. <field>_file there names a "
    "file with the value, such as a PEM key. "
    "(default: the variables LIUSHUI_<FIELD>, or the files that LIUSHUI_<FIELD>_FILE name; a missing one is asked for)",
)
@click.option(
    "--since",
    metavar="WHEN",
    help="Collect flows from this date or ISO 8601 time on. A date is the account's day. "
    "(default: as far back as the provider's rules say)",
)
@click.option("--zone", metavar="ZONE", help="The IANA time zone of the account's days. (default: the provider's)")
@click.option("--paced/--unpaced", default=True, help="Keep to the provider's documented rate limit.")
@options.ledger_only
def add(
    settings: Settings,
    provider: "Provider",
    name: str,
    base_url: str | None,
    credentials: str | None,
    since: str | None,
    zone: str | None,
    paced: bool,
) -> None:
    """Add a source: an account at a provider, and the credentials that read it.

    \b
    Example: liushui source add longbridge broker --since 2021-01-01
    """
    from liushui.ledger.jobs.sources import Source, check_source_name
    from liushui.services.sources import add_source, check_source
    from liushui.wire.transport import parse_base_url

    check_source_name(name)
    if not (base_url or provider.base_url):
        raise ConfigError(f"base-url: expected the address of your {provider.title}, which no document names, got none")
    account_zone = options.account_zone(settings, name, zone, provider.rules.zone)
    added = Source(
        account=name,
        provider=provider.name,
        zone=account_zone.key,
        base_url=parse_base_url(base_url or provider.base_url),
        since=options.parse_when("since", since, account_zone) or provider.rules.history_start,
        paced=paced,
        # Last, because the user may have to type them: everything else should be checked before.
        credentials=read_credentials(provider, credentials),
    )
    check_source(added)  # before a ledger is created for a source that cannot be added
    add_source(settings.open_ledger(create=True), added)
    messages.print(f"added {name} ({provider.title}); next: liushui source test {name}, liushui sync {name}")


@source.command("list")
@options.ledger_and_format
def list_(settings: Settings) -> None:
    """List the sources. Secrets are not shown."""
    from liushui.ledger.jobs.sources import list_sources

    emit(map(_source_record, list_sources(settings.open_ledger())), SOURCE_COLUMNS, settings.format)


@source.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", help="The sources to test. (default: all)")
@click.option("--timeout", type=float, default=30, metavar="SECONDS", help="How long to wait for an answer.")
@options.ledger_and_format
def test(settings: Settings, names: tuple[str, ...], timeout: float) -> None:
    """Test each source's credentials with one small call.

    The exit code is 1 if one fails.
    """
    from liushui.ledger.jobs.sources import find_sources
    from liushui.services.sources import probe_source

    ledger = settings.open_ledger()
    records: list[Record] = []
    for known in find_sources(ledger, list(names)):
        try:
            rows = probe_source(ledger, known, timeout_s=timeout)
            works, answer = True, f"answers ({rows} row)" if rows else "answers"
        except LiushuiError as error:
            works, answer = False, f"fails: {error}"
        records.append({"source": known.account, "works": works, "answer": answer})
    emit(records, ("source", "works", "answer"), settings.format)
    if not all(record["works"] for record in records):
        sys.exit(EXIT_FAILED)


@source.command()
@name_argument
@click.option(
    "--credentials",
    "file",
    metavar="FILE",
    help="A TOML or JSON file with the provider's credential fields, - for standard input. <field>_file there names a "
    "file with the value, such as a PEM key. "
    "(default: the variables LIUSHUI_<FIELD>, or the files that LIUSHUI_<FIELD>_FILE name; a missing one is asked for)",
)
@options.ledger_only
def credentials(settings: Settings, name: str, file: str | None) -> None:
    """Replace a source's credentials.

    Credentials of another account are refused: they must read rows that the ledger already has.
    """
    from liushui.providers import get_provider
    from liushui.services.sources import get_source, replace_credentials

    ledger = settings.open_ledger()
    provider = get_provider(get_source(ledger, name).provider)
    replace_credentials(ledger, name, read_credentials(provider, file))
    messages.print(f"{name} has new credentials; next: liushui sync {name}")


@source.command()
@name_argument
@options.ledger_only
def remove(settings: Settings, name: str) -> None:
    """Remove a source and its credentials. Its flows stay in the ledger."""
    from liushui.ledger.jobs.sources import remove_source

    remove_source(settings.open_ledger(), name)
    messages.print(f"removed {name}; its flows stay")


@source.command()
@name_argument
@options.ledger_only
def pause(settings: Settings, name: str) -> None:
    """Pause a source: `sync --watch` and the server skip it. `sync NAME` still syncs it."""
    from liushui.ledger.jobs.sources import pause_source

    pause_source(settings.open_ledger(), name, paused=True)
    messages.print(f"paused {name}; next: liushui source resume {name}")


@source.command()
@name_argument
@options.ledger_only
def resume(settings: Settings, name: str) -> None:
    """Resume a paused source."""
    from liushui.ledger.jobs.sources import pause_source

    pause_source(settings.open_ledger(), name, paused=False)
    messages.print(f"resumed {name}")


def _source_record(known: "Source") -> Record:
    from liushui.services.sources import public_credentials

    credentials = ", ".join(f"{name} {value}" for name, value in public_credentials(known).items())
    return known._asdict() | {"source": known.account, "credentials": credentials}


# ---------------------------------------------------------------- credentials


def read_credentials(provider: "Provider", file: str | None) -> dict[str, str]:
    """The values of a provider's credential fields: from `file` (TOML or JSON, `-` for standard input) or, without a
    file, from the environment (LIUSHUI_APP_KEY or LIUSHUI_APP_KEY_FILE for app_key) and a prompt at a terminal.

    A credentials file can name the file of a field: app_private_key_file for app_private_key. The prompt asks for the
    names of files with keys, because a key has many lines. Raises ConfigError naming a missing field.
    """
    given = _read_file(file) if file else {}
    fields: dict[str, str] = {}
    for field in provider.credentials:
        variable = f"LIUSHUI_{field.name.upper()}"
        value = _given_value(given, field.name, file) if file else read_secret(variable)
        if value is None and not file and sys.stdin.isatty():
            value = _ask_for(field)
        if value is None:
            where = file or f"{variable}, --credentials or a terminal to ask at"
            if field.form is not CredentialForm.TEXT:
                where = f"{where} (or {field.name}_file)" if file else f"{variable}_FILE, {where}"
            raise ConfigError(f"{field.name}: expected in {where}, but missing")
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f"{field.name}: expected text, got {type(value).__name__}")
        fields[field.name] = value.strip()
    return fields


def _given_value(given: Mapping[str, object], name: str, file: str) -> object:
    """Return the value of a field in a credentials file, or in the file that its field NAME_file names, relative to
    it."""
    named = f"{name}{FILE_SUFFIX}"
    if named not in given:
        return given.get(name)
    if name in given:
        raise ConfigError(f"{name}: expected it or {named}, got both")
    path = given[named]
    if not isinstance(path, str):
        raise ConfigError(f"{named}: expected the name of a file, got {type(path).__name__}")
    folder = Path() if file == STANDARD_INPUT else Path(file).expanduser().parent
    return read_secret_file(named, folder.joinpath(Path(path).expanduser()))


def _ask_for(field: "CredentialField") -> str:
    """Ask the user for a field at a terminal: its value, or the name of a file with a key."""
    if field.form is not CredentialForm.TEXT:
        return read_secret_file(field.name, Path(input(f"{field.title} (name of a file): ").strip()).expanduser())
    return getpass.getpass(f"{field.title}: ") if field.secret else input(f"{field.title}: ")


def _read_file(file: str) -> Mapping[str, object]:
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"credentials: {file} cannot be read: {error}") from error
    name = "standard input" if file == STANDARD_INPUT else file
    try:
        fields = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:  # the messages of both parsers quote no value, so no secret is printed
        raise ConfigError(f"credentials: {name} is neither TOML nor JSON") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"credentials: expected fields by name, got {short_repr(type(fields).__name__)}")
    return fields
