"""liushui user, audit: who logs in to the page, with which role, and who did what."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from liushui.cli import options
from liushui.cli.access import read_password
from liushui.cli.options import Settings
from liushui.cli.output import emit, messages

if TYPE_CHECKING:
    from liushui.ledger.access.tokens import Revoked
    from liushui.ledger.access.users import User

ROLES: Final = ("viewer", "accountant", "operator", "owner")
"""The values of ledger.access.users.Role, which this module does not import for the help alone."""
USER_COLUMNS: Final = ("user", "role", "accounts", "created_at")
AUDIT_COLUMNS: Final = ("at", "who", "through", "action", "subject", "outcome")

role_option = click.option(
    "--role",
    type=click.Choice(ROLES),
    required=True,
    help="viewer: reads and exports. accountant: also links, states balances, explains, closes and records flows. "
    "operator: reads, and manages sources, syncs, keys and tokens. owner: everything, users included.",
)
account_option = click.option(
    "--account", "accounts", multiple=True, metavar="ACCOUNT", help="An account they see; repeatable. (default: all)"
)
name_argument = click.argument("name", metavar="USER", help="The name that they log in with.")


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def user() -> None:
    """Manage the people who log in to the web page.

    Each has a role, a password, and all accounts or some.
    """


@user.command("add")
@name_argument
@role_option
@account_option
@options.ledger_only
def user_add(settings: Settings, name: str, role: str, accounts: tuple[str, ...]) -> None:
    """Add a user.

    The password is asked for at a terminal; otherwise it is the first line of standard input.

    \b
    Example: liushui user add wang --role accountant --account my-shop
    """
    from liushui.ledger.access.users import Role, add_user

    ledger = settings.open_ledger(create=True)
    added = add_user(ledger, name, Role(role), _accounts(accounts), password=read_password())
    messages.print(f"{added.name} may log in to the page as {added.role} of {_of_accounts(added)}")


@user.command("list")
@options.ledger_and_format
def user_list(settings: Settings) -> None:
    """List the users. Passwords are not stored and cannot be shown."""
    from liushui.ledger.access.users import list_users

    emit(map(_record, list_users(settings.open_ledger())), USER_COLUMNS, settings.format)


@user.command("role")
@name_argument
@role_option
@account_option
@options.ledger_only
def user_role(settings: Settings, name: str, role: str, accounts: tuple[str, ...]) -> None:
    """Give a user another role and other accounts.

    The user's browsers are logged out, and the keys and tokens that the user created are revoked.
    """
    from liushui.ledger.access.users import Role, change_role

    ledger = settings.open_ledger()
    revoked = change_role(ledger, name, Role(role), _accounts(accounts))
    messages.print(f"{name} is {role} now; their browsers have to log in again")
    _report(revoked)


@user.command("password")
@name_argument
@options.ledger_only
def user_password(settings: Settings, name: str) -> None:
    """Set another password of a user. The user's browsers are logged out.

    It is asked for at a terminal; otherwise it is the first line of standard input.
    """
    from liushui.ledger.access.users import get_user, set_user_password

    ledger = settings.open_ledger()
    get_user(ledger, name)  # before anything is asked
    set_user_password(ledger, name, read_password())
    messages.print(f"the password of {name} is set; their browsers have to log in again")


@user.command("remove")
@name_argument
@options.ledger_only
def user_remove(settings: Settings, name: str) -> None:
    """Remove a user.

    The user's browsers are logged out, and the keys and tokens that the user created are revoked. Decisions keep the
    user's name.
    """
    from liushui.ledger.access.users import remove_user

    revoked = remove_user(settings.open_ledger(), name)
    messages.print(f"removed {name}")
    _report(revoked)


def _accounts(accounts: tuple[str, ...]) -> Sequence[str] | None:
    return list(dict.fromkeys(accounts)) or None


def _of_accounts(user: "User") -> str:
    return "every account" if user.accounts is None else ", ".join(sorted(user.accounts))


def _record(user: "User") -> dict[str, Any]:
    return {
        "user": user.name,
        "role": user.role.value,
        "accounts": ["all"] if user.accounts is None else sorted(user.accounts),
        "created_at": user.created_at,
    }


def _report(revoked: "Revoked") -> None:
    if any(revoked):
        messages.print(f"revoked {revoked.tokens} tokens and {revoked.keys} keys that the user had created")


# ---------------------------------------------------------------- the audit log


@click.command()
@click.option("--since", metavar="WHEN", help="Only from this date or ISO 8601 time (UTC) on.")
@click.option("--until", metavar="WHEN", help="Only before this date or ISO 8601 time (UTC).")
@click.option(
    "--who", metavar="NAME", help='Only what this user, token or program did, as the log names it: "user wang".'
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N entries, the newest. (default: all)")
@options.ledger_and_format
def audit(settings: Settings, since: str | None, until: str | None, who: str | None, limit: int | None) -> None:
    """List who did what.

    The log covers the page, the API and the command line, newest first. An entry is stored before its action begins. An
    entry without an outcome means that the program ended before the action did.
    """
    from liushui.ledger.access.audit import list_actions

    entries = list_actions(
        settings.open_ledger(),
        since=options.parse_when("since", since),
        until=options.parse_when("until", until),
        who=who,
        limit=limit,
    )
    emit((entry._asdict() for entry in entries), AUDIT_COLUMNS, settings.format)
