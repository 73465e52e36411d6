"""The answers of this dialect: their envelope, their errors and codes, and which class each of those is. Pure."""

from typing import Final

import msgspec

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.http import Response
from liushui.providers.hkus.wire import Envelope, Transactions
from liushui.wire.decoding import DECODE_ERRORS, excerpt
from liushui.wire.errors import ErrorResponse, provider_error
from liushui.wire.transport import Answer

PARAMETER: Final = 40001
NO_SUCH_KEY: Final = 40101
NOT_SIGNED: Final = 40102
NOT_TIMELY: Final = 40103
KEY_EXPIRED: Final = 40104
NO_SUCH_ROUTE: Final = 40401
TOO_MANY: Final = 42901
INTERNAL: Final = 12010012

ERRORS: dict[int, type[ProviderError]] = {
    INTERNAL: Unavailable,
    PARAMETER: Refused,
    NO_SUCH_KEY: AuthError,
    NOT_SIGNED: AuthError,
    NOT_TIMELY: AuthError,
    KEY_EXPIRED: AuthError,
    NO_SUCH_ROUTE: Refused,
    TOO_MANY: RateLimited,
}

_JSON: Final = ("content-type", "application/json")
_envelope = msgspec.json.Decoder(Envelope)
_transactions = msgspec.json.Decoder(Transactions)


class Fault(ErrorResponse):
    """An answer that is an error, with what the document calls additional error information."""

    def __init__(self, status: int, code: int, message: str, details: str | None = None) -> None:
        super().__init__(status, code, message)
        self.details = details


# ---------------------------------------------------------------- reading


def data_of(answer: Answer) -> bytes:
    """`data` of an answer with code 0. Raises WireError, or ProviderError by class."""
    try:
        envelope = _envelope.decode(answer.body)
    except DECODE_ERRORS as error:
        if answer.status >= 500:
            reason = f"HTTP {answer.status}, {excerpt(answer.body)}"
            raise Unavailable(reason, retry_after_s=answer.retry_after_s) from error
        expected = f"expected the JSON envelope with HTTP {answer.status}"
        raise WireError("answer", f"{expected}, got {excerpt(answer.body)}") from error
    if envelope.code == 0 and answer.status == 200:
        return bytes(envelope.data)
    said = ": ".join(part for part in (envelope.message, envelope.details) if part)
    raise provider_error(
        ERRORS,
        said or f"HTTP {answer.status}",
        code=envelope.code,
        status=answer.status,
        retry_after_s=answer.retry_after_s,
    )


def page_of(data: bytes) -> Transactions:
    """The page in an answer's `data`. Raises WireError."""
    try:
        return _transactions.decode(data)
    except DECODE_ERRORS as error:
        raise WireError("data", f"expected a page of transactions, got {excerpt(data)}: {error}") from error


# ---------------------------------------------------------------- writing


def page_answer(rows: bytes, *, total: int, page: int, size: int) -> Response:
    """An answer with a page of `rows`, JSON joined by commas."""
    data = b'{"total_records":%d,"page":%d,"page_size":%d,"transactions":[%b]}' % (total, page, size, rows)
    return Response(200, [_JSON], b'{"code":0,"data":%b}' % data)


def fault_answer(fault: Fault) -> Response:
    """An answer that is an error."""
    said = {"code": fault.code, "message": fault.message}
    if fault.details is not None:
        said["details"] = fault.details
    return Response(fault.status, [_JSON], msgspec.json.encode(said))
