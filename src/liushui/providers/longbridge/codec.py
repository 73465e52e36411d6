"""Longbridge cash flow, wire <-> canonical. Pure: no I/O, no clock. Field table and identity: MAPPING.md."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import UNSET

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import to_us, unix_seconds
from liushui.money import decimal_text, plain
from liushui.provider import Received
from liushui.providers.longbridge.labels import KINDS, label_for
from liushui.providers.longbridge.wire import CashFlow, CashFlows, Envelope
from liushui.wire.faults import fault_of
from liushui.wire.fields import choice
from liushui.wire.rows import FAULTS, RowReader, code_of, currency_code, excerpt

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
_row = RowReader(CashFlow, "a cash flow")
_envelope = msgspec.json.Decoder(Envelope)
_cash_flows = msgspec.json.Decoder(CashFlows)
_encode = msgspec.json.Encoder().encode


def rows_of(document: bytes) -> Sequence[bytes]:
    """The rows of one answer. Raises WireError, or ProviderError by class where the answer is an error."""
    return rows_of_data(data_of(document))


def rows_of_data(data: bytes) -> Sequence[bytes]:
    """The rows in an answer's `data`. Raises WireError."""
    try:
        return [bytes(row) for row in _cash_flows.decode(data).list]
    except FAULTS as error:
        raise WireError("data", f"expected an object with a list, got {excerpt(data)}: {error}") from error


def data_of(answer: bytes, *, status: int = 200, trace: str | None = None, retry_after_s: float | None = None) -> bytes:
    """`data` of an answer with code 0. Raises WireError, or ProviderError by class."""
    try:
        envelope = _envelope.decode(answer)
    except FAULTS as error:
        if status >= 500:
            raise Unavailable(f"HTTP {status}, {excerpt(answer)}", trace=trace) from error
        raise WireError("answer", f"expected the JSON envelope with HTTP {status}, got {excerpt(answer)}") from error
    if envelope.code == 0 and status == 200:
        return bytes(envelope.data)
    message = envelope.message or f"HTTP {status}"
    raise fault_of(ERRORS, message, code=envelope.code, status=status, trace=trace, retry_after_s=retry_after_s)


def read(row: bytes) -> Received:
    """Read one row. Raises WireError naming the field that does not fit."""
    cash_flow = _row.read(row)
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
        business_type = None if row.business_type is UNSET else code_of("business_type", row.business_type)
    direction: object = row.direction
    side = _SIDE_OF.get(direction)
    if side is None:
        direction = code_of("direction", row.direction)
        side = choice("direction", direction, _SIDE_OF)
    symbol = None if row.symbol is UNSET else row.symbol
    note = None if row.description is UNSET else row.description
    facts = (direction, business_type, row.balance, row.currency, row.business_time, symbol or "", note or "")
    return Flow(  # by place, in the order of its fields: by name it would take twice as long, for every row
        blake2b(_encode(facts), digest_size=16).hexdigest(),
        unix_seconds("business_time", row.business_time),
        decimal_text("balance", row.balance),  # signed on this wire; `direction` may disagree with it
        currency_code("currency", row.currency),
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
