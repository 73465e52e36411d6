"""liushui key, token, password, login: who may read the ledger, and in which way."""

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import click
import msgspec

from liushui.cli import options
from liushui.cli.options import Settings
from liushui.cli.output import Record, emit, emit_one, messages
from liushui.cli.serve import PORT
from liushui.errors import ConfigError, short_repr
from liushui.instant import to_iso

if TYPE_CHECKING:
    from liushui.ledger.engine import Ledger
    from liushui.provider import Dialect

P = ParamSpec("P")
R = TypeVar("R")

COMMAND_LINE: Final = "command line"
"""The name of the principal that commands act for."""
SCOPES: Final = ("read", "record", "manage")

KEY_COLUMNS: Final = (
    "key",
    "dialect",
    "accounts",
    "created_at",
    "expires_at",
    "revoked_at",
    "paced",
    "restrictions",
    "created_by",
)
TOKEN_COLUMNS: Final = (
    *(
        "id",
        "name",
        "accounts",
        "scopes",
        "rate",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
        "created_by",
    ),
)

expires_option = click.option("--expires", metavar="WHEN", help="Valid until this date or ISO 8601 time (UTC).")
days_option = click.option("--days", type=click.IntRange(min=1), metavar="N", help="Valid for N days from now.")


def output_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add the options of a command that may write the secrets it creates to a file."""
    force = click.option("--force", is_flag=True, help="Replace the file if it exists.")
    output = click.option(
        "--output",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write the secrets to this file, as JSON, instead of printing them. Only you can read it (mode 0600).",
    )
    return output(force(function))


@contextmanager
def _secrets_written(output: Path | None, *, force: bool) -> Iterator[Callable[[Record], None]]:
    """Return a function that writes secrets to the file. Without a file, it does nothing.

    The file is opened first, because secrets that cannot be written would be lost. It gets its name at the end. Raises
    ConfigError if the file exists without `force`, LedgerError if it cannot be written.
    """
    if output is None:
        yield lambda _secrets: None
        return
    from liushui.ledger.maintenance.backup import check_replaceable, publish, temporary_beside

    path = output.absolute()
    check_replaceable(path, force=force)
    with temporary_beside(path) as temporary:

        def write(secrets: Record) -> None:
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(secrets)) + b"\n")
            publish(temporary, path, force=force)

        yield write


def _expiry(ledger: "Ledger", expires: str | None, days: int | None) -> datetime | None:
    until = options.parse_when("expires", expires)
    return until if days is None else ledger.clock() + timedelta(days=days)


# ---------------------------------------------------------------- keys of the provider APIs


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def key() -> None:
    """Manage keys that read accounts through the provider APIs.

    `liushui serve` answers in each provider's own API, so a provider's official client can read the ledger with a key.
    """


def restrictions_help() -> str:
    """Return what the keys of installed providers can be denied, for the help."""
    from liushui.providers import load_providers

    restrictions = [
        f"{restriction.name} ({provider.name}): {restriction.help}"
        for provider in load_providers().values()
        for restriction in provider.restrictions
    ]
    return f"{'; '.join(restrictions) or 'No installed provider has restrictions'}."


@key.command("create")
@options.dialect_option
@click.option(
    "--account",
    "accounts",
    multiple=True,
    required=True,
    metavar="ACCOUNT",
    help="An account the key reads; repeatable.",
)
@expires_option
@days_option
@click.option("--paced/--unpaced", default=True, help="Hold callers to the provider's documented rate limit.")
@click.option(
    "--restrict",
    "restrictions",
    multiple=True,
    metavar="NAME=VALUE",
    cls=options.LazyHelpOption,
    more_help=restrictions_help,
    help="Restrict the key; repeatable.",
)
@click.option(
    "--url",
    metavar="URL",
    help="The server's address as the program reaches it. Only keys for simplefin contain it. "
    f"(default: the running server's, else http://127.0.0.1:{PORT})",
)
@output_options
@options.ledger_and_format
def key_create(
    settings: Settings,
    dialect: "Dialect",
    accounts: tuple[str, ...],
    expires: str | None,
    days: int | None,
    paced: bool,
    restrictions: tuple[str, ...],
    url: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Create a key. Its secrets are shown only now.

    `source add --credentials` reads the file that `--output` writes, or the text that `--format json` prints. A key for
    simplefin contains a setup token, which a program exchanges once.

    \b
    Example: liushui key create --dialect longbridge --account broker --days 90 --output key.json
    """
    from liushui.services.access import create_key, owner
    from liushui.services.dialects import give_out

    ledger = settings.open_ledger()
    server_url = _server_url(ledger, url)
    with _secrets_written(output, force=force) as write:
        credentials = create_key(
            ledger,
            owner(COMMAND_LINE),
            dialect,
            accounts,
            expires_at=_expiry(ledger, expires, days),
            paced=paced,
            restrictions=_parse_restrictions(restrictions),
        )
        secrets = give_out(dialect, credentials, server_url)
        write(secrets)
    if output is None:
        emit_one(secrets, settings.format)
    else:
        emit_one({"key": dialect.key_name(credentials), "file": str(output)}, settings.format)
    messages.print(
        f"[dim]a {dialect.title} key for {', '.join(dict.fromkeys(accounts))}; its secrets are not shown again[/]"
    )


