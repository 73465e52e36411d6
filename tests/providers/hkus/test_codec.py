"""The codec: exact round trips of rows, identities, and named faults."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import WireError
from liushui.flow import Category, Direction, Flow, Fx, Kind
from liushui.instant import EPOCH
from liushui.providers.hkus import codec
from liushui.providers.hkus.wire import Transaction
from tests.providers.hkus.rows import (
    FIELDS,
    ID_MAX,
    MISSING,
    NUMBERS,
    REQUIRED,
    Literal,
    Row,
    numbers,
    row,
    rows,
    unwire,
    wire,
)

# ---------------------------------------------------------------- rows survive


def flow_of(**changes: object) -> Flow:
    """The flow in a row."""
    return codec.read(wire(row(**changes))).flow


@given(values=rows)
def test_a_row_survives_to_the_byte(values: Row) -> None:
    """Field by field, in the table's order, each number with the digits and zeros it came with."""
    written = codec.write(codec.read(wire(values)).flow)
    assert unwire(written) == values
    assert list(unwire(written)) == list(values)


@given(values=rows)
def test_what_was_written_is_the_same_flow(values: Row) -> None:
    flow = codec.read(wire(values)).flow
    assert repr(codec.read(codec.write(flow)).flow) == repr(flow)


@given(data=st.data(), values=rows)
def test_the_order_of_fields_is_not_a_part_of_it(data: st.DataObject, values: Row) -> None:
    names = data.draw(st.permutations(list(values)))
    shuffled = {name: values[name] for name in names} | {"more": {"amt": 1}}
    came = wire(shuffled)
    received = codec.read(came)
    assert (received.row, received.served) == (came, None)
    assert received.flow == codec.read(wire(values)).flow


@given(values=rows)
def test_nothing_in_a_row_is_lost_on_the_way_to_a_flow(values: Row) -> None:
    flow = codec.read(wire(values)).flow
    assert format(flow.amount.copy_abs(), "f") == values["amt"].removeprefix("-")
    assert (flow.at - EPOCH).total_seconds() == values["date"]
    assert flow.at.tzinfo is UTC
    assert (flow.currency, flow.direction) == (values["base_currency"], values["io_type"])
    assert (flow.name, flow.note) == (values.get("product_name"), values.get("remarks"))
    for name, known in (("balance", flow.balance_after), ("price", flow.price), ("qty", flow.quantity)):
        assert values.get(name) == (None if known is None else format(known, "f"))


def test_the_fields_are_the_ones_tests_know() -> None:
    assert Transaction.__struct_fields__ == FIELDS


# ---------------------------------------------------------------- what is read


def test_the_documents_row() -> None:
    """document: "Sample Success Response", its one transaction."""
    flow = flow_of()
    assert flow == Flow(
        identity=flow.identity,
        at=datetime(2025, 5, 9, 7, 21, 57, tzinfo=UTC),
        amount=Decimal("-1500.0"),
        currency="USD",
        direction=Direction.OUT,
        kind=Kind.TRADE,
        category=Category.STOCK,
        label="us_stock",
        balance_after=Decimal("8500.0"),
        settled_at=datetime(2025, 5, 9, 7, 21, 57, tzinfo=UTC),
        symbol="AAPL.US",
        name="Apple Inc.",
        price=Decimal("150.0"),
        quantity=Decimal(10),
        note="Equity trade",
        detail={
            "hkus:tran_type": "cash",
            "hkus:market": "usex",
            "hkus:io_type": "out",
            "hkus:business_type": "us_stock",
            "hkus:business_sub_type": "not",
            "hkus:fx_ccy": "USD",
            "hkus:fx_amt": "1500.0",
            "hkus:fx_rate": "1.0",
        },
    )


@pytest.mark.parametrize(
    ("io_type", "amt", "amount", "is_flagged"),
    [
        ("in", "1500.0", "1500.0", False),
        ("out", "1500.0", "-1500.0", False),
        ("in", "0.00", "0.00", False),
        ("out", "0.00", "0.00", False),
        ("in", "-1500.0", "-1500.0", True),
        ("out", "-1500.0", "-1500.0", True),
        ("in", "-0.0", "-0.0", True),
        ("out", "-0.0", "-0.0", True),
    ],
)
def test_the_amount_is_a_magnitude_and_its_side_io_type(io_type: str, amt: str, amount: str, is_flagged: bool) -> None:
    """document: `amt` Transaction amount, `io_type` Cash flow direction."""
    flow = flow_of(io_type=io_type, amt=Literal(amt))
    assert (format(flow.amount, "f"), flow.direction) == (amount, io_type)
    assert flow.detail is not None
    assert flow.detail.get("hkus:negative_amt") is (True if is_flagged else None)


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("150.0", "150.0"),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("1E+2", "100"),
        ("1.50e1", "15.0"),
        ("1e-3", "0.001"),
        ("0e5", "0"),
        ("-0.0", "-0.0"),
        ("1e99", f"1{'0' * 99}"),
        ("9" * 100, "9" * 100),
    ],
)
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_read_from_their_literals(name: str, literal: str, expected: str) -> None:
    """An exponent is written out, and written so again."""
    changed = row(**{name: Literal(literal), "io_type": "in"})
    assert unwire(codec.write(codec.read(wire(changed)).flow))[name] == expected


