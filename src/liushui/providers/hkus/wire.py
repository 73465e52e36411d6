"""HK and US securities on the wire: path, structs, answers, signatures, numbers. Field names are the provider's."""

import hmac
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from liushui.errors import WireError, short_repr
from liushui.http import JSON_HEADERS, Response
from liushui.money import DIGITS_MAX, parse_decimal, to_plain_string
from liushui.providers.hkus.rules import ERRORS
from liushui.wire.decoding import DECODE_ERRORS, copy_rows, excerpt
from liushui.wire.errors import ErrorResponse, decode_envelope, parse_tolerantly, provider_error
from liushui.wire.transport import Answer

PATH: Final = "/account/v1/transactions"

Whole = int | None | UnsetType
Text = str | None | UnsetType
Number = Raw | UnsetType
"""A JSON literal exactly as received, null included. Numbers are never decoded to float."""


class Transaction(msgspec.Struct, kw_only=True, gc=False):
    """One row, in the order of the document's table. Time, amount, currency and direction are required."""

    id: Whole = UNSET
    account_id: Whole = UNSET
    tran_type: Text = UNSET
    date: int
    sett_date: Whole = UNSET
    base_currency: str
    market: Text = UNSET
    product_code: Text = UNSET
    product_name: Text = UNSET
    price: Number = UNSET
    qty: Number = UNSET
    amt: Raw
    balance: Number = UNSET
    io_type: str
    fx_ccy: Text = UNSET
    fx_currency: Text = UNSET
    fx_amt: Number = UNSET
    fx_rate: Number = UNSET
    remarks: Text = UNSET
    business_type: Text = UNSET
    business_sub_type: Text = UNSET


class Transactions(msgspec.Struct):
    """`data` of an answer: the count of rows on all pages, the number of this page, and its rows, byte for byte.

    Each number may be absent or null, and so may an empty list.
    """

    total_records: Annotated[int, Meta(ge=0)] | None = None
    page: int | None = None
    page_size: Annotated[int, Meta(ge=1)] | None = None
    transactions: list[Raw] | None = None


class Envelope(msgspec.Struct):
    """Any answer: `data` if code is 0, otherwise `message` and sometimes `details`."""

    code: int
    message: str | None = None
    details: str | None = None
    data: Raw = Raw(b"null")


# ---------------------------------------------------------------- answers

_envelope = msgspec.json.Decoder(Envelope, strict=False)  # numbers may be text
_transactions = msgspec.json.Decoder(Transactions | None, strict=False)
_ROWS_AT: Final = ("data", "transactions")


class DetailedError(ErrorResponse):
    """An error answer with the part that the document calls additional error information."""

    def __init__(self, status: int, code: int, message: str, details: str | None = None) -> None:
        super().__init__(status, code, message)
        self.details = details


def parse_page(answer: Answer) -> tuple[Transactions, list[bytes]]:
    """Return the page in an answer, and its rows. Raises WireError, or a ProviderError by class."""
    page, split = parse_tolerantly(_parse_page, answer, _ROWS_AT)
    return page, copy_rows(page.transactions) if split is None else split


def _parse_page(answer: Answer) -> Transactions:
    data = parse_data(answer)
    try:
        return _transactions.decode(data) or Transactions()
    except DECODE_ERRORS as error:
        raise WireError("data", f"expected a page of transactions, got {excerpt(data)}: {error}") from error


def parse_data(answer: Answer) -> Raw:
    """Return `data` of an answer. Raises WireError, or a ProviderError by code and HTTP status."""
    envelope = decode_envelope(_envelope, answer)
    if envelope.code == 0 and answer.status == 200:
        return envelope.data
    message = ": ".join(part for part in (envelope.message, envelope.details) if part)
    raise provider_error(ERRORS, message, answer, code=envelope.code)


def respond(rows: bytes, *, total: int, page: int, size: int) -> Response:
    """Build the answer with a page of `rows`, which are JSON objects joined by commas."""
    data = b'{"total_records":%d,"page":%d,"page_size":%d,"transactions":[%b]}' % (total, page, size, rows)
    return Response(200, JSON_HEADERS, b'{"code":0,"data":%b}' % data)


def respond_error(error: DetailedError) -> Response:
    """Build the answer to a request that failed."""
    envelope = {"code": error.code, "message": error.message}
    if error.details is not None:
        envelope["details"] = error.details
    return Response(error.status, JSON_HEADERS, msgspec.json.encode(envelope))


# ---------------------------------------------------------------- signatures


def sign(*, secret: str, timestamp: str, method: str, path: str, query: str, body: bytes = b"") -> str:
    """Return the signature of a request, in lower-case hex. The document names the headers, but not the way to sign.

    `path` and `query` have to be exactly as sent. `timestamp` is in milliseconds.
    """
    target = f"{path}?{query}" if query else path
    message = f"{timestamp}{method}{target}".encode(errors="replace") + body
    return hmac.new(secret.encode(), message, sha256).hexdigest()


def signature_matches(header: str, signature: str) -> bool:
    """Whether a value of X-API-Signature is this signature, in upper or lower case. The comparison takes constant
    time."""
    return hmac.compare_digest(header.lower().encode(errors="replace"), signature.encode())


# ---------------------------------------------------------------- numbers

_NULL: Final = Raw(b"null")


def parse_number(field: str, literal: Number) -> Decimal | None:
    """Return a JSON number as an exact Decimal with all its digits. An exponent is written out: 1.5e3 is 1500.

    Returns None for null and for a missing field. Raises WireError naming `field`.
    """
    text = "null" if literal is UNSET else bytes(literal).decode()
    if text == "null":
        return None
    if text[0] not in "-0123456789":
        raise WireError(field, f"expected a number, got {text if len(text) <= 80 else f'{text[:77]}...'}")
    if "e" not in text and "E" not in text:
        return parse_decimal(field, text)
    if not _can_be_written_out(text):
        raise WireError(field, f"expected a number of at most {DIGITS_MAX} digits, got {short_repr(text)}")
    return parse_decimal(field, to_plain_string(Decimal(text)))


def parse_numbers(numbers: Sequence[Raw | None]) -> Sequence[str | None] | None:
    """Parse many numbers to plain text, a missing one to None. Returns None if one has an exponent or is not a
    number."""
    stated = numbers if None not in numbers else [number for number in numbers if number is not None]
    if not stated:
        return [None] * len(numbers)
    joined = b"\n".join(stated)  # type: ignore[arg-type] # none of them is None
    if b"null" in joined:
        return parse_numbers([None if number == _NULL else number for number in numbers])
    # Every literal is a JSON value. A JSON value that has only these characters is a number without an exponent.
    if joined.translate(None, b"0123456789.-\n"):
        return None
    texts = joined.decode().split("\n")
    if max(map(len, texts)) > DIGITS_MAX:
        return None
    if len(texts) == len(numbers):
        return texts
    text = iter(texts)
    return [None if number is None else next(text) for number in numbers]


def write_number(number: Decimal | None) -> Number:
    """Return the JSON literal of a number, without an exponent."""
    return UNSET if number is None else Raw(to_plain_string(number).encode())


def _can_be_written_out(text: str) -> bool:
    """Whether a number with an exponent has few enough digits. `1e999999` has eight characters and a million digits."""
    if len(text) > DIGITS_MAX:
        return False
    try:
        exponent = Decimal(text).as_tuple().exponent
    except InvalidOperation:  # the exponent is too large for a Decimal
        return False
    return isinstance(exponent, int) and abs(exponent) <= DIGITS_MAX