def _server_url(ledger: "Ledger", url: str | None) -> str:
    """Return the address of a ledger's server: the named one, or else that of a server running here."""
    from liushui.server.running import running_servers
    from liushui.wire.transport import parse_base_url

    if url is not None:
        return parse_base_url(url)
    servers = [server for server in running_servers() if server.ledger == ledger.name]
    return (servers[0].public_url or servers[0].local_url) if servers else f"http://127.0.0.1:{PORT}"


@key.command("list")
@options.ledger_and_format
def key_list(settings: Settings) -> None:
    """List the keys, including revoked ones. Secrets are not shown."""
    from liushui.ledger.access.keys import list_keys

    records = (
        known._asdict()
        | {
            "key": known.public,
            "accounts": list(known.accounts),
            "restrictions": [f"{name}={value}" for name, value in known.restrictions.items()],
        }
        for known in list_keys(settings.open_ledger())
    )
    emit(records, KEY_COLUMNS, settings.format)


@key.command("revoke")
@click.argument("public", metavar="KEY", help="The key's public part, as `key list` prints it.")
@options.ledger_only
def key_revoke(settings: Settings, public: str) -> None:
    """Revoke a key. It stops working at once, in every serving process."""
    from liushui.services.access import owner, revoke_key

    revoke_key(settings.open_ledger(), owner(COMMAND_LINE), public)
    messages.print(f"revoked {public}")


def _parse_restrictions(texts: tuple[str, ...]) -> dict[str, str]:
    restrictions: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or name in restrictions:
            raise ConfigError(f"restrict: expected NAME=VALUE, each name once, got {short_repr(text)}")
        restrictions[name] = value
    return restrictions


# ---------------------------------------------------------------- tokens of liushui's own API


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def token() -> None:
    """Manage tokens of liushui's own API, /api/v1."""


@token.command("create")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What the token may do; repeatable.",
)
@click.option(
    "--account", "accounts", multiple=True, metavar="ACCOUNT", help="An account the token may see; repeatable."
)
@click.option("--all-accounts", is_flag=True, help="The token may see every account, also those added later.")
@click.option("--name", default="", show_default=False, metavar="TEXT", help="A note for the list of tokens.")
@expires_option
@days_option
@click.option("--rate", type=click.IntRange(min=1), metavar="N", help="Allow N calls a minute. (default: 1200)")
@output_options
@options.ledger_and_format
def token_create(
    settings: Settings,
    scopes: tuple[str, ...],
    accounts: tuple[str, ...],
    all_accounts: bool,
    name: str,
    expires: str | None,
    days: int | None,
    rate: int | None,
    output: Path | None,
    force: bool,
) -> None:
    """Create a token. It is shown only now.

    \b
    Example: liushui token create --scope read --all-accounts --name dashboard --output token.json
    """
    from liushui.ledger.access.tokens import CALLS_PER_MINUTE, Scope
    from liushui.services.access import create_token, owner

    if all_accounts == bool(accounts):
        raise ConfigError("account: expected --account, once or more, or --all-accounts, and not both")
    ledger, names = settings.open_ledger(), None if all_accounts else list(dict.fromkeys(accounts))
    with _secrets_written(output, force=force) as write:
        created = create_token(
            ledger,
            owner(COMMAND_LINE),
            name=name,
            accounts=names,
            scopes=[Scope(scope) for scope in scopes],
            expires_at=_expiry(ledger, expires, days),
            calls_per_minute=rate or CALLS_PER_MINUTE,
        )
        secrets = {"id": created.token.id, "token": created.text}
        write(secrets)
    shown = secrets if output is None else {"id": created.token.id, "file": str(output)}
    emit_one(shown, settings.format)
    whose = "every account" if names is None else ", ".join(names)
    messages.print(f"[dim]a token for {whose}, to {', '.join(sorted(set(scopes)))}; it is not shown again[/]")