@pytest.mark.parametrize(
    ("changes", "kind", "category", "label"),
    [
        ({}, Kind.TRADE, Category.STOCK, "us_stock"),
        ({"business_type": "hk_stock"}, Kind.TRADE, Category.STOCK, "hk_stock"),
        ({"business_type": "other"}, Kind.OTHER, Category.OTHER, "other"),
        ({"business_type": "sg_stock"}, Kind.OTHER, Category.OTHER, "sg_stock"),
        ({"business_type": MISSING}, Kind.OTHER, Category.OTHER, "cash"),
        ({"business_type": "", "tran_type": MISSING}, Kind.OTHER, Category.OTHER, ""),
        ({"price": MISSING}, Kind.OTHER, Category.STOCK, "us_stock"),
        ({"qty": None}, Kind.OTHER, Category.STOCK, "us_stock"),
        ({"business_sub_type": MISSING}, Kind.TRADE, Category.STOCK, "us_stock"),
        ({"business_sub_type": "dividend"}, Kind.DIVIDEND, Category.STOCK, "dividend"),
        ({"business_sub_type": "cash_div"}, Kind.OTHER, Category.STOCK, "cash_div"),
        ({"business_type": "other", "business_sub_type": "deposit"}, Kind.DEPOSIT, Category.OTHER, "deposit"),
    ],
)
def test_kinds_categories_and_labels(changes: Row, kind: Kind, category: Category, label: str) -> None:
    flow = flow_of(**changes)
    assert (flow.kind, flow.category, flow.label) == (kind, category, label)


@pytest.mark.parametrize("name", ["tran_type", "market", "business_type", "business_sub_type"])
@pytest.mark.parametrize("word", ["cash", "never heard of", "", "流水"])
def test_a_code_that_is_not_known_passes_through(name: str, word: str) -> None:
    """document: "see … enum", of lists that it does not print."""
    flow = flow_of(**{name: word})
    assert flow.detail is not None
    assert flow.detail[f"hkus:{name}"] == word


@pytest.mark.parametrize(
    ("market", "code", "symbol"),
    [
        ("usex", "AAPL", "AAPL.US"),
        ("hkex", "700", "700.HK"),
        ("usex", "BRK.B", "BRK.B.US"),
        ("sgex", "D05", "D05"),
        ("", "AAPL", "AAPL"),
        (MISSING, "AAPL", "AAPL"),
        ("usex", "", ""),
        ("usex", None, None),
        (None, MISSING, None),
    ],
)
def test_symbols(market: object, code: object, symbol: str | None) -> None:
    assert flow_of(market=market, product_code=code).symbol == symbol


@pytest.mark.parametrize(
    ("changes", "fx"),
    [
        ({}, None),
        ({"fx_rate": Literal("1")}, None),
        ({"fx_rate": Literal("1.01")}, Fx("USD", Decimal("1500.0"), Decimal("1.01"))),
        ({"fx_ccy": "HKD"}, Fx("HKD", Decimal("1500.0"), Decimal("1.0"))),
        ({"fx_ccy": MISSING, "fx_currency": "HKD"}, Fx("HKD", Decimal("1500.0"), Decimal("1.0"))),
        ({"fx_ccy": "", "fx_currency": "HKD"}, Fx("HKD", Decimal("1500.0"), Decimal("1.0"))),
        ({"fx_ccy": "HKD", "fx_currency": "HKD"}, Fx("HKD", Decimal("1500.0"), Decimal("1.0"))),
        ({"fx_ccy": "HKD", "fx_currency": "CNH"}, None),
        ({"fx_ccy": "HKD", "fx_amt": MISSING}, None),
        ({"fx_ccy": "HKD", "fx_rate": None}, None),
        ({"fx_ccy": MISSING, "fx_rate": Literal("7.8")}, None),
    ],
)
def test_the_other_leg_of_a_conversion(changes: Row, fx: Fx | None) -> None:
    """document: its sample has `fx_ccy`, its table `fx_currency`."""
    flow = flow_of(**changes)
    assert flow.fx == fx
    kept = {name for name in flow.detail or {} if ":fx_" in name}
    assert bool(kept) is (fx is None)


# ---------------------------------------------------------------- identity


