"""Converts Bybit's rows to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from liushui.errors import WireError, short_repr
from liushui.flow import Category, Flow, side_of
from liushui.money import EXACT, ZERO, parse_decimal, to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers.bybit import kinds
from liushui.providers.bybit.rules import RULES
from liushui.providers.bybit.wire import Text, Transaction, parse_page
from liushui.wire.decoding import RowReader, identity_digest, parse_currency
from liushui.wire.flow_batches import read_columns
from liushui.wire.ranges import parse_steps, to_steps
from liushui.wire.transport import NO_HEADERS, Answer

DETAIL_FIELDS: Final = (
    *("transSubType", "side", "funding", "orderLinkId", "fee", "cashFlow", "feeRate", "bonusChange", "size"),
    *("category", "tradeId", "extraFees"),
)
"""Fields of a row that Flow.detail keeps as text, with the key `bybit:` and the field's name. Empty fields are left
out."""
CASH_FLOW, FUNDING, FEE = LEGS = ("bybit:cashFlow", "bybit:funding", "bybit:fee")
UNEXPLAINED: Final = "bybit:unexplained"
"""Key in Flow.detail for the part of `change` that the row's legs do not explain."""

_ATTRIBUTES: Final = {
    field.encode_name: field.name for field in msgspec.structs.fields(Transaction) if field.encode_name in DETAIL_FIELDS
}
_KEYS: Final = {name: f"bybit:{name}" for name in DETAIL_FIELDS}
_MILLISECONDS = re.compile(r"0|-?[1-9][0-9]{0,14}", re.ASCII)
_row = RowReader(Transaction, "a transaction")
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer. Raises WireError, or a ProviderError by class for an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))[0]


def parse_unix_milliseconds(field: str, text: str) -> datetime:
    """Parse whole Unix milliseconds. Raises WireError naming `field`."""
    if _MILLISECONDS.fullmatch(text) is None:
        raise WireError(field, f"expected whole Unix milliseconds such as 1672128000000, got {short_repr(text)}")
    return parse_steps(field, int(text), RULES.resolution)


# ---------------------------------------------------------------- reading


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that is not valid."""
    transaction, documented = _row.read_lenient(row)
    return DecodedRow(to_flow(transaction), row, documented)


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows in the documented form. Returns None if `read` has to read one of them."""
    return read_columns(rows, _row, to_flow)


def to_flow(row: Transaction) -> Flow:
    """Return the flow in a row. Raises WireError naming the field that is not valid."""
    record_id, trade_id = _stated(row.id), _stated(row.trade_id)
    at = parse_unix_milliseconds("transactionTime", row.transaction_time)
    change = parse_decimal("change", row.change)
    facts = (record_id or "", row.type, row.currency, row.transaction_time, trade_id or "", row.change)
    return Flow(
        identity=identity_digest(facts),
        at=at,
        amount=change,
        currency=parse_currency("currency", row.currency),
        kind=kinds.kind_of(row.type),
        category=kinds.category_of(_stated(row.category) or ""),
        label=row.type,
        balance_after=_number("cashBalance", row.cash_balance),
        ref=record_id,
        order_ref=_stated(row.order_id),
        symbol=_stated(row.symbol),
        price=_number("tradePrice", row.trade_price),
        quantity=_number("qty", row.qty),
        detail=_detail_of(row, change),
    )


def _stated(text: Text) -> str | None:
    """Return the text, or None if the field does not apply."""
    return text if isinstance(text, str) and text else None


def _number(field: str, text: Text) -> Decimal | None:
    stated = _stated(text)
    return None if stated is None else parse_decimal(field, stated)


def _detail_of(row: Transaction, change: Decimal) -> dict[str, object]:
    detail: dict[str, object] = {kinds.TYPE: row.type}
    for name, attribute in _ATTRIBUTES.items():
        if (text := _stated(getattr(row, attribute))) is not None:
            detail[_KEYS[name]] = text
    if unexplained := _unexplained(row, change):
        detail[UNEXPLAINED] = to_plain_string(unexplained)
    return detail


def _unexplained(row: Transaction, change: Decimal) -> Decimal:
    """Return `change` minus (cashFlow + funding - fee). The result is zero if the row states none of the three.

    Raises WireError if one of them is not a number.
    """
    legs = _number("cashFlow", row.cash_flow), _number("funding", row.funding), _number("fee", row.fee)
    if legs == (None, None, None):
        return ZERO
    cash_flow, funding, fee = (ZERO if leg is None else leg for leg in legs)
    return EXACT.subtract(change, EXACT.subtract(EXACT.add(cash_flow, funding), fee))


# ---------------------------------------------------------------- writing


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have."""
    del language  # this API has codes, which are not translated
    detail = flow.detail or {}
    is_received = kinds.TYPE in detail
    texts = {attribute: _text(detail, _KEYS[name]) for name, attribute in _ATTRIBUTES.items()}
    type_ = _text(detail, kinds.TYPE)
    if not is_received:
        type_ = kinds.TYPES.get(flow.kind, kinds.OTHER_TYPES).of(side_of(flow))
        texts |= {"side": "None", "category": kinds.LINEAR if flow.category is Category.FUTURES else ""}
        if not any(key in detail for key in LEGS):
            leg = "funding" if type_ == "SETTLEMENT" else "cash_flow"
            texts |= {"cash_flow": "0", "funding": "", "fee": "0"} | {leg: to_plain_string(flow.amount)}
    return _encode(
        Transaction(
            id=flow.ref or "" if is_received else flow.ref or flow.identity,
            symbol=flow.symbol or "",
            order_id=flow.order_ref or "",
            change=to_plain_string(flow.amount),
            transaction_time=str(to_steps(flow.at, RULES.resolution)),
            type=type_,
            qty=_written(flow.quantity),
            cash_balance=_written(flow.balance_after) if is_received or not flow.subaccount else "",
            currency=flow.currency,
            trade_price=_written(flow.price),
            **texts,
        )
    )


def _text(detail: Mapping[str, object], key: str) -> str:
    value = detail.get(key)
    return value if isinstance(value, str) else ""


def _written(number: Decimal | None) -> str:
    return "" if number is None else to_plain_string(number)
