"""Converts WeChat Pay's bills to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.

A row is a JSON object of the texts in a line's cells, as in the rows of statement files, with the account type of its
document. `liushui.formats.wechatpay_fundflow` reads and writes the documents.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, UnsetType

from liushui.errors import NotRepresentable, WireError, short_repr
from liushui.flow import Direction, Flow, Kind, side_of
from liushui.formats import wechatpay_fundflow as bill
from liushui.instant import to_iso
from liushui.money import DIGITS_MAX, EXACT, to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers.wechatpay.rules import ACCOUNT_TYPES, NAME, ZONE
from liushui.providers.wechatpay.wire import error_of, rows_of, unpacked
from liushui.wire.decoding import DECODE_ERRORS, RowReader
from liushui.wire.flow_batches import read_columns
from liushui.wire.transport import NO_HEADERS, Answer

CURRENCY: Final = "CNY"
PLACES: Final = 2
BUSINESS, VOUCHER, APPLICANT = (f"{NAME}:{column}" for column in bill.DETAIL_COLUMNS)
"""Keys in Flow.detail. Only received rows have BUSINESS."""

SIDES: Final = {Direction.IN: "收入", Direction.OUT: "支出"}
WORDS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.RECEIPT: ("交易", "交易"),
    Kind.FEE: ("交易", "扣除交易手续费"),
    Kind.REBATE: ("交易", "退还交易手续费"),
    Kind.REFUND: ("退款", "退款"),
    Kind.DEPOSIT: ("充值", "充值"),
    Kind.WITHDRAWAL: ("提现", "提现"),
    Kind.TRANSFER: ("企业付款", "企业付款"),
}
"""业务名称 and 业务类型 that a flow of another provider gets, by its kind."""
OTHER_WORDS: Final = ("其他", "其他")

Text = str | None | UnsetType
_ZONE: Final = ZoneInfo(ZONE)


class Row(msgspec.Struct, kw_only=True, gc=False):
    """One row. Empty cells are left out."""

    at: str = msgspec.field(name=bill.AT)
    order: Text = msgspec.field(name=bill.ORDER, default=UNSET)
    number: Text = msgspec.field(name=bill.NUMBER, default=UNSET)
    business: Text = msgspec.field(name=bill.BUSINESS, default=UNSET)
    type: Text = msgspec.field(name=bill.TYPE, default=UNSET)
    side: str = msgspec.field(name=bill.SIDE)
    amount: str = msgspec.field(name=bill.AMOUNT)
    balance: Text = msgspec.field(name=bill.BALANCE, default=UNSET)
    applicant: Text = msgspec.field(name=bill.APPLICANT, default=UNSET)
    note: Text = msgspec.field(name=bill.NOTE, default=UNSET)
    voucher: Text = msgspec.field(name=bill.VOUCHER, default=UNSET)
    account_type: Text = msgspec.field(name=bill.ACCOUNT_TYPE, default=UNSET)


_COLUMNS: Final = tuple(field.encode_name for field in msgspec.structs.fields(Row))
_row = RowReader(Row, "a line of a bill", nested_fields=lambda row: row.at.count(":"))  # a time has colons as well
_cells = msgspec.json.Decoder(dict[str, str])
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of a saved bill, packed or not. The bill does not state its account type: BASIC is assumed.

    Raises WireError, or a ProviderError by class for a saved error.
    """
    if document.lstrip()[:1] == b"{":
        raise error_of(Answer(400, NO_HEADERS, document))
    return rows_of(unpacked(document), bill.BASIC)


# ---------------------------------------------------------------- reading


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the column that is not valid."""
    line, documented = _row.read_lenient(row)
    return DecodedRow(to_flow(line), row, documented)


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows in the documented form. Returns None if `read` has to read one of them."""
    return read_columns(rows, _row, to_flow)


def to_flow(row: Row) -> Flow:
    """Return the flow in a row. Raises WireError naming the column that is not valid."""
    texts = zip(_COLUMNS, msgspec.structs.astuple(row), strict=True)
    return bill.read_texts({column: text for column, text in texts if isinstance(text, str)}, NAME)


# ---------------------------------------------------------------- writing


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have.

    Raises NotRepresentable for an amount that is not in CNY or not a whole number of fen.
    """
    del language  # the documents are in Chinese
    if flow.currency != CURRENCY:
        raise NotRepresentable("currency", f"expected {CURRENCY}, got {short_repr(flow.currency)}")
    detail = flow.detail or {}
    is_received = BUSINESS in detail
    business, type_ = (_text(detail, BUSINESS), flow.label) if is_received else WORDS.get(flow.kind, OTHER_WORDS)
    is_ours = flow.subaccount in ("", *ACCOUNT_TYPES)
    # the balance of another subaccount is not a balance of this account
    balance = flow.balance_after if is_ours else None
    cells = {
        bill.AT: _local_time(flow.at),
        bill.ORDER: flow.order_ref,
        bill.NUMBER: flow.ref,
        bill.BUSINESS: business,
        bill.TYPE: type_,
        bill.SIDE: SIDES[side_of(flow)],
        bill.AMOUNT: _yuan("amount", flow.amount.copy_abs()),
        bill.BALANCE: "" if balance is None else _yuan("balance_after", balance),
        bill.APPLICANT: _text(detail, APPLICANT),
        bill.NOTE: flow.note or ("" if is_received else flow.label),
        bill.VOUCHER: _text(detail, VOUCHER),
    }
    texts = {name: text for name, given in cells.items() if (text := bill.cell_of(given or ""))}
    account_type = flow.subaccount if is_ours and flow.subaccount else bill.BASIC
    return _encode({**texts, bill.ACCOUNT_TYPE: account_type})


def _local_time(at: datetime) -> str:
    """Return a time as documents state it: in whole seconds, in Shanghai."""
    try:
        local = at.astimezone(_ZONE).replace(tzinfo=None, microsecond=0)
    except OverflowError:
        local = None
    if local is None or local.replace(tzinfo=_ZONE) != at.replace(microsecond=0):
        raise NotRepresentable("at", f"expected a time that {ZONE} has once, got {to_iso(at)}")
    return str(local)


def _yuan(field: str, amount: Decimal) -> str:
    """Return an amount in yuan, with two decimal places."""
    plain = amount.normalize(EXACT)
    exponent = plain.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -PLACES:
        raise NotRepresentable(field, f"expected whole fen (0.01 CNY), got {to_plain_string(amount)}")
    text = to_plain_string(EXACT.quantize(plain, Decimal(1).scaleb(-PLACES)))
    if len(text) > DIGITS_MAX:
        raise NotRepresentable(field, f"expected at most {DIGITS_MAX} digits, got {short_repr(text)}")
    return text


def _text(detail: Mapping[str, object], key: str) -> str:
    value = detail.get(key)
    return value if isinstance(value, str) else ""


def write_document(rows: Sequence[bytes]) -> bytes:
    """Build the document with these rows and their control totals. Raises WireError for a row whose values are not
    text."""
    try:
        return bill.write_document([_cells.decode(row) for row in rows])
    except DECODE_ERRORS as error:
        raise WireError("row", f"expected a JSON object of texts: {error}") from error
