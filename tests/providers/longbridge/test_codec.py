"""The Longbridge codec: exact round trips of rows, identities, and named faults."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import EPOCH
from liushui.provider import UNSERVABLE
from liushui.providers._longbridge.codec import BUSINESS_TYPE
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.wire import CashFlow
from tests.providers.longbridge.rows import CODE_MAX, CODE_MIN, FIELDS, MISSING, Row, amounts, row, rows, times, wire

# ---------------------------------------------------------------- rows survive


@given(values=rows)
def test_a_row_survives_to_the_byte(values: Row) -> None:
    assert codec.write(codec.read(wire(values)).flow) == wire(values)


@given(data=st.data(), values=rows)
def test_the_order_of_fields_is_not_a_part_of_it(data: st.DataObject, values: Row) -> None:
    names = data.draw(st.permutations(FIELDS))
    shuffled = {name: values[name] for name in names} | {"more": {"balance": 1}}
    received = codec.read(json.dumps(shuffled, indent=1).encode())
    assert received.served is None
    assert received.flow == codec.read(wire(values)).flow
    assert json.loads(codec.write(received.flow)) == values


@given(values=rows)
def test_nothing_in_a_row_is_lost_on_the_way_to_a_flow(values: Row) -> None:
    flow = codec.read(wire(values)).flow
    assert format(flow.amount, "f") == values["balance"]
    assert (flow.at - EPOCH).total_seconds() == int(values["business_time"])
    assert flow.at.tzinfo is UTC
    assert (flow.label, flow.currency) == (values["transaction_flow_name"], values["currency"])
    assert (flow.symbol, flow.note) == (values["symbol"], values["description"])


def test_the_fields_are_the_ones_tests_know() -> None:
    assert CashFlow.__struct_fields__ == FIELDS


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize(("code", "side"), [(1, Direction.OUT), (2, Direction.IN)])
@pytest.mark.parametrize("balance", ["1.00", "-1.00", "0.00"])
def test_the_side_is_the_providers_and_the_sign_the_amounts(code: int, side: Direction, balance: str) -> None:
    flow = codec.read(wire(row(direction=code, balance=balance))).flow
    assert (flow.direction, flow.amount) == (side, Decimal(balance))


@pytest.mark.parametrize(
    ("code", "category", "kept"),
    [
        (1, Category.CASH, None),
        (2, Category.STOCK, None),
        (3, Category.FUND, None),
        ("3", Category.FUND, None),
        (0, Category.OTHER, 0),
        (7, Category.OTHER, 7),
        (-1, Category.OTHER, -1),
        (CODE_MIN, Category.OTHER, CODE_MIN),
        (CODE_MAX, Category.OTHER, CODE_MAX),
    ],
)
def test_business_types(code: int | str, category: Category, kept: int | None) -> None:
    flow = codec.read(wire(row(business_type=code))).flow
    assert flow.category is category
    assert flow.detail == (None if kept is None else {BUSINESS_TYPE: kept})


def test_an_unknown_name_is_kept_and_has_no_kind() -> None:
    flow = codec.read(wire(row(transaction_flow_name="CO Other FEE"))).flow
    assert (flow.label, flow.kind) == ("CO Other FEE", Kind.OTHER)


# ---------------------------------------------------------------- what official clients would refuse


@pytest.mark.parametrize(
    ("lenient", "served"),
    [
        ({"business_type": MISSING}, {"business_type": 0}),
        ({"business_type": "2"}, {"business_type": 2}),
        ({"direction": "1"}, {"direction": 1}),
        ({"symbol": MISSING}, {"symbol": None}),
        ({"description": MISSING}, {"description": ""}),
        ({"description": None}, {"description": ""}),
        (
            {"business_type": MISSING, "symbol": MISSING, "description": MISSING},
            {"business_type": 0, "symbol": None, "description": ""},
        ),
    ],
)
def test_a_lenient_row_is_served_as_clients_accept_it(lenient: Row, served: Row) -> None:
    came = wire(row(**lenient))
    received = codec.read(came)
    assert received.row == came
    assert received.served == wire(row(**served))


@given(values=rows)
def test_a_row_that_clients_accept_is_served_as_it_came(values: Row) -> None:
    assert codec.read(wire(values)).served is None


@given(values=rows)
def test_codes_as_text_are_the_same_flow(values: Row) -> None:
    business_type = values["business_type"]
    as_text = values | {"direction": str(values["direction"])}
    if 0 <= business_type < 10**9:
        as_text["business_type"] = str(business_type)
    assert codec.read(wire(as_text)).flow == codec.read(wire(values)).flow


# ---------------------------------------------------------------- identity


def identity(values: Row) -> str:
    return codec.read(wire(values)).flow.identity


@given(values=rows, name=st.text())
def test_a_translated_name_is_the_same_flow(values: Row, name: str) -> None:
    assert identity(values) == identity(values | {"transaction_flow_name": name})


@given(data=st.data(), values=rows)
def test_every_other_field_makes_another_flow(data: st.DataObject, values: Row) -> None:
    other = data.draw(rows)
    name = data.draw(st.sampled_from([field for field in FIELDS if field != "transaction_flow_name"]))
    same = (values[name] or "") == (other[name] or "") if name == "symbol" else values[name] == other[name]
    assert (identity(values) == identity(values | {name: other[name]})) is same


@pytest.mark.parametrize("name", ["symbol", "description"])
def test_no_value_is_one_value_however_it_is_written(name: str) -> None:
    assert identity(row(**{name: ""})) == identity(row(**{name: None})) == identity(row(**{name: MISSING}))


def test_a_missing_business_type_is_not_the_unknown_one() -> None:
    assert identity(row(business_type=MISSING)) != identity(row(business_type=0))


def test_facts_do_not_run_into_one_another() -> None:
    assert identity(row(symbol="A", description="B")) != identity(row(symbol="AB", description=""))
    assert identity(row(symbol='A","B', description="")) != identity(row(symbol="A", description="B"))


def test_the_identity_never_changes() -> None:
    """It is what ledgers know rows by: a change of it would add every row again."""
    assert identity(row()) == "a9f4f4e1d6e18e1a235928da0e6c04f3"


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"direction": 3}, "direction: expected 1 or 2, got 3"),
        ({"direction": 0}, "direction: expected 1 or 2, got 0"),
        ({"direction": "3"}, "direction: expected 1 or 2, got 3"),
        ({"direction": "in"}, "direction: expected an integer code, got 'in'"),
        ({"direction": "１"}, "direction: expected an integer code, got '１'"),
        ({"direction": "-1"}, "direction: expected an integer code, got '-1'"),
        ({"direction": 1.0}, "direction: expected an integer or text, got 1.0"),
        ({"direction": True}, "direction: expected an integer or text, got true"),
        ({"direction": None}, "direction: expected an integer or text, got null"),
        ({"direction": MISSING}, "direction: expected, but missing"),
        ({"business_type": None}, "business_type: expected an integer or text, got null"),
        ({"business_type": ""}, "business_type: expected an integer code, got ''"),
        ({"business_type": CODE_MAX + 1}, "business_type: expected an integer code, got 2147483648"),
        ({"business_type": CODE_MIN - 1}, "business_type: expected an integer code, got -2147483649"),
        ({"business_type": 10**30}, "business_type: expected an integer code, got 1000000000000000000000000000000"),
        ({"balance": 248.6}, "balance: expected text, got 248.6"),
        ({"balance": None}, "balance: expected text, got null"),
        ({"balance": MISSING}, "balance: expected, but missing"),
        ({"balance": ""}, "balance: expected decimal text such as -248.60, got ''"),
        ({"balance": "1e3"}, "balance: expected decimal text such as -248.60, got '1e3'"),
        ({"balance": "+1"}, "balance: expected decimal text such as -248.60, got '+1'"),
        ({"balance": "1,000.00"}, "balance: expected decimal text such as -248.60, got '1,000.00'"),
        ({"balance": " 1"}, "balance: expected decimal text such as -248.60, got ' 1'"),
        ({"balance": "1."}, "balance: expected decimal text such as -248.60, got '1.'"),
        ({"balance": ".5"}, "balance: expected decimal text such as -248.60, got '.5'"),
        ({"balance": "007"}, "balance: expected decimal text such as -248.60, got '007'"),
        ({"balance": "NaN"}, "balance: expected decimal text such as -248.60, got 'NaN'"),
        ({"balance": "١"}, "balance: expected decimal text such as -248.60, got '١'"),
        ({"balance": "9" * 101}, "balance: expected at most 100 digits, got 101 characters"),
        ({"currency": MISSING}, "currency: expected, but missing"),
        ({"currency": ""}, "currency: expected a code of 1 to 32 characters, got ''"),
        ({"currency": "X" * 33}, f"currency: expected a code of 1 to 32 characters, got '{'X' * 33}'"),
        (
            {"business_time": 1621507957.5},
            "business_time: expected text, got 1621507957.5",
        ),
        (
            {"business_time": "1621507957.5"},
            "business_time: expected text of whole Unix seconds such as 1621507957, got '1621507957.5'",
        ),
        (
            {"business_time": "2021-05-20"},
            "business_time: expected text of whole Unix seconds such as 1621507957, got '2021-05-20'",
        ),
        (
            {"business_time": "1621507957000"},
            "business_time: expected text of whole Unix seconds such as 1621507957, got '1621507957000'",
        ),
        (
            {"business_time": "253402300800"},
            "business_time: expected Unix seconds of the years 1 to 9999, got 253402300800",
        ),
        ({"business_time": MISSING}, "business_time: expected, but missing"),
        ({"transaction_flow_name": MISSING}, "transaction_flow_name: expected, but missing"),
        ({"transaction_flow_name": ["a"]}, 'transaction_flow_name: expected text, got ["a"]'),
        ({"symbol": 700.5}, "symbol: expected text or null, got 700.5"),
        ({"description": {"a": 1}}, 'description: expected text or null, got {"a":1}'),
    ],
)
def test_the_field_that_does_not_fit_is_named(fault: Row, message: str) -> None:
    with pytest.raises(WireError) as caught:
        codec.read(wire(row(**fault)))
    assert str(caught.value) == message
    assert caught.value.field == next(iter(fault))


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_stands_twice_is_named(name: str) -> None:
    """Which of the two would hold? Official clients refuse the whole page for it."""
    for again in (name, rf"\u{ord(name[0]):04x}{name[1:]}"):
        twice = wire(row())[:-1] + f',"{again}":{json.dumps(row()[name])}}}'.encode()
        with pytest.raises(WireError) as caught:
            codec.read(twice)
        assert str(caught.value) == f"{name}: expected once, but found twice"


def test_a_key_of_somebody_elses_may_stand_twice() -> None:
    assert (
        codec.read(wire(row())[:-1] + b',"more":1,"more":{"balance":2,"balance":3}}').flow
        == codec.read(wire(row())).flow
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "expected a JSON object, got an empty body"),
        (b"[]", "expected a JSON object, got '[]'"),
        (b"null", "expected a JSON object, got 'null'"),
        (b"\xff\xfe", "expected a JSON object, got"),
        (wire(row())[:-1], 'expected a JSON object, got \'{"transaction_flow_name"'),
        (wire(row()) + b"x", 'expected a JSON object, got \'{"transaction_flow_name"'),
        (wire(row()).replace(b"AAPL.US", b"\\ud800"), 'expected a JSON object, got \'{"transaction_flow_name"'),
        (wire(row()).replace(b"AAPL.US", b"\xed\xa0\x80"), 'expected a JSON object, got \'{"transaction_flow_name"'),
        (wire(row())[:-1] + b',"more":"\xff"}', 'expected a JSON object, got \'{"transaction_flow_name"'),
        (wire(row())[:-1] + b',"\xff":1}', 'expected a JSON object, got \'{"transaction_flow_name"'),
        (b'{"more":' + b"[" * 100_000, 'expected a JSON object, got \'{"more":[[['),
        (wire(row())[:-1] + b',"more":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "expected a JSON object, got"),
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
    """Whatever came, one row is one flow or one WireError: it never ends the reading of the others."""
    damaged = bytearray(wire(values))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        received = codec.read(bytes(damaged))
    except WireError as error:
        assert error.field in {*FIELDS, "row"}
    else:
        assert codec.read(received.served or received.row).flow.amount == received.flow.amount


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(changes=st.dictionaries(st.sampled_from(FIELDS), _json | amounts | times.map(str), max_size=3))
def test_any_values_are_read_or_named(changes: dict[str, Any]) -> None:
    try:
        received = codec.read(wire(row(**changes)))
    except WireError as error:
        assert error.field in changes
    else:
        if received.served != UNSERVABLE:
            assert codec.read(codec.write(received.flow)).flow.amount == received.flow.amount


# ---------------------------------------------------------------- flows of other providers


def test_a_flow_from_elsewhere_is_written_as_far_as_this_wire_can_say_it() -> None:
    flow = Flow(
        identity="x",
        at=datetime(2024, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC),
        amount=Decimal("-1.230"),
        currency="USDT",
        kind=Kind.FUNDING,
        category=Category.FUTURES,
        balance_after=Decimal(10),
        subaccount="futures",
        ref="17",
    )
    assert json.loads(codec.write(flow, "en")) == {
        "transaction_flow_name": "Funding Fee",
        "direction": 1,
        "business_type": 0,
        "balance": "-1.230",
        "currency": "USDT",
        "business_time": "1704164645",
        "symbol": None,
        "description": "",
    }


@pytest.mark.parametrize(
    ("amount", "balance", "direction"),
    [("1E+3", "1000", 2), ("-1E-7", "-0.0000001", 1), ("0", "0", 2), ("-0.0", "-0.0", 1)],
)
def test_a_side_that_is_not_named_is_the_amounts(amount: str, balance: str, direction: int) -> None:
    flow = Flow(identity="", at=EPOCH, amount=Decimal(amount), currency="X")
    written = json.loads(codec.write(flow))
    assert (written["balance"], written["direction"]) == (balance, direction)
