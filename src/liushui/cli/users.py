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
USER_COLUMNS: Final = ("user", "role", "accounts", "email", "logs_in_with", "created_at")
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
email_option = click.option(
    "--email",
    default="",
    show_default=False,
    metavar="ADDRESS",
    help="The user's address at the OpenID Connect provider, which must have verified it.",
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
@email_option
@options.ledger_only
def user_add(settings: Settings, name: str, role: str, accounts: tuple[str, ...], email: str) -> None:
    """Add a user.

    The command asks for the password at a terminal; otherwise it reads the first line of standard input. With --email
    there is no password: the user logs in through the provider of `liushui oidc set`. `liushui user password` can add
    one.

    \b
    Example: liushui user add wang --role accountant --account my-shop
    Example: liushui user add li --role viewer --email li@example.com
    """
    from liushui.ledger.access.users import Role, add_user

    ledger = settings.open_ledger(create=True)
    password = None if email else read_password()
    added = add_user(ledger, name, Role(role), _accounts(accounts), password=password, email=email)
    messages.print(f"{added.name} may log in to the page as {added.role} of {_of_accounts(added)}")


@user.command("list")
@options.ledger_and_format
def user_list(settings: Settings) -> None:
    """List the users. Passwords are not stored and cannot be shown."""
    from liushui.ledger.access.identities import linked_users
    from liushui.ledger.access.users import list_users

    ledger = settings.open_ledger()
    linked = linked_users(ledger)
    emit((_record(user, user.name in linked) for user in list_users(ledger)), USER_COLUMNS, settings.format)


@user.command("role")
@name_argument
@role_option
@account_option
@options.ledger_only
def user_role(settings: Settings, name: str, role: str, accounts: tuple[str, ...]) -> None:
    """Change a user's role and accounts.

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
    """Set a new password for a user. The user's browsers are logged out.

    The command asks for it at a terminal; otherwise it reads the first line of standard input.
    """
    from liushui.ledger.access.users import get_user, set_user_password

    ledger = settings.open_ledger()
    get_user(ledger, name)  # before anything is asked
    set_user_password(ledger, name, read_password())
    messages.print(f"the password of {name} is set; their browsers have to log in again")


@user.command("identity")
@name_argument
@email_option
@click.option(
    "--subject",
    default="",
    show_default=False,
    metavar="TEXT",
    help="The user's id at the provider, the claim sub.",
)
@options.ledger_only
def user_identity(settings: Settings, name: str, email: str, subject: str) -> None:
    """Set or remove a user's identity at the OpenID Connect provider. Without an option, it is removed.

    The earlier identity is forgotten, and browsers that logged in through the provider are logged out. With --email,
    the first login with this address binds the user to the person's subject. From then on only the subject counts.
    """
    from liushui.errors import ConfigError
    from liushui.ledger.access.identities import find_identity_provider, set_identity

    ledger = settings.open_ledger()
    provider = find_identity_provider(ledger)
    if subject and provider is None:
        raise ConfigError("subject: expected a provider first: `liushui oidc set`")
    issuer = provider.issuer if provider is not None else ""
    set_identity(ledger, name, email=email, issuer=issuer, subject=subject)
    known = " and ".join(filter(None, (email, subject)))
    messages.print(f"{name} logs in through the provider as {known}" if known else f"{name} is nobody at the provider")


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


def _record(user: "User", is_linked: bool) -> dict[str, Any]:
    ways = ["password"] if user.has_password else []
    return {
        "user": user.name,
        "role": user.role.value,
        "accounts": ["all"] if user.accounts is None else sorted(user.accounts),
        "email": user.email,
        "logs_in_with": ways + (["oidc"] if is_linked or user.email else []),
        "created_at": user.created_at,
    }


def _report(revoked: "Revoked") -> None:
    if any(revoked):
        messages.print(
            f"ended what the user had created: {revoked.tokens} tokens, {revoked.keys} keys, "
            f"{revoked.rules} rules for notifications"
        )


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
