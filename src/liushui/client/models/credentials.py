"""Keys and tokens."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from liushui.client.models.base import Instant, Model
from liushui.client.models.recording import At


class Key(Model):
    """A key of a provider API, without its secrets."""

    key: str
    dialect: str
    accounts: list[str]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    paced: bool
    restrictions: dict[str, str]
    created_by: str | None
    """The id of the token that created it. When that token ends, this ends too. Null: the owner created it."""


class Keys(Model):
    """The keys for accounts that the caller may see, revoked ones too."""

    keys: list[Key]


class MakeKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request for a new key. It reads accounts through a provider API."""

    dialect: Annotated[str, Meta(description="The provider API, or simplefin.", examples=["longbridge"])]
    accounts: Annotated[list[str], Meta(min_length=1)]
    expires_at: At | None = None
    paced: bool = True
    restrictions: dict[str, str] = {}


class MadeKey(Model):
    """A new key. Its credentials are shown only this once."""

    key: str
    dialect: str
    accounts: list[str]
    credentials: dict[str, str]


class Token(Model):
    """A token of this API, without its secret. `accounts` null: all of them."""

    id: str
    name: str
    accounts: list[str] | None
    scopes: list[str]
    calls_per_minute: int
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None
    created_by: str | None
    """The id of the token that created it. When that token ends, this ends too. Null: the owner created it."""


class Tokens(Model):
    """The tokens that may do no more than the caller, revoked ones too."""

    tokens: list[Token]


class TokenScope(StrEnum):
    """The rights of a token on its accounts."""

    READ = "read"
    RECORD = "record"
    MANAGE = "manage"


class MakeToken(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request for a new token. `accounts` null: all of them. The token may not do more than the caller."""

    scopes: Annotated[list[TokenScope], Meta(min_length=1)]
    accounts: Annotated[list[str], Meta(min_length=1)] | None = None
    name: Annotated[str, Meta(max_length=100)] = ""
    expires_at: At | None = None
    calls_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_200


class MadeToken(Model):
    """A new token. It is shown only this once."""

    token: str
    about: Token
