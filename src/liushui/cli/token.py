"""liushui token: who may use our own API, for which accounts, and for what."""

from datetime import timedelta
from typing import Annotated

import typer

from liushui.cli.options import FormatOption, LedgerOption, format_of, instant_of, opened
from liushui.cli.output import emit, emit_one, messages
from liushui.errors import ConfigError
from liushui.ledger.access.tokens import CALLS_PER_MINUTE, Scope, create_token, list_tokens, revoke_token

app = typer.Typer(help="Tokens of our own API, under /api/v1.", no_args_is_help=True)


@app.command()
def create(
    ctx: typer.Context,
    scope: Annotated[list[Scope], typer.Option("--scope", help="What it may do; may be given again.")],
    account: Annotated[
        list[str] | None, typer.Option("--account", help="An account it sees; may be given again.")
    ] = None,
    every_account: Annotated[
        bool, typer.Option("--all-accounts", help="It sees every account, those to come too.")
    ] = False,
    name: Annotated[str, typer.Option("--name", help="What it is for, for the list.")] = "",
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="WHEN", help="Valid until this date or ISO 8601 time.")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="Valid for so many days.")] = None,
    rate: Annotated[int, typer.Option("--rate", min=1, help="How many calls a minute it may make.")] = CALLS_PER_MINUTE,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Make a token. It is shown this once."""
    if every_account == bool(account):
        raise ConfigError("account: expected --account, once or more, or --all-accounts, and not both")
    book = opened(ctx, ledger)
    until = instant_of("expires", expires)
    if days is not None:
        until = book.clock() + timedelta(days=days)
    names = None if every_account else list(dict.fromkeys(account or ()))
    made = create_token(book, name=name, names=names, scopes=scope, expires_at=until, calls_per_minute=rate)
    emit_one({"id": made.token.id, "token": made.text}, format_of(ctx, form))
    whose = "every account" if names is None else ", ".join(names)
    messages.print(f"[dim]a token for {whose}, to {', '.join(sorted(set(scope)))}; it is not shown again[/]")


@app.command("list")
def list_(ctx: typer.Context, ledger: LedgerOption = None, form: FormatOption = None) -> None:
    """List the tokens, revoked ones too. What they are is not shown: nobody keeps it."""
    columns = ["id", "name", "accounts", "scopes", "rate", "created_at", "expires_at", "revoked_at", "last_used_at"]
    records = (
        {
            "id": token.id,
            "name": token.name,
            "accounts": ["all"] if token.accounts is None else sorted(token.accounts),
            "scopes": sorted(token.scopes),
            "rate": token.calls_per_minute,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "revoked_at": token.revoked_at,
            "last_used_at": token.last_used_at,
        }
        for token in list_tokens(opened(ctx, ledger))
    )
    emit(records, columns, format_of(ctx, form))


@app.command()
def revoke(
    ctx: typer.Context, token: Annotated[str, typer.Argument(help="Its id.")], ledger: LedgerOption = None
) -> None:
    """End a token at once, in every process that serves."""
    revoke_token(opened(ctx, ledger), token)
    messages.print(f"revoked {token}")
