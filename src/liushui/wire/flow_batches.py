"""Many flows as columns: for codecs whose rows are decoded together, and become flows one by one."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from liushui.errors import WireError
from liushui.flow import Flow
from liushui.instant import to_us
from liushui.money import to_plain_string
from liushui.provider import FlowColumns
from liushui.wire.decoding import RowReader

T = TypeVar("T", bound=msgspec.Struct)

_encode = msgspec.json.Encoder().encode


def read_columns(rows: Sequence[bytes], reader: RowReader[T], to_flow: Callable[[T], Flow]) -> FlowColumns | None:
    """Return a codec's `read_many`, built from the functions of its `read`. Its result is None if one of the rows has
    to be read by itself."""
    structs = reader.read_many(rows)
    if structs is None:
        return None
    try:
        return columns_of(list(map(to_flow, structs)))
    except WireError:
        return None


def columns_of(flows: Sequence[Flow]) -> FlowColumns | None:
    """Return the columns of flows without conversions. None: a flow has the other leg of a conversion, or there are no
    flows."""
    if not flows or any(flow.fx is not None for flow in flows):
        return None
    return FlowColumns(
        identity=[flow.identity for flow in flows],
        at_us=[to_us(flow.at) for flow in flows],
        subaccount=[flow.subaccount for flow in flows],
        amount=[to_plain_string(flow.amount) for flow in flows],
        currency=[flow.currency for flow in flows],
        direction=[flow.direction.value for flow in flows],
        kind=[flow.kind.value for flow in flows],
        category=[flow.category.value for flow in flows],
        label=[flow.label for flow in flows],
        balance_after=[_text(flow.balance_after) for flow in flows],
        settled_at_us=[None if flow.settled_at is None else to_us(flow.settled_at) for flow in flows],
        ref=[flow.ref for flow in flows],
        order_ref=[flow.order_ref for flow in flows],
        symbol=[flow.symbol for flow in flows],
        name=[flow.name for flow in flows],
        price=[_text(flow.price) for flow in flows],
        quantity=[_text(flow.quantity) for flow in flows],
        note=[flow.note for flow in flows],
        detail=[None if flow.detail is None else _encode(flow.detail).decode() for flow in flows],
    )


def _text(number: Decimal | None) -> str | None:
    return None if number is None else to_plain_string(number)
