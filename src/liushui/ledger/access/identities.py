"""The OpenID Connect provider through which users log in, and the mapping of its subjects to users.

A user is found by the subject of an earlier login. At the first login, the verified e-mail address that an owner gave
the user decides. Otherwise a user is added if the provider's claims give a role.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfigError, InvalidField, NotFound, PermissionDenied, short_repr
from liushui.instant import to_us
from liushui.ledger.access.users import Role, User, check_email, insert_user, is_name, replace_role, user_in
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import identities, identity_providers, insert_new, sessions, upsert, users

OIDC: Final = "oidc"
"""The name of the provider's row, and of the login method of its sessions."""
TEXT_MAX: Final = 255
"""Characters of a subject: OpenID Connect allows no more."""


class RoleGrant(NamedTuple):
    """A person with this value in the role claim gets this role, for all accounts."""

    value: str
    role: Role


class IdentityProvider(NamedTuple):
    """An OpenID Connect provider, and this ledger as its client."""

    issuer: str
    client_id: str
    client_secret: str
    """Empty for a public client, which relies on PKCE alone."""
    title: str
    """The name on the page."""
    role_claim: str = ""
    """The claim with the values that give roles, such as groups; a dot leads into an object. Empty: no claim gives a
    role."""
    grants: tuple[RoleGrant, ...] = ()
    """The first grant that applies gives the role."""

    def role_of(self, values: Sequence[str]) -> Role | None:
        """Return the role that the values of the role claim give. None: they give none."""
        return next((grant.role for grant in self.grants if grant.value in values), None)


class Person(NamedTuple):
    """A provider's data about the person who has logged in."""

    subject: str
    email: str
    """The address, if the provider has verified it; else empty."""
    has_unverified_email: bool
    names: tuple[str, ...]
    """Names for a new user, the best one first."""
    role: Role | None
    """The role that the claims give."""


class Refusal(StrEnum):
    """Why a person may not log in although the provider has authenticated them."""

    UNKNOWN = "unknown"
    """No user has this subject or this address, and no claim gives a role."""
    UNVERIFIED = "unverified"
    """As `unknown`, and the provider has not verified the e-mail address."""
    OTHER_SUBJECT = "other_subject"
    """The address belongs to a user who logs in with another subject."""
    NO_ROLE = "no_role"
    """The user's role comes from the claims, which no longer give a role."""
    NAME_TAKEN = "name_taken"
    """A new user cannot be added: other users have all of the names."""
    NO_ACCOUNTS = "no_accounts"
    """The user no longer sees any account."""


class LoginRefused(PermissionDenied):
    """The ledger refuses a person whom the provider has authenticated."""

    def __init__(self, refusal: Refusal, subject: str) -> None:
        super().__init__(f"oidc: the subject {short_repr(subject)} may not log in: {refusal.value}")
        self.refusal = refusal


# ---------------------------------------------------------------- the provider


def set_identity_provider(ledger: Ledger, provider: IdentityProvider) -> None:
    """Set the provider through which users log in. An earlier identity provider is replaced, and its sessions end."""
    settings = {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        "role_claim": provider.role_claim,
        "grants": msgspec.json.encode(provider.grants).decode(),
    }
    values = {
        "name": OIDC,
        "title": provider.title,
        "settings": ledger.vault.encrypt(settings),
        "set_at_us": to_us(ledger.clock()),
    }
    with ledger.writing() as connection:
        upsert(connection, identity_providers, values)
        connection.execute(sessions.delete().where(sessions.c.how == OIDC))


def find_identity_provider(ledger: Ledger) -> IdentityProvider | None:
    """Return the provider with its secret. None: it does not exist. Raises LedgerError if it cannot be decrypted."""
    with ledger.reading() as connection:
        row = connection.execute(sa.select(identity_providers).where(identity_providers.c.name == OIDC)).first()
    if row is None:
        return None
    settings = ledger.vault.decrypt(row.settings)
    grants = msgspec.json.decode(settings.pop("grants"), type=tuple[RoleGrant, ...])
    return IdentityProvider(**settings, title=row.title, grants=grants)


def provider_title(ledger: Ledger) -> str | None:
    """Return the page's name for the provider. None: it does not exist. Nothing is decrypted."""
    with ledger.reading() as connection:
        query = sa.select(identity_providers.c.title).where(identity_providers.c.name == OIDC)
        return connection.scalar(query)


def remove_identity_provider(ledger: Ledger) -> None:
    """Remove the provider, and end the sessions that began through it. Raises ConfigError if there is none.

    Its subjects stay known, for a provider with the same issuer.
    """
    with ledger.writing() as connection:
        if not connection.execute(identity_providers.delete().where(identity_providers.c.name == OIDC)).rowcount:
            raise ConfigError("oidc: there is no provider")
        connection.execute(sessions.delete().where(sessions.c.how == OIDC))


