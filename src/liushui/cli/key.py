"""liushui key: credentials that we give out."""

from datetime import timedelta
from typing import Annotated

import typer

from liushui.cli.options import FormatOption, LedgerOption, format_of, instant_of, opened
from liushui.cli.output import emit, emit_one, messages
from liushui.errors import ConfigError, short_repr
from liushui.ledger.access.keys import create_key, list_keys, revoke_key
from liushui.providers import get_provider, load_providers

RESTRICTIONS = (
    "; ".join(
        f"{restriction.name} ({provider.name}): {restriction.help}"
        for provider in load_providers().values()
        for restriction in provider.restrictions
    )
    or "no provider has one"
)

app = typer.Typer(help="Keys that read accounts through a provider's own wire API.", no_args_is_help=True)


@app.command()
def create(
    ctx: typer.Context,
    dialect: Annotated[str, typer.Option("--dialect", help=f"Whose wire API: {', '.join(load_providers())}.")],
    account: Annotated[list[str], typer.Option("--account", help="An account it reads; may be given again.")],
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="WHEN", help="Valid until this date or ISO 8601 time.")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="Valid for so many days.")] = None,
    paced: Annotated[
        bool, typer.Option("--paced/--unpaced", help="Hold the provider's documented rate of calls against it.")
    ] = True,
    restrict: Annotated[
        list[str] | None,
        typer.Option(
            "--restrict", metavar="NAME=VALUE", help=f"Deny it something: {RESTRICTIONS}. May be given again."
        ),
    ] = None,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Make a key. Its secrets are shown this once; --format json prints what `source add --credentials` reads."""
    book = opened(ctx, ledger)
    until = instant_of("expires", expires)
    if days is not None:
        until = book.clock() + timedelta(days=days)
    provider = get_provider(dialect)
    names = list(dict.fromkeys(account))
    denied = _restrictions(restrict or [])
    credentials = create_key(book, provider, names, expires_at=until, paced=paced, restrictions=denied)
    emit_one(credentials, format_of(ctx, form))
    messages.print(f"[dim]a {provider.title} key for {', '.join(names)}; these secrets are not shown again[/]")


@app.command("list")
def list_(ctx: typer.Context, ledger: LedgerOption = None, form: FormatOption = None) -> None:
    """List the keys, revoked ones too. Secrets are not shown."""
    columns = ["key", "dialect", "accounts", "created_at", "expires_at", "revoked_at", "paced", "restrictions"]
    records = (
        {
            "key": known.public,
            "dialect": known.dialect,
            "accounts": list(known.accounts),
            "created_at": known.created_at,
            "expires_at": known.expires_at,
            "revoked_at": known.revoked_at,
            "paced": known.paced,
            "restrictions": [f"{name}={value}" for name, value in known.restrictions.items()],
        }
        for known in list_keys(opened(ctx, ledger))
    )
    emit(records, columns, format_of(ctx, form))


@app.command()
def revoke(
    ctx: typer.Context, key: Annotated[str, typer.Argument(help="Its public part.")], ledger: LedgerOption = None
) -> None:
    """End a key at once, in every process that serves."""
    revoke_key(opened(ctx, ledger), key)
    messages.print(f"revoked {key}")


def _restrictions(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals or name in found:
            raise ConfigError(f"restrict: expected NAME=VALUE, each name once, got {short_repr(text)}")
        found[name] = value
    return found
