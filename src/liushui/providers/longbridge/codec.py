"""Longbridge cash flow, wire <-> canonical. Pure: no I/O, no clock. Field table and identity: MAPPING.md."""

import json
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import to_us, unix_seconds
from liushui.money import decimal_text, plain, shown
from liushui.provider import Received
from liushui.providers.longbridge.labels import KINDS, label_for
from liushui.providers.longbridge.wire import CashFlow, CashFlows, Envelope
from liushui.wire.fields import choice

SIDES = {1: Direction.OUT, 2: Direction.IN}
SIDE_CODES = {side: code for code, side in SIDES.items()}
CATEGORIES = {1: Category.CASH, 2: Category.STOCK, 3: Category.FUND}
CATEGORY_CODES = {category: code for code, category in CATEGORIES.items()}
BUSINESS_TYPE_UNKNOWN = 0

BUSINESS_TYPE: Final = "longbridge:business_type"
"""Key in Flow.detail of a business_type outside CATEGORIES: its code, or None where the row had none."""

ERRORS: dict[int, type[ProviderError]] = {
    401003: AuthError,
    403201: AuthError,
    403202: Unavailable,
    403203: AuthError,
    403205: AuthError,
    429001: RateLimited,
    429002: RateLimited,
    500000: Unavailable,
    202201: AuthError,
    202202: Refused,
}

_OTHER_KIND, _OTHER_CATEGORY = Kind.OTHER, Category.OTHER
_SIDE_OF: dict[object, Direction] = dict(SIDES.items())
_CATEGORY_OF: dict[object, Category] = dict(CATEGORIES.items())
_row = msgspec.json.Decoder(CashFlow)
_raw_fields = msgspec.json.Decoder(dict[str, Raw])
_envelope = msgspec.json.Decoder(Envelope)
_cash_flows = msgspec.json.Decoder(CashFlows)
_encode = msgspec.json.Encoder().encode

CODE_MAX: Final = 2**31 - 1
"""Official clients read a code into 32 bits, and refuse the whole page for a larger one."""

_FIELDS: Final = frozenset(CashFlow.__struct_fields__)
_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that do not fit: no JSON, no UTF-8, nested too deep."""
_EXPECTED: Final = re.compile(r"^Expected `([^`]+)`")
_WORDS: Final = {"int": "an integer", "str": "text"}


def rows_of(document: bytes) -> Sequence[bytes]:
    """The rows of one answer. Raises WireError, or ProviderError by class where the answer is an error."""
    return rows_of_data(data_of(document))


def rows_of_data(data: bytes) -> Sequence[bytes]:
    """The rows in an answer's `data`. Raises WireError."""
    try:
        return [bytes(row) for row in _cash_flows.decode(data).list]
    except _FAULTS as error:
        raise WireError("data", f"expected an object with a list, got {excerpt(data)}: {error}") from error


def data_of(answer: bytes, *, status: int = 200, trace: str | None = None, retry_after_s: float | None = None) -> bytes:
    """`data` of an answer with code 0. Raises WireError, or ProviderError by class."""
    try:
        envelope = _envelope.decode(answer)
    except _FAULTS as error:
        if status >= 500:
            raise Unavailable(f"HTTP {status}, {excerpt(answer)}", trace=trace) from error
        raise WireError("answer", f"expected the JSON envelope with HTTP {status}, got {excerpt(answer)}") from error
    if envelope.code == 0 and status == 200:
        return bytes(envelope.data)
    message = envelope.message or f"HTTP {status}"
    known = ERRORS.get(envelope.code, _class_of(status))
    if known is RateLimited:
        raise RateLimited(message, code=envelope.code, trace=trace, retry_after_s=retry_after_s)
    raise known(message, code=envelope.code, trace=trace)


def _class_of(status: int) -> type[ProviderError]:
    if status in (401, 403):
        return AuthError
    if status == 429:
        return RateLimited
    return Unavailable if status >= 500 else Refused


def excerpt(answer: bytes) -> str:
    """The beginning of an answer, for an error message."""
    return shown(answer[:60].decode(errors="replace")) if answer else "an empty body"


def read(row: bytes) -> Received:
    """Read one row. Raises WireError naming the field that does not fit."""
    try:
        text = row.decode()  # all of it, for the row is kept: msgspec passes over bytes of what it does not decode
        cash_flow = _row.decode(row)
        if text.count(":") > len(_FIELDS):
            _check_once(text)
    except _FAULTS as error:
        raise _named(row, error) from error
    flow = to_flow(cash_flow)
    return Received(flow, row, None if is_servable(cash_flow) else write(flow))


