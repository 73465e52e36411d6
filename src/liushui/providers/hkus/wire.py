"""HK and US securities, cash transactions, the shapes on the wire: field names are theirs. Numbers stay literals."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from liushui.errors import WireError, short_repr
from liushui.money import DIGITS_MAX, are_decimals, parse_decimal, to_plain_string

TRANSACTIONS: Final = "/account/v1/transactions"

Whole = int | None | UnsetType
Text = str | None | UnsetType
Number = Raw | UnsetType
"""The literal as it stands, null included."""


_NULL: Final = Raw(b"null")


class Transaction(msgspec.Struct, kw_only=True, gc=False):
    """One row, in the order of the document's table. What says how much moved, where and when has to be there."""

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
    """`data` of an answer: how many rows all pages have, which page this is, and its rows, each byte for byte."""

    total_records: Annotated[int, Meta(ge=0)]
    page: int
    page_size: Annotated[int, Meta(ge=1)]
    transactions: list[Raw]


class Envelope(msgspec.Struct):
    """Every answer: `data` where code is 0, else `message` and perhaps `details`."""

    code: int
    message: str | None = None
    details: str | None = None
    data: Raw = Raw(b"null")


# ---------------------------------------------------------------- numbers


def number_of(field: str, literal: Number) -> Decimal | None:
    """A JSON number, exact: its digits and trailing zeros as they stand, an exponent as the places it stands for.

    None for null and for what is not there. Raises WireError naming `field`.
    """
    text = "null" if literal is UNSET else bytes(literal).decode()
    if text == "null":
        return None
    if text[0] not in "-0123456789":
        raise WireError(field, f"expected a number, got {text if len(text) <= 80 else f'{text[:77]}...'}")
    if "e" not in text and "E" not in text:
        return parse_decimal(field, text)  # JSON writes a number without an exponent as we do
    if not _can_be_written_out(text):
        raise WireError(field, f"expected a number of at most {DIGITS_MAX} digits, got {short_repr(text)}")
    return parse_decimal(field, to_plain_string(Decimal(text)))


def texts_of(numbers: Sequence[Number]) -> list[str | None] | None:
    """What `number_of` says of each, as plain text. None: there is one with an exponent, or that is no number."""
    literals = b"\n".join([_NULL if number is UNSET else number for number in numbers]).decode().split("\n")
    stated = [literal for literal in literals if literal != "null"]
    if len(literals) != len(numbers) or (stated and not are_decimals(stated)):
        return None
    return [None if literal == "null" else literal for literal in literals]


def literal_of(number: Decimal | None) -> Number:
    """The JSON literal of a number, without an exponent."""
    return UNSET if number is None else Raw(to_plain_string(number).encode())


def _can_be_written_out(text: str) -> bool:
    """Whether a number with an exponent can be: one of seven characters may stand for a million digits."""
    if len(text) > DIGITS_MAX:
        return False
    try:
        exponent = Decimal(text).as_tuple().exponent
    except InvalidOperation:  # the exponent is past what a Decimal can hold
        return False
    return isinstance(exponent, int) and abs(exponent) <= DIGITS_MAX
