"""Converts Alipay's account log to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET

from liushui.errors import NotRepresentable, short_repr
from liushui.flow import Category, Direction, Flow, Kind, side_of
from liushui.formats._wallets import CURRENCY, SIDES, kind_of, merchant_kind
from liushui.instant import to_us
from liushui.money import EXACT, parse_decimal, to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers.alipay.wire import AccountLog, Text, parse_page, parse_time, write_time
from liushui.wire.decoding import RowReader, identity_digest, parse_choice, record_identity
from liushui.wire.flow_batches import read_columns
from liushui.wire.transport import NO_HEADERS, Answer

PLACES: Final = 2
"""Decimal places of an amount in yuan."""
_FEN: Final = Decimal(1).scaleb(-PLACES)

TYPE: Final = "alipay:type"
"""Key in Flow.detail for the type of a row. Every received row has this key. Its value is empty if the row has no
type."""
TRANS_CODE: Final = "alipay:trans_code"
"""Key in Flow.detail for the code at the start of `biz_desc`."""
_DETAILS: Final = (
    *("biz_desc", "alipay_order_no", "merchant_order_no", "biz_orig_no", "biz_nos"),
    *("merchant_out_refund_no", "store_name", "bill_source", "complement_info"),
)
"""Fields that Flow.detail keeps as text."""
KEYS: Final[Mapping[str, str]] = {name: f"alipay:{name}" for name in _DETAILS}
_ORDERS: Final = ("alipay_order_no", "merchant_order_no", "biz_orig_no", "biz_nos")
"""Fields that hold an order number. The first one with a value becomes the flow's `order_ref`."""

DIRECTIONS: Final[Mapping[Direction, str]] = {side: word for word, side in SIDES.items()}
TYPES: Final[Mapping[Kind, str]] = {
    Kind.RECEIPT: "在线支付",
    Kind.REFUND: "交易退款",
    Kind.FEE: "收费",
    Kind.REBATE: "退费",
    Kind.TRANSFER: "转账",
    Kind.WITHDRAWAL: "提现",
    Kind.DEPOSIT: "充值",
    Kind.INTEREST: "利息",
}
"""The types that flows of other providers get."""
OTHER_TYPE: Final = "其它"

_NESTED_ONCE: Final = re.compile(rb"[^{}]*+\{(?:[^{}]++|\{[^{}]*+\})*+\}[^{}]*+")
"""Matches a row in which all braces are in pairs, at most two levels deep."""
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_CODE: Final = re.compile(r"([0-9]{3,12})\|", re.ASCII)
_row = RowReader(AccountLog, "an account log", nested_fields=lambda row: row.trans_dt.count(":"))
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer. Raises WireError, or a ProviderError by class for an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))[1]


# ---------------------------------------------------------------- reading


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that is not valid."""
    log, documented = _row.read_lenient(row)
    served = with_even_braces(row if documented is None else documented)
    return DecodedRow(to_flow(log), row, None if served == row else served)


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows in the documented form. Returns None if `read` has to read one of them."""
    if not all(map(_NESTED_ONCE.fullmatch, rows)):
        return None
    return read_columns(rows, _row, to_flow)


def with_even_braces(row: bytes) -> bytes:
    """Return the row with the braces in its texts escaped, if `_NESTED_ONCE` does not match it.

    One public client finds the end of the signed part by counting the answer's braces, even those inside texts.
    """
    if _NESTED_ONCE.fullmatch(row):
        return row
    return _STRING.sub(lambda text: text[0].replace(b"{", rb"\u007b").replace(b"}", rb"\u007d"), row)


def to_flow(row: AccountLog) -> Flow:
    """Return the flow in a row. Raises WireError naming the field that is not valid."""
    log_id, type_, description = _stated(row.account_log_id), _stated(row.type), _stated(row.biz_desc)
    direction = parse_choice("direction", row.direction, SIDES)
    amount = parse_decimal("trans_amount", row.trans_amount)
    if direction is Direction.OUT and amount > 0:  # only the side says whether money came in or went out
        amount = -amount
    balance = _stated(row.balance)
    orders = (_stated(getattr(row, name)) for name in _ORDERS)
    return Flow(
        identity=_identity_of(row) if log_id is None else record_identity(log_id),
        at=parse_time("trans_dt", row.trans_dt),
        amount=amount,
        currency=CURRENCY,
        direction=direction,
        kind=_kind(type_ or "", description or ""),
        category=Category.CASH,
        label=type_ or description or "",
        balance_after=None if balance is None else parse_decimal("balance", balance),
        ref=log_id,
        order_ref=next(filter(None, orders), None),
        name=_stated(row.other_account),
        note=_stated(row.trans_memo),
        detail=_detail_of(row, type_ or "", description or ""),
    )


