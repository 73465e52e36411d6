"""Principals and their rights, the keys and tokens that they create, and who can log in to the page."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

from liushui.errors import AccountNotFound, ConfigError, InvalidField, NotFound, PermissionDenied, short_repr
from liushui.instant import to_iso
from liushui.ledger.access import keys, tokens
from liushui.ledger.access.keys import KeyInfo
from liushui.ledger.access.sessions import has_password, set_password
from liushui.ledger.access.tokens import CALLS_PER_MINUTE, NewToken, Revoked, Scope, Token
from liushui.ledger.access.users import Role, User, has_users
from liushui.ledger.engine import Ledger, account_names
from liushui.provider import NO_VALUES, Dialect

USER_PREFIX: Final = "user "
"""Prefix of the name of a user's principal."""


@dataclass(frozen=True)
class Principal:
    """Who makes a request, and with which rights. `accounts` None: all accounts, including future ones."""

    name: str
    """Unique, so that principals do not share idempotency keys."""
    accounts: frozenset[str] | None
    scopes: frozenset[Scope]
    calls_per_minute: int = CALLS_PER_MINUTE
    token: str | None = None
    """The id of the token of the request, or of the token with which its session began. None: the owner."""
    expires_at: datetime | None = None
    """When that token expires."""
    touches_token: bool = False
    """Whether the stored time of the token's last use has to be updated."""
    role: Role | None = None
    """A user's role. None: the owner, or a token."""

    @property
    def is_owner(self) -> bool:
        """Whether the principal may administer users and read the audit log. No token may, because users outlive
        tokens."""
        return self.token is None or self.role is Role.OWNER

    def sees(self, account: str) -> bool:
        """Whether the principal may see an account."""
        return self.accounts is None or account in self.accounts

    def sees_all(self, accounts: frozenset[str] | None) -> bool:
        """Whether the principal may see all of these accounts; None stands for every account.

        If all accounts of a key were removed, only principals with all accounts see the key.
        """
        return self.accounts is None or (accounts is not None and bool(accounts) and accounts <= self.accounts)

    def check_accounts(self, ledger: Ledger, names: Collection[str]) -> None:
        """Raise NotFound for an account that does not exist, and with the same message for one that is not visible."""
        with ledger.reading() as connection:
            existing = account_names(connection)
        for name in names:
            if name not in existing or not self.sees(name):
                raise AccountNotFound(name)


def owner(name: str) -> Principal:
    """Return a principal with all rights: the user of the command line, or the owner after login."""
    return Principal(name, None, frozenset(Scope))


def bearer(name: str, token: Token) -> Principal:
    """Return a principal with the rights of a token."""
    return Principal(name, token.accounts, token.scopes, token.calls_per_minute, token.id, token.expires_at)


def user_principal(user: User, token: Token) -> Principal:
    """Return a principal with the rights of a user. `token`: the token with the user's accounts and scopes."""
    return replace(bearer(f"{USER_PREFIX}{user.name}", token), role=user.role)


# ---------------------------------------------------------------- keys


def visible_keys(ledger: Ledger, principal: Principal) -> list[KeyInfo]:
    """Return the keys for accounts that the principal may see, including revoked ones, newest last."""
    return [key for key in keys.list_keys(ledger) if principal.sees_all(frozenset(key.accounts))]


def create_key(
    ledger: Ledger,
    principal: Principal,
    dialect: Dialect,
    accounts: Sequence[str],
    *,
    expires_at: datetime | None = None,
    paced: bool = True,
    restrictions: Mapping[str, str] = NO_VALUES,
) -> dict[str, str]:
    """Create a key that reads accounts through a dialect's API. Returns its credentials, which are not shown again.

    Its rights are limited to the principal's, and it ends with the principal's token. By default it expires together
    with the token.

    Raises PermissionDenied if its rights would exceed the principal's, NotFound for an account, and InvalidField for an
    expiry in the past or a restriction that the dialect does not have.
    """
    if Scope.READ not in principal.scopes:
        raise PermissionDenied("a key reads accounts; its creator, a token, may not read")
    if not paced and principal.token is not None:
        raise ExceedsPrincipal("paced", ["true"])
    principal.check_accounts(ledger, accounts)
    expires_at = _expiry(ledger, principal, expires_at)
    known = [restriction.name for restriction in dialect.restrictions]
    for name in restrictions:
        if name not in known:
            expected = f"{' or '.join(known) or 'none'} for {dialect.name}"
            raise InvalidField(f"restrictions/{name}", expected, short_repr(name))
    return keys.create_key(
        ledger,
        dialect,
        list(dict.fromkeys(accounts)),
        expires_at=expires_at,
        paced=paced,
        restrictions=restrictions,
        created_by=principal.token,
    )


def revoke_key(ledger: Ledger, principal: Principal, public: str) -> None:
    """Revoke a key. Raises NotFound if the principal sees no valid key with this name."""
    if not any(key.public == public for key in visible_keys(ledger, principal)):
        raise NotFound(f"key: there is no valid one named {short_repr(public)}")
    keys.revoke_key(ledger, public)


