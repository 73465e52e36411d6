"""Converts rows of HK and US securities to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import WireError, short_repr
from liushui.flow import Category, Direction, Flow, Fx, Kind, side_of
from liushui.money import to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers.hkus import kinds
from liushui.providers.hkus.rules import RULES
from liushui.providers.hkus.wire import (
    Number,
    Transaction,
    Whole,
    parse_number,
    parse_numbers,
    parse_page,
    write_number,
)
from liushui.wire.decoding import RowReader, are_currencies, identity_digest, or_none, parse_choice, parse_currency
from liushui.wire.ranges import parse_steps, steps_to_us, to_steps
from liushui.wire.transport import NO_HEADERS, Answer

T = TypeVar("T")
N = TypeVar("N", Decimal, str)

ID_MAX: Final = 2**63 - 1
ID_DIGITS: Final = len(str(ID_MAX))
DERIVED_MIN: Final = 2**52
"""Ids of other providers' flows are in [DERIVED_MIN, 2 * DERIVED_MIN). JavaScript holds no larger integer exactly."""

_row = RowReader(Transaction, "a transaction")
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer. Raises WireError, or a ProviderError by class for an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))[1]


# ---------------------------------------------------------------- reading one row


class _Facts(NamedTuple):
    """The checked facts of a row. A fact that the row does not state is None. These facts identify a row without an
    id."""

    account_id: int | None
    tran_type: str | None
    date: int
    sett_date: int | None
    base_currency: str
    market: str | None
    product_code: str | None
    price: Decimal | None
    qty: Decimal | None
    amt: Decimal
    balance: Decimal | None
    io_type: str
    fx_ccy: str | None
    fx_currency: str | None
    """Set only if it contradicts fx_ccy."""
    fx_amt: Decimal | None
    fx_rate: Decimal | None
    remarks: str | None
    business_type: str | None
    business_sub_type: str | None


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that is not valid."""
    transaction, documented = _row.read_lenient(row)
    return DecodedRow(to_flow(transaction), row, documented)


def to_flow(row: Transaction) -> Flow:
    """Return the flow in a row. Raises WireError naming the field that is not valid."""
    facts, record_id = _facts(row), _id("id", row.id)
    class_ = _classify(
        (facts.tran_type, facts.market, facts.io_type, facts.business_type, facts.business_sub_type),
        is_priced=facts.price is not None and facts.qty is not None,
        is_negative=facts.amt.is_signed(),
    )
    fx_fields = facts.fx_ccy, facts.fx_currency, facts.fx_amt, facts.fx_rate
    leg = _other_leg(facts.base_currency, *fx_fields)
    return Flow(
        identity=_identity(record_id, facts),
        at=parse_steps("date", facts.date, RULES.resolution),
        # A negative amount keeps its sign as stated.
        amount=facts.amt.copy_negate() if class_.direction is Direction.OUT and facts.amt > 0 else facts.amt,
        currency=facts.base_currency,
        direction=class_.direction,
        kind=class_.kind,
        category=class_.category,
        label=class_.label,
        subaccount="" if facts.account_id is None else str(facts.account_id),
        balance_after=facts.balance,
        settled_at=None if facts.sett_date is None else parse_steps("sett_date", facts.sett_date, RULES.resolution),
        ref=str(record_id) if record_id else None,
        symbol=kinds.symbol_of(facts.product_code, facts.market),
        name=or_none(row.product_name),
        price=facts.price,
        quantity=facts.qty,
        note=facts.remarks,
        fx=Fx(*leg) if leg else None,
        detail=class_.detail if leg else {**class_.detail, **_fx_detail(*map(_as_text, fx_fields))},
    )


def _facts(row: Transaction) -> _Facts:
    amt = parse_number("amt", row.amt)
    if amt is None:
        raise WireError("amt", "expected a number, got null")
    fx_ccy, fx_currency = _fx_currencies(or_none(row.fx_ccy), or_none(row.fx_currency))
    return _Facts(
        account_id=_id("account_id", row.account_id),
        tran_type=or_none(row.tran_type),
        date=row.date,
        sett_date=None if row.sett_date is UNSET else row.sett_date,
        base_currency=parse_currency("base_currency", row.base_currency),
        market=or_none(row.market),
        product_code=or_none(row.product_code),
        price=parse_number("price", row.price),
        qty=parse_number("qty", row.qty),
        amt=amt,
        balance=parse_number("balance", row.balance),
        io_type=row.io_type,
        fx_ccy=fx_ccy,
        fx_currency=fx_currency,
        fx_amt=parse_number("fx_amt", row.fx_amt),
        fx_rate=parse_number("fx_rate", row.fx_rate),
        remarks=or_none(row.remarks),
        business_type=or_none(row.business_type),
        business_sub_type=or_none(row.business_sub_type),
    )


def _id(field: str, value: Whole) -> int | None:
    if value is UNSET or value is None:
        return None
    if not 0 <= value <= ID_MAX:
        raise WireError(field, f"expected an integer from 0 to {ID_MAX}, got {short_repr(value)}")
    return value


def _identity(record_id: int | None, facts: _Facts) -> str:
    """Return the record's id, padded so that ids sort as numbers. Without an id, return a digest of the facts.

    The account is not part of the identity: one answer may state it for a record and another may leave it out.
    """
    if record_id:
        return f"{record_id:0{ID_DIGITS}}"
    values = [to_plain_string(fact) if isinstance(fact, Decimal) else None if fact == "" else fact for fact in facts]
    return identity_digest(values)


class _Class(NamedTuple):
    """The classification that the codes of a row give. `detail` is a part of Flow.detail."""

    direction: Direction
    kind: Kind
    category: Category
    label: str
    detail: Mapping[str, object]


_Codes = tuple[str | None, str | None, str, str | None, str | None]
"""tran_type, market, io_type, business_type and business_sub_type of a row."""


@lru_cache(10_000)
def _classify(codes: _Codes, *, is_priced: bool, is_negative: bool) -> _Class:
    """Classify a row by its codes. Cached, because an account has few combinations. Raises WireError."""
    tran_type, market, io_type, business_type, business_sub_type = codes
    detail = {
        kinds.TRAN_TYPE: tran_type,
        kinds.MARKET: market,
        kinds.IO_TYPE: io_type,
        kinds.BUSINESS_TYPE: business_type,
        kinds.BUSINESS_SUB_TYPE: business_sub_type,
        kinds.NEGATIVE_AMT: True if is_negative else None,
    }
    return _Class(
        direction=parse_choice("io_type", io_type, kinds.DIRECTIONS),
        kind=kinds.kind_of(business_type, business_sub_type, is_priced=is_priced),
        category=Category.STOCK if business_type in kinds.STOCK_SUFFIXES else Category.OTHER,
        label=kinds.label_of(tran_type, business_type, business_sub_type),
        detail=_stated(detail),
    )


# ---------------------------------------------------------------- conversions


def _fx_currencies(fx_ccy: str | None, fx_currency: str | None) -> tuple[str | None, str | None]:
    """Return the currency of the other leg, and the currency that contradicts it. The documents name this field in two
    ways."""
    for field, text in (("fx_ccy", fx_ccy), ("fx_currency", fx_currency)):
        if text:
            parse_currency(field, text)
    is_contradiction = bool(fx_ccy and fx_currency and fx_currency != fx_ccy)
    return fx_ccy or fx_currency or fx_ccy, fx_currency if is_contradiction else None


def _other_leg(
    base_currency: str, fx_ccy: str | None, fx_currency: str | None, fx_amt: N | None, fx_rate: N | None
) -> tuple[str, N, N] | None:
    """Return currency, amount and rate of a conversion's other leg. Returns None if the row does not state all of them.

    A row whose two currencies are equal at a rate of 1 is not a conversion. If the two currency fields contradict each
    other, neither can be trusted.
    """
    if not fx_ccy or fx_currency or fx_amt is None or fx_rate is None:
        return None
    return None if fx_ccy == base_currency and Decimal(fx_rate) == 1 else (fx_ccy, fx_amt, fx_rate)


def _fx_detail(
    fx_ccy: str | None, fx_currency: str | None, fx_amt: str | None, fx_rate: str | None
) -> dict[str, object]:
    """Return the part of Flow.detail with the conversion fields of a row that is not a conversion."""
    return _stated({kinds.FX_CCY: fx_ccy, kinds.FX_CURRENCY: fx_currency, kinds.FX_AMT: fx_amt, kinds.FX_RATE: fx_rate})


def _as_text(value: Decimal | str | None) -> str | None:
    return to_plain_string(value) if isinstance(value, Decimal) else value


def _stated(detail: Mapping[str, object]) -> dict[str, object]:
    """Return the mapping without the keys whose value is None."""
    return {name: value for name, value in detail.items() if value is not None}


# ---------------------------------------------------------------- reading many rows

_NUMBERS: Final = frozenset(("price", "qty", "amt", "balance", "fx_amt", "fx_rate"))
_FX_FIELDS: Final = ("fx_ccy", "fx_currency", "fx_amt", "fx_rate")


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows that all have an id and no number with an exponent. Returns None if `read` has to read one of them."""
    columns = _row.read_stated(rows)
    if columns is None:
        return None
    field: dict[str, Sequence[Any]] = {}
    for name, column in zip(Transaction.__struct_fields__, columns, strict=True):
        values = parse_numbers(column) if name in _NUMBERS else column
        if values is None:
            return None
        field[name] = values
    ids, accounts, amts = field["id"], field["account_id"], field["amt"]
    if None in amts or set(map(type, ids)) != {int} or not 0 < min(ids) <= max(ids) <= ID_MAX:
        return None
    if not all(account is None or 0 <= account <= ID_MAX for account in set(accounts)):
        return None
    at_us, settled_at_us = steps_to_us(field["date"], RULES.resolution), _settled_us(field["sett_date"])
    if at_us is None or settled_at_us is None or not are_currencies(field["base_currency"]):
        return None
    is_priced = [price is not None and qty is not None for price, qty in zip(field["price"], field["qty"], strict=True)]
    is_negative = [amt[0] == "-" for amt in amts] if "-" in "".join(amts) else [False] * len(rows)
    keys = list(zip(*(field[name] for name in _CODES), is_priced, is_negative, strict=True))
    try:
        classes = {key: _column_values(key[:5], *key[5:]) for key in set(keys)}
        legs, extras = _conversions(field)
    except WireError:
        return None
    directions, kinds_, categories, labels, details = map(list, zip(*map(classes.__getitem__, keys), strict=True))
    for index, extra in extras.items():
        details[index] = _joined(details[index], extra)
    texts = list(map(str, ids))
    subaccounts = {account: "" if account is None else str(account) for account in set(accounts)}
    products = list(zip(field["product_code"], field["market"], strict=True))
    symbols = {product: kinds.symbol_of(*product) for product in set(products)}
    return FlowColumns(
        identity=[id_.zfill(ID_DIGITS) for id_ in texts],
        at_us=at_us,
        subaccount=[subaccounts[account] for account in accounts],
        amount=[
            f"-{amt}" if direction == _OUT and amt[0] != "-" and amt.strip("0.") else amt
            for amt, direction in zip(amts, directions, strict=True)
        ],
        currency=field["base_currency"],
        direction=directions,
        kind=kinds_,
        category=categories,
        label=labels,
        balance_after=field["balance"],
        settled_at_us=_or_none(settled_at_us),
        ref=texts,
        symbol=list(map(symbols.__getitem__, products)),
        name=_or_none(field["product_name"]),
        price=_or_none(field["price"]),
        quantity=_or_none(field["qty"]),
        note=field["remarks"],
        detail=details,
        fx_currency=_column(len(rows), {index: leg[0] for index, leg in legs.items()}),
        fx_amount=_column(len(rows), {index: leg[1] for index, leg in legs.items()}),
        fx_rate=_column(len(rows), {index: leg[2] for index, leg in legs.items()}),
    )


