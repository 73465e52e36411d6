"""liushui oidc: the OpenID Connect provider through which users log in to the page."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import options
from liushui.cli.options import Settings
from liushui.cli.output import Record, emit_one, messages
from liushui.cli.users import ROLES
from liushui.errors import ConfigError, short_repr

if TYPE_CHECKING:
    from liushui.ledger.access.identities import IdentityProvider, RoleGrant

SECRET_MAX: Final = 10_000


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def oidc() -> None:
    """Let users log in to the web page through an OpenID Connect provider.

    Passwords, links and tokens still work. Needs the extra liushui[oidc].
    """


@oidc.command("set")
@click.argument("issuer", metavar="ISSUER", help="The provider's address.")
@click.option("--client-id", required=True, metavar="TEXT", help="The id of this client at the provider.")
@click.option(
    "--secret",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="A file (- for standard input) with the client's secret. (default: none, for a public client)",
)
@click.option(
    "--title", default="", show_default=False, metavar="TEXT", help="Its name on the page. (default: its host name)"
)
@click.option(
    "--role-claim",
    default="",
    show_default=False,
    metavar="CLAIM",
    help="The claim that gives roles, such as groups; a dot leads into an object: realm_access.roles.",
)
@click.option(
    "--grant",
    "grants",
    multiple=True,
    metavar="VALUE=ROLE",
    help="A person with this value in the role claim is a user with this role, for all accounts; repeatable. The first "
    "one that applies counts.",
)
@options.ledger_and_format
def set_(
    settings: Settings,
    issuer: str,
    client_id: str,
    secret: Path | None,
    title: str,
    role_claim: str,
    grants: tuple[str, ...],
) -> None:
    """Set the provider, in place of an earlier one.

    ISSUER is the provider's address, as its own description states it. The command reads that description first.
    Register this redirect URI at the provider, with the address of the page: https://HOST/login/oidc/callback. The
    secret is encrypted in the ledger.

    Without --grant, only users that you have added can log in: `liushui user add NAME --role ROLE --email ADDRESS`.

    \b
    Example: liushui oidc set https://id.example.com --client-id liushui --secret FILE
    Example: liushui oidc set https://id.example.com --client-id liushui --secret FILE \\
               --role-claim groups --grant finance-lead=owner --grant finance=accountant
    """
    from liushui.ledger.access.identities import IdentityProvider, set_identity_provider
    from liushui.server.oidc import check_issuer

    if bool(role_claim) != bool(grants):
        raise ConfigError("grant: expected together with --role-claim")
    given = "" if secret is None else _read_secret(secret)
    host = check_issuer(issuer).partition("://")[2].partition("/")[0]
    provider = IdentityProvider(issuer, client_id, given, title or host, role_claim, tuple(map(_parse_grant, grants)))
    _check(provider)
    set_identity_provider(settings.open_ledger(create=True), provider)
    emit_one(_record(provider), settings.format)
    messages.print("the redirect URI to register: https://HOST/login/oidc/callback, with the address of the page")


@oidc.command("show")
@options.ledger_and_format
def show(settings: Settings) -> None:
    """Show the provider, without its secret."""
    emit_one(_record(_existing(settings)), settings.format)


@oidc.command("test")
@options.ledger_only
def test_(settings: Settings) -> None:
    """Ask the provider for its description, as a login does."""
    provider = _existing(settings)
    _check(provider)
    messages.print(f"{provider.issuer} answers as {provider.title}")


@oidc.command("remove")
@options.ledger_only
def remove(settings: Settings) -> None:
    """Remove the provider. Browsers that logged in through it are logged out."""
    from liushui.ledger.access.identities import remove_identity_provider

    remove_identity_provider(settings.open_ledger())
    messages.print("removed the provider; users without a password cannot log in any more")


def _existing(settings: Settings) -> "IdentityProvider":
    from liushui.ledger.access.identities import find_identity_provider

    provider = find_identity_provider(settings.open_ledger())
    if provider is None:
        raise ConfigError("oidc: there is no provider: `liushui oidc set`")
    return provider


def _check(provider: "IdentityProvider") -> None:
    """Raises ConfigError without the package that logins need, OidcError if the provider does not answer well."""
    from importlib.util import find_spec

    from liushui.instant import system_clock
    from liushui.server.oidc import EXTRA_MISSING, OidcClient

    if find_spec("authlib") is None:
        raise ConfigError(EXTRA_MISSING)
    OidcClient(system_clock).metadata(provider)


def _parse_grant(text: str) -> "RoleGrant":
    from liushui.ledger.access.identities import RoleGrant
    from liushui.ledger.access.users import Role

    value, equals, role = text.rpartition("=")
    if not (value and equals) or role not in ROLES:
        raise ConfigError(f"grant: expected VALUE=ROLE with one of {', '.join(ROLES)}, got {short_repr(text)}")
    return RoleGrant(value, Role(role))


def _read_secret(path: Path) -> str:
    """The secret in a file, or on standard input. Raises ConfigError."""
    try:
        text = sys.stdin.read(SECRET_MAX + 1) if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"secret: {path} cannot be read: {error}") from error
    if not text.strip() or len(text) > SECRET_MAX:
        raise ConfigError(f"secret: expected at most {SECRET_MAX} characters, got {len(text)}")
    return text.strip()


def _record(provider: "IdentityProvider") -> Record:
    return {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "title": provider.title,
        "role_claim": provider.role_claim,
        "grants": [f"{value}={role.value}" for value, role in provider.grants],
    }
