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
    """List, rename or remove accounts."""


@account.command("list")
@click.option("--all", "removed", is_flag=True, help="Also list accounts that were removed.")
@options.ledger_and_format
def list_(settings: Settings, removed: bool) -> None:
    """List the accounts: provider, number of flows, and number of keys and tokens that read each."""
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

    The new name applies at once to the account's flows and source, and to the keys, tokens, users, rules and saved
    views that name it. Access rights do not change, and other programs see the same flow ids as before. The hash chain
    records the change. `verify` still accepts certificates, --expect links and lines of the heads file with the earlier
    name.

    The earlier name stays reserved: only this account can be renamed back to it. The command is refused while a sync or
    import of the account is running. Afterwards, use the new name in scripts, such as those that run `sync NAME`.
    Programs that read the feed must read it again from the beginning.

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

    Unlike `source remove`, this command deletes the flows. Keys and tokens can no longer read the account; those that
    read no other account are revoked. The account's certificates stay. Its hash chain stays too, without the flows, so
    `verify` still detects changes. A new account may use the name again, and continues the chain.

    The free space of the database may contain deleted rows until you run `liushui db compact`. Earlier backups and
    copies still contain the account.

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
