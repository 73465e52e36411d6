"""Longbridge on the wire, for both generations: rows, the envelope of an answer, the signature of a request."""

import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha1
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import ProviderError, WireError
from liushui.http import Request, Response
from liushui.wire.decoding import DECODE_ERRORS, copy_rows, excerpt
from liushui.wire.errors import decode_envelope, parse_tolerantly, provider_error
from liushui.wire.transport import Answer, check_header_value

Seconds = TypeVar("Seconds", bound=int | str)

TRACE_HEADER = "x-trace-id"


class CashFlowRow(msgspec.Struct, Generic[Seconds], kw_only=True, gc=False):
    """One row. It accepts the variants of real data: the documents' samples lack business_type, and one table gives
    codes as text."""

    transaction_flow_name: str
    direction: int | str
    business_type: int | str | UnsetType = UNSET
    balance: str
    currency: str
    business_time: Seconds
    symbol: str | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET

    @property
    def is_servable(self) -> bool:
        """Whether the official clients accept the row. They need integer codes, a symbol, and a description that is
        text."""
        return (
            type(self.business_type) is int
            and type(self.direction) is int
            and self.symbol is not UNSET
            and type(self.description) is str
        )


class Envelope(msgspec.Struct):
    """Any answer. The current generation has the message in `message`, the first draft in `msg`. Errors have no data,
    or null."""

    code: int
    message: str | None = None
    msg: str | None = None
    data: Raw = Raw(b"null")


class CashFlows(msgspec.Struct):
    """`data` of an answer: the rows as received, byte for byte. An empty list may be null or absent."""

    rows: Sequence[Raw] | None = msgspec.field(name="list", default=None)


class _Success(msgspec.Struct):
    """An answer with rows."""

    code: int
    data: CashFlows


_success = msgspec.json.Decoder(_Success)
_envelope = msgspec.json.Decoder(Envelope, strict=False)  # a code may be text
_cash_flows = msgspec.json.Decoder(CashFlows | None)
_ROWS_AT: Final = ("data", "list")


# ---------------------------------------------------------------- answers


def parse_page(answer: Answer, errors: Mapping[int, type[ProviderError]]) -> Sequence[bytes]:
    """Return the rows of an answer. Raises WireError, or the ProviderError that `errors` and the HTTP status give."""
    with suppress(*DECODE_ERRORS):  # one pass decodes the usual answer; other answers are decoded layer by layer
        success = _success.decode(answer.body)
        if success.code == 0 and answer.status == 200:
            return copy_rows(success.data.rows)
    rows, split = parse_tolerantly(lambda part: parse_list("data", parse_data(part, errors)), answer, _ROWS_AT)
    return rows if split is None else split


def parse_list(field: str, data: bytes | Raw) -> Sequence[bytes]:
    """Return the rows in the object {"list": […]}, or no rows if the list is null. Raises WireError naming `field`, the
    field of the object."""
    try:
        cash_flows = _cash_flows.decode(data)
        return copy_rows(cash_flows.rows) if cash_flows else []
    except DECODE_ERRORS as error:
        raise WireError(field, f"expected an object with a list, got {excerpt(data)}: {error}") from error


def parse_data(answer: Answer, errors: Mapping[int, type[ProviderError]]) -> Raw:
    """Return `data` of an answer. Raises the same errors as `parse_page`."""
    trace = answer.headers.get(TRACE_HEADER)
    envelope = decode_envelope(_envelope, answer, trace=trace)
    if envelope.code == 0 and answer.status == 200:
        return envelope.data
    raise provider_error(errors, envelope.message or envelope.msg, answer, code=envelope.code, trace=trace)


def respond(
    request: Request,
    status: int,
    code: int,
    message: str,
    data: bytes | None = None,
    *,
    message_keys: Sequence[str] = ("message",),
) -> Response:
    """Build the answer to a request. The message is written under each of `message_keys`."""
    text = msgspec.json.encode(message)
    parts = [b'{"code":%d' % code, *(b',"%b":%b' % (key.encode(), text) for key in message_keys)]
    if data is not None:
        parts += (b',"data":', data)
    headers = [("content-type", "application/json; charset=utf-8"), (TRACE_HEADER, request.trace)]
    return Response(status, headers, b"".join([*parts, b"}"]))


# ---------------------------------------------------------------- signatures

SIGNED_HEADERS = ("authorization", "x-api-key", "x-timestamp")
"""The headers that a signature covers, in this order."""

_SCHEME = "HMAC-SHA256"
_NAMES = ";".join(SIGNED_HEADERS)
_SIGNATURE_PREFIX = f"{_SCHEME} SignedHeaders={_NAMES}, Signature="


def sign(*, secret: str, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes = b"") -> str:
    """Return the signature of a request, in lower-case hex.

    HMAC-SHA256 over method, path, query, SIGNED_HEADERS and body. `path` and `query` have to be exactly as sent.
    """
    values = "".join([f"{name}:{headers[name]}\n" for name in SIGNED_HEADERS])
    canonical = f"{method}|{path}|{query}|{values}|{_NAMES}|"
    if body:
        canonical += sha1(body, usedforsecurity=False).hexdigest()
    digest = sha1(canonical.encode(), usedforsecurity=False).hexdigest()
    return hmac.digest(secret.encode(), f"{_SCHEME}|{digest}".encode(), "sha256").hex()


def signature_header(signature: str) -> str:
    """Return the value of the header x-api-signature."""
    return _SIGNATURE_PREFIX + signature


def signature_matches(header: str, signature: str) -> bool:
    """Whether a value of x-api-signature is this signature. The comparison takes constant time."""
    return hmac.compare_digest(header.encode(), signature_header(signature).encode())


class Signer:
    """Signs requests with one credential.

    Raises ConfigError if a header cannot hold the credential.
    """

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self._key = check_header_value("app_key", credentials["app_key"])
        self._token = check_header_value("access_token", credentials["access_token"])
        self._secret = credentials["app_secret"]

    def headers(self, method: str, path: str, *, query: str, body: bytes, at_s: int) -> dict[str, str]:
        """Return the headers of a request, with its signature, for a time in Unix seconds.

        `path` includes the path of the base URL.
        """
        headers = {"x-api-key": self._key, "authorization": self._token, "x-timestamp": str(at_s)}
        signature = sign(secret=self._secret, method=method, path=path, query=query, headers=headers, body=body)
        return {**headers, "x-api-signature": signature_header(signature)}
