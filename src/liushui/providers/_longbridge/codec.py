"""Converts Longbridge's rows to flows and back, for both generations of its API. Pure: no I/O, no clock.

The generations differ only in the JSON type of `business_time` and in the default language of labels. A row has the
same identity in both. The MAPPING.md of each provider has the table of fields.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Generic, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from liushui.errors import NotRepresentable
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import SECOND_US, to_iso, to_us
from liushui.money import are_decimals, parse_decimal, to_plain_string
from liushui.provider import UNSERVABLE, DecodedRow, FlowColumns
from liushui.providers._longbridge.wire import CashFlowRow, Seconds
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

OUT, IN = Direction.OUT, Direction.IN

DIRECTIONS = {1: OUT, 2: IN}
DIRECTION_CODES = {direction: code for code, direction in DIRECTIONS.items()}
CATEGORIES = {1: Category.CASH, 2: Category.STOCK, 3: Category.FUND}
CATEGORY_CODES = {category: code for code, category in CATEGORIES.items()}
BUSINESS_TYPE_UNKNOWN = 0

BUSINESS_TYPE: Final = "longbridge:business_type"
"""Key in Flow.detail for a business_type outside CATEGORIES. Its value is the code, or None if the row had no code."""


# ---------------------------------------------------------------- labels


class Label(NamedTuple):
    """Longbridge's names for one kind of movement, in the order of LANGUAGES. `direction` is None if the names apply to
    both directions."""

    kind: Kind
    direction: Direction | None
    names: tuple[str, str, str]


LANGUAGES = ("zh-HK", "zh-CN", "en")

LABELS = (
    Label(Kind.TRADE, OUT, ("股票買入成交", "股票买入成交", "BuyContract-Stocks")),
    Label(Kind.TRADE, IN, ("股票賣出成交", "股票卖出成交", "SellContract-Stocks")),
    Label(Kind.FEE, None, ("平台費", "平台费", "Platform Fee")),
    Label(Kind.REBATE, None, ("佣金返還", "佣金返还", "Commission Rebate")),
    Label(Kind.DIVIDEND, None, ("現金股息", "现金股息", "Cash Dividend")),
    Label(Kind.TAX, None, ("股息稅", "股息税", "Dividend Tax")),
    Label(Kind.INTEREST, None, ("利息", "利息", "Interest")),
    Label(Kind.DEPOSIT, None, ("入金", "入金", "Deposit")),
    Label(Kind.WITHDRAWAL, None, ("出金", "出金", "Withdrawal")),
    Label(Kind.TRANSFER, OUT, ("資金轉出", "资金转出", "Transfer Out")),
    Label(Kind.TRANSFER, IN, ("資金轉入", "资金转入", "Transfer In")),
    Label(Kind.CONVERSION, OUT, ("換匯轉出", "换汇转出", "Currency Exchange Out")),
    Label(Kind.CONVERSION, IN, ("換匯轉入", "换汇转入", "Currency Exchange In")),
    Label(Kind.RECEIPT, None, ("收款", "收款", "Receipt")),
    Label(Kind.REFUND, None, ("退款", "退款", "Refund")),
    Label(Kind.FUNDING, None, ("資金費用", "资金费用", "Funding Fee")),
    Label(Kind.REALIZED_PNL, None, ("已實現盈虧", "已实现盈亏", "Realized P&L")),
    Label(Kind.LIQUIDATION, None, ("強平清算費", "强平清算费", "Liquidation Clearance")),
    Label(Kind.ADJUSTMENT, None, ("帳戶調整", "账户调整", "Adjustment")),
    Label(Kind.OTHER, None, ("其他", "其他", "Other")),
)

KINDS = {name: label.kind for label in LABELS for name in label.names}
_NAMES = {
    (label.kind, direction): label.names
    for label in LABELS
    for direction in ((label.direction,) if label.direction else (OUT, IN))
}


def label_for(kind: Kind, direction: Direction, language: str | None, *, default: str = LANGUAGES[0]) -> str:
    """Return Longbridge's name for a movement, in the first known language of an Accept-Language value."""
    return _NAMES[kind, direction][LANGUAGES.index(_language(language or "") or default)]