@token.command("list")
@options.ledger_and_format
def token_list(settings: Settings) -> None:
    """List the tokens, including revoked ones. The tokens themselves are not stored and cannot be shown."""
    from liushui.ledger.access.tokens import list_tokens

    records = (
        known._asdict()
        | {
            "accounts": ["all"] if known.accounts is None else sorted(known.accounts),
            "scopes": sorted(known.scopes),
            "rate": known.calls_per_minute,
        }
        for known in list_tokens(settings.open_ledger())
    )
    emit(records, TOKEN_COLUMNS, settings.format)


@token.command("revoke")
@click.argument("token_id", metavar="TOKEN", help="The token's id, as `token list` prints it.")
@options.ledger_only
def token_revoke(settings: Settings, token_id: str) -> None:
    """Revoke a token and every key and token that it created. They stop working at once, in every serving process."""
    from liushui.services.access import owner, revoke_token

    with_it = revoke_token(settings.open_ledger(), owner(COMMAND_LINE), token_id)
    messages.print(f"revoked {token_id}")
    if any(with_it):
        messages.print(
            f"revoked what it had created: {with_it.tokens} tokens, {with_it.keys} keys, "
            f"{with_it.rules} rules for notifications"
        )


# ---------------------------------------------------------------- the web page


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def password() -> None:
    """Set or remove the password of the web page.

    To serve the page beyond this machine, set a password or create a token that may read and manage all accounts.
    """


@password.command("set")
@options.ledger_only
def password_set(settings: Settings) -> None:
    """Set the password of the web page. Every browser is logged out.

    The command asks for it at a terminal; otherwise it reads the first line of standard input.
    """
    from liushui.ledger.access.sessions import set_password

    ledger = settings.open_ledger(create=True)
    set_password(ledger, read_password())
    messages.print("the page's password is set; every browser has to log in again")


@password.command("remove")
@options.ledger_only
def password_remove(settings: Settings) -> None:
    """Remove the password of the web page. Every browser is logged out; links and tokens still log in."""
    from liushui.ledger.access.sessions import remove_password

    remove_password(settings.open_ledger())
    messages.print("the page has no password any more")


def read_password() -> str:
    """Read a new password: twice at a terminal, else the first line of standard input. Raises ConfigError."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    text = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != text:
        raise ConfigError("password: expected the same twice, got two different ones")
    return text


@click.command()
@click.option(
    "--url",
    metavar="URL",
    help=f"The address of the web page. (default: the running server's, else http://127.0.0.1:{PORT})",
)
@options.ledger_only
def login(settings: Settings, url: str | None) -> None:
    """Print a link that logs one browser in to the web page, once.

    Without --ledger, the link is for the server that runs on this machine, which may be a demo.
    """
    from liushui.ledger.access.sessions import CODE_LIFETIME, create_login_code
    from liushui.services.access import login_link

    page_url, ledger = _page_and_ledger(settings, url)
    expires_at = ledger.clock() + CODE_LIFETIME
    sys.stdout.write(f"{login_link(page_url, create_login_code(ledger))}\n")
    messages.print(f"[dim]the link works once, until {to_iso(expires_at)}[/]")


def _page_and_ledger(settings: Settings, url: str | None) -> "tuple[str, Ledger]":
    """Return the page and the ledger for a login: those that the user names, completed by the servers running here."""
    from liushui.ledger.engine import open_ledger
    from liushui.server.running import running_servers
    from liushui.wire.transport import parse_base_url

    page_url = None if url is None else parse_base_url(url)
    servers = [server for server in running_servers() if page_url in (None, server.url)]
    own = str(options.default_ledger())
    if settings.names_ledger or not servers or any(server.ledger == own for server in servers):
        ledger = settings.open_ledger()
        servers = [server for server in servers if server.ledger == ledger.name]
    elif len(servers) == 1:
        ledger = open_ledger(servers[0].ledger)
    else:
        running = "; ".join(f"{server.url} with --ledger {server.ledger}" for server in servers)
        raise ConfigError(f"ledger: several servers run here, choose one with --ledger: {running}")
    return page_url or (servers[0].local_url if servers else f"http://127.0.0.1:{PORT}"), ledger