def identity(**changes: object) -> str:
    return flow_of(**changes).identity


@given(values=rows, other=rows)
def test_an_id_identifies_with_or_without_its_account(values: Row, other: Row) -> None:
    shared = {"id": values["id"] or 7}
    assert codec.read(wire(values | shared)).flow.identity == codec.read(wire(other | shared)).flow.identity


@given(
    left=st.tuples(st.integers(1, ID_MAX), st.integers(0, ID_MAX)),
    right=st.tuples(st.integers(1, ID_MAX), st.integers(0, ID_MAX)),
)
def test_identities_have_the_order_of_ids(left: tuple[int, int], right: tuple[int, int]) -> None:
    texts = [identity(id=id_, account_id=account) for id_, account in (left, right)]
    assert (texts[0] == texts[1]) is (left[0] == right[0])
    if left[0] != right[0]:
        assert (texts[0] < texts[1]) is (left[0] < right[0])


@pytest.mark.parametrize("none", [0, None, MISSING])
def test_no_id_is_a_digest_of_the_facts(none: object) -> None:
    """document: `"id": 0` in its sample. It never changes: ledgers know rows by it."""
    assert identity(id=none) == "9dc8947e96dca9014454377a8a82a8d9"
    assert flow_of(id=none).ref is None


def test_an_id_with_and_without_an_account() -> None:
    assert identity(id=1000009) == identity(id=1000009, account_id=88001) == "0000000000001000009"
    assert flow_of(id=1000009, account_id=88001).ref == "1000009"
    assert flow_of(account_id=88001).subaccount == "88001"


@given(data=st.data(), values=rows, other=rows)
def test_every_fact_makes_another_row_where_there_is_no_id(data: st.DataObject, values: Row, other: Row) -> None:
    name = data.draw(st.sampled_from([field for field in FIELDS if field not in ("id", "product_name", "fx_currency")]))
    changed = {**values, name: other[name]} if name in other else {k: v for k, v in values.items() if k != name}
    same = (values.get(name) or None) == (other.get(name) or None) and (values.get(name) == 0) == (other.get(name) == 0)
    digests = [codec.read(wire(known | {"id": 0})).flow.identity for known in (values, changed)]
    assert (digests[0] == digests[1]) is same


@pytest.mark.parametrize("name", ["Apple", None, MISSING, "蘋果"])
def test_a_translated_name_is_the_same_flow(name: object) -> None:
    assert identity(product_name=name) == identity()


@pytest.mark.parametrize("name", ["tran_type", "market", "product_code", "fx_ccy", "remarks", "business_type"])
def test_no_text_is_one_value_however_it_is_written(name: str) -> None:
    assert identity(**{name: ""}) == identity(**{name: None}) == identity(**{name: MISSING})


def test_two_other_currencies_are_both_kept() -> None:
    """document: the sample says `fx_ccy`, the table `fx_currency`. Which of two that differ holds, nobody can say."""
    contradictory = row(fx_ccy="HKD", fx_currency="CNH")
    assert codec.write(codec.read(wire(contradictory)).flow) == wire(contradictory)
    assert identity(fx_ccy="HKD", fx_currency="CNH") != identity(fx_ccy="HKD") != identity(fx_ccy="CNH")


def test_both_names_of_the_other_currency_are_one_fact() -> None:
    assert identity(fx_ccy=MISSING, fx_currency="USD") == identity(fx_ccy="USD", fx_currency="USD") == identity()


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("none", [MISSING, None])
def test_a_field_that_has_to_be_there(name: str, none: object) -> None:
    with pytest.raises(WireError) as caught:
        flow_of(**{name: none})
    assert caught.value.field == name


