"""Serves Stripe's API as its documentation describes it and as the official clients expect it."""

import hmac
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from liushui.conditions import DETAIL_PREFIX, RECORD_ID, AnyOf, Term, Where, one_of
from liushui.errors import NotRepresentable, WireError, short_repr
from liushui.flow import Kind
from liushui.http import Request, Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT, UNIX_SECONDS_MAX
from liushui.provider import FlowPage, FlowQuery, FlowReader, Key, Route
from liushui.providers.stripe.codec import OTHER_TYPE, REPORTING_CATEGORY, TYPES, instant_in, read, write
from liushui.providers.stripe.rules import NAME, RULES
from liushui.providers.stripe.wire import PATH, record_id
from liushui.wire.decoding import parse_integer
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import from_steps, to_steps

CODES_URL: Final = "https://stripe.com/docs/error-codes/"
PARAMETERS: Final = (
    *("limit", "starting_after", "ending_before", "type", "currency", "source"),
    *("created", "created[gt]", "created[gte]", "created[lt]", "created[lte]"),
)
ID_MAX: Final = 255
"""Longest id, in characters."""
_SIZE = re.compile(r"(?:^|&)limit=([0-9]{1,6})(?:&|$)")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_STEP: Final = timedelta.resolution
FEW: Final = 4
"""The number of rows to read first when looking for a row by its id within its instant."""
_PENDING: Final = re.compile(rb'("status"\s*:\s*)"pending"')
_rows = msgspec.json.Decoder(list[msgspec.Raw])


class _Times(msgspec.Struct):
    """The times of a row."""

    created: int | str
    available_on: int | str


_times = msgspec.json.Decoder(_Times)


