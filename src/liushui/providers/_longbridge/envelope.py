"""Longbridge's envelope, both ways: the rows or the error in an answer, and an answer put together."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
from msgspec import Raw

from liushui.errors import ProviderError, Unavailable, WireError
from liushui.http import Request, Response
from liushui.wire.decoding import DECODE_ERRORS, excerpt
from liushui.wire.errors import provider_error
from liushui.wire.transport import Answer

TRACE = "x-trace-id"


class Envelope(msgspec.Struct):
    """Every answer. The words are in `message`, in the first draft in `msg`; `data` is missing or null in errors."""

    code: int
    message: str | None = None
    msg: str | None = None
    data: Raw = Raw(b"null")


class CashFlows(msgspec.Struct):
    """`data` of an answer: the rows, each byte for byte."""

    list: list[Raw]


class _Answered(msgspec.Struct):
    """An answer with rows."""

    code: int
    data: CashFlows


_answered = msgspec.json.Decoder(_Answered)
_envelope = msgspec.json.Decoder(Envelope)
_cash_flows = msgspec.json.Decoder(CashFlows)


def rows_in(answer: Answer, errors: Mapping[int, type[ProviderError]]) -> Sequence[bytes]:
    """The rows of an answer with code 0. Raises WireError, or ProviderError by class."""
    with suppress(*DECODE_ERRORS):  # what is no such answer is looked at piece by piece
        found = _answered.decode(answer.body)
        if found.code == 0 and answer.status == 200:
            return list(map(bytes, found.data.list))
    return rows_listed("data", data_in(answer, errors))


def rows_listed(field: str, data: bytes) -> Sequence[bytes]:
    """The rows in an object with a list. Raises WireError naming `field`, where it stands."""
    try:
        return [bytes(row) for row in _cash_flows.decode(data).list]
    except DECODE_ERRORS as error:
        raise WireError(field, f"expected an object with a list, got {excerpt(data)}: {error}") from error


def data_in(answer: Answer, errors: Mapping[int, type[ProviderError]]) -> bytes:
    """`data` of an answer with code 0. Raises WireError, or ProviderError by class: by code, else by HTTP status."""
    status, body, trace = answer.status, answer.body, answer.headers.get(TRACE)
    try:
        envelope = _envelope.decode(body)
    except DECODE_ERRORS as error:
        if status >= 500:
            reason = f"HTTP {status}, {excerpt(body)}"
            raise Unavailable(reason, trace=trace, retry_after_s=answer.retry_after_s) from error
        raise WireError("answer", f"expected the JSON envelope with HTTP {status}, got {excerpt(body)}") from error
    if envelope.code == 0 and status == 200:
        return bytes(envelope.data)
    message = envelope.message or envelope.msg or f"HTTP {status}"
    raise provider_error(
        errors, message, code=envelope.code, status=status, trace=trace, retry_after_s=answer.retry_after_s
    )


def enveloped(
    request: Request,
    status: int,
    code: int,
    message: str,
    data: bytes | None = None,
    *,
    said_in: Sequence[str] = ("message",),
) -> Response:
    """The answer to a request. `said_in` are the keys that `message` stands under."""
    words = msgspec.json.encode(message)
    parts = [b'{"code":%d' % code, *(b',"%b":%b' % (name.encode(), words) for name in said_in)]
    if data is not None:
        parts += (b',"data":', data)
    headers = [("content-type", "application/json; charset=utf-8"), (TRACE, request.trace)]
    return Response(status, headers, b"".join([*parts, b"}"]))
