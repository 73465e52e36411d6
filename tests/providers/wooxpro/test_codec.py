"""The WOO X Pro codec: exact round trips of rows, identities, and named faults."""

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
from liushui.providers.wooxpro import codec
from liushui.providers.wooxpro.wire import Transaction
from tests.providers.wooxpro.caller import ms
from tests.providers.wooxpro.rows import (
    CODE_MAX,
    CODE_MIN,
    FIELDS,
    MISSING,
    TYPES,
    Row,
    amounts,
    of_type,
    row,
    rows,
    times,
    wire,
)

# ---------------------------------------------------------------- rows survive


@given(values=rows)
def test_a_row_survives_to_the_byte(values: Row) -> None:
    """Types, codes and accounts that the document does not list included."""
    assert codec.write(codec.read(wire(values)).flow) == wire(values)


@given(values=rows)
def test_nothing_in_a_row_is_lost_on_the_way_to_a_flow(values: Row) -> None:
    received = codec.read(wire(values))
    flow = received.flow
    assert (received.row, received.served) == (wire(values), None)
    assert format(flow.amount, "f") == values["amount"]
    assert (ms(flow.at), flow.at.tzinfo) == (int(values["time"]), UTC)
    assert (flow.label, flow.currency, flow.symbol) == (values["type"], values["asset"], values["symbol"])
    assert (flow.subaccount, flow.ref) == (values["account"], values["tran_id"])
    assert (flow.category, flow.direction) == (Category.FUTURES, Direction.NONE)


@given(data=st.data(), values=rows)
def test_the_order_of_fields_is_not_a_part_of_it(data: st.DataObject, values: Row) -> None:
    names = data.draw(st.permutations(FIELDS))
    shuffled = {name: values[name] for name in names} | {"more": {"amount": 1}}
    received = codec.read(json.dumps(shuffled, indent=1).encode())
    assert received.served is None
    assert received.flow == codec.read(wire(values)).flow


def test_the_fields_are_the_ones_tests_know() -> None:
    assert Transaction.__struct_fields__ == FIELDS


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, Kind.TRANSFER), (2, Kind.REALIZED_PNL), (3, Kind.FUNDING), (4, Kind.FEE), (5, Kind.LIQUIDATION)],
)
def test_types(code: int, kind: Kind) -> None:
    """document: `1` = 划转, `2` = 已实现盈亏, `3` = 资金费用, `4` = 手续费, `5` = 强平清算费; the words of `type`"""
    flow = codec.read(wire(of_type(code))).flow
    assert (flow.kind, flow.label, flow.detail) == (kind, TYPES[code], None)


@pytest.mark.parametrize("words", ["Welcome Bonus", "transfer", "Funding fee", "TRANSFER", "Realized PnL", ""])
def test_an_unknown_type_is_kept_and_has_no_kind(words: str) -> None:
    flow = codec.read(wire(row(type=words, flow_type=9))).flow
    assert (flow.label, flow.kind, flow.detail) == (words, Kind.OTHER, {codec.FLOW_TYPE: 9})


@pytest.mark.parametrize("code", [0, 3, 9, -1, CODE_MIN, CODE_MAX])
def test_a_code_at_odds_with_its_type_is_kept(code: int) -> None:
    flow = codec.read(wire(row(flow_type=code))).flow
    assert (flow.kind, flow.detail) == (Kind.FEE, {codec.FLOW_TYPE: code})


@pytest.mark.parametrize(("account", "kept"), [("futures", False), ("copy_trading", False), ("spot", True), ("", True)])
def test_accounts(account: str, kept: bool) -> None:
    """document: `futures`=合约主账号, `copy_trading`=跟单子账号"""
    flow = codec.read(wire(row(account=account))).flow
    assert (flow.subaccount, flow.detail) == (account, {codec.ACCOUNT: account} if kept else None)


def test_the_sign_says_the_side() -> None:
    """document: 金额，支持正负号"""
    for amount in ("-0.37500000", "0.37500000", "-0.00000000"):
        flow = codec.read(wire(row(amount=amount))).flow
        assert (format(flow.amount, "f"), flow.direction) == (amount, Direction.NONE)


# ---------------------------------------------------------------- rows that lack what the table promises