def _language(accept_language: str) -> str | None:
    first = accept_language.split(",")[0].split(";")[0].strip().lower()
    if first.startswith("en"):
        return "en"
    if first in ("zh-cn", "zh-hans", "zh-sg", "zh-hans-cn"):
        return "zh-CN"
    return "zh-HK" if first.startswith("zh-") else None


# ---------------------------------------------------------------- what clients can hold


class ClientLimits(NamedTuple):
    """The largest values that the provider's clients can hold: the mantissa, the decimals, and times in [since,
    until)."""

    mantissa_max: int
    decimals_max: int
    since: datetime
    until: datetime

    def check(self, flow: Flow) -> None:
        """Raise NotRepresentable, naming the field, if a client would misread the flow."""
        amount = to_plain_string(flow.amount)
        whole, _, decimals = amount.removeprefix("-").partition(".")
        if len(decimals) > self.decimals_max or int(whole + decimals) > self.mantissa_max:
            bits = self.mantissa_max.bit_length()
            expected = f"an amount of at most {bits} bits and {self.decimals_max} decimals, as clients hold them"
            raise NotRepresentable("balance", f"expected {expected}, got {amount}")
        if not self.since <= flow.at < self.until:
            expected = f"a time from {to_iso(self.since)} to {to_iso(self.until)}, as clients hold them"
            raise NotRepresentable("business_time", f"expected {expected}, got {to_iso(flow.at)}")

    def hold_all(self, amounts: Sequence[str], at_us: Sequence[int]) -> bool:
        """Whether `check` accepts every row. False can also mean that each row needs its own check."""
        digits_max = min(len(str(self.mantissa_max)) - 1, self.decimals_max)
        since_us, until_us = to_us(self.since), to_us(self.until)
        return max(map(len, amounts)) <= digits_max and since_us <= min(at_us) <= max(at_us) < until_us


# ---------------------------------------------------------------- rows

_OTHER_KIND, _OTHER_CATEGORY = Kind.OTHER, Category.OTHER  # looked up once: enum members are slow to access on 3.11
# The keys have the type object because a row may have a value of another type in these fields.
_DIRECTION_OF: dict[object, Direction] = dict(DIRECTIONS.items())
_CATEGORY_OF: dict[object, Category] = dict(CATEGORIES.items())
_DIRECTION_VALUES: dict[object, str] = {code: direction.value for code, direction in DIRECTIONS.items()}
_CATEGORY_VALUES: dict[object, str] = {code: category.value for code, category in CATEGORIES.items()}
_KIND_VALUES = {name: kind.value for name, kind in KINDS.items()}
_encode = msgspec.json.Encoder().encode


