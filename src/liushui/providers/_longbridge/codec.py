"""Longbridge's cash flow rows, wire <-> canonical. Pure: no I/O, no clock.

The generations of the API differ in the JSON type of `business_time` and in the language of names, in nothing else: a
row has one identity through either. Field tables: MAPPING.md of each provider.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import SECOND_US, to_us
from liushui.money import are_decimals, parse_decimal, to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers._longbridge.labels import KINDS, label_for
from liushui.wire.decoding import (
    CODE_MAX,
    RowReader,
    are_currencies,
    identity_digest,
    identity_digests,
    parse_choice,
    parse_code,
    parse_currency,
)

Seconds = TypeVar("Seconds", bound=int | str)

SIDES = {1: Direction.OUT, 2: Direction.IN}
SIDE_CODES = {side: code for code, side in SIDES.items()}
CATEGORIES = {1: Category.CASH, 2: Category.STOCK, 3: Category.FUND}
CATEGORY_CODES = {category: code for code, category in CATEGORIES.items()}
BUSINESS_TYPE_UNKNOWN = 0

BUSINESS_TYPE: Final = "longbridge:business_type"
"""Key in Flow.detail of a business_type outside CATEGORIES: its code, or None where the row had none."""

_OTHER_KIND, _OTHER_CATEGORY = Kind.OTHER, Category.OTHER
_SIDE_OF: dict[object, Direction] = dict(SIDES.items())
_CATEGORY_OF: dict[object, Category] = dict(CATEGORIES.items())
_SIDE_VALUES: dict[object, str] = {code: side.value for code, side in SIDES.items()}
_CATEGORY_VALUES: dict[object, str] = {code: category.value for code, category in CATEGORIES.items()}
_KIND_VALUES = {name: kind.value for name, kind in KINDS.items()}
_encode = msgspec.json.Encoder().encode


class CashFlowRow(msgspec.Struct, Generic[Seconds], kw_only=True, gc=False):
    """One row, as lenient as real input: the documents' samples have no business_type, a table says codes are text."""

    transaction_flow_name: str
    direction: int | str
    business_type: int | str | UnsetType = UNSET
    balance: str
    currency: str
    business_time: Seconds
    symbol: str | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET

    @property
    def is_servable(self) -> bool:
        """Whether the official clients accept the row: codes are integers, symbol is there, description is text."""
        return (
            type(self.business_type) is int
            and type(self.direction) is int
            and self.symbol is not UNSET
            and type(self.description) is str
        )


