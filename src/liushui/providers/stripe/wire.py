"""Stripe's balance transactions on the wire: path, structs, answers. Field names are the provider's."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import ProviderError, WireError
from liushui.providers.stripe.rules import ERROR_TYPES, ERRORS
from liushui.wire.decoding import copy_rows
from liushui.wire.errors import decode_envelope, error_class, parse_tolerantly
from liushui.wire.transport import Answer

PATH: Final = "/v1/balance_transactions"
_ROWS_AT: Final = ("data",)
_ID: Final = re.compile(rb'"id"\s*:\s*"([A-Za-z0-9_-]{1,255})"')


class FeeDetail(msgspec.Struct, gc=False):
    """One fee of a row. Its amount may be a whole number in the form of text."""

    amount: int | str
    application: str | None
    currency: str
    description: str | None
    type: str


class Source(msgspec.Struct, gc=False):
    """The object that a row came from, if the request expanded it."""

    id: str


class BalanceTransaction(msgspec.Struct, kw_only=True, gc=False):
    """One row. Older versions of the API have no `balance_type`. Null and missing mean the same."""

    id: str
    object: str
    amount: int
    available_on: int
    balance_type: str | UnsetType = UNSET
    created: int
    currency: str
    description: str | None | UnsetType = UNSET
    exchange_rate: Raw | UnsetType = UNSET
    fee: int
    fee_details: list[FeeDetail]
    net: int
    reporting_category: str
    source: str | Source | None | UnsetType = UNSET
    status: str
    type: str


class Error(msgspec.Struct):
    """The content of an error answer."""

    type: str = ""
    message: str = ""
    code: str | None = None
    param: str | None = None


class Envelope(msgspec.Struct):
    """Any answer: a list of rows, each byte for byte, or an error."""

    object: str | None = None
    has_more: bool | None = None
    data: list[Raw] | None = None
    error: Error | None = None


_envelope = msgspec.json.Decoder(Envelope)


def parse_page(answer: Answer) -> tuple[Sequence[bytes], bool]:
    """Return the rows of an answer, newest first, and whether more rows follow. Raises WireError, or a ProviderError by
    class."""
    envelope, split = parse_tolerantly(_parse, answer, _ROWS_AT)
    if envelope.has_more is None:
        raise WireError("has_more", "expected true or false, but missing")
    return copy_rows(envelope.data) if split is None else split, envelope.has_more


def _parse(answer: Answer) -> Envelope:
    envelope = decode_envelope(_envelope, answer)
    if envelope.error is not None or answer.status != 200:
        raise _error(envelope.error or Error(), answer)
    if envelope.object != "list":
        raise WireError("object", f"expected list, got {envelope.object!r}")
    return envelope


def _error(error: Error, answer: Answer) -> ProviderError:
    """Return the error in an error answer, by its code, its type and the HTTP status, in this order."""
    known = ERRORS.get(error.code or "") or ERROR_TYPES.get(error.type) or error_class(answer.status)
    if answer.status == 409:  # a conflict with another request, which is temporary
        known = ERROR_TYPES["api_error"]
    trace = answer.headers.get("request-id")
    text = error.message or f"HTTP {answer.status}"
    return known(text, code=error.code or error.type or None, trace=trace, retry_after_s=answer.retry_after_s)


def record_id(row: bytes) -> str | None:
    """Return the id of a row, even if the row is not valid JSON. Returns None if it has no id that a request could
    name."""
    match = _ID.search(row)
    return match[1].decode() if match else None
