"""Credentials that we give out: keys of the providers' wire APIs, and tokens of this one."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from litestar import Response
from litestar.params import JSONBody, PathParameter

from liushui.client import models
from liushui.client.models import Fault
from liushui.errors import short_repr
from liushui.instant import to_utc
from liushui.ledger.access.keys import KeyInfo, create_key, list_keys, revoke_key
from liushui.ledger.access.tokens import Scope, Token, create_token, list_tokens, revoke_token
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import Refusal, missing, unacceptable_body


@endpoint("GET", "/keys", scope=Scope.MANAGE)
def keys(context: Context) -> Response[models.Keys]:
    """The keys of accounts that are all the caller's, revoked ones too. Secrets are not shown."""
    return context.answer(models.Keys(keys=[_key(one) for one in _keys(context)]))


@endpoint("POST", "/keys", scope=Scope.MANAGE, status=HTTPStatus.CREATED)
def make_key(context: Context, data: JSONBody[models.MakeKey]) -> Response[models.MadeKey]:
    """Make a key that reads accounts through a provider's own wire API. Its credentials are shown this once."""
    provider = context.app_context.providers.get(data.dialect)
    if provider is None:
        raise unacceptable_body("/dialect", f"one of {', '.join(context.app_context.providers)}", data.dialect)
    names = list(dict.fromkeys(data.accounts))
    context.accounts(names)
    _check_to_come(context, data.expires_at)
    known = [restriction.name for restriction in provider.restrictions]
    for name in data.restrictions:
        if name not in known:
            raise unacceptable_body(f"/restrictions/{name}", " or ".join(known) or "none of this dialect", name)
    made = create_key(
        context.ledger,
        provider,
        names,
        expires_at=None if data.expires_at is None else to_utc(data.expires_at),
        paced=data.paced,
        restrictions=data.restrictions,
    )
    word = models.MadeKey(key=provider.key_name(made), dialect=provider.name, accounts=names, credentials=made)
    return context.answer(word, HTTPStatus.CREATED)


@endpoint("DELETE", "/keys/{key:str}", scope=Scope.MANAGE, status=HTTPStatus.NO_CONTENT)
def end_key(context: Context, key: PathText) -> None:
    """End a key at once, in every process that serves. It stays in the list."""
    if not any(one.public == key and one.revoked_at is None for one in _keys(context)):
        raise missing("key", key)
    revoke_key(context.ledger, key)


@endpoint("GET", "/tokens", scope=Scope.MANAGE)
def tokens(context: Context) -> Response[models.Tokens]:
    """The tokens that can do no more than the caller, revoked ones too."""
    return context.answer(models.Tokens(tokens=[_token(one) for one in _tokens(context)]))


@endpoint("POST", "/tokens", scope=Scope.MANAGE, status=HTTPStatus.CREATED)
def make_token(context: Context, data: JSONBody[models.MakeToken]) -> Response[models.MadeToken]:
    """Make a token that can do no more than the caller. It is shown this once."""
    principal = context.principal
    scopes = {Scope(scope.value) for scope in data.scopes}
    if not scopes <= principal.scopes:
        raise _too_much("/scopes", sorted(principal.scopes))
    if data.accounts is None and principal.accounts is not None:
        raise _too_much("/accounts", sorted(principal.accounts))
    if data.calls_per_minute > principal.calls_per_minute:
        raise _too_much("/calls_per_minute", [str(principal.calls_per_minute)])
    if not data.name.isprintable():
        raise unacceptable_body("/name", "printable characters", data.name)
    names = None if data.accounts is None else context.accounts(data.accounts)
    _check_to_come(context, data.expires_at)
    made = create_token(
        context.ledger,
        name=data.name,
        names=names,
        scopes=scopes,
        expires_at=None if data.expires_at is None else to_utc(data.expires_at),
        calls_per_minute=data.calls_per_minute,
    )
    return context.answer(models.MadeToken(token=made.text, about=_token(made.token)), HTTPStatus.CREATED)


@endpoint("DELETE", "/tokens/{id:str}", scope=Scope.MANAGE, status=HTTPStatus.NO_CONTENT)
def end_token(context: Context, token_id: Annotated[str, PathParameter(name="id", min_length=1)]) -> None:
    """End a token at once, in every process that serves. It stays in the list."""
    if not any(one.id == token_id and one.revoked_at is None for one in _tokens(context)):
        raise missing("token", token_id)
    revoke_token(context.ledger, token_id)


def _keys(context: RequestContext) -> list[KeyInfo]:
    return [one for one in list_keys(context.ledger) if context.principal.sees_all(frozenset(one.accounts))]


def _tokens(context: RequestContext) -> list[Token]:
    principal = context.principal
    return [
        one
        for one in list_tokens(context.ledger)
        if principal.sees_all(one.accounts) and one.scopes <= principal.scopes
    ]


def _check_to_come(context: RequestContext, expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= context.ledger.clock():
        raise unacceptable_body("/expires_at", "an instant that is to come", expires_at.isoformat())


def _too_much(pointer: str, has: list[str]) -> Refusal:
    fault = Fault(pointer=pointer, expected=f"no more than who asks has: {', '.join(has)}", got=short_repr("more"))
    return Refusal(HTTPStatus.FORBIDDEN, f"{pointer}: a token can do no more than who makes it", [fault])


def _key(one: KeyInfo) -> models.Key:
    return models.Key(
        key=one.public,
        dialect=one.dialect,
        accounts=list(one.accounts),
        created_at=one.created_at,
        expires_at=one.expires_at,
        revoked_at=one.revoked_at,
        paced=one.paced,
        restrictions=dict(one.restrictions),
    )


def _token(one: Token) -> models.Token:
    return models.Token(
        id=one.id,
        name=one.name,
        accounts=None if one.accounts is None else sorted(one.accounts),
        scopes=sorted(one.scopes),
        calls_per_minute=one.calls_per_minute,
        created_at=one.created_at,
        expires_at=one.expires_at,
        revoked_at=one.revoked_at,
        last_used_at=one.last_used_at,
    )
