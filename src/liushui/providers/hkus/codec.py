"""Rows of HK and US securities to flows and back. Pure: no I/O, no clock. Table of fields and identity: MAPPING.md."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from liushui.errors import WireError, short_repr
from liushui.flow import Category, Direction, Flow, Fx, side_of
from liushui.money import to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers.hkus import kinds
from liushui.providers.hkus.rules import RULES
from liushui.providers.hkus.wire import (
    Number,
    Text,
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

ID_MAX: Final = 2**63 - 1
ID_DIGITS: Final = len(str(ID_MAX))

_row = RowReader(Transaction, "a transaction")
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """The rows of one saved answer. Raises WireError, or a ProviderError by class if it is an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))[1]


# ---------------------------------------------------------------- reading


class _Facts(NamedTuple):
    """The checked facts of a row; None is what it does not state. They are the identity of a row without an id."""

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
    """None unless it contradicts fx_ccy."""
    fx_amt: Decimal | None
    fx_rate: Decimal | None
    remarks: str | None
    business_type: str | None
    business_sub_type: str | None


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that does not fit."""
    transaction, documented = _row.read_lenient(row)
    return DecodedRow(to_flow(transaction), row, documented)


def to_flow(row: Transaction) -> Flow:
    """The flow in a row. Raises WireError naming the field that does not fit."""
    facts = _facts(row)
    record_id, direction, fx = _id("id", row.id), kinds.DIRECTIONS[facts.io_type], _fx(facts)
    return Flow(
        identity=_identity(record_id, facts),
        at=parse_steps("date", facts.date, RULES.resolution),
        amount=_signed(facts.amt, direction),
        currency=facts.base_currency,
        direction=direction,
        kind=kinds.kind_of(
            facts.business_type,
            facts.business_sub_type,
            is_priced=facts.price is not None and facts.qty is not None,
        ),
        category=_category(facts.business_type),
        label=kinds.label_of(facts.tran_type, facts.business_type, facts.business_sub_type),
        subaccount="" if facts.account_id is None else str(facts.account_id),
        balance_after=facts.balance,
        settled_at=None if facts.sett_date is None else parse_steps("sett_date", facts.sett_date, RULES.resolution),
        ref=str(record_id) if record_id else None,
        symbol=kinds.symbol_of(facts.product_code, facts.market),
        name=or_none(row.product_name),
        price=facts.price,
        quantity=facts.qty,
        note=facts.remarks,
        fx=fx,
        detail=_detail(facts, fx),
    )


def _facts(row: Transaction) -> _Facts:
    amt = parse_number("amt", row.amt)
    if amt is None:
        raise WireError("amt", "expected a number, got null")
    parse_choice("io_type", row.io_type, kinds.DIRECTIONS)
    fx_ccy, fx_currency = _currency("fx_ccy", row.fx_ccy), _currency("fx_currency", row.fx_currency)
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
        fx_ccy=fx_ccy or fx_currency or fx_ccy,
        fx_currency=fx_currency if fx_ccy and fx_currency and fx_currency != fx_ccy else None,
        fx_amt=parse_number("fx_amt", row.fx_amt),
        fx_rate=parse_number("fx_rate", row.fx_rate),
        remarks=or_none(row.remarks),
        business_type=or_none(row.business_type),
        business_sub_type=or_none(row.business_sub_type),
    )


def _identity(record_id: int | None, facts: _Facts) -> str:
    """The record's id, padded so that ids sort as numbers, and its account. Without an id: a digest of the facts."""
    if record_id:
        account = "" if facts.account_id is None else f".{facts.account_id}"
        return f"{record_id:0{ID_DIGITS}}{account}"
    values = [to_plain_string(fact) if isinstance(fact, Decimal) else None if fact == "" else fact for fact in facts]
    return identity_digest(values)


def _category(business_type: str | None) -> Category:
    return Category.STOCK if business_type in kinds.STOCK_SUFFIXES else Category.OTHER


def _signed(amt: Decimal, direction: Direction) -> Decimal:
    """The magnitude with the sign of its direction. An amount that is negative already stays as it is."""
    return amt.copy_negate() if direction is Direction.OUT and amt > 0 else amt


def _fx(facts: _Facts) -> Fx | None:
    """The other leg of a conversion, if the row states it completely.

    The same currency at a rate of 1 is no conversion. Where the two currency fields contradict each other, nobody can
    know which one holds.
    """
    if not facts.fx_ccy or facts.fx_currency or facts.fx_amt is None or facts.fx_rate is None:
        return None
    if facts.fx_ccy == facts.base_currency and facts.fx_rate == 1:
        return None
    return Fx(facts.fx_ccy, facts.fx_amt, facts.fx_rate)