@pytest.mark.parametrize(
    ("lenient", "served"),
    [
        ({"flow_type": MISSING}, {"flow_type": 4}),
        ({"flow_type": MISSING, "type": "Airdrop"}, {"flow_type": 0, "type": "Airdrop"}),
        ({"symbol": MISSING}, {"symbol": ""}),
        ({"symbol": None}, {"symbol": ""}),
        ({"time": 1570636800000}, {"time": "1570636800000"}),
        ({"flow_type": MISSING, "more": [1, "2"]}, {"flow_type": 4, "more": [1, "2"]}),
    ],
)
def test_a_lenient_row_is_served_as_the_table_has_it(lenient: Row, served: Row) -> None:
    came = wire(row(**lenient))
    received = codec.read(came)
    assert received.row == came
    assert received.served is not None
    assert json.loads(received.served) == row(**served)
    assert codec.read(received.served).served is None


@given(values=rows)
def test_a_missing_code_and_a_time_as_a_number_are_the_same_flow(values: Row) -> None:
    plain = values | {"flow_type": {words: code for code, words in TYPES.items()}.get(values["type"], 0)}
    lenient = {name: value for name, value in plain.items() if name != "flow_type"} | {"time": int(values["time"])}
    assert codec.read(wire(lenient)).flow == codec.read(wire(plain)).flow


# ---------------------------------------------------------------- identity


def identity(values: Row) -> str:
    return codec.read(wire(values)).flow.identity


@given(data=st.data(), values=rows)
def test_every_field_but_the_code_makes_another_flow(data: st.DataObject, values: Row) -> None:
    other = data.draw(rows)
    name = data.draw(st.sampled_from(FIELDS))
    same = name == "flow_type" or values[name] == other[name]
    assert (identity(values) == identity(values | {name: other[name]})) is same


def test_the_documents_two_rows_of_one_id_are_two_flows() -> None:
    """document: both rows of its sample have `tran_id` 9689322392"""
    transfer = of_type(1, symbol="", amount="-0.37500000", time="1570608000000")
    assert transfer["tran_id"] == row()["tran_id"]
    assert identity(transfer) != identity(row())


def test_no_symbol_is_one_symbol_however_it_is_written() -> None:
    assert identity(row(symbol="")) == identity(row(symbol=None)) == identity(row(symbol=MISSING))


def test_facts_do_not_run_into_one_another() -> None:
    assert identity(row(symbol="A", asset="B")) != identity(row(symbol="AB", asset="B"))
    assert identity(row(type='A","B', symbol="")) != identity(row(type="A", symbol="B"))


def test_the_identity_never_changes() -> None:
    """It is what ledgers know rows by: a change of it would add every row again."""
    assert identity(row()) == "dabc0075ee3995b35198ad2d671ec465"


# ---------------------------------------------------------------- faults

NO_TIME = "time: expected whole Unix milliseconds such as 1570608000000, got "


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"amount": -0.375}, "amount: expected text, got -0.375"),
        ({"amount": None}, "amount: expected text, got null"),
        ({"amount": MISSING}, "amount: expected, but missing"),
        ({"amount": ""}, "amount: expected decimal text such as -248.60, got ''"),
        ({"amount": "+1"}, "amount: expected decimal text such as -248.60, got '+1'"),
        ({"amount": "1e-8"}, "amount: expected decimal text such as -248.60, got '1e-8'"),
        ({"amount": "9" * 101}, "amount: expected at most 100 digits, got 101 characters"),
        ({"asset": MISSING}, "asset: expected, but missing"),
        ({"asset": ""}, "asset: expected a code of 1 to 32 characters, got ''"),
        ({"account": MISSING}, "account: expected, but missing"),
        ({"account": None}, "account: expected text, got null"),
        ({"type": MISSING}, "type: expected, but missing"),
        ({"flow_type": "four"}, 'flow_type: expected an integer, got "four"'),
        ({"flow_type": None}, "flow_type: expected an integer, got null"),
        ({"flow_type": 4.0}, "flow_type: expected an integer, got 4.0"),
        ({"flow_type": True}, "flow_type: expected an integer, got true"),
        ({"flow_type": CODE_MAX + 1}, "flow_type: expected an integer code, got 2147483648"),
        ({"tran_id": MISSING}, "tran_id: expected, but missing"),
        ({"time": MISSING}, "time: expected, but missing"),
        ({"time": None}, "time: expected an integer or text, got null"),
        ({"time": 1570636800000.0}, "time: expected an integer or text, got 1570636800000.0"),
        ({"time": ""}, f"{NO_TIME}''"),
        ({"time": "1570636800000.5"}, f"{NO_TIME}'1570636800000.5'"),
        ({"time": "01570636800000"}, f"{NO_TIME}'01570636800000'"),
        ({"time": "-0"}, f"{NO_TIME}'-0'"),
        ({"time": "１"}, f"{NO_TIME}'１'"),
        ({"time": "1570636800000\n"}, f"{NO_TIME}'1570636800000\\n'"),
        ({"time": "253402300800000"}, "time: expected Unix milliseconds of the years 1 to 9999, got 253402300800000"),
        ({"time": -62135596800001}, "time: expected Unix milliseconds of the years 1 to 9999, got -62135596800001"),
        ({"time": 10**30}, f"time: expected Unix milliseconds of the years 1 to 9999, got {10**30}"),
    ],
)
def test_the_field_that_does_not_fit_is_named(fault: Row, message: str) -> None:
    with pytest.raises(WireError) as caught:
        codec.read(wire(row(**fault)))
    assert str(caught.value) == message
    assert caught.value.field == next(iter(fault))


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_stands_twice_is_named(name: str) -> None:
    twice = wire(row())[:-1] + f',"{name}":{json.dumps(row()[name])}}}'.encode()
    with pytest.raises(WireError, match=f"^{name}: expected once, but found twice$"):
        codec.read(twice)


