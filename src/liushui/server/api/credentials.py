"""Keys for the providers' APIs, and tokens for this one."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated

from litestar import Response
from litestar.params import JSONBody, PathParameter

from liushui.client import models
from liushui.client.models import Fault
from liushui.instant import to_utc
from liushui.ledger.access.keys import KeyInfo
from liushui.ledger.access.tokens import Scope, Token
from liushui.server.api.context import Context
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import ProblemError, invalid_body
from liushui.services import access
from liushui.services.access import ExceedsPrincipal
from liushui.services.dialects import give_out, with_served


@endpoint("GET", "/keys", scope=Scope.MANAGE, operation_id="keys")
def list_keys(context: Context) -> Response[models.Keys]:
    """The keys for accounts that the caller may see, revoked ones too. Secrets are not shown."""
    keys = access.visible_keys(context.ledger, context.principal)
    return context.answer(models.Keys(keys=[_key_model(key) for key in keys]))


@endpoint("POST", "/keys", scope=Scope.MANAGE, status=HTTPStatus.CREATED, operation_id="make_key")
def create_key(context: Context, data: JSONBody[models.MakeKey]) -> Response[models.MadeKey]:
    """Create a key that reads accounts through a provider's own API. Only this answer contains its credentials."""
    dialects = with_served(context.providers)
    dialect = dialects.get(data.dialect)
    if dialect is None:
        raise invalid_body("/dialect", f"one of {', '.join(dialects)}", data.dialect)
    accounts = list(dict.fromkeys(data.accounts))
    with _exceeding():
        credentials = access.create_key(
            context.ledger,
            context.principal,
            dialect,
            accounts,
            expires_at=None if data.expires_at is None else to_utc(data.expires_at),
            paced=data.paced,
            restrictions=data.restrictions,
        )
    secrets = give_out(dialect, credentials, context.app_context.url)
    created = models.MadeKey(
        key=dialect.key_name(credentials), dialect=dialect.name, accounts=accounts, credentials=secrets
    )
    return context.answer(created, HTTPStatus.CREATED)


@endpoint("DELETE", "/keys/{key:str}", scope=Scope.MANAGE, status=HTTPStatus.NO_CONTENT, operation_id="end_key")
def revoke_key(context: Context, key: PathText) -> None:
    """Revoke a key. It stops working at once, in every process, and stays in the list."""
    access.revoke_key(context.ledger, context.principal, key)


@endpoint("GET", "/tokens", scope=Scope.MANAGE, operation_id="tokens")
def list_tokens(context: Context) -> Response[models.Tokens]:
    """The tokens that may do no more than the caller, revoked ones too."""
    tokens = access.visible_tokens(context.ledger, context.principal)
    return context.answer(models.Tokens(tokens=[_token_model(token) for token in tokens]))


@endpoint("POST", "/tokens", scope=Scope.MANAGE, status=HTTPStatus.CREATED, operation_id="make_token")
def create_token(context: Context, data: JSONBody[models.MakeToken]) -> Response[models.MadeToken]:
    """Create a token that may do no more than the caller. Only this answer contains the token."""
    with _exceeding():
        created = access.create_token(
            context.ledger,
            context.principal,
            name=data.name,
            accounts=data.accounts,
            scopes={Scope(scope.value) for scope in data.scopes},
            expires_at=None if data.expires_at is None else to_utc(data.expires_at),
            calls_per_minute=data.calls_per_minute,
        )
    return context.answer(models.MadeToken(token=created.text, about=_token_model(created.token)), HTTPStatus.CREATED)


@endpoint("DELETE", "/tokens/{id:str}", scope=Scope.MANAGE, status=HTTPStatus.NO_CONTENT, operation_id="end_token")
def revoke_token(context: Context, token_id: Annotated[str, PathParameter(name="id", min_length=1)]) -> None:
    """Revoke a token. It stops working at once, in every process, and stays in the list."""
    access.revoke_token(context.ledger, context.principal, token_id)


@contextmanager
def _exceeding() -> Iterator[None]:
    """Names the field of the body that asks for more than the caller may."""
    try:
        yield
    except ExceedsPrincipal as error:
        expected = f"no more than the caller has: {', '.join(error.allowed)}"
        fault = Fault(pointer=f"/{error.field}", expected=expected, got="more")
        raise ProblemError(HTTPStatus.FORBIDDEN, str(error), [fault]) from error


def _key_model(key: KeyInfo) -> models.Key:
    return models.Key.of(key, key=key.public, restrictions=dict(key.restrictions))


def _token_model(token: Token) -> models.Token:
    accounts = None if token.accounts is None else sorted(token.accounts)
    return models.Token.of(token, accounts=accounts, scopes=sorted(token.scopes))
