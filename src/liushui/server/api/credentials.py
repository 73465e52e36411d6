"""Credentials that we give out: keys of the providers' wire APIs, and tokens of this one."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, RawBody

from liushui.client import models
from liushui.client.models import Fault
from liushui.errors import short_repr
from liushui.instant import to_utc
from liushui.ledger.access.keys import KeyInfo, create_key, list_keys, revoke_key
from liushui.ledger.access.tokens import Scope, Token, create_token, list_tokens, revoke_token
from liushui.server.api.context import RequestContext, context_of
from liushui.server.api.errors import Refusal, missing, unacceptable_body
from liushui.server.api.params import BODY, QUERY, Nothing, body_of, no_query
from liushui.server.auth import require_scope

MANAGE = [require_scope(Scope.MANAGE)]


@get("/keys", guards=MANAGE, sync_to_thread=True, opt={QUERY: Nothing})
def keys(request: Request[Any, Any, Any]) -> Response[models.Keys]:
    """The keys of accounts that are all the caller's, revoked ones too. Secrets are not shown."""
    context = context_of(request)
    no_query(request)
    return context.answer(models.Keys(keys=[_key(one) for one in _keys(context)]))


@post("/keys", guards=MANAGE, sync_to_thread=True, status_code=HTTPStatus.CREATED, opt={BODY: models.MakeKey})
def make_key(request: Request[Any, Any, Any], body: RawBody) -> Response[models.MadeKey]:
    """Make a key that reads accounts through a provider's own wire API. Its credentials are shown this once."""
    context = context_of(request)
    no_query(request)
    wanted = body_of(body, request, models.MakeKey)
    provider = context.app_context.providers.get(wanted.dialect)
    if provider is None:
        raise unacceptable_body("/dialect", f"one of {', '.join(context.app_context.providers)}", wanted.dialect)
    names = list(dict.fromkeys(wanted.accounts))
    context.accounts(names)
    _check_to_come(context, wanted.expires_at)
    known = [restriction.name for restriction in provider.restrictions]
    for name in wanted.restrictions:
        if name not in known:
            raise unacceptable_body(f"/restrictions/{name}", " or ".join(known) or "none of this dialect", name)
    made = create_key(
        context.ledger,
        provider,
        names,
        expires_at=None if wanted.expires_at is None else to_utc(wanted.expires_at),
        paced=wanted.paced,
        restrictions=wanted.restrictions,
    )
    word = models.MadeKey(key=provider.key_name(made), dialect=provider.name, accounts=names, credentials=made)
    return context.answer(word, HTTPStatus.CREATED)


@delete("/keys/{key:str}", guards=MANAGE, sync_to_thread=True, status_code=HTTPStatus.NO_CONTENT, opt={QUERY: Nothing})
def end_key(request: Request[Any, Any, Any], key: FromPath[str]) -> None:
    """End a key at once, in every process that serves. It stays in the list."""
    context = context_of(request)
    no_query(request)
    if not any(one.public == key and one.revoked_at is None for one in _keys(context)):
        raise missing("key", key)
    revoke_key(context.ledger, key)


@get("/tokens", guards=MANAGE, sync_to_thread=True, opt={QUERY: Nothing})
def tokens(request: Request[Any, Any, Any]) -> Response[models.Tokens]:
    """The tokens that can do no more than the caller, revoked ones too."""
    context = context_of(request)
    no_query(request)
    return context.answer(models.Tokens(tokens=[_token(one) for one in _tokens(context)]))


@post("/tokens", guards=MANAGE, sync_to_thread=True, status_code=HTTPStatus.CREATED, opt={BODY: models.MakeToken})
def make_token(request: Request[Any, Any, Any], body: RawBody) -> Response[models.MadeToken]:
    """Make a token that can do no more than the caller. It is shown this once."""
    context = context_of(request)
    no_query(request)
    wanted = body_of(body, request, models.MakeToken)
    principal = context.principal
    scopes = {Scope(scope.value) for scope in wanted.scopes}
    if not scopes <= principal.scopes:
        raise _too_much("/scopes", sorted(principal.scopes))
    if wanted.accounts is None and principal.accounts is not None:
        raise _too_much("/accounts", sorted(principal.accounts))
    if wanted.calls_per_minute > principal.calls_per_minute:
        raise _too_much("/calls_per_minute", [str(principal.calls_per_minute)])
    if not wanted.name.isprintable():
        raise unacceptable_body("/name", "printable characters", wanted.name)
    names = None if wanted.accounts is None else context.accounts(wanted.accounts)
    _check_to_come(context, wanted.expires_at)
    made = create_token(
        context.ledger,
        name=wanted.name,
        names=names,
        scopes=scopes,
        expires_at=None if wanted.expires_at is None else to_utc(wanted.expires_at),
        calls_per_minute=wanted.calls_per_minute,
    )
    return context.answer(models.MadeToken(token=made.text, about=_token(made.token)), HTTPStatus.CREATED)


@delete("/tokens/{id:str}", guards=MANAGE, sync_to_thread=True, status_code=HTTPStatus.NO_CONTENT, opt={QUERY: Nothing})
def end_token(request: Request[Any, Any, Any], id: FromPath[str]) -> None:  # noqa: A002 - the path's own name
    """End a token at once, in every process that serves. It stays in the list."""
    context = context_of(request)
    no_query(request)
    if not any(one.id == id and one.revoked_at is None for one in _tokens(context)):
        raise missing("token", id)
    revoke_token(context.ledger, id)


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