class StripeServer:
    """Serves the list of an account's balance transactions."""

    routes: Sequence[Route] = (Route("GET", PATH),)

    def estimate_rows(self, request: Request) -> int:
        size = _SIZE.search(request.query)
        return int(size[1]) if size else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer: a list, or an error."""
        try:
            if request.method != "GET" or request.route != PATH:
                text = f"Unrecognized request URL ({request.method[:10]!a}: {request.path[:200]!a})."
                raise _Refusal(404, text, "resource_missing")
            key = authenticate(request, reader)
            if not reader.admit(key, RULES.rate).admitted:
                raise _Refusal(429, "Too many requests hit the API too quickly.", "rate_limit")
            params = parse_params(request.query_params())
            page = _read(params, key, reader)
            rows = _with_current_status(page.rows, reader.now())
            if params.before and not params.after:  # read from the oldest end, but listed newest first like all pages
                rows = b",".join(bytes(row) for row in reversed(_split(rows)))
        except WireError as error:
            return _respond_error(request, _Refusal(400, str(error), param=error.field))
        except NotRepresentable as error:
            text = f"a balance transaction of this range cannot be represented in this API: {error}"
            return _respond_error(request, _Refusal(400, text, param="created"))
        except _Refusal as error:
            return _respond_error(request, error)
        has_more = b"false" if page.end_cursor is None else b"true"
        body = b'{"object":"list","url":"%b","has_more":%b,"data":[%b]}' % (PATH.encode(), has_more, rows)
        return Response(200, _headers(request), body)


class _Refusal(ErrorResponse):
    """Raised to answer with an error. If it has a code, it also names the page that explains the code."""

    def __init__(self, status: int, message: str, code: str = "", *, param: str = "") -> None:
        super().__init__(status, status, message)
        doc_url = f"{CODES_URL}{code.replace('_', '-')}" if code else ""
        self.error = {"type": "invalid_request_error", "message": message}
        self.error |= {name: text for name, text in (("code", code), ("doc_url", doc_url), ("param", param)) if text}


# ---------------------------------------------------------------- access


def key_name(api_key: str) -> str:
    """Return the public name of an API key: a digest, because the key itself is the secret."""
    return f"{NAME}-{sha256(_bytes_of(api_key)).hexdigest()[:16]}"


def authenticate(request: Request, reader: FlowReader) -> Key:
    """Return the key in a request: as a Bearer token, or as the user name of Basic authentication."""
    api_key = _api_key(request.headers.get("authorization", ""))
    if not api_key:
        raise _unauthorized("You did not provide an API key. Use Bearer auth (Authorization: Bearer YOUR_SECRET_KEY).")
    key = reader.find_key(NAME, key_name(api_key))
    if key is None or not hmac.compare_digest(_bytes_of(api_key), _bytes_of(key.credentials["api_key"])):
        raise _unauthorized("Invalid API Key provided.")
    if key.expires_at is not None and reader.now() >= key.expires_at:
        raise _unauthorized("Expired API Key provided.", "api_key_expired")
    if request.headers.get("stripe-account"):
        raise _Refusal(403, "The key does not have access to the account in Stripe-Account.", "account_invalid")
    return key


def _api_key(authorization: str) -> str:
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "basic":
        try:
            return b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except ValueError:
            return ""
    return value.strip() if scheme.lower() == "bearer" else ""


def _unauthorized(message: str, code: str = "") -> _Refusal:
    return _Refusal(401, message, code)


def _bytes_of(api_key: str) -> bytes:
    return api_key.encode("utf-8", "surrogatepass")


# ---------------------------------------------------------------- the query


class Params(NamedTuple):
    """The parameters of a page. `after` and `before` are ids of rows, or empty."""

    since: datetime
    until: datetime
    limit: int
    after: str
    before: str
    where: Where


def parse_params(params: Mapping[str, str]) -> Params:
    """Return the parameters of a request. Raises _Refusal and WireError, which name the parameter that is not valid."""
    for name, value in params.items():
        if name == "payout":
            raise WireError(name, "expected none: no row says to which payout it belongs")
        if name.partition("[")[0] == "expand":
            raise WireError(name, "expected none: there is nothing to expand, only the ids of sources")
        if name not in PARAMETERS:
            raise _Refusal(400, f"Received unknown parameter: {short_repr(name)}", "parameter_unknown", param=name[:80])
        if not value:
            text = f"You passed an empty string for '{name}'. Leave the parameter out, or give it a value."
            raise _Refusal(400, text, "parameter_invalid_empty", param=name)
    since, until = _range(params)
    paging = RULES.paging
    return Params(
        since=since,
        until=until,
        limit=_integer("limit", params.get("limit", str(paging.size_default)), least=1, most=paging.size_max),
        after=_id("starting_after", params),
        before=_id("ending_before", params),
        where=_where(params),
    )


def _range(params: Mapping[str, str]) -> tuple[datetime, datetime]:
    """Return the range [since, until) that `created` and its bounds give."""
    first, end = to_steps(MIN_INSTANT, RULES.resolution), UNIX_SECONDS_MAX + 1
    for name, from_first, to_end in (
        ("created", 0, 1),
        ("created[gte]", 0, None),
        ("created[gt]", 1, None),
        ("created[lte]", None, 1),
        ("created[lt]", None, 0),
    ):
        if name in params:
            at = _integer(name, params[name], least=0, most=UNIX_SECONDS_MAX)
            first = first if from_first is None else max(first, at + from_first)
            end = end if to_end is None else min(end, at + to_end)
    since = from_steps(min(first, UNIX_SECONDS_MAX), RULES.resolution)
    return since, MAX_INSTANT if end > UNIX_SECONDS_MAX else from_steps(end, RULES.resolution)


def _integer(name: str, text: str, *, least: int, most: int) -> int:
    """Return the integer in a parameter. Raises _Refusal if it is not an integer, and WireError if it is out of
    range."""
    if _INTEGER.fullmatch(text) is None:
        raise _Refusal(400, f"Invalid integer: {short_repr(text)}", "parameter_invalid_integer", param=name)
    return parse_integer(name, text, least=least, most=most)


def _id(name: str, params: Mapping[str, str]) -> str:
    id_ = params.get(name, "")
    if len(id_) > ID_MAX:
        raise WireError(name, f"expected the id of a balance transaction, got {len(id_)} characters")
    return id_


def _where(params: Mapping[str, str]) -> Where:
    where = []
    if params.get("type"):
        where.append(has_type(params["type"]))
    if params.get("currency"):
        where.append(one_of("currency", params["currency"].upper()))
    if params.get("source"):
        where.append(one_of("order_ref", params["source"]))
    return tuple(where)


def has_type(type_: str) -> AnyOf:
    """The condition for flows with this type: the type that came with the flow or, if none came, its kind."""
    kinds = tuple(kind.value for kind in Kind if TYPES.get(kind, OTHER_TYPE)[0] == type_)
    own = f"{DETAIL_PREFIX}{REPORTING_CATEGORY}"
    return (
        (Term(own, (None,), negated=True), Term("label", (type_,))),
        (Term(own, (None,)), Term("kind", kinds)),
    )


# ---------------------------------------------------------------- pages by the ids of rows


def _read(params: Params, key: Key, reader: FlowReader) -> FlowPage:
    """Return a page: the newest rows of the range, the rows older than `after`, or the rows just newer than
    `before`."""
    newest = bool(params.after or not params.before)
    query = FlowQuery(
        accounts=key.accounts,
        since=params.since,
        until=params.until,
        limit=params.limit,
        after="",
        newest=newest,
        where=params.where,
    )
    if not (params.after or params.before):
        return reader.read_page(NAME, query, write)
    cursor = _cursor_after(params.after or params.before, query, reader)
    return reader.read_page(NAME, query._replace(after=cursor), write) if cursor else FlowPage(b"", 0)


def _cursor_after(id_: str, query: FlowQuery, reader: FlowReader) -> str | None:
    """Return the keyset cursor after the row with this id, for a query that starts at the same end. Returns None if no
    row follows it.

    Raises _Refusal if there is no such row.
    """
    for at in _instants_of(id_, query, reader):
        if query.newest:
            rest = query._replace(since=min(query.since, at), until=at + _STEP, where=())
        else:
            rest = query._replace(since=at, until=max(query.until, at + _STEP), where=())
        # Most instants have few rows.
        for limit in (FEW, RULES.paging.size_max):
            count, after = _search(id_, rest._replace(limit=limit), reader)
            if count:
                return reader.read_page(NAME, rest._replace(limit=count, after=after), write).end_cursor
    name = "starting_after" if query.newest else "ending_before"
    raise _Refusal(400, f"No such balance transaction: {short_repr(id_)}", "resource_missing", param=name)


def _search(id_: str, query: FlowQuery, reader: FlowReader) -> tuple[int, str]:
    """Find the row with this id. Return its number in its page, counted from 1, and the cursor of that page. The number
    is 0 if there is no such row.

    The search reads further pages while their rows are in the same second as the first row.
    """
    first: int | None = None
    while True:
        page = reader.read_page(NAME, query, write)
        rows = _split(page.rows)
        ids = [record_id(bytes(row)) for row in rows]
        if id_ in ids:
            return ids.index(id_) + 1, query.after or ""
        if not rows or page.end_cursor in (None, query.after) or query.limit == FEW:
            return 0, ""
        first = _second_of(rows[0]) if first is None else first
        if _second_of(rows[-1]) != first:
            return 0, ""
        query = query._replace(after=page.end_cursor)


def _instants_of(id_: str, query: FlowQuery, reader: FlowReader) -> Iterator[datetime]:
    """Yield the instants at which the row with this id may be: the instant inside an id of ours, then the ledger's row
    with the id."""
    at = instant_in(id_)
    if at is not None:
        yield min(at, MAX_INSTANT - _STEP)
    every = query._replace(since=MIN_INSTANT, until=MAX_INSTANT, limit=1, where=(one_of(RECORD_ID, id_),))
    page = reader.read_page(NAME, every, write)
    if page.size:
        yield read(bytes(_split(page.rows)[0])).flow.at


def _second_of(row: msgspec.Raw) -> int | None:
    """Return the second at which a row was created, or None if it is not stated."""
    try:
        return int(_times.decode(row).created)
    except (msgspec.MsgspecError, ValueError):
        return None


def _split(rows: bytes) -> list[msgspec.Raw]:
    return _rows.decode(b"[%b]" % rows)


# ---------------------------------------------------------------- the answer


def _with_current_status(rows: bytes, now: datetime) -> bytes:
    """Return the rows. The status of a row is updated if its money has become available since the row was received."""
    if _PENDING.search(rows) is None:
        return rows
    now_s = to_steps(now, RULES.resolution)
    return b",".join(
        _PENDING.sub(rb'\1"available"', bytes(row), count=1)
        if _PENDING.search(row) and int(_times.decode(row).available_on) <= now_s
        else bytes(row)
        for row in _split(rows)
    )


def _headers(request: Request) -> list[tuple[str, str]]:
    return [("content-type", "application/json"), ("Request-Id", f"req_{request.trace[:14]}")]


def _respond_error(request: Request, refusal: _Refusal) -> Response:
    return Response(refusal.status, _headers(request), msgspec.json.encode({"error": refusal.error}))
