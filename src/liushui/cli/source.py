"""liushui source: where flows are collected from."""

import asyncio
from typing import Annotated

import typer

from liushui.cli.credentials import read_credentials
from liushui.cli.options import FormatOption, LedgerOption, SinceOption, format_of, instant_of, opened
from liushui.cli.output import emit, messages
from liushui.errors import ConfigError, LiushuiError
from liushui.instant import zone_named
from liushui.ledger.commit import make_account
from liushui.ledger.sources import (
    Source,
    add_source,
    check_name,
    list_sources,
    pause_source,
    remove_source,
    sources_named,
)
from liushui.money import shown
from liushui.providers import provider_named, providers
from liushui.sync.run import check
from liushui.wire.outgoing import base_url as checked_base_url

app = typer.Typer(help="Where flows are collected from: add, list, test, pause, resume, remove.", no_args_is_help=True)

NAMES = ", ".join(providers())


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
    chosen = provider_named(provider)
    check_name(name)
    if not (base_url or chosen.base_url):
        raise ConfigError(f"base-url: expected the address of your {chosen.title}, which no document names, got none")
    where = checked_base_url(base_url or chosen.base_url)
    place = zone_named(zone or chosen.rules.zone)
    begin = instant_of("since", since, place) or chosen.rules.opening
    fields = read_credentials(chosen, credentials)
    book = opened(ctx, ledger, create=True)
    if any(known.account == name for known in list_sources(book)):
        raise ConfigError(f"source: there is one named {shown(name)} already")
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
    shows = {field.name for field in provider_named(source.provider).credentials if not field.secret}
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
