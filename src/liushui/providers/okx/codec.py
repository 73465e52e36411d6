"""Converts OKX's bills to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Final

import msgspec

from liushui.errors import NotRepresentable, WireError, short_repr
from liushui.flow import Category, Flow, side_of
from liushui.instant import to_iso
from liushui.money import parse_decimal, to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers.okx import kinds
from liushui.providers.okx.rules import RULES
from liushui.providers.okx.wire import Bill, Text, parse_page
from liushui.wire.decoding import RowReader, parse_currency
from liushui.wire.flow_batches import read_columns
from liushui.wire.ranges import from_steps, parse_steps, to_steps
from liushui.wire.transport import NO_HEADERS, Answer

ID_DIGITS: Final = 20
"""Identities are ids padded to this number of digits, so that they sort as numbers."""
DERIVED_BITS: Final = 32
"""Bits of a derived id that distinguish flows of one second. The upper bits are the second."""

DETAIL_FIELDS: Final = (
    *("clOrdId", "earnAmt", "earnApr", "execType", "fee", "fillFwdPx", "fillIdxPx", "fillMarkPx", "fillMarkVol"),
    *("fillPxUsd", "fillPxVol", "fillTime", "from", "instType", "interest", "mgnMode", "pnl", "posBal", "posBalChg"),
    *("tag", "to", "tradeId"),
)
"""Fields of a row that Flow.detail keeps as text, with the key `okx:` and the field's name. Empty fields are left
out."""
FEE, PNL = "okx:fee", "okx:pnl"

_ATTRIBUTES: Final = {
    field.encode_name: field.name for field in msgspec.structs.fields(Bill) if field.encode_name in DETAIL_FIELDS
}
_KEYS: Final = {name: f"okx:{name}" for name in DETAIL_FIELDS}
_ID = re.compile(rf"[0-9]{{1,{ID_DIGITS}}}", re.ASCII)
_MILLISECONDS = re.compile(r"0|-?[1-9][0-9]{0,14}", re.ASCII)
_row = RowReader(Bill, "a bill")
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer. Raises WireError, or a ProviderError by class for an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))


def parse_unix_milliseconds(field: str, text: str) -> datetime:
    """Parse whole Unix milliseconds. Raises WireError naming `field`."""
    if _MILLISECONDS.fullmatch(text) is None:
        raise WireError(field, f"expected whole Unix milliseconds such as 1597026383085, got {short_repr(text)}")
    return parse_steps(field, int(text), RULES.resolution)


def is_bill_id(text: str) -> bool:
    """Whether a text can be the id of a bill."""
    return _ID.fullmatch(text) is not None


# ---------------------------------------------------------------- reading


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that is not valid."""
    bill, documented = _row.read_lenient(row)
    return DecodedRow(to_flow(bill), row, documented)


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows in the documented form. Returns None if `read` has to read one of them."""
    return read_columns(rows, _row, to_flow)


def to_flow(row: Bill) -> Flow:
    """Return the flow in a row. Raises WireError naming the field that is not valid."""
    if not is_bill_id(row.bill_id):
        raise WireError("billId", f"expected an id of 1 to {ID_DIGITS} digits, got {short_repr(row.bill_id)}")
    sub_type = _stated(row.sub_type) or ""
    return Flow(
        identity=row.bill_id.zfill(ID_DIGITS),
        at=parse_unix_milliseconds("ts", row.ts),
        amount=parse_decimal("balChg", row.bal_chg),
        currency=parse_currency("ccy", row.ccy),
        kind=kinds.kind_of(row.type, sub_type),
        category=kinds.category_of(_stated(row.inst_type) or ""),
        label=kinds.label_of(sub_type),
        balance_after=_number("bal", row.bal),
        ref=row.bill_id,
        order_ref=_stated(row.ord_id),
        symbol=_stated(row.inst_id),
        price=_number("px", row.px),
        quantity=_number("sz", row.sz),
        note=_stated(row.notes),
        detail=_detail_of(row, sub_type),
    )


def _stated(text: Text) -> str | None:
    """Return the text, or None if the field does not apply."""
    return text if isinstance(text, str) and text else None


def _number(field: str, text: Text) -> Decimal | None:
    stated = _stated(text)
    return None if stated is None else parse_decimal(field, stated)


def _detail_of(row: Bill, sub_type: str) -> dict[str, object]:
    detail: dict[str, object] = {kinds.TYPE: row.type}
    if sub_type:
        detail[kinds.SUB_TYPE] = sub_type
    for name, attribute in _ATTRIBUTES.items():
        if (text := _stated(getattr(row, attribute))) is not None:
            detail[_KEYS[name]] = text
    return detail


# ---------------------------------------------------------------- writing


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have.

    Raises NotRepresentable for a flow of another provider if no id can hold its time.
    """
    del language  # this API has codes, which are not translated
    detail = flow.detail or {}
    is_received = kinds.TYPE in detail
    texts = {attribute: _text(detail, _KEYS[name]) for name, attribute in _ATTRIBUTES.items()}
    if not is_received:
        codes = kinds.CODES.get(flow.kind, kinds.OTHER_CODES)
        type_, sub_type = codes.type, codes.sub_type(side_of(flow))
        texts["inst_type"] = kinds.FUTURES_INST_TYPE if flow.category is Category.FUTURES else ""
    else:
        type_, sub_type = _text(detail, kinds.TYPE), _text(detail, kinds.SUB_TYPE)
    return _encode(
        Bill(
            bal=_written(flow.balance_after) if is_received or not flow.subaccount else "",
            bal_chg=to_plain_string(flow.amount),
            bill_id=flow.ref if is_received and flow.ref is not None else derived_id(flow),
            ccy=flow.currency,
            inst_id=flow.symbol or "",
            notes=flow.note or "" if is_received else flow.note or flow.label,
            ord_id=flow.order_ref or "",
            px=_written(flow.price),
            sub_type=sub_type,
            sz=_written(flow.quantity),
            ts=str(to_steps(flow.at, RULES.resolution)),
            type=type_,
            **texts,
        )
    )


def derived_id(flow: Flow) -> str:
    """Return the id of a flow that has no OKX id: its second, and a digest of its identity.

    Like the service's ids, these ids rise with time. The page after a derived id can thus be found without a search.
    """
    second = to_steps(flow.at, RULES.resolution) // 1000
    digest = blake2b((flow.identity or flow.ref or "").encode(), digest_size=DERIVED_BITS // 8).digest()
    number = (second << DERIVED_BITS) + int.from_bytes(digest, "big")
    if not 0 <= number < 10**ID_DIGITS:
        raise NotRepresentable("at", f"expected a time from 1970 on, got {to_iso(flow.at)}")
    return str(number)


def second_of(bill_id: str) -> datetime | None:
    """Return the second in a derived id, or None if the id has no second."""
    try:
        return from_steps(1000 * (int(bill_id) >> DERIVED_BITS), RULES.resolution)
    except OverflowError:
        return None


def _text(detail: Mapping[str, object], key: str) -> str:
    value = detail.get(key)
    return value if isinstance(value, str) else ""


def _written(number: Decimal | None) -> str:
    return "" if number is None else to_plain_string(number)
