"""Serves accounts over the SimpleFIN protocol (https://www.simplefin.org/protocol.html), version 1.0.

    GET /info             the version
    GET /create           leads to the page on which a person creates a key
    POST /claim/TOKEN     the access URL of a key, once
    GET /accounts         balances and transactions

liushui does not collect over this protocol. The root URL, to which the paths are relative, is /dialect/simplefin.
"""

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from liushui.errors import AccountNotFound, LedgerBusy, LedgerError, WireError, short_repr
from liushui.export.account_set import AccountSet, AccountSetQuery, ServedAt, read_account_set
from liushui.http import JSON_HEADERS, QUERY_PARAMS_MAX, Request, Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT, from_us, to_us
from liushui.ledger.access.audit import Action, Face, begin_action, end_action
from liushui.ledger.engine import Ledger
from liushui.ledger.read.model import ReadModel
from liushui.provider import FlowReader, Key
from liushui.rules import Rate
from liushui.services.dialects import SIMPLEFIN, claim, is_claim_token, is_password, name_in, root_url

RATE: Final = Rate(60, timedelta(minutes=1))
"""The rates of calls with one key and of claims of one key. The protocol states none, so we chose these."""
CLAIM: Final = "/claim/"
VERSION: Final = "1.0"
REQUESTS: Final = "GET /info, GET /create, POST /claim/TOKEN and GET /accounts"
_SECONDS: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_HOST: Final = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.IGNORECASE | re.ASCII)
_SAFE_HEADERS: Final = [("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
_TEXT_HEADERS: Final = [("content-type", "text/plain; charset=utf-8"), *_SAFE_HEADERS]


class SimpleFinServer:
    """Answers as a SimpleFIN server, over a ledger.

    `url`: the address of our server. `is_public`: all clients reach it there. Otherwise programs on other machines or
    in containers may use another address. `titles`: provider titles by name. Answers read or write the ledger, so they
    are made in threads.
    """

    def __init__(
        self, ledger: Ledger, model: ReadModel, url: str, *, is_public: bool, titles: Mapping[str, str]
    ) -> None:
        self._ledger, self._model, self._url, self._is_public = ledger, model, url, is_public
        self._served_at = ServedAt(root_url(url), titles)

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """The answer to a request."""
        try:
            return self._answer(request, reader)
        except (AccountNotFound, LedgerBusy):  # an account was removed meanwhile, or others write for long
            return _try_again(HTTPStatus.SERVICE_UNAVAILABLE, "The ledger is busy.", 1)

    def _answer(self, request: Request, reader: FlowReader) -> Response:
        match request.method, request.route:
            case "GET", "/info":
                return _json(HTTPStatus.OK, {"versions": [VERSION]})
            case "GET", "/create":
                form = f"{self._url}/keys/new?dialect={SIMPLEFIN.name}"
                return Response(HTTPStatus.SEE_OTHER.value, [("location", form), *_SAFE_HEADERS], b"")
            case "POST", path if path.startswith(CLAIM):
                return self._claim(path.removeprefix(CLAIM), self._address(request), reader)
            case "GET", "/accounts":
                return self._accounts(request, reader)
        return _text(HTTPStatus.NOT_FOUND, f"Not found. A SimpleFIN server has {REQUESTS}.\n")

    def _address(self, request: Request) -> str:
        """Return the address at which the request's sender reaches the server. It is shown only to the sender."""
        host = request.headers.get("host", "")
        return self._url if self._is_public or not _HOST.fullmatch(host) else f"http://{host}"

    def _claim(self, token: str, url: str, reader: FlowReader) -> Response:
        """Exchange a setup token. The audit log gets each attempt with a key's token, and no other attempts."""
        key = reader.find_key(SIMPLEFIN.name, name_in(token)) if token.isascii() else None
        if key is None or not is_claim_token(key.credentials, token):
            return _text(HTTPStatus.FORBIDDEN, "Forbidden: no such token has been given out.\n")
        if not reader.admit(key._replace(paced=True), RATE, "claim").admitted:
            return _too_many()
        action = begin_action(
            self._ledger, who=f"key {key.public}", through=Face.API, action="key claim", subject=key.public
        )
        access_url = claim(self._ledger, token, url)
        if access_url is None:
            self._end(action, f"refused ({HTTPStatus.FORBIDDEN.value})")
            text = "Forbidden: the token was claimed before, or has expired. If you did not claim it, revoke its key.\n"
            return _text(HTTPStatus.FORBIDDEN, text)
        self._end(action, "done")
        return _text(HTTPStatus.OK, access_url)

    def _end(self, action: Action, outcome: str) -> None:
        with suppress(LedgerError):  # the access URL is given out only once, so it must not be lost
            end_action(self._ledger, action, outcome)

    def _accounts(self, request: Request, reader: FlowReader) -> Response:
        key = _authenticate(request, reader)
        if key is None:
            text = "Forbidden: the credentials are unknown, have expired, or were revoked."
            return _errors(HTTPStatus.FORBIDDEN, text)
        if not reader.admit(key, RATE).admitted:
            return _too_many()
        try:
            query = parse_query(request.query, key.accounts)
        except WireError as error:
            return _errors(HTTPStatus.BAD_REQUEST, str(error))
        if not query.accounts:
            return _errors(HTTPStatus.OK, "The accounts of this key were removed.")
        model = self._model.restricted_to(frozenset(query.accounts))
        return _json(HTTPStatus.OK, read_account_set(model, query, self._served_at))


def _authenticate(request: Request, reader: FlowReader) -> Key | None:
    """Return the valid key that matches the name and password in a request's Basic authentication."""
    scheme, _, value = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    key = reader.find_key(SIMPLEFIN.name, name)
    if key is None or not is_password(key.credentials, password):
        return None
    return None if key.expires_at is not None and reader.now() >= key.expires_at else key


# ---------------------------------------------------------------- parameters


def parse_query(query: str, accounts: Sequence[str]) -> AccountSetQuery:
    """The query of a request, over the accounts of its key. Raises WireError with the invalid parameter.

    Parameters that are not in the protocol are ignored, because clients send some. `pending` changes nothing.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMS_MAX)
    except (ValueError, UnicodeError) as error:
        raise WireError("query", f"expected URL-encoded parameters, got {short_repr(query[:80])}") from error
    params = dict(reversed(pairs))
    ids = frozenset(value for name, value in pairs if name == "account")
    return AccountSetQuery(
        accounts=accounts,
        since=_instant("start-date", params),
        until=_instant("end-date", params),
        ids=ids or None,
        transactions=params.get("balances-only") != "1",
    )


def _instant(name: str, params: dict[str, str]) -> datetime | None:
    """The instant of a parameter in Unix seconds, rounded up: times in answers are whole seconds, rounded down."""
    text = params.get(name)
    if not text:
        return None
    if not _SECONDS.fullmatch(text):
        raise WireError(name, f"expected a time in Unix seconds such as 1704067200, got {short_repr(text)}")
    at_us = int(Decimal(text).to_integral_value(ROUND_CEILING)) * 1_000_000
    return from_us(min(max(at_us, to_us(MIN_INSTANT)), to_us(MAX_INSTANT)))


# ---------------------------------------------------------------- answers


def _json(status: HTTPStatus, value: object) -> Response:
    return Response(status.value, [*JSON_HEADERS, *_SAFE_HEADERS], msgspec.json.encode(value))


def _errors(status: HTTPStatus, text: str) -> Response:
    return _json(status, AccountSet([text], []))


def _text(status: HTTPStatus, text: str) -> Response:
    return Response(status.value, _TEXT_HEADERS, text.encode())


def _too_many() -> Response:
    seconds = RATE.per // timedelta(seconds=1)
    text = f"Too many requests: at most {RATE.calls} in {seconds} s."
    return _try_again(HTTPStatus.TOO_MANY_REQUESTS, text, seconds)


def _try_again(status: HTTPStatus, text: str, after_s: int) -> Response:
    response = _errors(status, text)
    return response._replace(headers=[*response.headers, ("retry-after", str(after_s))])
