"""Serves the account log query as Alipay's gateway does. Every answer to a known app is signed."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from liushui.conditions import DETAIL_PREFIX, AnyOf, Term, Where, one_of
from liushui.errors import NotRepresentable, WireError
from liushui.http import QUERY_PARAMS_MAX, Request, Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT
from liushui.provider import FlowQuery, FlowReader, Key, Route
from liushui.providers.alipay.codec import KEYS, TRANS_CODE, TYPE, write
from liushui.providers.alipay.rules import (
    BUSINESS_FAILED,
    CALL_LIMITED,
    INVALID_ARGUMENT,
    MESSAGES,
    MISSING_ARGUMENT,
    NAME,
    NO_PERMISSION,
    OTHER_MERCHANT,
    RULES,
    SUCCESS,
    WINDOW_MAX,
)
from liushui.providers.alipay.wire import (
    BUSINESS,
    CHARSET,
    ERROR_RESPONSE,
    METHOD,
    PATH,
    RESPONSE,
    SIGNATURE_TYPE,
    parse_time,
    signed_answer,
    signed_text,
)
from liushui.rules import PageNumber, Paging
from liushui.wire.decoding import DECODE_ERRORS, parse_integer
from liushui.wire.rsa import is_signed, read_private_key, read_public_key

PAGE_MAX: Final = 10**9
ANSWER_HEADERS: Final = [("content-type", f"text/html;charset={CHARSET}")]
"""The gateway declares its JSON as text/html."""
REQUIRED: Final = (
    ("method", "method"),
    ("sign_type", "signature-type"),
    ("sign", "signature"),
    ("timestamp", "timestamp"),
    ("version", "version"),
)
"""The parameters that each request needs besides `app_id`, and their names in error codes."""
TOKENS: Final = {"auth_token": "aop.invalid-auth-token", "app_auth_token": "aop.invalid-app-auth-token"}
"""Parameters that select the rows of another merchant or of a user, and the error codes that refuse them."""
TRANS_CODES_MAX: Final = 50


class GatewayError(Exception):
    """Raised to answer with an error."""

    def __init__(self, code: str, sub_code: str, sub_msg: str, *, response: str = RESPONSE) -> None:
        super().__init__(sub_msg)
        self.code, self.sub_code, self.sub_msg, self.response = code, sub_code, sub_msg, response

    def to_json(self) -> bytes:
        """Return the content of the answer."""
        texts = {"code": self.code, "msg": MESSAGES[self.code], "sub_code": self.sub_code, "sub_msg": self.sub_msg}
        return msgspec.json.encode(texts)


class AlipayServer:
    """Serves the gateway's only route, with only the method of the account log."""

    routes: Sequence[Route] = (Route("POST", PATH), Route("GET", PATH))

    def __init__(self, paging: PageNumber = RULES.paging) -> None:
        self._paging = paging

    def with_paging(self, paging: Paging) -> "AlipayServer":
        """Return the same server with another page size."""
        return AlipayServer(paging) if isinstance(paging, PageNumber) else self

    def estimate_rows(self, request: Request) -> int:
        return RULES.paging.size_max if request.route == PATH else 0

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer, signed if the app is known. The HTTP status is 200 for errors too."""
        key = None
        try:
            if request.route != PATH or request.method not in ("GET", "POST"):
                raise GatewayError(
                    INVALID_ARGUMENT, "isv.invalid-method", "there is no such API", response=ERROR_RESPONSE
                )
            params = parameters_of(request)
            key = find_app(params, reader)
            authenticate(params, key, reader)
            if not reader.admit(key, RULES.rate).admitted:
                raise GatewayError(CALL_LIMITED, "isv.app-call-limited", "应用调用次数超限")
            return _respond(RESPONSE, _account_log(params, key, reader, self._paging), key)
        except GatewayError as error:
            return _respond(error.response, error.to_json(), key)
        except WireError as error:
            content = GatewayError(BUSINESS_FAILED, "INVALID_PARAMETER", f"参数无效: {error}").to_json()
            return _respond(RESPONSE, content, key)
        except NotRepresentable as error:
            reason = f"a row of this range cannot be represented in this API: {error}"
            return _respond(RESPONSE, GatewayError(BUSINESS_FAILED, "INVALID_PARAMETER", reason).to_json(), key)

    def sign_again(self, request: Request, response: Response, reader: FlowReader) -> Response:
        """Sign an answer again after its content was changed. The content may no longer be valid JSON."""
        try:
            key = find_app(parameters_of(request), reader)
        except GatewayError:
            return response
        name, _, rest = response.body.removeprefix(b'{"').partition(b'":')
        content, _, _ = rest.rpartition(b',"sign":"')
        return response._replace(body=signed_answer(name.decode(), content, _platform_key(key)))


# ---------------------------------------------------------------- authentication


def parameters_of(request: Request) -> dict[str, str]:
    """Return the parameters in a request's query and form. Of a repeated name, the first value counts. Raises
    GatewayError."""
    try:
        given = request.query_params()
        form = parse_qsl(
            request.body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMS_MAX
        )
    except (WireError, ValueError) as error:
        raise GatewayError(INVALID_ARGUMENT, "isv.invalid-encoding", f"参数编码无效: {error}"[:200]) from error
    return dict(reversed(form)) | given


def find_app(params: Mapping[str, str], reader: FlowReader) -> Key:
    """Return the key of the app that a request names. Raises GatewayError."""
    app = params.get("app_id")
    if not app:
        raise GatewayError(MISSING_ARGUMENT, "isv.missing-app-id", "缺少AppID参数")
    key = reader.find_key(NAME, app)
    if key is None:
        raise GatewayError(INVALID_ARGUMENT, "isv.invalid-app-id", "无效的AppID参数")
    return key


def authenticate(params: Mapping[str, str], key: Key, reader: FlowReader) -> None:
    """Check that the app has signed a request, and that its common parameters are valid. Raises GatewayError."""
    for name, code in REQUIRED:
        if not params.get(name):
            raise GatewayError(MISSING_ARGUMENT, f"isv.missing-{code}", f"缺少参数 {name}")
    if params["sign_type"] != SIGNATURE_TYPE:
        raise GatewayError(INVALID_ARGUMENT, "isv.invalid-signature-type", f"expected sign_type {SIGNATURE_TYPE}")
    if params.get("charset", CHARSET).lower() not in (CHARSET, "utf8"):
        raise GatewayError(INVALID_ARGUMENT, "isv.invalid-charset", f"expected charset {CHARSET}")
    app_key = read_public_key("app_public_key", key.credentials["app_public_key"])
    if not is_signed(app_key, signed_text(params), params["sign"]):
        raise GatewayError(
            INVALID_ARGUMENT,
            "isv.invalid-signature",
            "验签出错，请确认charset参数放在了URL查询字符串中且各参数值使用charset参数指示的字符集编码",
        )
    if key.expires_at is not None and reader.now() >= key.expires_at:
        raise GatewayError(NO_PERMISSION, "isv.insufficient-isv-permissions", "the key has expired")
    try:
        parse_time("timestamp", params["timestamp"])
    except WireError as error:
        raise GatewayError(INVALID_ARGUMENT, "isv.invalid-timestamp", f"非法的时间戳参数: {error}") from error
    if params.get("format", "JSON").upper() != "JSON":
        raise GatewayError(INVALID_ARGUMENT, "isv.invalid-format", "expected format JSON")
    for name, code in TOKENS.items():
        if params.get(name):
            raise GatewayError(OTHER_MERCHANT, code, f"{name}: expected none: a key reads its own accounts only")
    if params["method"] != METHOD:
        raise GatewayError(
            INVALID_ARGUMENT, "isv.invalid-method", f"不存在的方法名: expected {METHOD}", response=ERROR_RESPONSE
        )


# ---------------------------------------------------------------- the query


class AccountLogQuery(msgspec.Struct):
    """`biz_content` of a request. All values are text, but whole numbers are accepted. Unknown names are ignored."""

    start_time: str | None = None
    end_time: str | None = None
    alipay_order_no: str | None = None
    merchant_order_no: str | None = None
    trans_code: str | None = None
    page_no: str | int | None = None
    page_size: str | int | None = None


_content = msgspec.json.Decoder(AccountLogQuery)


class PageQuery(NamedTuple):
    """A query, the number of the page, and the page size."""

    query: FlowQuery
    number: int


def parse_query(content: str, key: Key, reader: FlowReader, paging: PageNumber) -> PageQuery:
    """Return the query in a `biz_content`. Raises WireError naming the parameter that is not valid."""
    try:
        given = _content.decode(content.encode())
    except (*DECODE_ERRORS, UnicodeEncodeError) as error:
        raise WireError(BUSINESS, f"expected a JSON object of texts: {error}") from error
    size = _integer("page_size", given.page_size, paging.size_default, least=paging.size_min, most=paging.size_max)
    number = _integer("page_no", given.page_no, paging.first, least=paging.first, most=PAGE_MAX)
    if given.alipay_order_no and given.merchant_order_no:
        raise WireError("merchant_order_no", "expected it or alipay_order_no, got both")
    order = given.alipay_order_no or given.merchant_order_no
    since, until = MIN_INSTANT, MAX_INSTANT
    if not order or given.start_time or given.end_time:
        since = parse_time("start_time", given.start_time or "")
        until = parse_time("end_time", given.end_time or "")
        if until < since:
            raise WireError("end_time", f"expected start_time {given.start_time} or later, got {given.end_time}")
        if until - since > WINDOW_MAX:
            raise WireError(
                "end_time", f"expected at most {WINDOW_MAX.days} days after start_time, got {until - since}"
            )
    kept_from, _ = RULES.readable(reader.now())
    since = max(since, kept_from)
    query = FlowQuery(
        accounts=key.accounts,
        since=since,
        until=max(since, until),
        limit=size,
        offset=(number - paging.first) * size,
        newest=False,
        ascending=True,
        where=_where(given),
    )
    return PageQuery(query, number)


def _integer(field: str, value: str | int | None, default: int, *, least: int, most: int) -> int:
    return parse_integer(field, str(default if value is None or value == "" else value), least=least, most=most)


def _where(given: AccountLogQuery) -> Where:
    where = []
    if given.alipay_order_no:
        where.append(one_of(f"{DETAIL_PREFIX}{KEYS['alipay_order_no']}", given.alipay_order_no))
    if given.merchant_order_no:
        where.append(_has_merchant_order(given.merchant_order_no))
    if given.trans_code:
        codes = [code.strip() for code in given.trans_code.split(",")]
        if len(codes) > TRANS_CODES_MAX:
            raise WireError("trans_code", f"expected at most {TRANS_CODES_MAX} codes, got {len(codes)}")
        where.append(one_of(f"{DETAIL_PREFIX}{TRANS_CODE}", *codes))
    return tuple(where)


def _has_merchant_order(number: str) -> AnyOf:
    """The condition that a row has this number in `merchant_order_no`. A flow of another provider has it in
    `order_ref`."""
    received = Term(f"{DETAIL_PREFIX}{KEYS['merchant_order_no']}", (number,))
    foreign = Term("order_ref", (number,)), Term(f"{DETAIL_PREFIX}{TYPE}", (None,))
    return (received,), foreign


# ---------------------------------------------------------------- the answer


def _account_log(params: Mapping[str, str], key: Key, reader: FlowReader, paging: PageNumber) -> bytes:
    """Return the content of a page. Raises WireError naming the parameter that is not valid, and NotRepresentable."""
    query, number = parse_query(params.get(BUSINESS, ""), key, reader, paging)
    page = reader.read_page(NAME, query, write)
    # Counted after the page. If rows arrive in between, a total that is too large does less harm than one that is too
    # small.
    total = reader.count_flows(query)
    head = b'{"code":"%b","msg":"%b","page_no":"%d","page_size":"%d","total_size":"%d"'
    head %= SUCCESS.encode(), MESSAGES[SUCCESS].encode(), number, query.limit, total
    return b'%b,"detail_list":[%b]}' % (head, page.rows) if page.rows else head + b"}"


def _respond(name: str, content: bytes, key: Key | None) -> Response:
    body = signed_answer(name, content, None if key is None else _platform_key(key))
    return Response(200, list(ANSWER_HEADERS), body)


def _platform_key(key: Key) -> RSAPrivateKey:
    """Return the key with which the platform signs its answers to an app. Each app has its own platform key."""
    return read_private_key("alipay_private_key", key.credentials["alipay_private_key"], is_ours=True)
