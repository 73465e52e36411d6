"""HK and US securities, wire <-> canonical. Pure: no I/O, no clock. Field table and identity: MAPPING.md."""

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
from liushui.providers.hkus import words
from liushui.providers.hkus.answers import data_of, page_of
from liushui.providers.hkus.rules import RULES
from liushui.providers.hkus.wire import Number, Text, Transaction, Whole, literal_of, number_of, texts_of
from liushui.wire.decoding import RowReader, are_currencies, identity_digest, or_none, parse_choice, parse_currency
from liushui.wire.ranges import parse_steps, steps_to_us, to_steps
from liushui.wire.transport import Answer

T = TypeVar("T")

ID_MAX: Final = 2**63 - 1
ID_DIGITS: Final = len(str(ID_MAX))

_row = RowReader(Transaction, "a transaction")
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """The rows of one answer. Raises WireError, or ProviderError by class where the answer is an error."""
    return [bytes(row) for row in page_of(data_of(Answer(200, {}, document))).transactions]


# ---------------------------------------------------------------- reading


class _Facts(NamedTuple):
    """What a row says, checked; None is what it does not say. A row without an id is known by all of them."""

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
    """Only where it contradicts fx_ccy."""
    fx_amt: Decimal | None
    fx_rate: Decimal | None
    remarks: str | None
    business_type: str | None
    business_sub_type: str | None


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that does not fit."""
    return DecodedRow(to_flow(_row.read(row)), row, None)


def to_flow(row: Transaction) -> Flow:
    """Read one row. Raises WireError naming the field that does not fit."""
    facts = _facts(row)
    record_id, side, fx = _id("id", row.id), words.SIDES[facts.io_type], _fx(facts)
    return Flow(
        identity=_identity(record_id, facts),
        at=parse_steps("date", facts.date, RULES.resolution),
        amount=_signed(facts.amt, side),
        currency=facts.base_currency,
        direction=side,
        kind=words.kind_of(
            facts.business_type,
            facts.business_sub_type,
            is_priced=facts.price is not None and facts.qty is not None,
        ),
        category=_category(facts.business_type),
        label=words.label_of(facts.tran_type, facts.business_type, facts.business_sub_type),
        subaccount="" if facts.account_id is None else str(facts.account_id),
        balance_after=facts.balance,
        settled_at=None if facts.sett_date is None else parse_steps("sett_date", facts.sett_date, RULES.resolution),
        ref=str(record_id) if record_id else None,
        symbol=words.symbol_of(facts.product_code, facts.market),
        name=or_none(row.product_name),
        price=facts.price,
        quantity=facts.qty,
        note=facts.remarks,
        fx=fx,
        detail=_detail(facts, fx),
    )


def _facts(row: Transaction) -> _Facts:
    amt = number_of("amt", row.amt)
    if amt is None:
        raise WireError("amt", "expected a number, got null")
    parse_choice("io_type", row.io_type, words.SIDES)
    fx_ccy, fx_currency = _currency("fx_ccy", row.fx_ccy), _currency("fx_currency", row.fx_currency)
    return _Facts(
        account_id=_id("account_id", row.account_id),
        tran_type=or_none(row.tran_type),
        date=row.date,
        sett_date=None if row.sett_date is UNSET else row.sett_date,
        base_currency=parse_currency("base_currency", row.base_currency),
        market=or_none(row.market),
        product_code=or_none(row.product_code),
        price=number_of("price", row.price),
        qty=number_of("qty", row.qty),
        amt=amt,
        balance=number_of("balance", row.balance),
        io_type=row.io_type,
        fx_ccy=fx_ccy or fx_currency or fx_ccy,
        fx_currency=fx_currency if fx_ccy and fx_currency and fx_currency != fx_ccy else None,
        fx_amt=number_of("fx_amt", row.fx_amt),
        fx_rate=number_of("fx_rate", row.fx_rate),
        remarks=or_none(row.remarks),
        business_type=or_none(row.business_type),
        business_sub_type=or_none(row.business_sub_type),
    )


def _identity(record_id: int | None, facts: _Facts) -> str:
    """The record's id, in the order of numbers, and its account; of a row without one a digest of its facts."""
    if record_id:
        account = "" if facts.account_id is None else f".{facts.account_id}"
        return f"{record_id:0{ID_DIGITS}}{account}"
    values = [to_plain_string(fact) if isinstance(fact, Decimal) else None if fact == "" else fact for fact in facts]
    return identity_digest(values)


def _category(business_type: str | None) -> Category:
    return Category.STOCK if business_type in words.STOCKS else Category.OTHER


def _signed(amt: Decimal, side: Direction) -> Decimal:
    """The magnitude with its side's sign; a number that has a sign of its own as it is."""
    return amt.copy_negate() if side is Direction.OUT and amt > 0 else amt


