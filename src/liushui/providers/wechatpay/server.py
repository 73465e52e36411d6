"""Serves WeChat Pay's API for bills as its documentation describes it.

The address of a bill is signed with the key's secret and not stored. Any process that knows the key can serve it.
"""

import gzip
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec

from liushui.conditions import Term, Where, one_of
from liushui.errors import NotRepresentable, WireError, short_repr
from liushui.http import JSON_HEADERS, Request, Response
from liushui.instant import from_us, to_us, to_utc
from liushui.provider import FlowQuery, FlowReader, Key, Route
from liushui.providers.wechatpay import rules as codes
from liushui.providers.wechatpay.codec import write, write_document
from liushui.providers.wechatpay.rules import ACCOUNT_TYPES, DOWNLOAD_RATE, NAME, RULES, URL_LIFE, ZONE
from liushui.providers.wechatpay.wire import (
    BILL_PATH,
    DOWNLOAD_PATH,
    GZIP,
    SCHEME,
    SHA1,
    Link,
    answer_message,
    digest_of,
    parse_authorization,
    request_message,
)
from liushui.rules import day_after
from liushui.wire.decoding import parse_choice
from liushui.wire.ranges import from_steps
from liushui.wire.rsa import is_signed, read_private_key, read_public_key, sign
from liushui.wire.signed_text import open_text, sign_text

MERCHANT_KEY, PLATFORM_KEY = "merchant_public_key", "platform_private_key"
"""What a server stores of a key besides its credential fields."""