_CODES: Final = ("tran_type", "market", "io_type", "business_type", "business_sub_type")
_OUT: Final = Direction.OUT.value


def _or_none(column: Sequence[Any]) -> Sequence[Any] | None:
    """Return the column, or None if no row has a value."""
    return None if column.count(None) == len(column) else column


def _column_values(codes: _Codes, is_priced: bool, is_negative: bool) -> tuple[str, str, str, str, str]:
    """Return the results of `_classify` as columns: direction, kind, category, label and detail."""
    class_ = _classify(codes, is_priced=is_priced, is_negative=is_negative)
    detail = _encode(class_.detail).decode()
    return class_.direction.value, class_.kind.value, class_.category.value, class_.label, detail


def _conversions(field: Mapping[str, Sequence[Any]]) -> tuple[dict[int, tuple[str, str, str]], dict[int, str]]:
    """Return the other legs of conversions, and the additions to the detail of other rows with such fields. Both are
    keyed by the row's index.

    A leg is its currency, amount and rate. An addition is JSON text. Raises WireError.
    """
    legs: dict[int, tuple[str, str, str]] = {}
    extras: dict[int, str] = {}
    columns = [field[name] for name in _FX_FIELDS]
    if all(column.count(None) == len(column) for column in columns):
        return legs, extras
    for index, (base, ccy, currency, amt, rate) in enumerate(zip(field["base_currency"], *columns, strict=True)):
        if ccy is currency is amt is rate is None:
            continue
        fx_ccy, fx_currency = _fx_currencies(ccy, currency)
        if leg := _other_leg(base, fx_ccy, fx_currency, amt, rate):
            legs[index] = leg
        else:
            extras[index] = _encode(_fx_detail(fx_ccy, fx_currency, amt, rate)).decode()
    return legs, extras