@pytest.mark.parametrize(
    "bad", [b"", b"[]", b"null", b"\xff", wire(row())[:-1], wire(row())[:-1] + b',"more":"\xff"}', b"[" * 100_000]
)
def test_what_is_not_a_row_is_named_so(bad: bytes) -> None:
    with pytest.raises(WireError, match=r"^row: expected "):
        codec.read(bad)


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
        flow = codec.read(wire(row(**changes))).flow
    except WireError as error:
        assert error.field in changes
    else:
        assert codec.read(codec.write(flow)).flow.amount == flow.amount


@pytest.mark.parametrize("field", ["time", "flow_type"])
def test_a_number_of_thousands_of_digits(field: str) -> None:
    huge = wire(row(**{field: 1})).replace(f'"{field}":1,'.encode(), f'"{field}":{"9" * 9_000},'.encode())
    with pytest.raises(WireError):
        codec.read(huge)


# ---------------------------------------------------------------- flows of other providers


def flow_of(kind: Kind = Kind.OTHER, **changes: object) -> Flow:
    """A flow that came from elsewhere."""
    values: dict[str, Any] = changes
    return Flow("x", EPOCH, Decimal("1.0"), "USD", kind=kind)._replace(**values)


def written(flow: Flow) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(codec.write(flow, "en"))
    return found


def test_a_flow_from_elsewhere_is_written_as_far_as_this_wire_can_say_it() -> None:
    flow = flow_of(
        Kind.WITHDRAWAL,
        at=datetime(2024, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC),
        amount=Decimal("-1.2300"),
        direction=Direction.OUT,
        category=Category.CASH,
        label="出金",
        subaccount="1900000109",
        ref="17",
        note="to the bank",
    )
    assert written(flow) == {
        "symbol": "",
        "flow_type": 1,
        "type": "Transfer",
        "amount": "-1.2300",
        "asset": "USD",
        "account": "futures",
        "time": "1704164645678",
        "tran_id": "17",
    }


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("label", ["", "入金", *TYPES.values()])
def test_a_kind_without_a_type_is_never_called_one_of_the_five(kind: Kind, label: str) -> None:
    found = written(flow_of(kind, label=label))
    code = codec.CODES.get(kind, 0)
    assert found["flow_type"] == code
    if code:
        assert found["type"] == TYPES[code]
    else:
        assert found["type"] == (label if label == "入金" else kind.value)
        assert found["type"] not in TYPES.values()
    assert codec.read(wire(found)).flow.detail is None


def test_a_flow_without_a_reference_has_its_identity_as_one() -> None:
    assert written(flow_of())["tran_id"] == "x"
    assert written(flow_of(ref=""))["tran_id"] == ""


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize(
    ("subaccount", "account"),
    [("", "futures"), ("futures", "futures"), ("copy_trading", "copy_trading"), ("1900000109", "futures")],
)
def test_the_account_that_a_flow_is_written_with(category: Category, subaccount: str, account: str) -> None:
    assert written(flow_of(category=category, subaccount=subaccount))["account"] == account


@pytest.mark.parametrize(("amount", "text"), [("1E+3", "1000"), ("-1E-9", "-0.000000001"), ("-0.0", "-0.0")])
def test_amounts_are_written_to_the_last_digit(amount: str, text: str) -> None:
    assert written(flow_of(amount=Decimal(amount)))["amount"] == text