def _fx(facts: _Facts) -> Fx | None:
    """The other leg, where the row states all of one: the same currency at a rate of 1 is no conversion, and of two
    currencies nobody can say which holds."""
    if not facts.fx_ccy or facts.fx_currency or facts.fx_amt is None or facts.fx_rate is None:
        return None
    if facts.fx_ccy == facts.base_currency and facts.fx_rate == 1:
        return None
    return Fx(facts.fx_ccy, facts.fx_amt, facts.fx_rate)


def _detail(facts: _Facts, fx: Fx | None) -> dict[str, object]:
    """What no other provider has, in the row's own words; numbers as text. What the row does not say is left out."""
    detail = _own_detail(
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
                words.FX_CCY: facts.fx_ccy,
                words.FX_CURRENCY: facts.fx_currency,
                words.FX_AMT: None if facts.fx_amt is None else to_plain_string(facts.fx_amt),
                words.FX_RATE: None if facts.fx_rate is None else to_plain_string(facts.fx_rate),
            }
        )
    return detail


def _own_detail(
    tran_type: str | None,
    market: str | None,
    io_type: str,
    business_type: str | None,
    business_sub_type: str | None,
    *,
    is_negative: bool,
) -> dict[str, object]:
    """The words of a row, and whether its amount had a sign of its own."""
    return _stated(
        {
            words.TRAN_TYPE: tran_type,
            words.MARKET: market,
            words.IO_TYPE: io_type,
            words.BUSINESS_TYPE: business_type,
            words.BUSINESS_SUB_TYPE: business_sub_type,
            words.NEGATIVE_AMT: True if is_negative else None,
        }
    )


def _stated(detail: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in detail.items() if value is not None}


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """What `read` says of rows that all have an id, and no number with an exponent."""
    found = _row.read_many(rows)
    if found is None:
        return None
    ids = [row.id for row in found if isinstance(row.id, int) and 0 < row.id <= ID_MAX]
    accounts = [or_none(row.account_id) for row in found]
    currencies = [row.base_currency for row in found]
    amts, balances, prices, quantities = (
        texts_of(numbers)
        for numbers in zip(*[(row.amt, row.balance, row.price, row.qty) for row in found], strict=True)
    )
    at_us = steps_to_us([row.date for row in found], RULES.resolution)
    settled_at_us = _settled_us(found)
    if (
        at_us is None
        or settled_at_us is None
        or amts is None
        or balances is None
        or prices is None
        or quantities is None
    ):
        return None
    stated_amts = [amt for amt in amts if amt is not None]
    if not len(ids) == len(stated_amts) == len(found) or not are_currencies(currencies):
        return None
    if not all(account is None or 0 <= account <= ID_MAX for account in set(accounts)):
        return None
    amounts: list[str] = []
    said: list[_Said] = []
    try:
        for row, amt, price, quantity in zip(found, stated_amts, prices, quantities, strict=True):
            about = row.tran_type, row.market, row.io_type, row.business_type, row.business_sub_type
            is_priced = price is not None and quantity is not None
            one = _said(*about, is_priced=is_priced, is_negative=amt[0] == "-")
            said.append(one)
            amounts.append(f"-{amt}" if one.is_out and amt[0] != "-" and amt.strip("0.") else amt)
        converted = {place: to_flow(row) for place, row in enumerate(found) if _names_another_currency(row)}
    except WireError:
        return None
    legs = {place: flow.fx for place, flow in converted.items() if flow.fx}
    details = [one.detail for one in said]
    for place, flow in converted.items():
        details[place] = _encode(flow.detail).decode()
    names = {account: "" if account is None else str(account) for account in set(accounts)}
    ends = {account: f".{name}" if name else "" for account, name in names.items()}
    return FlowColumns(
        identity=[f"{id_:0{ID_DIGITS}}{ends[account]}" for id_, account in zip(ids, accounts, strict=True)],
        at_us=at_us,
        subaccount=[names[account] for account in accounts],
        amount=amounts,
        currency=currencies,
        direction=[one.direction for one in said],
        kind=[one.kind for one in said],
        category=[one.category for one in said],
        label=[one.label for one in said],
        balance_after=balances,
        settled_at_us=settled_at_us,
        ref=list(map(str, ids)),
        symbol=[words.symbol_of(or_none(row.product_code), or_none(row.market)) for row in found],
        name=[or_none(row.product_name) for row in found],
        price=prices,
        quantity=quantities,
        note=[or_none(row.remarks) for row in found],
        detail=details,
        fx_currency=_legs(len(found), {place: fx.currency for place, fx in legs.items()}),
        fx_amount=_legs(len(found), {place: to_plain_string(fx.amount) for place, fx in legs.items()}),
        fx_rate=_legs(len(found), {place: to_plain_string(fx.rate) for place, fx in legs.items()}),
    )


class _Said(NamedTuple):
    """What the words of a row say; `detail` as JSON."""

    direction: str
    is_out: bool
    kind: str
    category: str
    label: str
    detail: str | None


