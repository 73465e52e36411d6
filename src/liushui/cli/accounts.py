"""liushui account: the accounts of a ledger, renaming and removing one."""

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
    """List the accounts, rename or remove one."""


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
@click.argument("new_name", metavar="NEW", help="Its new name: 1 to 64 letters, digits or - _ . @")
@click.option("--confirm", metavar="NAME", help="The account's name once more, instead of typing it at the terminal.")
@options.ledger_and_format
def rename(settings: Settings, name: str, new_name: str, confirm: str | None) -> None:
    """Give an account another name.

    Everything of the account gets the new name at once: its flows, its source, and the keys, tokens, users, rules and
    saved views that name it. Nobody sees more or less than before. Other programs know its flows by the same ids as
    before. The chain seals the change, and `verify` still accepts what was recorded under the earlier name:
    certificates, links of --expect, lines of the heads file.

    The earlier name stays with the account. No other account can get it, but the account can get it back. A running
    sync or import of the account has to end first. Programs that name the account, such as `sync NAME`, need the new
    name, and a reader of the feed begins again.

    \b
    Example: liushui account rename broker ibkr --confirm broker
    """
    from liushui.ledger.engine import check_accounts
    from liushui.ledger.write.rename import check_new_name, rename_account

    ledger = settings.open_ledger()
    with ledger.reading() as connection:
        check_accounts(connection, [name])
    check_new_name(name, new_name)
    if confirm is None:
        confirm = _ask(name, f"Rename the account {name} to {new_name}? Type its name")
    if confirm != name:
        raise ConfigError(f"confirm: expected the name {name}, got {short_repr(confirm)}: nothing was renamed")
    emit_one(rename_account(ledger, name, new_name)._asdict(), settings.format)


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
        confirm = _ask(name, f"Erase the account {name} for good? Type its name")
    if confirm != name:
        raise ConfigError(f"confirm: expected the name {name}, got {short_repr(confirm)}: nothing was erased")
    removed = remove_account(ledger, name)
    emit_one(removed._asdict(), settings.format)
    messages.print("[dim]`liushui db compact` overwrites what is left of it in free space[/]")


def _ask(name: str, question: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigError(f"confirm: expected --confirm {name}, or a terminal to ask at")
    return str(click.prompt(question, err=True, default="", show_default=False))