# ---------------------------------------------------------------- the identity of a user


def set_identity(ledger: Ledger, name: str, *, email: str = "", issuer: str = "", subject: str = "") -> None:
    """Assign a person at the provider to a user, by a verified address or by a subject. Without either, nobody is
    assigned.

    The former assignment is dropped, and the user's sessions through the provider end. Raises NotFound, InvalidField,
    and AlreadyExists if another user has the address or the subject.
    """
    if len(subject) > TEXT_MAX or not subject.isprintable():
        raise InvalidField("subject", f"at most {TEXT_MAX} printable characters", short_repr(subject))
    now = ledger.clock()
    with ledger.writing() as connection:
        user = user_in(connection, name)
        address = check_email(connection, email, name)
        connection.execute(users.update().where(users.c.name == name).values(email=address or None))
        connection.execute(identities.delete().where(identities.c.user_name == name))
        connection.execute(sessions.delete().where(sessions.c.token == user.token, sessions.c.how == OIDC))
        if subject and not _link(connection, issuer, subject, name, to_us(now), provisioned=False):
            raise AlreadyExists(f"subject: {short_repr(subject)} is another user already")


def linked_users(ledger: Ledger) -> frozenset[str]:
    """The names of the users whose subject is known."""
    with ledger.reading() as connection:
        return frozenset(connection.execute(sa.select(identities.c.user_name)).scalars())


def log_in_person(ledger: Ledger, provider: IdentityProvider, person: Person) -> tuple[User, bool]:
    """Return the user who is this person, and whether the user was added. One transaction. Raises LoginRefused.

    A role from claims follows the claims. If they give another role, the user's other sessions end, and everything that
    the user created is revoked.
    """
    for is_last in (False, True):
        try:
            with ledger.writing() as connection:
                user, is_new = _find_or_add(connection, ledger, provider, person)
        except (AlreadyExists, LoginRefused):
            # Another first login of the same person may have committed between two statements of this one. Its name
            # and its address then look like another user's. Now that it is committed, the subject is found.
            if is_last:
                raise
        else:
            if user.accounts is not None and not user.accounts:
                raise LoginRefused(Refusal.NO_ACCOUNTS, person.subject)
            return user, is_new
    raise AssertionError("the loop returns or raises")


def _find_or_add(
    connection: Connection, ledger: Ledger, provider: IdentityProvider, person: Person
) -> tuple[User, bool]:
    now, known = ledger.clock(), identities.c
    query = sa.select(identities).where(known.issuer == provider.issuer, known.subject == person.subject)
    row = connection.execute(query).first()
    if row is not None:
        user = user_in(connection, row.user_name)
        if row.provisioned:
            if person.role is None:
                raise LoginRefused(Refusal.NO_ROLE, person.subject)
            if person.role is not user.role:
                replace_role(connection, now, user.name, person.role, None)
                user = user_in(connection, user.name)
        return user, False
    query = sa.select(users.c.name).where(users.c.email == person.email.lower()).limit(2)
    names = connection.execute(query).scalars().all() if person.email else []
    is_new = not names
    if is_new:
        if person.role is None:
            raise LoginRefused(Refusal.UNVERIFIED if person.has_unverified_email else Refusal.UNKNOWN, person.subject)
        name = insert_user(connection, now, _free_name(connection, person), person.role, None).name
    else:
        name = names[0]
        # A provider may later give one person's address to another person; the first person stays the user.
        query = sa.select(known.user_name).where(known.issuer == provider.issuer, known.user_name.in_(names))
        if len(names) > 1 or connection.execute(query).first() is not None:
            raise LoginRefused(Refusal.OTHER_SUBJECT, person.subject)
    if not _link(connection, provider.issuer, person.subject, name, to_us(now), provisioned=is_new):
        raise AlreadyExists("oidc: another login of this subject was faster")
    return user_in(connection, name), is_new


def _free_name(connection: Connection, person: Person) -> str:
    """Return a free name for a new user: a name at the provider does not prove that the person is an existing user."""
    for name in filter(is_name, person.names):
        try:
            user_in(connection, name)
        except NotFound:
            return name
    raise LoginRefused(Refusal.NAME_TAKEN, person.subject)


def _link(
    connection: Connection, issuer: str, subject: str, name: str, created_at_us: int, *, provisioned: bool
) -> bool:
    values = {"issuer": issuer, "subject": subject, "user_name": name}
    return insert_new(connection, identities, values | {"provisioned": provisioned, "created_at_us": created_at_us})
