"""liushui source: where flows are collected from."""

import asyncio
import getpass
import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from liushui.cli.options import FormatOption, LedgerOption, SinceOption, format_of, instant_of, opened
from liushui.cli.output import emit, messages
from liushui.errors import ConfigError, LiushuiError, short_repr
from liushui.instant import load_zone
from liushui.ledger.jobs.sources import (
    Source,
    add_source,
    check_name,
    list_sources,
    pause_source,
    remove_source,
    sources_named,
)
from liushui.ledger.write.commit import make_account
from liushui.provider import Provider
from liushui.providers import get_provider, load_providers
from liushui.sync.runner import check
from liushui.wire.transport import parse_base_url as checked_base_url

app = typer.Typer(help="Where flows are collected from: add, list, test, pause, resume, remove.", no_args_is_help=True)

NAMES = ", ".join(load_providers())


@app.command()
def add(
    ctx: typer.Context,
    provider: Annotated[str, typer.Argument(help=f"Whose API it is: {NAMES}.")],
    name: Annotated[str, typer.Argument(help="What you call the account: letters, digits, - _ . @")],
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="Where its API is. (default: the real service)")
    ] = None,
    credentials: Annotated[
        str | None,
        typer.Option(
            "--credentials",
            metavar="FILE",
            help="TOML or JSON with its fields, - for standard input; else from LIUSHUI_<FIELD>, else asked for.",
        ),
    ] = None,
    since: SinceOption = None,
    zone: Annotated[
        str | None,
        typer.Option("--zone", help="IANA time zone of the account's business days. (default: its market's)"),
    ] = None,
    paced: Annotated[
        bool, typer.Option("--paced/--unpaced", help="Keep to the provider's documented rate of calls.")
    ] = True,
    ledger: LedgerOption = None,
) -> None:
    """Add a source: an account at a provider, and the credentials that read it."""
    chosen = get_provider(provider)
    check_name(name)
    if not (base_url or chosen.base_url):
        raise ConfigError(f"base-url: expected the address of your {chosen.title}, which no document names, got none")
    where = checked_base_url(base_url or chosen.base_url)
    place = load_zone(zone or chosen.rules.zone)
    begin = instant_of("since", since, place) or chosen.rules.history_start
    fields = read_credentials(chosen, credentials)
    book = opened(ctx, ledger, create=True)
    if any(known.account == name for known in list_sources(book)):
        raise ConfigError(f"source: there is one named {short_repr(name)} already")
    make_account(book, name, chosen.name, place.key)
    add_source(book, account=name, base_url=where, credentials=fields, since=begin, paced=paced)
    messages.print(f"added {name} ({chosen.title}); next: liushui source test {name}, liushui sync {name}")


@app.command("list")
def list_(ctx: typer.Context, ledger: LedgerOption = None, form: FormatOption = None) -> None:
    """List the sources. Secrets are not shown."""
    columns = ["source", "provider", "base_url", "since", "zone", "paced", "paused", "credentials"]
    emit((_record(source) for source in list_sources(opened(ctx, ledger))), columns, format_of(ctx, form))


@app.command()
def test(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which sources; all.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for an answer.")] = 30.0,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Make one small call with each source's credentials and say what came."""
    book = opened(ctx, ledger)
    records = []
    for source in sources_named(book, names or []):
        try:
            rows = asyncio.run(check(source, now=book.clock(), timeout_s=timeout))
            answer = f"answers ({rows} row)" if rows else "answers"
        except LiushuiError as error:
            answer = f"fails: {error}"
        records.append({"source": source.account, "works": answer.startswith("answers"), "answer": answer})
    emit(records, ["source", "works", "answer"], format_of(ctx, form))
    if not all(record["works"] for record in records):
        raise typer.Exit(1)


@app.command()
def remove(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Which source.")],
    ledger: LedgerOption = None,
) -> None:
    """Forget a source and its credentials. Its flows stay in the ledger."""
    remove_source(opened(ctx, ledger), name)
    messages.print(f"removed {name}; its flows stay")


@app.command()
def pause(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Which source.")],
    ledger: LedgerOption = None,
) -> None:
    """Have `sync --watch` and the server pass a source over. Who asks for it by name still syncs it."""
    pause_source(opened(ctx, ledger), name, paused=True)
    messages.print(f"paused {name}; next: liushui source resume {name}")


@app.command()
def resume(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Which source.")],
    ledger: LedgerOption = None,
) -> None:
    """Have a source synced again when something of it is due."""
    pause_source(opened(ctx, ledger), name, paused=False)
    messages.print(f"resumed {name}")


def _record(source: Source) -> dict[str, object]:
    shows = {field.name for field in get_provider(source.provider).credentials if not field.secret}
    return {
        "source": source.account,
        "provider": source.provider,
        "base_url": source.base_url,
        "since": source.since,
        "zone": source.zone,
        "paced": source.paced,
        "paused": source.paused,
        "credentials": ", ".join(f"{name} {source.credentials[name]}" for name in sorted(shows)),
    }


STANDARD_INPUT = "-"


def read_credentials(provider: Provider, file: str | None) -> dict[str, str]:
    """A provider's credential fields: from `file` (TOML or JSON, `-` for standard input), else the environment
    (LIUSHUI_APP_KEY for app_key), else a prompt where there is a terminal. Raises ConfigError naming a missing one."""
    given = _from_file(file) if file else {}
    found: dict[str, str] = {}
    for field in provider.credentials:
        variable = f"LIUSHUI_{field.name.upper()}"
        value = given.get(field.name) if file else os.environ.get(variable)
        if value is None and not file and sys.stdin.isatty():
            value = getpass.getpass(f"{field.title}: ") if field.secret else input(f"{field.title}: ")
        if value is None:
            where = file or f"{variable}, --credentials or a terminal to ask at"
            raise ConfigError(f"{field.name}: expected in {where}, but missing")
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f"{field.name}: expected text, got {type(value).__name__}")
        found[field.name] = value.strip()
    return found


def _from_file(file: str) -> Mapping[str, object]:
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"credentials: {file} cannot be read: {error}") from error
    name = "standard input" if file == STANDARD_INPUT else file
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:  # both parsers' errors; they quote no value
        raise ConfigError(f"credentials: {name} is neither TOML nor JSON") from error
    if not isinstance(found, dict):
        raise ConfigError(f"credentials: expected fields by name, got {short_repr(type(found).__name__)}")
    return found