def _detail(facts: _Facts, fx: Fx | None) -> dict[str, object]:
    """Flow.detail: the fields that only this provider has and that the row states. Numbers are text."""
    detail = _class_detail(
        facts.tran_type,
        facts.market,
        facts.io_type,
        facts.business_type,
        facts.business_sub_type,
        is_negative=facts.amt.is_signed(),
    )
    if fx is None:
        detail |= _stated(
            {
                kinds.FX_CCY: facts.fx_ccy,
                kinds.FX_CURRENCY: facts.fx_currency,
                kinds.FX_AMT: None if facts.fx_amt is None else to_plain_string(facts.fx_amt),
                kinds.FX_RATE: None if facts.fx_rate is None else to_plain_string(facts.fx_rate),
            }
        )
    return detail


def _class_detail(
    tran_type: str | None,
    market: str | None,
    io_type: str,
    business_type: str | None,
    business_sub_type: str | None,
    *,
    is_negative: bool,
) -> dict[str, object]:
    """The part of Flow.detail that classifies a row."""
    return _stated(
        {
            kinds.TRAN_TYPE: tran_type,
            kinds.MARKET: market,
            kinds.IO_TYPE: io_type,
            kinds.BUSINESS_TYPE: business_type,
            kinds.BUSINESS_SUB_TYPE: business_sub_type,
            kinds.NEGATIVE_AMT: True if is_negative else None,
        }
    )


def _stated(detail: Mapping[str, object]) -> dict[str, object]:
    """Without the keys whose value is None."""
    return {name: value for name, value in detail.items() if value is not None}


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """Read rows that all have an id and no number with an exponent. None: one of them has to be read by `read`."""
    transactions = _row.read_many(rows)
    if transactions is None:
        return None
    ids = [row.id for row in transactions if isinstance(row.id, int) and 0 < row.id <= ID_MAX]
    accounts = [or_none(row.account_id) for row in transactions]
    currencies = [row.base_currency for row in transactions]
    amts, balances, prices, quantities = (
        parse_numbers(numbers)
        for numbers in zip(*[(row.amt, row.balance, row.price, row.qty) for row in transactions], strict=True)
    )
    at_us = steps_to_us([row.date for row in transactions], RULES.resolution)
    settled_at_us = _settled_us(transactions)
    if at_us is None or settled_at_us is None:
        return None
    if amts is None or balances is None or prices is None or quantities is None:
        return None
    stated_amts = [amt for amt in amts if amt is not None]
    if not len(ids) == len(stated_amts) == len(transactions) or not are_currencies(currencies):
        return None
    if not all(account is None or 0 <= account <= ID_MAX for account in set(accounts)):
        return None
    amounts: list[str] = []
    classes: list[_Class] = []
    try:
        for row, amt, price, quantity in zip(transactions, stated_amts, prices, quantities, strict=True):
            codes = row.tran_type, row.market, row.io_type, row.business_type, row.business_sub_type
            is_priced = price is not None and quantity is not None
            class_ = _classify(*codes, is_priced=is_priced, is_negative=amt[0] == "-")
            classes.append(class_)
            amounts.append(f"-{amt}" if class_.is_out and amt[0] != "-" and amt.strip("0.") else amt)
        # A row with conversion fields is rare and complicated: `to_flow` decides what they mean.
        conversions = {index: to_flow(row) for index, row in enumerate(transactions) if _has_fx_fields(row)}
    except WireError:
        return None
    legs = {index: flow.fx for index, flow in conversions.items() if flow.fx}
    details = [class_.detail for class_ in classes]
    for index, flow in conversions.items():
        details[index] = _encode(flow.detail).decode()
    subaccounts = {account: "" if account is None else str(account) for account in set(accounts)}
    id_suffixes = {account: f".{name}" if name else "" for account, name in subaccounts.items()}
    return FlowColumns(
        identity=[f"{id_:0{ID_DIGITS}}{id_suffixes[account]}" for id_, account in zip(ids, accounts, strict=True)],
        at_us=at_us,
        subaccount=[subaccounts[account] for account in accounts],
        amount=amounts,
        currency=currencies,
        direction=[class_.direction for class_ in classes],
        kind=[class_.kind for class_ in classes],
        category=[class_.category for class_ in classes],
        label=[class_.label for class_ in classes],
        balance_after=balances,
        settled_at_us=settled_at_us,
        ref=list(map(str, ids)),
        symbol=[kinds.symbol_of(or_none(row.product_code), or_none(row.market)) for row in transactions],
        name=[or_none(row.product_name) for row in transactions],
        price=prices,
        quantity=quantities,
        note=[or_none(row.remarks) for row in transactions],
        detail=details,
        fx_currency=_column(len(rows), {index: fx.currency for index, fx in legs.items()}),
        fx_amount=_column(len(rows), {index: to_plain_string(fx.amount) for index, fx in legs.items()}),
        fx_rate=_column(len(rows), {index: to_plain_string(fx.rate) for index, fx in legs.items()}),
    )