@lru_cache(10_000)
def _said(
    tran_type: Text,
    market: Text,
    io_type: str,
    business_type: Text,
    business_sub_type: Text,
    *,
    is_priced: bool,
    is_negative: bool,
) -> _Said:
    """What words say, of which an account has few. Raises WireError."""
    side = parse_choice("io_type", io_type, words.SIDES)
    type_, sub_type = or_none(business_type), or_none(business_sub_type)
    detail = _own_detail(or_none(tran_type), or_none(market), io_type, type_, sub_type, is_negative=is_negative)
    return _Said(
        direction=side.value,
        is_out=side is Direction.OUT,
        kind=words.kind_of(type_, sub_type, is_priced=is_priced).value,
        category=_category(type_).value,
        label=words.label_of(or_none(tran_type), type_, sub_type),
        detail=_encode(detail).decode(),
    )


def _settled_us(rows: Sequence[Transaction]) -> list[int | None] | None:
    """When each settled. None: one of the times cannot be read."""
    dates = [or_none(row.sett_date) for row in rows]
    known = [date for date in dates if date is not None]
    times_us = steps_to_us(known, RULES.resolution) if known else []
    if times_us is None:
        return None
    settled = iter(times_us)
    return [None if date is None else next(settled) for date in dates]


def _legs(rows: int, by_row: Mapping[int, str]) -> list[str | None] | None:
    """The column of what some rows state."""
    return [by_row.get(place) for place in range(rows)] if by_row else None


def _names_another_currency(row: Transaction) -> bool:
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


class _Words(NamedTuple):
    """What a row says in words of this dialect. None is left out."""

    tran_type: str | None
    market: str | None
    io_type: str
    fx_ccy: str | None
    fx_currency: str | None
    remarks: str | None
    business_type: str | None
    business_sub_type: str | None


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. What this wire cannot say is left out: MAPPING.md."""
    del language  # this wire has codes, which are not translated
    detail = flow.detail or {}
    said = _own_words(flow, detail) if words.IO_TYPE in detail else _words_for(flow)
    return _encode(
        Transaction(
            id=_whole(flow.ref) or 0,
            account_id=_or_unset(_whole(flow.subaccount)),
            tran_type=_or_unset(said.tran_type),
            date=to_steps(flow.at, RULES.resolution),
            sett_date=UNSET if flow.settled_at is None else to_steps(flow.settled_at, RULES.resolution),
            base_currency=flow.currency,
            market=_or_unset(said.market),
            product_code=_or_unset(words.product_of(flow.symbol, said.market)),
            product_name=_or_unset(flow.name),
            price=literal_of(flow.price),
            qty=literal_of(flow.quantity),
            amt=Raw(to_plain_string(flow.amount if words.NEGATIVE_AMT in detail else flow.amount.copy_abs()).encode()),
            balance=literal_of(flow.balance_after),
            io_type=said.io_type,
            fx_ccy=_or_unset(said.fx_ccy),
            fx_currency=_or_unset(said.fx_currency),
            fx_amt=literal_of(flow.fx.amount) if flow.fx else _kept(detail, words.FX_AMT),
            fx_rate=literal_of(flow.fx.rate) if flow.fx else _kept(detail, words.FX_RATE),
            remarks=_or_unset(said.remarks),
            business_type=_or_unset(said.business_type),
            business_sub_type=_or_unset(said.business_sub_type),
        )
    )


def _own_words(flow: Flow, detail: Mapping[str, object]) -> _Words:
    """The words of a row that was received here."""
    stated = {name: str(value) for name, value in detail.items()}
    return _Words(
        tran_type=stated.get(words.TRAN_TYPE),
        market=stated.get(words.MARKET),
        io_type=stated[words.IO_TYPE],
        fx_ccy=flow.fx.currency if flow.fx else stated.get(words.FX_CCY),
        fx_currency=stated.get(words.FX_CURRENCY),
        remarks=flow.note,
        business_type=stated.get(words.BUSINESS_TYPE),
        business_sub_type=stated.get(words.BUSINESS_SUB_TYPE),
    )


def _words_for(flow: Flow) -> _Words:
    """The words for a flow from elsewhere."""
    return _Words(
        tran_type=words.CASH,
        market=words.market_for(flow.symbol),
        io_type=side_of(flow).value,
        fx_ccy=flow.fx.currency if flow.fx else None,
        fx_currency=None,
        remarks=flow.note or flow.label or None,
        business_type=words.business_type_for(flow),
        business_sub_type=flow.kind.value,
    )


def _kept(detail: Mapping[str, object], name: str) -> Number:
    """A number that is kept as text."""
    return Raw(str(detail[name]).encode()) if name in detail else UNSET


def _whole(text: str | None) -> int | None:
    """A number that can stand as an id here; None for what is another provider's text."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > ID_DIGITS:
        return None
    number = int(text)
    return number if str(number) == text and number <= ID_MAX else None


def _or_unset(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value
