"""Binance USDⓈ-M Futures income on the wire: path, structs, answers, signatures. Field names are the provider's."""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import ProviderError, RateLimited, Refused, WireError
from liushui.providers.binance_usdm.rules import BAN, BANNED_STATUS, ERRORS, RULES, TOO_MANY_CALLS
from liushui.wire.decoding import DECODE_ERRORS, copy_rows, excerpt
from liushui.wire.errors import parse_tolerantly, provider_error
from liushui.wire.transport import Answer

PATH: Final = "/fapi/v1/income"
TIME_PATH: Final = "/fapi/v1/time"
PING_PATH: Final = "/fapi/v1/ping"

Text = str | None | UnsetType
Whole = int | None | UnsetType

_ROWS_AT: Final = ()
"""The answer itself is the list of rows."""


class Income(msgspec.Struct, kw_only=True, gc=False, rename="camel"):
    """One row, in the order of the document's sample. `tran_id` may be larger than a double holds exactly."""

    symbol: Text = UNSET
    income_type: str
    income: str
    asset: str
    info: Text = UNSET
    time: int
    tran_id: Whole = UNSET
    trade_id: Text = UNSET


class Failure(msgspec.Struct):
    """An error answer."""

    code: int
    msg: str | None = None


_rows = msgspec.json.Decoder(list[Raw])
_failure = msgspec.json.Decoder(Failure, strict=False)


def parse_page(answer: Answer) -> Sequence[bytes]:
    """Return the rows of an answer, byte for byte. Raises WireError, or a ProviderError by code and HTTP status."""
    rows, split = parse_tolerantly(_parse_page, answer, _ROWS_AT)
    return rows if split is None else split


def _parse_page(answer: Answer) -> list[bytes]:
    if answer.status == 200 and answer.body.lstrip()[:1] != b"{":
        try:
            return copy_rows(_rows.decode(answer.body))
        except DECODE_ERRORS as error:
            raise WireError("answer", f"expected a list, got {excerpt(answer.body)}: {error}") from error
    try:
        failure = _failure.decode(answer.body)
    except DECODE_ERRORS as error:
        if answer.status == 200:
            raise WireError("answer", f"expected a list, got {excerpt(answer.body)}: {error}") from error
        raise _error(answer, f"HTTP {answer.status}, {excerpt(answer.body)}") from error
    raise _error(answer, failure.msg, failure.code)


def _error(answer: Answer, message: str | None, code: int | None = None) -> ProviderError:
    """Return the error in an error answer. A banned client has to wait longer than a client that is over the rate."""
    if answer.status == BANNED_STATUS:
        ban_s = BAN.total_seconds() if answer.retry_after_s is None else answer.retry_after_s
        return RateLimited(message or f"HTTP {answer.status}", code=code, retry_after_s=ban_s)
    if answer.status == 403 and code not in ERRORS:  # from the firewall, which inspects the request
        return Refused(message or f"HTTP {answer.status}", code=code)
    wait_s = RULES.rate.per.total_seconds() if code == TOO_MANY_CALLS else None
    return provider_error(ERRORS, message, answer, code=code, retry_after_s=wait_s)


def sign(*, secret: str, query: str) -> str:
    """Return the signature of a query, in lower-case hex. The query has to be exactly as sent, without the
    signature."""
    return hmac.new(secret.encode(), query.encode(errors="replace"), sha256).hexdigest()