DOCUMENTS_CACHED: Final = 64
CACHED_BYTES_MAX: Final = 1 << 19
"""The largest rows and documents that are cached, in bytes. 64 of each take 70 MB at most; those of a thousand rows
take 30 MB."""
ROWS_A_READ: Final = 50_000
_ZONE: Final = ZoneInfo(ZONE)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class _Refusal(Exception):
    """Raised to answer with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class WechatpayServer:
    """Serves the address of a bill, and the bill at that address."""

    routes: Sequence[Route] = (Route("GET", BILL_PATH), Route("GET", DOWNLOAD_PATH))

    def __init__(self, change: Callable[[bytes], bytes] = bytes) -> None:
        self._change = change

    def with_documents(self, change: Callable[[bytes], bytes]) -> "WechatpayServer":
        """Return the same server with changed bills and with their digests."""
        return WechatpayServer(change)

    def estimate_rows(self, request: Request) -> int:
        del request  # both routes read the whole day
        return RULES.paging.size_max

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer. An answer with the address of a bill is signed."""
        try:
            if request.method != "GET" or request.route not in (BILL_PATH, DOWNLOAD_PATH):
                raise _Refusal(404, codes.NO_SUCH_ROUTE, "there is no such API")
            key = authenticate(request, reader)
            if request.route == DOWNLOAD_PATH:
                return self._download(request, key, reader)
            body = _encode(self._link(request, key, reader))
            return self.sign_again(request, Response(200, [*JSON_HEADERS], body), reader)
        except WireError as error:
            return _problem(
                request, 400, codes.PARAM_ERROR, f"{error.field}: {error.reason}", _detail_of(request, error)
            )
        except NotRepresentable as error:
            return _problem(request, 400, codes.PARAM_ERROR, f"a flow of this day cannot be represented: {error}")
        except _Refusal as error:
            return _problem(request, error.status, error.code, error.message)

    def sign_again(self, request: Request, response: Response, reader: FlowReader) -> Response:
        """Return the answer with the platform's signature of its body. Bills and errors have no signature."""
        if response.status != 200 or request.route != BILL_PATH:
            return response
        key = authenticate(request, reader)
        timestamp, nonce = str(to_us(reader.now()) // 1_000_000), request.trace
        platform_key = read_private_key(PLATFORM_KEY, key.credentials[PLATFORM_KEY], is_ours=True)
        headers = [header for header in response.headers if not header[0].startswith("wechatpay-")]
        return response._replace(
            headers=[
                *headers,
                ("request-id", request.trace),
                ("wechatpay-timestamp", timestamp),
                ("wechatpay-nonce", nonce),
                ("wechatpay-serial", key.credentials["platform_key_id"]),
                ("wechatpay-signature", sign(platform_key, answer_message(timestamp, nonce, response.body))),
                ("wechatpay-signature-type", SCHEME),
            ]
        )

    def _link(self, request: Request, key: Key, reader: FlowReader) -> Link:
        """Return the address of a bill, and its digest. Raises WireError, NotRepresentable, _Refusal."""
        if not reader.admit(key, RULES.rate).admitted:
            raise _Refusal(429, codes.TOO_MANY_CALLS, "频率超限，请降低请求接口频率")
        params = request.query_params()
        day = parse_day("bill_date", params.get("bill_date", ""))
        types = dict(zip(ACCOUNT_TYPES, ACCOUNT_TYPES, strict=True))
        account_type = parse_choice("account_type", params.get("account_type") or ACCOUNT_TYPES[0], types)
        is_packed = parse_choice("tar_type", params.get("tar_type") or None, {None: False, GZIP: True})
        document = self._bill_of(day, account_type, key, reader)
        if document is None:
            raise _Refusal(400, codes.NO_STATEMENT, "账单文件不存在: no money moved on this day")
        name = BillName(str(day), account_type, is_packed, digest_of(document), to_us(reader.now() + URL_LIFE))
        token = sign_text(key.credentials[PLATFORM_KEY], "bill", _encode(name), key.public.encode())
        return Link(SHA1, name.digest, f"{_origin(request)}{DOWNLOAD_PATH}?{urlencode({'token': token})}")

    def _download(self, request: Request, key: Key, reader: FlowReader) -> Response:
        """Return the bill at an address. Raises WireError, NotRepresentable, _Refusal."""
        if not reader.admit(key, DOWNLOAD_RATE, "download").admitted:
            raise _Refusal(429, codes.TOO_MANY_CALLS, "频率超限，请降低请求接口频率")
        token = request.query_params().get("token", "")
        sealed = open_text(token, key.credentials[PLATFORM_KEY], "bill", key.public.encode())
        name = None if sealed is None else _bill_name.decode(sealed)
        if name is None:
            raise _Refusal(403, codes.NO_AUTH, "商户无权限: the address was given to nobody, or to another merchant")
        if reader.now() >= from_us(name.expires_us):
            raise _Refusal(400, codes.INVALID_REQUEST, "请求的URL已过期: ask for the bill's address again")
        document = self._bill_of(parse_day("token", name.day), name.account_type, key, reader)
        if document is None or digest_of(document) != name.digest:
            raise _Refusal(400, codes.INVALID_REQUEST, "the bill has changed: ask for its address again")
        body = packed(document) if name.is_packed else document
        return Response(200, [("content-type", "application/octet-stream"), ("request-id", request.trace)], body)

    def _bill_of(self, day: date, account_type: str, key: Key, reader: FlowReader) -> bytes | None:
        document = bill_of(day, account_type, key, reader)
        return None if document is None else self._change(document)


def authenticate(request: Request, reader: FlowReader) -> Key:
    """Return the key that signed a request. Raises _Refusal."""
    parts = parse_authorization(request.headers.get("authorization", ""))
    if parts is None:
        raise _Refusal(401, codes.SIGN_ERROR, f"Http头Authorization: expected {SCHEME} with five parts")
    key, now = reader.find_key(NAME, parts.mchid), reader.now()
    if key is None or parts.serial_no != key.credentials["serial_no"]:
        raise _Refusal(401, codes.SIGN_ERROR, "商户号或商户证书序列号有误: no merchant has this certificate")
    sent_at = _parse_timestamp(parts.timestamp)
    if sent_at is None or not RULES.allows_skew(now - sent_at):
        raise _Refusal(401, codes.SIGN_ERROR, "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
    public_key = read_public_key(MERCHANT_KEY, key.credentials[MERCHANT_KEY])
    # If the base URL has a path, public clients do not sign that path. So we also accept a signature over the route
    # alone.
    query = f"?{request.query}" if request.query else ""
    messages = (
        request_message(request.method, path + query, parts.timestamp, parts.nonce_str, request.body)
        for path in dict.fromkeys((request.path, request.route))
    )
    if not any(is_signed(public_key, message, parts.signature) for message in messages):
        raise _Refusal(401, codes.SIGN_ERROR, "签名错误，请检查后再试")
    if key.expires_at is not None and now >= key.expires_at:
        raise _Refusal(403, codes.NO_AUTH, "商户无权限: the key has expired")
    return key


def _parse_timestamp(text: str) -> datetime | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        return None
    try:
        return from_steps(int(text), RULES.resolution)
    except OverflowError:
        return None


# ---------------------------------------------------------------- the address of a bill


class BillName(NamedTuple):
    """The bill that a signed address names."""

    day: str
    account_type: str
    is_packed: bool
    digest: str
    expires_us: int


_bill_name = msgspec.json.Decoder(BillName)


def _origin(request: Request) -> str:
    """Return the base URL that a client has used, as far as a request shows it. Clients compare it with their own."""
    scheme = "https" if request.headers.get("x-forwarded-proto", "").strip() == "https" else "http"
    host = request.headers.get("host", "localhost")
    safe_host = host if host.isascii() and host.isprintable() and not set(host) & set("/?#@\\ \"'<>") else "localhost"
    return f"{scheme}://{safe_host}{request.path.removesuffix(request.route) if request.route in request.path else ''}"


def parse_day(field: str, text: str) -> date:
    """Return the day in a text such as 2026-11-01. Raises WireError."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or str(day) != text or not date(1970, 1, 2) <= day <= date(9999, 1, 1):
        raise WireError(field, f"expected a day such as 2026-11-01, got {short_repr(text)}")
    return day


# ---------------------------------------------------------------- the bill


def bill_of(day: date, account_type: str, key: Key, reader: FlowReader) -> bytes | None:
    """Return the document of a day, or None if there were no flows. Raises NotRepresentable, and _Refusal if the day
    has no bill."""
    since = to_utc(datetime.combine(day, time.min, tzinfo=_ZONE))
    until = day_after(since, ZONE)
    now = reader.now()
    kept_from, published_until = RULES.readable(now)
    if since < kept_from:
        raise _Refusal(400, codes.PARAM_ERROR, "bill_date: expected a day of the last three months")
    if until > published_until:
        if until > now:
            raise _Refusal(400, codes.PARAM_ERROR, "bill_date: expected a day before today")
        raise _Refusal(400, codes.CREATING, "账单生成中，请稍后再试")
    # A bill claims to be complete. A day of which flows may be missing therefore has no bill.
    if not reader.is_complete(key.accounts, since, until):
        raise _Refusal(400, codes.CREATING, "账单生成中，请稍后再试: this day has not been read completely")
    query = FlowQuery(
        accounts=key.accounts,
        since=since,
        until=until,
        limit=ROWS_A_READ,
        after="",
        newest=False,
        ascending=True,
        where=_of_type(account_type),
    )
    pages: list[bytes] = []
    while True:
        page = reader.read_page(NAME, query, write)
        if page.rows:
            pages.append(page.rows)
        if page.end_cursor is None:
            return document_of(b",".join(pages)) if pages else None
        query = query._replace(after=page.end_cursor)


def document_of(rows: bytes) -> bytes:
    """Build the document with these rows, which are JSON with commas between them."""
    return _cached_document(rows) if len(rows) <= CACHED_BYTES_MAX else _document(rows)


def packed(document: bytes) -> bytes:
    """Compress a document. Equal documents have equal bytes."""
    return _cached_gzip(document) if len(document) <= CACHED_BYTES_MAX else _gzip(document)


def _document(rows: bytes) -> bytes:
    return write_document(_split(rows))


def _gzip(document: bytes) -> bytes:
    return gzip.compress(document, 6, mtime=0)


# A client asks for the address of a bill, and then for the bill: both need the document of the same rows.
_cached_document = lru_cache(DOCUMENTS_CACHED)(_document)
_cached_gzip = lru_cache(DOCUMENTS_CACHED)(_gzip)


def _of_type(account_type: str) -> Where:
    """The condition for flows of an account type. Flows of other providers belong to the basic account."""
    if account_type == ACCOUNT_TYPES[0]:
        return (((Term("subaccount", ACCOUNT_TYPES[1:], negated=True),),),)
    return (one_of("subaccount", account_type),)


def _split(rows: bytes) -> list[bytes]:
    """Split a page into its rows."""
    return list(map(bytes, _rows.decode(b"[%b]" % rows)))


def _detail_of(request: Request, error: WireError) -> Mapping[str, str]:
    """Return `detail` of an error: the parameter that is not valid, and the reason. It is empty if the request cannot
    be read."""
    try:
        value = request.query_params().get(error.field, "")
    except WireError:
        return {}
    return {"field": error.field, "value": value, "issue": error.reason, "location": "query"}


def _problem(
    request: Request, status: int, code: str, message: str, detail: Mapping[str, str] | None = None
) -> Response:
    headers = [*JSON_HEADERS, ("request-id", request.trace)]
    problem = {"code": code, "message": message} | ({"detail": detail} if detail else {})
    return Response(status, headers, _encode(problem))