def _joined(detail: str, extra: str) -> str:
    """Return the JSON object with the members of both."""
    return detail if extra == "{}" else f"{detail[:-1]},{extra[1:]}"


def _settled_us(dates: Sequence[int | None]) -> list[int | None] | None:
    """Return the settlement times in microseconds. Returns None if one of them is out of range."""
    if None not in dates:
        return steps_to_us(dates, RULES.resolution)  # type: ignore[arg-type, return-value] # none of them is None
    known = [date for date in dates if date is not None]
    times_us = steps_to_us(known, RULES.resolution) if known else []
    if times_us is None:
        return None
    settled = iter(times_us)
    return [None if date is None else next(settled) for date in dates]


def _column(rows: int, values: Mapping[int, str]) -> list[str | None] | None:
    """Build a column of this length from the values of some rows, given by index. Returns None if no row has a
    value."""
    if not values:
        return None
    column: list[str | None] = [None] * rows
    for index, value in values.items():
        column[index] = value
    return column


# ---------------------------------------------------------------- writing


class _Written(NamedTuple):
    """The provider's codes for a row that is written. Codes that are None are left out."""

    tran_type: str | None
    market: str | None
    io_type: str
    fx_ccy: str | None
    fx_currency: str | None
    remarks: str | None
    business_type: str | None
    business_sub_type: str | None


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have."""
    del language  # this API has codes, which are not translated
    detail = flow.detail or {}
    codes = _received_codes(flow, detail) if kinds.IO_TYPE in detail else _codes_for(flow)
    return _encode(
        Transaction(
            id=_record_id(flow, is_received=kinds.IO_TYPE in detail),
            account_id=_or_unset(_integer(flow.subaccount)),
            tran_type=_or_unset(codes.tran_type),
            date=to_steps(flow.at, RULES.resolution),
            sett_date=UNSET if flow.settled_at is None else to_steps(flow.settled_at, RULES.resolution),
            base_currency=flow.currency,
            market=_or_unset(codes.market),
            product_code=_or_unset(kinds.product_code_for(flow.symbol, codes.market)),
            product_name=_or_unset(flow.name),
            price=write_number(flow.price),
            qty=write_number(flow.quantity),
            amt=Raw(to_plain_string(flow.amount if kinds.NEGATIVE_AMT in detail else flow.amount.copy_abs()).encode()),
            balance=write_number(flow.balance_after),
            io_type=codes.io_type,
            fx_ccy=_or_unset(codes.fx_ccy),
            fx_currency=_or_unset(codes.fx_currency),
            fx_amt=write_number(flow.fx.amount) if flow.fx else _received_number(detail, kinds.FX_AMT),
            fx_rate=write_number(flow.fx.rate) if flow.fx else _received_number(detail, kinds.FX_RATE),
            remarks=_or_unset(codes.remarks),
            business_type=_or_unset(codes.business_type),
            business_sub_type=_or_unset(codes.business_sub_type),
        )
    )


def _received_codes(flow: Flow, detail: Mapping[str, object]) -> _Written:
    """Return the codes of a row that was received from this provider."""
    stated = {name: str(value) for name, value in detail.items()}
    return _Written(
        tran_type=stated.get(kinds.TRAN_TYPE),
        market=stated.get(kinds.MARKET),
        io_type=stated[kinds.IO_TYPE],
        fx_ccy=flow.fx.currency if flow.fx else stated.get(kinds.FX_CCY),
        fx_currency=stated.get(kinds.FX_CURRENCY),
        remarks=flow.note,
        business_type=stated.get(kinds.BUSINESS_TYPE),
        business_sub_type=stated.get(kinds.BUSINESS_SUB_TYPE),
    )


def _codes_for(flow: Flow) -> _Written:
    """Return the codes for a flow from another provider."""
    return _Written(
        tran_type=kinds.CASH,
        market=kinds.market_for(flow.symbol),
        io_type=side_of(flow).value,
        fx_ccy=flow.fx.currency if flow.fx else None,
        fx_currency=None,
        remarks=flow.note or flow.label or None,
        business_type=kinds.business_type_for(flow),
        business_sub_type=flow.kind.value,
    )


def _record_id(flow: Flow, *, is_received: bool) -> int:
    """Return the id of a row that is written. 0 means that the row has no id.

    Another provider's number cannot be an id: several rows may share it. Such a flow gets an id derived from its
    identity, which is unique among all served flows.
    """
    if is_received or not flow.identity:
        return _integer(flow.ref) or 0
    digest = blake2b(flow.identity.encode(), digest_size=8).digest()
    return DERIVED_MIN + int.from_bytes(digest, "big") % DERIVED_MIN


def _received_number(detail: Mapping[str, object], name: str) -> Number:
    """Return a number that Flow.detail keeps as text."""
    return Raw(str(detail[name]).encode()) if name in detail else UNSET


def _integer(text: str | None) -> int | None:
    """Return a number that can be an id in this API. Returns None if it is another provider's text."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > ID_DIGITS:
        return None
    number = int(text)
    return number if str(number) == text and number <= ID_MAX else None


def _or_unset(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value
