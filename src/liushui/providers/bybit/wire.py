"""Bybit transaction log on the wire: path, structs, answers, signatures. Field names are the provider's."""

import hmac
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import ProviderError, RateLimited, WireError
from liushui.providers.bybit.rules import ADDRESS_BAN, ADDRESS_BANNED_STATUS, ERRORS, RULES, SUCCESS, TOO_MANY_CALLS
from liushui.wire.decoding import DECODE_ERRORS, copy_rows, excerpt
from liushui.wire.errors import parse_tolerantly, provider_error
from liushui.wire.transport import Answer

PATH: Final = "/v5/account/transaction-log"
TIME_PATH: Final = "/v5/market/time"

Text = str | None | UnsetType
"""Text. Empty, null and missing all mean that the field does not apply."""

_ROWS_AT: Final = ("result", "list")


class Transaction(msgspec.Struct, kw_only=True, gc=False, rename="camel"):
    """One row, in the order of the document's sample. All values are text."""

    trans_sub_type: Text = UNSET
    id: Text = UNSET
    symbol: Text = UNSET
    side: Text = UNSET
    funding: Text = UNSET
    order_link_id: Text = UNSET
    order_id: Text = UNSET
    fee: Text = UNSET
    change: str
    cash_flow: Text = UNSET
    transaction_time: str
    type: str
    fee_rate: Text = UNSET
    bonus_change: Text = UNSET
    size: Text = UNSET
    qty: Text = UNSET
    cash_balance: Text = UNSET
    currency: str
    category: Text = UNSET
    trade_price: Text = UNSET
    trade_id: Text = UNSET
    extra_fees: Text = UNSET


class Result(msgspec.Struct, rename="camel"):
    """`result` of an answer: a page of rows, each byte for byte, and the cursor of the next page.

    On the last page the cursor is empty or absent. An empty list may be null or absent.
    """

    next_page_cursor: str | None = None
    rows: list[Raw] | None = msgspec.field(name="list", default=None)


class Envelope(msgspec.Struct, rename="camel"):
    """Any answer. `result` has no meaning in errors."""

    ret_code: int
    ret_msg: str | None = None
    result: Raw = Raw(b"")


_envelope = msgspec.json.Decoder(Envelope, strict=False)  # a code may be text
_result = msgspec.json.Decoder(Result, strict=False)


def parse_page(answer: Answer) -> tuple[list[bytes], str | None]:
    """Return the rows of an answer, and the cursor of the next page. Raises WireError, or a ProviderError by class."""
    page, split = parse_tolerantly(_parse_page, answer, _ROWS_AT)
    return copy_rows(page.rows) if split is None else split, page.next_page_cursor or None


def _parse_page(answer: Answer) -> Result:
    try:
        envelope = _envelope.decode(answer.body)
    except DECODE_ERRORS as error:
        if answer.status != 200:
            raise _error(answer, f"HTTP {answer.status}, {excerpt(answer.body)}") from error
        raise WireError("answer", f"expected the JSON envelope, got {excerpt(answer.body)}: {error}") from error
    if answer.status != 200 or envelope.ret_code != SUCCESS:
        raise _error(answer, envelope.ret_msg, envelope.ret_code)
    try:
        return _result.decode(envelope.result)
    except DECODE_ERRORS as error:
        raise WireError("result", f"expected a page of rows, got {excerpt(envelope.result)}: {error}") from error


def _error(answer: Answer, message: str | None, code: int | None = None) -> ProviderError:
    """Return the error in an error answer. An address that made too many calls has to wait longer than a key that
    did."""
    if answer.status == ADDRESS_BANNED_STATUS and code not in ERRORS:
        wait_s = answer.retry_after_s
        if wait_s is None:
            wait_s = ADDRESS_BAN.total_seconds()
        return RateLimited(message or f"HTTP {answer.status}", code=code, retry_after_s=wait_s)
    wait_s = RULES.rate.per.total_seconds() if code == TOO_MANY_CALLS else None
    return provider_error(ERRORS, message, answer, code=code, retry_after_s=wait_s)


def sign(*, secret: str, timestamp: str, key: str, window: str, query: str) -> str:
    """Return the signature of a request, in lower-case hex. The query has to be exactly as sent. All other values are
    headers."""
    message = f"{timestamp}{key}{window}{query}".encode(errors="replace")
    return hmac.new(secret.encode(), message, sha256).hexdigest()