class RowCodec(Generic[Seconds]):
    """Rows of one generation <-> flows."""

    def __init__(
        self,
        shape: type[CashFlowRow[Seconds]],
        *,
        instant_of: Callable[[str, Seconds], datetime],
        many_us: Callable[[list[Seconds]], list[int] | None],
        seconds_of: Callable[[int], Seconds],
        language: str,
    ) -> None:
        self._row = RowReader(shape, "a cash flow")
        self._shape = shape
        self._instant_of = instant_of
        self._many_us = many_us
        """Microseconds since the epoch of many times. None where `instant_of` would refuse one."""
        self._seconds_of = seconds_of
        self._language = language
        """Of names that are written for nobody who asked for another."""

    def read(self, row: bytes) -> DecodedRow:
        """Read one row. Raises WireError naming the field that does not fit."""
        cash_flow = self._row.read(row)
        flow = self._flow(cash_flow)
        return DecodedRow(flow, row, None if cash_flow.is_servable else self.write(flow))

    def read_many(self, rows: Sequence[bytes]) -> FlowColumns | None:
        """What `read` says of rows that are all of the ordinary kind."""
        columns = self._row.read_columns(rows)
        if columns is None:
            return None
        labels, directions, business_types, amounts, currencies, seconds, symbols, notes = columns
        sides = {code: _SIDE_VALUES[code] for code in set(directions) if code in _SIDE_VALUES}
        others = {code: _other_detail(code) for code in set(business_types) - _CATEGORY_VALUES.keys()}
        if len(sides) < len(set(directions)) or None in others.values():
            return None
        if UnsetType in set(map(type, symbols)) or set(map(type, notes)) != {str}:
            return None
        at_us = self._many_us(list(seconds))
        if at_us is None or not are_decimals(amounts) or not are_currencies(currencies):
            return None
        kinds = {label: _KIND_VALUES.get(label, _OTHER_KIND.value) for label in set(labels)}
        categories = {code: _CATEGORY_VALUES.get(code, _OTHER_CATEGORY.value) for code in set(business_types)}
        named = [symbol or "" for symbol in symbols]
        times = map(str, seconds)
        return FlowColumns(
            identity=identity_digests(
                zip(directions, business_types, amounts, currencies, times, named, notes, strict=True)
            ),
            at_us=at_us,
            subaccount=[""] * len(rows),
            amount=amounts,
            currency=currencies,
            direction=[sides[code] for code in directions],
            kind=[kinds[label] for label in labels],
            category=[categories[code] for code in business_types],
            label=labels,
            symbol=symbols,
            note=notes,
            detail=[others.get(code) for code in business_types] if others else None,
        )

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        """Write one row as the service would. What this wire cannot say is left out: MAPPING.md."""
        side = flow.direction
        if side is Direction.NONE:
            side = Direction.OUT if flow.amount.is_signed() else Direction.IN
        return _encode(
            self._shape(
                transaction_flow_name=flow.label or label_for(flow.kind, side, language, otherwise=self._language),
                direction=SIDE_CODES[side],
                business_type=_business_type(flow),
                balance=to_plain_string(flow.amount),
                currency=flow.currency,
                business_time=self._seconds_of(to_us(flow.at) // SECOND_US),
                symbol=flow.symbol,
                description=flow.note or "",
            )
        )

    def _flow(self, row: CashFlowRow[Seconds]) -> Flow:
        """The flow in a row. Raises WireError naming the field that does not fit."""
        business_type: object = row.business_type
        if business_type not in _CATEGORY_OF:
            business_type = None if row.business_type is UNSET else parse_code("business_type", row.business_type)
        direction: object = row.direction
        side = _SIDE_OF.get(direction)
        if side is None:
            direction = parse_code("direction", row.direction)
            side = parse_choice("direction", direction, _SIDE_OF)
        symbol = None if row.symbol is UNSET else row.symbol
        note = None if row.description is UNSET else row.description
        seconds = row.business_time
        facts = (direction, business_type, row.balance, row.currency, str(seconds), symbol or "", note or "")
        return Flow(  # by place, in the order of its fields: by name it would take twice as long, for every row
            identity_digest(facts),
            self._instant_of("business_time", seconds),
            parse_decimal("balance", row.balance),  # signed on this wire; `direction` may disagree with it
            parse_currency("currency", row.currency),
            side,
            KINDS.get(row.transaction_flow_name, _OTHER_KIND),
            _CATEGORY_OF.get(business_type, _OTHER_CATEGORY),
            row.transaction_flow_name,
            symbol=symbol,
            note=note,
            detail=None if business_type in _CATEGORY_OF else {BUSINESS_TYPE: business_type},
        )


def _other_detail(code: object) -> str | None:
    """The detail of rows with a business_type outside CATEGORIES. None: they are read one by one."""
    if type(code) is not int or abs(code) > CODE_MAX:
        return None
    return _encode({BUSINESS_TYPE: code}).decode()


def _business_type(flow: Flow) -> int:
    """The code of a flow's category; of one that the wire has no code for, the code that the row came with."""
    known = CATEGORY_CODES.get(flow.category)
    if known is not None:
        return known
    came = flow.detail.get(BUSINESS_TYPE) if flow.detail else None
    return came if type(came) is int and came not in CATEGORIES else BUSINESS_TYPE_UNKNOWN
