"""Alipay's account log to flows and back. Pure: no I/O, no clock. Table of fields and identity: MAPPING.md."""

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
"""Key in Flow.detail of the type of a row. It marks rows that were received: where a row has no type, it is empty."""
TRANS_CODE: Final = "alipay:trans_code"
"""Key in Flow.detail of the code with which `biz_desc` begins."""
_DETAILS: Final = (
    *("biz_desc", "alipay_order_no", "merchant_order_no", "biz_orig_no", "biz_nos"),
    *("merchant_out_refund_no", "store_name", "bill_source", "complement_info"),
)
"""Fields that are kept in Flow.detail as text."""
KEYS: Final[Mapping[str, str]] = {name: f"alipay:{name}" for name in _DETAILS}
_ORDERS: Final = ("alipay_order_no", "merchant_order_no", "biz_orig_no", "biz_nos")
"""Fields with a number of the order. The first one that is stated is the flow's `order_ref`."""

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
"""The types for flows of other providers."""
OTHER_TYPE: Final = "其它"

_NESTED_ONCE: Final = re.compile(rb"[^{}]*+\{(?:[^{}]++|\{[^{}]*+\})*+\}[^{}]*+")
"""A row whose braces are those of the row, and pairs within it."""
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_CODE: Final = re.compile(r"([0-9]{3,12})\|", re.ASCII)
_row = RowReader(AccountLog, "an account log", nested_fields=lambda row: row.trans_dt.count(":"))
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """The rows of one saved answer. Raises WireError, or a ProviderError by class if it is an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))[1]


# ---------------------------------------------------------------- reading


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that does not fit."""
    log, documented = _row.read_lenient(row)
    served = with_even_braces(row if documented is None else documented)
    return DecodedRow(to_flow(log), row, None if served == row else served)


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows in the documented form. None: one of them has to be read by `read`."""
    if not all(map(_NESTED_ONCE.fullmatch, rows)):
        return None
    return read_columns(rows, _row, to_flow)


def with_even_braces(row: bytes) -> bytes:
    """The row, with braces in its texts escaped where they are not in pairs.

    A public client counts the braces of an answer, also in texts, to find the end of its signed part.
    """
    if _NESTED_ONCE.fullmatch(row):
        return row
    return _STRING.sub(lambda text: text[0].replace(b"{", rb"\u007b").replace(b"}", rb"\u007d"), row)


def to_flow(row: AccountLog) -> Flow:
    """The flow in a row. Raises WireError naming the field that does not fit."""
    log_id, type_, description = _stated(row.account_log_id), _stated(row.type), _stated(row.biz_desc)
    direction = parse_choice("direction", row.direction, SIDES)
    amount = parse_decimal("trans_amount", row.trans_amount)
    if direction is Direction.OUT and amount > 0:  # the side alone says where the money went
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
    """The text. None where the field does not apply."""
    return text if isinstance(text, str) and text else None


def _identity_of(row: AccountLog) -> str:
    """The identity of a row without an id: a digest of its facts, without the balance and words."""
    amount = row.trans_amount.removeprefix("-")
    return identity_digest((row.trans_dt, amount, row.direction, *(_stated(getattr(row, name)) for name in _ORDERS)))


@lru_cache(1_000)
def _kind(type_: str, description: str) -> Kind:
    """The kind by the type, and else by the words of the description: `code|words`."""
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
    """Write one row as the service would. MAPPING.md says which fields of a flow this wire does not have.

    Raises NotRepresentable for an amount that is not in CNY, and for one that is not a whole number of fen.
    """
    del language  # this wire is in Chinese
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
    """The id of a row that came from elsewhere: digits, which follow from the flow's identity.

    Simulated flows have none yet, but the balance of their subaccount.
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
    """The side of a row: that of the sign, because a row of money out is read as negative.

    A row that was received may contradict itself by a negative amount of money in.
    """
    return Direction.IN if is_received and flow.direction is Direction.IN else side_of(flow)


def _yuan(field: str, amount: Decimal, *, is_received: bool) -> str:
    """An amount in yuan with two decimal places. One that was received keeps its digits. Raises NotRepresentable."""
    if is_received:
        return to_plain_string(amount)
    exponent = amount.normalize(EXACT).as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -PLACES:
        raise NotRepresentable(field, f"expected at most {PLACES} decimal places, got {to_plain_string(amount)}")
    return to_plain_string(amount.normalize(EXACT).quantize(_FEN, context=EXACT))