def is_servable(row: CashFlow) -> bool:
    """Whether the official clients accept the row: codes are integers, symbol is there, description is text."""
    return (
        type(row.business_type) is int
        and type(row.direction) is int
        and row.symbol is not UNSET
        and type(row.description) is str
    )


def to_flow(row: CashFlow) -> Flow:
    """Read one row. Raises WireError naming the field that does not fit."""
    business_type: object = row.business_type
    if business_type not in _CATEGORY_OF:
        business_type = None if row.business_type is UNSET else _code("business_type", row.business_type)
    direction: object = row.direction
    side = _SIDE_OF.get(direction)
    if side is None:
        direction = _code("direction", row.direction)
        side = choice("direction", direction, _SIDE_OF)
    symbol = None if row.symbol is UNSET else row.symbol
    note = None if row.description is UNSET else row.description
    if not row.currency or len(row.currency) > 32:
        raise WireError("currency", f"expected a currency code, got {shown(row.currency)}")
    facts = (direction, business_type, row.balance, row.currency, row.business_time, symbol or "", note or "")
    return Flow(  # by place, in the order of its fields: by name it would take twice as long, for every row
        blake2b(_encode(facts), digest_size=16).hexdigest(),
        unix_seconds("business_time", row.business_time),
        decimal_text("balance", row.balance),  # signed on this wire; `direction` may disagree with it
        row.currency,
        side,
        KINDS.get(row.transaction_flow_name, _OTHER_KIND),
        _CATEGORY_OF.get(business_type, _OTHER_CATEGORY),
        row.transaction_flow_name,
        symbol=symbol,
        note=note,
        detail=None if business_type in _CATEGORY_OF else {BUSINESS_TYPE: business_type},
    )


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. What this wire cannot say is left out: MAPPING.md."""
    side = flow.direction
    if side is Direction.NONE:
        side = Direction.OUT if flow.amount.is_signed() else Direction.IN
    business_type = flow.detail.get(BUSINESS_TYPE) if flow.detail else None
    if type(business_type) is not int:
        business_type = CATEGORY_CODES.get(flow.category, BUSINESS_TYPE_UNKNOWN)
    return _encode(
        CashFlow(
            transaction_flow_name=flow.label or label_for(flow.kind, side, language),
            direction=SIDE_CODES[side],
            business_type=business_type,
            balance=plain(flow.amount),
            currency=flow.currency,
            business_time=str(to_us(flow.at) // 1_000_000),
            symbol=flow.symbol,
            description=flow.note or "",
        )
    )


def _code(field: str, code: int | str) -> int:
    """A code, whether it came as the integer that the service sends or as the text that its document's table prints."""
    number = int(code) if isinstance(code, int) or (len(code) <= 9 and code.isascii() and code.isdigit()) else None
    if number is None or not -CODE_MAX - 1 <= number <= CODE_MAX:
        raise WireError(field, f"expected an integer code, got {shown(code)}")
    return number


def _check_once(row: str) -> None:
    """Raises WireError for a field that stands in a row twice: which of the two would hold?"""
    names: set[str] = set()
    for name, _ in json.loads(row, object_pairs_hook=list, parse_int=str, parse_float=str):
        if name in names and name in _FIELDS:
            raise WireError(name, "expected once, but it stands there twice")
        names.add(name)


def _named(row: bytes, error: Exception) -> WireError:
    """The error with the field's name and what stood there."""
    text = str(error)
    try:
        row.decode()
        fields = _raw_fields.decode(row)
    except _FAULTS:
        return WireError("row", f"expected a JSON object, got {excerpt(row)}: {text}")
    for name in CashFlow.__struct_fields__:
        if f"`$.{name}`" in text and (expected := _EXPECTED.match(text)):
            words = " or ".join(_WORDS.get(word, word) for word in expected[1].split(" | "))
            return WireError(name, f"expected {words}, got {_json_excerpt(bytes(fields[name]))}")
        if f"`{name}`" in text:
            return WireError(name, "expected, but missing")
    return WireError("row", f"expected a cash flow, got {excerpt(row)}: {text}")


def _json_excerpt(value: bytes) -> str:
    """The beginning of a JSON value as it stands: its quotes say whether it is text."""
    text = value[:80].decode(errors="replace")
    return text if len(value) <= 80 else f"{text[:77]}..."
