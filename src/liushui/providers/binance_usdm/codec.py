"""Converts Binance's income rows to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from liushui.flow import Category, Flow
from liushui.money import parse_decimal, to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers.binance_usdm import kinds
from liushui.providers.binance_usdm.rules import RULES
from liushui.providers.binance_usdm.wire import Income, Text, parse_page
from liushui.wire.decoding import RowReader, identity_digest, parse_currency
from liushui.wire.flow_batches import read_columns
from liushui.wire.ranges import parse_steps, to_steps
from liushui.wire.transport import NO_HEADERS, Answer

INFO: Final = "binance_usdm:info"
"""Key in Flow.detail for further information about a row."""
ID_BITS: Final = 63
"""The number of bits in the ids of other providers' flows. The service's ids have as many."""

_row = RowReader(Income, "an income row")
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer. Raises WireError, or a ProviderError by class for an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that is not valid."""
    income, documented = _row.read_lenient(row)
    return DecodedRow(to_flow(income), row, documented)


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows in the documented form. Returns None if `read` has to read one of them."""
    return read_columns(rows, _row, to_flow)


def to_flow(row: Income) -> Flow:
    """Return the flow in a row. Raises WireError naming the field that is not valid."""
    symbol, trade_id, info = _stated(row.symbol), _stated(row.trade_id), _stated(row.info)
    tran_id = str(row.tran_id) if isinstance(row.tran_id, int) else None
    facts = (row.income_type, tran_id or "", row.asset, symbol or "", trade_id or "", row.income, row.time)
    detail: dict[str, object] = {kinds.TYPE: row.income_type}
    if info is not None:
        detail[INFO] = info
    return Flow(
        identity=identity_digest(facts),
        at=parse_steps("time", row.time, RULES.resolution),
        amount=parse_decimal("income", row.income),
        currency=parse_currency("asset", row.asset),
        kind=kinds.kind_of(row.income_type),
        category=Category.FUTURES,
        label=row.income_type,
        ref=tran_id,
        order_ref=trade_id,
        symbol=symbol,
        detail=detail,
    )


def _stated(text: Text) -> str | None:
    """Return the text, or None if the field does not apply."""
    return text if isinstance(text, str) and text else None


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have."""
    del language  # this API has codes, which are not translated
    detail = flow.detail or {}
    stated = detail.get(kinds.TYPE)
    type_ = stated if isinstance(stated, str) else kinds.type_for(flow.kind)
    info = detail.get(INFO, "") if isinstance(stated, str) else flow.note or type_
    return _encode(
        Income(
            symbol=flow.symbol or "",
            income_type=type_,
            income=to_plain_string(flow.amount),
            asset=flow.currency,
            info=str(info),
            time=to_steps(flow.at, RULES.resolution),
            tran_id=_tran_id(flow, is_received=isinstance(stated, str)),
            trade_id=flow.order_ref or "",
        )
    )


def _tran_id(flow: Flow, *, is_received: bool) -> int | None:
    """Return the id of a row. A number of another provider is not used: several rows may share it, or it may not be
    numeric."""
    if is_received:
        return None if flow.ref is None else int(flow.ref)
    digest = blake2b((flow.identity or flow.ref or "").encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - ID_BITS)