def _stated(text: Text) -> str | None:
    """Return the text, or None if the field does not apply."""
    return text if isinstance(text, str) and text else None


def _identity_of(row: AccountLog) -> str:
    """Return the identity of a row without an id: a digest of its time, amount, side and order numbers."""
    amount = row.trans_amount.removeprefix("-")
    return identity_digest((row.trans_dt, amount, row.direction, *(_stated(getattr(row, name)) for name in _ORDERS)))


@lru_cache(1_000)
def _kind(type_: str, description: str) -> Kind:
    """Return the kind that the type gives. If that is OTHER, use the words in the description (`code|words`)."""
    kind = merchant_kind(type_)
    return kind if kind is not Kind.OTHER else kind_of(description.rpartition("|")[2])


def _detail_of(row: AccountLog, type_: str, description: str) -> dict[str, object]:
    detail: dict[str, object] = {TYPE: type_}
    for name, key in KEYS.items():
        if (text := _stated(getattr(row, name))) is not None:
            detail[key] = text
    if code := _CODE.match(description):
        detail[TRANS_CODE] = code[1]
    return detail


# ---------------------------------------------------------------- writing


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have.

    Raises NotRepresentable for an amount that is not in CNY or not a whole number of fen.
    """
    del language  # this API is in Chinese
    if flow.currency != CURRENCY:
        raise NotRepresentable("currency", f"expected {CURRENCY}, got {short_repr(flow.currency)}")
    detail = flow.detail or {}
    is_received = TYPE in detail
    type_ = detail[TYPE] if is_received else TYPES.get(flow.kind, OTHER_TYPE)
    texts = {name: _text(detail.get(key)) for name, key in KEYS.items()}
    if not is_received:
        texts |= {"merchant_order_no": _text(flow.order_ref), "biz_orig_no": _text(flow.ref)}
    balance = flow.balance_after if is_received or not flow.subaccount else None
    return with_even_braces(
        _encode(
            AccountLog(
                account_log_id=_text(flow.ref) if is_received else _new_id(flow),
                trans_dt=_time(flow.at),
                trans_amount=_yuan("amount", flow.amount, is_received=is_received),
                direction=DIRECTIONS[_written_side(flow, is_received=is_received)],
                balance=UNSET if balance is None else _yuan("balance_after", balance, is_received=is_received),
                type=_text(type_),
                other_account=_text(flow.name),
                trans_memo=_text(flow.note),
                **texts,
            )
        )
    )


def _new_id(flow: Flow) -> str:
    """Return the id of a flow that was not received from Alipay: digits that its identity determines.

    Simulated flows have no identity yet. Their id comes from the time, the subaccount, the reference and the balance.
    """
    facts = (flow.identity,) if flow.identity else (to_us(flow.at), flow.subaccount, flow.ref, str(flow.balance_after))
    return str(int(identity_digest(facts), 16))


def _time(at: datetime) -> str:
    try:
        return write_time(at)
    except OverflowError:
        raise NotRepresentable("at", f"expected a time before the year 10000 in China, got {at}") from None


def _text(value: object) -> Text:
    return value if isinstance(value, str) and value else UNSET


def _written_side(flow: Flow, *, is_received: bool) -> Direction:
    """Return the side of a row. The sign decides it, because a row of outgoing money is read as negative.

    A received row may contradict itself: it may state a negative amount of incoming money. It keeps its side.
    """
    return Direction.IN if is_received and flow.direction is Direction.IN else side_of(flow)


def _yuan(field: str, amount: Decimal, *, is_received: bool) -> str:
    """Return an amount in yuan with two decimal places. A received amount keeps its digits. Raises NotRepresentable."""
    if is_received:
        return to_plain_string(amount)
    exponent = amount.normalize(EXACT).as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -PLACES:
        raise NotRepresentable(field, f"expected at most {PLACES} decimal places, got {to_plain_string(amount)}")
    return to_plain_string(amount.normalize(EXACT).quantize(_FEN, context=EXACT))
