"""liushui account: the accounts of a ledger, and removing one."""

import sys
from typing import Final

import click

from liushui.cli import options
from liushui.cli.options import Settings
from liushui.cli.output import emit, emit_one, messages
from liushui.errors import ConfigError, short_repr

ACCOUNT_COLUMNS: Final = (
    *("account", "provider", "zone", "created_at", "flows", "source", "keys", "tokens", "removed_at"),
)


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def account() -> None:
    """List the accounts, or remove one."""


@account.command("list")
@click.option("--all", "removed", is_flag=True, help="Also list accounts that were removed.")
@options.ledger_and_format
def list_(settings: Settings, removed: bool) -> None:
    """List the accounts, each with its provider, the number of its flows, and how many keys and tokens read it."""
    from liushui.services.accounts import list_accounts

    records = (known._asdict() for known in list_accounts(settings.open_ledger(), removed=removed))
    emit(records, ACCOUNT_COLUMNS, settings.format)


@account.command()
@click.argument("name", metavar="NAME", help="The account.")
@click.option("--confirm", metavar="NAME", help="The account's name once more, instead of typing it at the terminal.")
@options.ledger_and_format
def remove(settings: Settings, name: str, confirm: str | None) -> None:
    """Erase an account: its flows, their history, its source and credentials.

    `source remove` keeps the flows; this does not. Keys and tokens no longer read the account, and those that read no
    other are revoked. The account's certificates stay, and so does its chain without the facts, so that `verify` still
    finds what was changed. The name can be used again, and its chain then goes on.

    Deleted rows may be left in the free space of the database until `liushui db compact`. Backups and copies that were
    made before still have the account.

    \b
    Example: liushui account remove old-broker --confirm old-broker
    """
    from liushui.ledger.engine import check_accounts
    from liushui.ledger.write.remove import remove_account

    ledger = settings.open_ledger()
    with ledger.reading() as connection:
        check_accounts(connection, [name])
    if confirm is None:
        confirm = _ask(name)
    if confirm != name:
        raise ConfigError(f"confirm: expected the name {name}, got {short_repr(confirm)}: nothing was erased")
    removed = remove_account(ledger, name)
    emit_one(removed._asdict(), settings.format)
    messages.print("[dim]`liushui db compact` overwrites what is left of it in free space[/]")


def _ask(name: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigError(f"confirm: expected --confirm {name}, or a terminal to ask at")
    return str(
        click.prompt(f"Erase the account {name} for good? Type its name", err=True, default="", show_default=False)
    )