# ---------------------------------------------------------------- tokens


def visible_tokens(ledger: Ledger, principal: Principal) -> list[Token]:
    """Return the tokens whose rights do not exceed the principal's, including revoked ones, newest last."""
    return [
        token
        for token in tokens.list_tokens(ledger)
        if principal.sees_all(token.accounts) and token.scopes <= principal.scopes
    ]


def create_token(
    ledger: Ledger,
    principal: Principal,
    *,
    name: str = "",
    accounts: Collection[str] | None,
    scopes: Collection[Scope],
    expires_at: datetime | None = None,
    calls_per_minute: int = CALLS_PER_MINUTE,
) -> NewToken:
    """Create a token for these accounts, or for all (None).

    Its rights are limited to the principal's, and it ends with the principal's token. By default it expires together
    with the token.

    Raises PermissionDenied if its rights would exceed the principal's, NotFound for an account, ConfigError for other
    invalid values.
    """
    for field, is_allowed, allowed in (
        ("scopes", set(scopes) <= principal.scopes, sorted(principal.scopes)),
        ("accounts", accounts is not None or principal.accounts is None, sorted(principal.accounts or ())),
        (
            "calls_per_minute",
            principal.is_owner or calls_per_minute <= principal.calls_per_minute,
            [str(principal.calls_per_minute)],
        ),
    ):
        if not is_allowed:
            raise ExceedsPrincipal(field, allowed)
    principal.check_accounts(ledger, accounts or ())
    return tokens.create_token(
        ledger,
        name=name,
        names=accounts,
        scopes=scopes,
        expires_at=_expiry(ledger, principal, expires_at),
        calls_per_minute=calls_per_minute,
        created_by=principal.token,
    )


class ExceedsPrincipal(PermissionDenied):
    """The rights of a key or token would exceed those of the principal who creates it. `allowed`: the principal's
    rights."""

    def __init__(self, field: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{field}: it may do no more than the token that creates it, which has: {', '.join(allowed)}")
        self.field = field
        self.allowed = list(allowed)


def revoke_token(ledger: Ledger, principal: Principal, token_id: str) -> Revoked:
    """Revoke a token and everything that it created. Raises NotFound if the principal sees no valid token with this
    id."""
    if not any(token.id == token_id for token in visible_tokens(ledger, principal)):
        raise NotFound(f"token: there is no valid one with the id {short_repr(token_id)}")
    return tokens.revoke_token(ledger, token_id)


def _expiry(ledger: Ledger, principal: Principal, expires_at: datetime | None) -> datetime | None:
    """Return the expiry of what a principal creates: the requested time, but not after the principal's own token."""
    if expires_at is not None and expires_at <= ledger.clock():
        raise InvalidField("expires_at", "an instant in the future", short_repr(expires_at.isoformat()))
    if principal.expires_at is None:
        return expires_at
    if expires_at is not None and expires_at > principal.expires_at:
        raise ExceedsPrincipal("expires_at", [to_iso(principal.expires_at)])
    return expires_at or principal.expires_at


def is_valid(access: Token | KeyInfo, now: datetime) -> bool:
    """Whether a token or a key is neither revoked nor expired."""
    return access.revoked_at is None and (access.expires_at is None or now < access.expires_at)


# ---------------------------------------------------------------- the page

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def host_of(url: str) -> str:
    """Return the host of a URL; empty if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(url: str) -> bool:
    """Whether a URL is reachable only from this machine."""
    host = host_of(url)
    return host in LOOPBACK or host.startswith("127.")


def login_link(page_url: str, code: str | None, next_page: str | None = None) -> str:
    """Return the address of the login. With a code it logs one browser in, once. `next_page`: the path to open
    afterwards."""
    query = urlencode(
        {name: text for name, text in (("code", code), ("next", next_page)) if text is not None}, safe="/"
    )
    return f"{page_url}/login?{query}" if query else f"{page_url}/login"


def opens_page(token: Token) -> bool:
    """Whether a token can log in to the page, which shows and changes everything."""
    return token.accounts is None and {Scope.READ, Scope.MANAGE} <= token.scopes


def set_initial_password(ledger: Ledger, password: str | None) -> None:
    """Set the page's password if it has none. Raises ConfigError if the password is too short or too long.

    An existing password is not replaced: the environment of a service only contains the first one.
    """
    if password is not None and not has_password(ledger):
        set_password(ledger, password)


def check_exposure(ledger: Ledger, page_url: str) -> None:
    """Check that a page that other machines can reach has a user, a password, or a token that can log in.

    Raises ConfigError. On loopback, the link that is printed at start is sufficient.
    """
    if is_loopback(page_url) or has_password(ledger) or has_users(ledger):
        return
    now = ledger.clock()
    if any(opens_page(token) and is_valid(token, now) for token in tokens.list_tokens(ledger)):
        return
    raise ConfigError(
        "host: expected a loopback address, because the page has no password yet (`liushui password set`, or the "
        "variable LIUSHUI_PAGE_PASSWORD) and no user "
        f"(`liushui user add`), got {page_url}"
    )