class _Class(NamedTuple):
    """What the codes of a row classify it as. `detail` is JSON."""

    direction: str
    is_out: bool
    kind: str
    category: str
    label: str
    detail: str | None


@lru_cache(10_000)
def _classify(
    tran_type: Text,
    market: Text,
    io_type: str,
    business_type: Text,
    business_sub_type: Text,
    *,
    is_priced: bool,
    is_negative: bool,
) -> _Class:
    """Classify a row by its codes. Cached, because an account has few combinations. Raises WireError."""
    direction = parse_choice("io_type", io_type, kinds.DIRECTIONS)
    type_, sub_type = or_none(business_type), or_none(business_sub_type)
    detail = _class_detail(or_none(tran_type), or_none(market), io_type, type_, sub_type, is_negative=is_negative)
    return _Class(
        direction=direction.value,
        is_out=direction is Direction.OUT,
        kind=kinds.kind_of(type_, sub_type, is_priced=is_priced).value,
        category=_category(type_).value,
        label=kinds.label_of(or_none(tran_type), type_, sub_type),
        detail=_encode(detail).decode(),
    )


def _settled_us(rows: Sequence[Transaction]) -> list[int | None] | None:
    """The settlement times in microseconds. None: one of them is out of range."""
    dates = [or_none(row.sett_date) for row in rows]
    known = [date for date in dates if date is not None]
    times_us = steps_to_us(known, RULES.resolution) if known else []
    if times_us is None:
        return None
    settled = iter(times_us)
    return [None if date is None else next(settled) for date in dates]


def _column(rows: int, values: Mapping[int, str]) -> list[str | None] | None:
    """A column of so many rows from the values that some of them have, by their index. None: no row has one."""
    return [values.get(index) for index in range(rows)] if values else None


def _has_fx_fields(row: Transaction) -> bool:
    return not (row.fx_ccy is row.fx_currency is row.fx_amt is row.fx_rate is UNSET)


def _id(field: str, value: Whole) -> int | None:
    if value is UNSET or value is None:
        return None
    if not 0 <= value <= ID_MAX:
        raise WireError(field, f"expected an integer from 0 to {ID_MAX}, got {short_repr(value)}")
    return value


def _currency(field: str, value: Text) -> str | None:
    text = or_none(value)
    return parse_currency(field, text) if text else text


# ---------------------------------------------------------------- writing


class _Codes(NamedTuple):
    """The provider's codes for a row that is written. None is left out."""

    tran_type: str | None
    market: str | None
    io_type: str
    fx_ccy: str | None
    fx_currency: str | None
    remarks: str | None
    business_type: str | None
    business_sub_type: str | None


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md says which fields of a flow this wire does not have."""
    del language  # this wire has codes, which are not translated
    detail = flow.detail or {}
    codes = _received_codes(flow, detail) if kinds.IO_TYPE in detail else _codes_for(flow)
    return _encode(
        Transaction(
            id=_integer(flow.ref) or 0,
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


def _received_codes(flow: Flow, detail: Mapping[str, object]) -> _Codes:
    """The codes of a row that was received from this provider."""
    stated = {name: str(value) for name, value in detail.items()}
    return _Codes(
        tran_type=stated.get(kinds.TRAN_TYPE),
        market=stated.get(kinds.MARKET),
        io_type=stated[kinds.IO_TYPE],
        fx_ccy=flow.fx.currency if flow.fx else stated.get(kinds.FX_CCY),
        fx_currency=stated.get(kinds.FX_CURRENCY),
        remarks=flow.note,
        business_type=stated.get(kinds.BUSINESS_TYPE),
        business_sub_type=stated.get(kinds.BUSINESS_SUB_TYPE),
    )


def _codes_for(flow: Flow) -> _Codes:
    """The codes for a flow from another provider."""
    return _Codes(
        tran_type=kinds.CASH,
        market=kinds.market_for(flow.symbol),
        io_type=side_of(flow).value,
        fx_ccy=flow.fx.currency if flow.fx else None,
        fx_currency=None,
        remarks=flow.note or flow.label or None,
        business_type=kinds.business_type_for(flow),
        business_sub_type=flow.kind.value,
    )


def _received_number(detail: Mapping[str, object], name: str) -> Number:
    """A number that Flow.detail keeps as text."""
    return Raw(str(detail[name]).encode()) if name in detail else UNSET


def _integer(text: str | None) -> int | None:
    """A number that can be an id on this wire. None: it is another provider's text."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > ID_DIGITS:
        return None
    number = int(text)
    return number if str(number) == text and number <= ID_MAX else None


def _or_unset(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value