@pytest.mark.parametrize("name", [field for field in FIELDS if field not in REQUIRED])
def test_a_field_that_need_not_be_there(name: str) -> None:
    assert flow_of(**{name: MISSING}) == flow_of(**{name: None})


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [True, [], {"a": 1}, Literal("1.5"), "x", 1])
def test_a_field_of_another_type_is_named(name: str, value: object) -> None:
    """document: the column Type of "Response Fields"."""
    fits: type = int if name in ("id", "account_id", "date", "sett_date") else str
    legal = type(value) in (int, Literal) if name in NUMBERS else type(value) in (fits, int) and name != "io_type"
    if legal:
        flow_of(**{name: value})
        return
    with pytest.raises(WireError) as caught:
        flow_of(**{name: value})
    assert caught.value.field == name
    assert "expected" in caught.value.reason
    assert "got" in caught.value.reason


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"io_type": "IN"}, "io_type: expected in or out, got 'IN'"),
        ({"io_type": ""}, "io_type: expected in or out, got ''"),
        ({"amt": "1.5e3"}, 'amt: expected a number, got "1.5e3"'),
        ({"amt": "NaN"}, 'amt: expected a number, got "NaN"'),
        ({"amt": None}, "amt: expected a number, got null"),
        ({"amt": [1]}, "amt: expected a number, got [1]"),
        ({"amt": MISSING}, "amt: expected, but missing"),
        ({"amt": Literal("1e101")}, "amt: expected a number of at most 100 digits, got '1e101'"),
        ({"amt": Literal("1e-101")}, "amt: expected a number of at most 100 digits, got '1e-101'"),
        ({"amt": Literal("1e100")}, "amt: expected at most 100 digits, got 101 characters"),
        (
            {"price": Literal("1e99999999999999999999")},
            "price: expected a number of at most 100 digits, got '1e99999999999999999999'",
        ),
        ({"date": Literal("1.5")}, "date: expected an integer, got 1.5"),
        ({"date": "2025-05-09"}, 'date: expected an integer, got "2025-05-09"'),
        ({"date": 1746775317000}, "date: expected Unix seconds of the years 1 to 9999, got 1746775317000"),
        ({"date": 253402300800}, "date: expected Unix seconds of the years 1 to 9999, got 253402300800"),
        ({"sett_date": -62135596801}, "sett_date: expected Unix seconds of the years 1 to 9999, got -62135596801"),
        ({"base_currency": ""}, "base_currency: expected a code of 1 to 32 characters, got ''"),
        ({"fx_ccy": "X" * 33}, f"fx_ccy: expected a code of 1 to 32 characters, got '{'X' * 33}'"),
        ({"fx_currency": "X" * 33}, f"fx_currency: expected a code of 1 to 32 characters, got '{'X' * 33}'"),
        ({"id": -1}, f"id: expected an integer from 0 to {ID_MAX}, got -1"),
        ({"id": ID_MAX + 1}, f"id: expected an integer from 0 to {ID_MAX}, got {ID_MAX + 1}"),
        ({"account_id": -1}, f"account_id: expected an integer from 0 to {ID_MAX}, got -1"),
        ({"account_id": "A1"}, 'account_id: expected an integer or null, got "A1"'),
    ],
)
def test_the_field_that_does_not_fit_is_named(fault: Row, message: str) -> None:
    with pytest.raises(WireError) as caught:
        flow_of(**fault)
    assert str(caught.value) == message
    assert caught.value.field == next(iter(fault))


@pytest.mark.parametrize("name", [field for field in FIELDS if field != "fx_currency"])
@pytest.mark.parametrize("others", [{}, {"venue": "a:b"}, {"remarks": "16:00:00"}, {"sett_date": MISSING}])
def test_a_field_that_stands_twice_is_named(name: str, others: Row) -> None:
    """Which of the two would hold? However many other fields are there."""
    values = row(account_id=1, **others)
    for again in (name, rf"\u{ord(name[0]):04x}{name[1:]}"):
        twice = wire(values)[:-1] + f',"{again}":{json.dumps(row(account_id=1)[name])}}}'.encode()
        if name not in values:
            assert codec.read(twice)
            continue
        with pytest.raises(WireError) as caught:
            codec.read(twice)
        assert str(caught.value) == f"{name}: expected once, but found twice"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "expected a JSON object, got an empty body"),
        (b"7", "expected a JSON object, got '7'"),
        (b"null", "expected a JSON object, got 'null'"),
        (b"\xff\xfe", "expected a JSON object, got"),
        (wire(row())[:-1], "expected a JSON object, got"),
        (wire(row()) + b"x", "expected a JSON object, got"),
        (wire(row())[:-1] + b',"more":"\xff"}', "expected a JSON object, got"),
        (wire(row(amt=Literal("01"))), "expected a JSON object, got"),
        (wire(row(amt=Literal("NaN"))), "expected a JSON object, got"),
        (b'{"more":' + b"[" * 100_000, "expected a JSON object, got"),
    ],
)
def test_what_is_not_a_row_is_named_so(bad: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        codec.read(bad)
    assert caught.value.field == "row"
    assert caught.value.reason.startswith(reason)
    assert len(str(caught.value)) < 300


@given(data=st.data(), values=rows)
def test_any_damage_is_read_or_named(data: st.DataObject, values: Row) -> None:
    damaged = bytearray(wire(values))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        flow = codec.read(bytes(damaged)).flow
    except WireError as error:
        assert error.field in {*FIELDS, "row"}
    else:
        assert codec.read(codec.write(flow)).flow == flow


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(changes=st.dictionaries(st.sampled_from(FIELDS), _json | numbers, max_size=3))
def test_any_values_are_read_or_named(changes: dict[str, Any]) -> None:
    try:
        flow = flow_of(**changes)
    except WireError as error:
        assert error.field in changes
    else:
        assert codec.read(codec.write(flow)).flow == flow