class RowCodec(Generic[Seconds]):
    """The codec of one generation. The functions convert the generation's type of `business_time`, in Unix seconds."""

    def __init__(
        self,
        struct: type[CashFlowRow[Seconds]],
        *,
        parse_time: Callable[[str, Seconds], datetime],
        times_to_us: Callable[[list[Seconds]], list[int] | None],
        write_time: Callable[[int], Seconds],
        language: str,
        limits: ClientLimits | None = None,
    ) -> None:
        """`times_to_us` converts many times to microseconds. It returns None if `parse_time` would reject one of them.
        `language` is the language of labels if the caller names none. `limits` is None if clients can hold every
        row."""
        self._row = RowReader(struct, "a cash flow")
        self._struct = struct
        self._parse_time = parse_time
        self._times_to_us = times_to_us
        self._write_time = write_time
        self._language = language
        self._limits = limits

    def read(self, row: bytes) -> DecodedRow:
        """Read one row. Raises WireError naming the field that is not valid."""
        cash_flow, documented = self._row.read_lenient(row)
        flow = self._to_flow(cash_flow)
        try:
            if self._limits is not None:
                self._limits.check(flow)
        except NotRepresentable:
            return DecodedRow(flow, row, UNSERVABLE)
        return DecodedRow(flow, row, documented if cash_flow.is_servable else self.write(flow))

    def read_many(self, rows: Sequence[bytes]) -> FlowColumns | None:
        """Read rows of the usual form together. Returns None if `read` has to read one of them."""
        columns = self._row.read_columns(rows)
        if columns is None:
            return None
        labels, codes, business_types, amounts, currencies, seconds, symbols, notes = columns
        directions = {code: _DIRECTION_VALUES[code] for code in set(codes) if code in _DIRECTION_VALUES}
        details = {code: _unknown_type_detail(code) for code in set(business_types) - _CATEGORY_VALUES.keys()}
        if len(directions) < len(set(codes)) or None in details.values():
            return None
        if UnsetType in set(map(type, symbols)) or set(map(type, notes)) != {str}:
            return None
        at_us = self._times_to_us(list(seconds))
        if at_us is None or not are_decimals(amounts) or not are_currencies(currencies):
            return None
        if self._limits is not None and not self._limits.hold_all(amounts, at_us):
            return None
        kinds = {label: _KIND_VALUES.get(label, Kind.OTHER.value) for label in set(labels)}
        categories = {code: _CATEGORY_VALUES.get(code, Category.OTHER.value) for code in set(business_types)}
        known_symbols = [symbol or "" for symbol in symbols]
        times = map(str, seconds)
        return FlowColumns(
            identity=identity_digests(
                zip(codes, business_types, amounts, currencies, times, known_symbols, notes, strict=True)
            ),
            at_us=at_us,
            subaccount=[""] * len(rows),
            amount=amounts,
            currency=currencies,
            direction=[directions[code] for code in codes],
            kind=[kinds[label] for label in labels],
            category=[categories[code] for code in business_types],
            label=labels,
            symbol=symbols,
            note=notes,
            detail=[details.get(code) for code in business_types] if details else None,
        )

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have.

        Raises NotRepresentable if a client would misread the flow.
        """
        if self._limits is not None:
            self._limits.check(flow)
        direction = flow.direction
        if direction is Direction.NONE:
            direction = OUT if flow.amount.is_signed() else IN
        return _encode(
            self._struct(
                transaction_flow_name=flow.label or label_for(flow.kind, direction, language, default=self._language),
                direction=DIRECTION_CODES[direction],
                business_type=_business_type(flow),
                balance=to_plain_string(flow.amount),
                currency=flow.currency,
                business_time=self._write_time(to_us(flow.at) // SECOND_US),
                symbol=flow.symbol,
                description=flow.note or "",
            )
        )

    def _to_flow(self, row: CashFlowRow[Seconds]) -> Flow:
        """Return the flow in a row. Raises WireError naming the field that is not valid."""
        business_type: object = row.business_type
        if business_type not in _CATEGORY_OF:
            business_type = None if row.business_type is UNSET else parse_code("business_type", row.business_type)
        code: object = row.direction
        direction = _DIRECTION_OF.get(code)
        if direction is None:
            code = parse_code("direction", row.direction)
            direction = parse_choice("direction", code, _DIRECTION_OF)
        symbol = None if row.symbol is UNSET else row.symbol
        note = None if row.description is UNSET else row.description
        facts = (
            code,
            business_type,
            row.balance,
            row.currency,
            str(row.business_time),
            symbol or "",
            note or "",
        )
        return Flow(  # positional arguments, which take half the time of keyword arguments
            identity_digest(facts),
            self._parse_time("business_time", row.business_time),
            parse_decimal("balance", row.balance),  # amounts have a sign in this API; `direction` may contradict it
            parse_currency("currency", row.currency),
            direction,
            KINDS.get(row.transaction_flow_name, _OTHER_KIND),
            _CATEGORY_OF.get(business_type, _OTHER_CATEGORY),
            row.transaction_flow_name,
            symbol=symbol,
            note=note,
            detail=None if business_type in _CATEGORY_OF else {BUSINESS_TYPE: business_type},
        )


def _unknown_type_detail(code: object) -> str | None:
    """Return Flow.detail, as JSON, for a business_type outside CATEGORIES. Returns None if `read` has to read the
    row."""
    if type(code) is not int or abs(code) > CODE_MAX:
        return None
    return _encode({BUSINESS_TYPE: code}).decode()


def _business_type(flow: Flow) -> int:
    """Return the code of a flow's category. If the category has no code, return the code with which the row was
    received."""
    code = CATEGORY_CODES.get(flow.category)
    if code is not None:
        return code
    received = flow.detail.get(BUSINESS_TYPE) if flow.detail else None
    return received if type(received) is int and received not in CATEGORIES else BUSINESS_TYPE_UNKNOWN
