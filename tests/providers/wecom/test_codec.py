"""The WeCom codec: exact round trips of rows, identities, and named faults."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import EPOCH
from liushui.provider import UNSERVABLE
from liushui.providers.wecom import codec
from liushui.providers.wecom.codec import FEN_MAX
from liushui.providers.wecom.wire import FundFlow
from tests.providers.wecom.rows import AT, FIELDS, MISSING, OPTIONAL, READABLE_FEN_MAX, Row, row, rows, wire

# ---------------------------------------------------------------- rows survive


@given(values=rows)
def test_a_row_survives_to_the_byte(values: Row) -> None:
    assert codec.write(codec.read(wire(values)).flow) == wire(values)


@given(data=st.data(), values=rows)
def test_the_order_of_fields_is_not_a_part_of_it(data: st.DataObject, values: Row) -> None:
    names = data.draw(st.permutations(list(values)))
    shuffled = {name: values[name] for name in names} | {"more": {"transaction_amount": 1}}
    received = codec.read(json.dumps(shuffled, indent=1).encode())
    assert received.served is None
    assert received.flow == codec.read(wire(values)).flow


@given(values=rows)
def test_nothing_in_a_row_is_lost_on_the_way_to_a_flow(values: Row) -> None:
    flow = codec.read(wire(values)).flow
    fen = values["transaction_amount"]
    assert format(flow.amount, "f") == in_yuan(fen if values["fund_flow_type"] == 1 else -fen)
    balance = flow.balance_after
    assert (None if balance is None else format(balance, "f")) == (
        in_yuan(values["account_balance"]) if "account_balance" in values else None
    )
    assert (flow.at - EPOCH).total_seconds() == values["timestamp"]
    assert flow.at.tzinfo is UTC
    assert (flow.ref, flow.order_ref, flow.note) == (
        values["request_no"],
        values.get("out_trade_no"),
        values.get("remark"),
    )
    assert (flow.currency, flow.subaccount, flow.category) == ("CNY", values["mch_id"], Category.CASH)


def in_yuan(fen: int) -> str:
    """Digits and a point, put where it belongs by counting."""
    digits = str(abs(fen)).rjust(3, "0")
    return f"{'-' if fen < 0 else ''}{digits[:-2]}.{digits[-2:]}"


def test_the_fields_are_the_ones_tests_know() -> None:
    assert FundFlow.__struct_fields__ == FIELDS


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    ("fund_flow_type", "fen", "amount", "side"),
    [
        (1, 20, "0.20", Direction.IN),
        (2, 20, "-0.20", Direction.OUT),
        (1, 0, "0.00", Direction.IN),
        (2, 0, "0.00", Direction.OUT),
        (2, 100, "-1.00", Direction.OUT),
        (1, FEN_MAX, in_yuan(FEN_MAX), Direction.IN),
        (2, FEN_MAX, in_yuan(-FEN_MAX), Direction.OUT),
    ],
)
def test_the_side_gives_the_amount_its_sign(fund_flow_type: int, fen: int, amount: str, side: Direction) -> None:
    """document: `fund_flow_type` 收支类型。1：收入，2：支出; `transaction_amount` 动账金额，整型数据，单位：分"""
    values = row(fund_flow_type=fund_flow_type, transaction_amount=fen)
    flow = codec.read(wire(values)).flow
    assert (format(flow.amount, "f"), flow.direction) == (amount, side)
    assert json.loads(codec.write(flow)) == values


@pytest.mark.parametrize("fund_flow_type", [1, 2])
@pytest.mark.parametrize(
    ("code", "kind", "kept"),
    [
        (1, Kind.REFUND, None),
        (2, Kind.FEE, None),
        (3, Kind.RECEIPT, None),
        (4, Kind.WITHDRAWAL, None),
        (5, Kind.OTHER, None),
        (0, Kind.OTHER, 0),
        (6, Kind.OTHER, 6),
        (-1, Kind.OTHER, -1),
        (2**31 - 1, Kind.OTHER, 2**31 - 1),
    ],
)
def test_transaction_types(code: int, kind: Kind, kept: int | None, fund_flow_type: int) -> None:
    """document: `transaction_type` 动账类型。1：退款，2：交易手续费，3：收款，4：提现，5：其他. Of either side."""
    flow = codec.read(
        wire(
            row(
                transaction_type=code,
                fund_flow_type=fund_flow_type,
                operator_userid=MISSING,
                group_list=MISSING,
            )
        )
    ).flow
    assert flow.kind is kind
    assert flow.detail == (None if kept is None else {codec.TRANSACTION_TYPE: kept})


def test_operator_and_groups() -> None:
    """document: `operator_userid` 操作人userid; `group_list[].group_name` 规则组名称"""
    assert codec.read(wire(row())).flow.detail == {codec.OPERATOR: "ZhangSan", codec.GROUPS: ["Rule1", "Rule2"]}


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_and_missing_say_the_same(name: str) -> None:
    assert codec.read(wire(row(**{name: None}))).flow == codec.read(wire(row(**{name: MISSING}))).flow


# ---------------------------------------------------------------- identity


def identity(**changes: object) -> str:
    return codec.read(wire(row(**changes))).flow.identity


@pytest.mark.parametrize(
    "other", [{"mch_id": "1600000002"}, {"request_no": "5"}, {"transaction_type": 2}, {"fund_flow_type": 2}]
)
def test_what_makes_another_flow(other: Row) -> None:
    assert identity(**other) != identity()


@pytest.mark.parametrize(
    "restated",
    [
        {"timestamp": AT + 1},
        {"transaction_amount": 21},
        {"account_balance": 41},
        {"out_trade_no": ""},
        {"operator_userid": None},
        {"group_list": []},
        {"remark": "another"},
        {"more": 1},
    ],
)
def test_what_does_not(restated: Row) -> None:
    assert identity(**restated) == identity()


def test_facts_do_not_run_into_one_another() -> None:
    assert identity(mch_id="1", request_no="23") != identity(mch_id="12", request_no="3")
    assert identity(mch_id='1","2', request_no="3") != identity(mch_id="1", request_no='2","3')


def test_the_identity_never_changes() -> None:
    """It is what ledgers know rows by: a change of it would add every row again."""
    assert identity() == "230cc92a52fb2ae213e43953d8c55ab7"


# ---------------------------------------------------------------- faults

REQUIRED = [name for name in FIELDS if name not in OPTIONAL]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        *(({name: MISSING}, f"{name}: expected, but missing") for name in REQUIRED),
        ({"timestamp": 1.5}, "timestamp: expected an integer, got 1.5"),
        ({"timestamp": True}, "timestamp: expected an integer, got true"),
        ({"timestamp": 253402300800}, "timestamp: expected Unix seconds of the years 1 to 9999, got 253402300800"),
        ({"timestamp": -62135596801}, "timestamp: expected Unix seconds of the years 1 to 9999, got -62135596801"),
        ({"request_no": None}, "request_no: expected text, got null"),
        ({"transaction_type": 2**31}, "transaction_type: expected an integer code, got 2147483648"),
        ({"fund_flow_type": 0}, "fund_flow_type: expected 1 or 2, got 0"),
        ({"fund_flow_type": 3}, "fund_flow_type: expected 1 or 2, got 3"),
        ({"fund_flow_type": None}, "fund_flow_type: expected an integer, got null"),
        ({"transaction_amount": -1}, "transaction_amount: expected 0 or more, got -1"),
        ({"transaction_amount": 20.0}, "transaction_amount: expected an integer, got 20.0"),
        ({"transaction_amount": 0.2}, "transaction_amount: expected an integer, got 0.2"),
        ({"transaction_amount": "0.2"}, 'transaction_amount: expected an integer, got "0.2"'),
        ({"transaction_amount": None}, "transaction_amount: expected an integer, got null"),
        ({"account_balance": 0.5}, "account_balance: expected an integer or null, got 0.5"),
        ({"operator_userid": []}, "operator_userid: expected text or null, got []"),
        ({"remark": {}}, "remark: expected text or null, got {}"),
        ({"group_list": "Rule1"}, 'group_list: expected a list or null, got "Rule1"'),
    ],
)
def test_the_field_that_does_not_fit_is_named(fault: Row, message: str) -> None:
    with pytest.raises(WireError) as caught:
        codec.read(wire(row(**fault)))
    assert str(caught.value) == message
    assert caught.value.field == next(iter(fault))


@pytest.mark.parametrize("name", ["transaction_amount", "account_balance"])
def test_a_number_that_no_amount_may_be(name: str) -> None:
    assert codec.read(wire(row(**{name: READABLE_FEN_MAX})))
    with pytest.raises(WireError, match=f"^{name}: expected at most 98 digits, got 1000"):
        codec.read(wire(row(**{name: READABLE_FEN_MAX + 1})))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"transaction_amount": FEN_MAX + 1}, "amount"),
        ({"account_balance": FEN_MAX + 1}, "balance_after"),
        ({"account_balance": -FEN_MAX - 1}, "balance_after"),
        ({"transaction_amount": READABLE_FEN_MAX}, "amount"),
    ],
)
def test_a_number_that_a_client_would_misread_is_read_and_not_served(values: Row, field: str) -> None:
    """Clients in JavaScript hold a number as a double, which is exact up to 2^53 - 1."""
    received = wire(row(**values))
    read = codec.read(received)
    assert (read.row, read.served) == (received, UNSERVABLE)
    assert codec.read_many([received]) is None
    yuan = in_yuan(next(iter(values.values())))
    with pytest.raises(NotRepresentable, match=f"^{field}: expected at most 90071992547409.91 CNY, .* got {yuan}$"):
        codec.write(read.flow)


def test_the_largest_numbers_that_are_served() -> None:
    received = wire(row(transaction_amount=FEN_MAX, account_balance=-FEN_MAX))
    assert codec.read(received).served is None
    assert codec.read_many([received]) is not None


@pytest.mark.parametrize("groups", [[{}], [{"group_name": None}], [{"group_name": 1}], ["Rule1"], [None]])
def test_a_group_without_a_name(groups: list[object]) -> None:
    with pytest.raises(WireError, match="group_list"):
        codec.read(wire(row(group_list=groups)))


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_stands_twice_is_named(name: str) -> None:
    bare = row(**dict.fromkeys(OPTIONAL, MISSING))
    for values in (row(), bare | {name: row()[name]}):
        twice = wire(values)[:-1] + f',"{name}":{json.dumps(row()[name])}}}'.encode()
        with pytest.raises(WireError) as caught:
            codec.read(twice)
        assert str(caught.value) == f"{name}: expected once, but found twice"


@given(data=st.data(), values=rows)
def test_any_damage_is_read_or_named(data: st.DataObject, values: Row) -> None:
    """Whatever came, one row is one flow or one WireError: it never ends the reading of the others."""
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


@given(changes=st.dictionaries(st.sampled_from(FIELDS), _json, max_size=3))
def test_any_values_are_read_or_named(changes: dict[str, Any]) -> None:
    try:
        flow = codec.read(wire(row(**changes))).flow
    except WireError as error:
        assert error.field in changes or (error.field == "row" and "group_list" in changes)
    else:
        assert codec.read(codec.write(flow)).flow == flow


# ---------------------------------------------------------------- flows of other providers


def elsewhere(amount: str, *, currency: str = "CNY") -> Flow:
    """A flow that another provider sent, with as little as a flow may have."""
    return Flow(identity="x", at=EPOCH, amount=Decimal(amount), currency=currency)


def test_a_flow_from_elsewhere_is_written_as_far_as_this_wire_can_say_it() -> None:
    flow = Flow(
        identity="x",
        at=datetime(2024, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC),
        amount=Decimal("-1.230"),
        currency="CNY",
        kind=Kind.INTEREST,
        category=Category.FUND,
        symbol="AAPL.US",
        detail={"other:operator_userid": "LiSi"},
    )
    assert json.loads(codec.write(flow, "en")) == {
        "timestamp": 1704164645,
        "request_no": "x",
        "transaction_type": 5,
        "fund_flow_type": 2,
        "transaction_amount": 123,
        "mch_id": "",
    }


def test_what_it_has_is_written() -> None:
    flow = elsewhere("1E+3")._replace(balance_after=Decimal("0.5"), ref="17", order_ref="18", subaccount="m", note="n")
    assert json.loads(codec.write(flow)) == {
        "timestamp": 0,
        "request_no": "17",
        "transaction_type": 5,
        "fund_flow_type": 1,
        "transaction_amount": 100_000,
        "account_balance": 50,
        "out_trade_no": "18",
        "mch_id": "m",
        "remark": "n",
    }


@pytest.mark.parametrize(
    ("amount", "direction", "code"),
    [
        ("-1", Direction.IN, 2),
        ("1", Direction.OUT, 1),
        ("0", Direction.OUT, 2),
        ("0", Direction.IN, 1),
        ("-0.00", Direction.NONE, 1),
    ],
)
def test_the_side_is_the_amounts_and_a_zeros_the_providers(amount: str, direction: Direction, code: int) -> None:
    assert json.loads(codec.write(elsewhere(amount)._replace(direction=direction)))["fund_flow_type"] == code


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (elsewhere("1", currency="USD"), "currency: expected CNY, got 'USD'"),
        (elsewhere("1", currency="CNH"), "currency: expected CNY, got 'CNH'"),
        (elsewhere("1", currency="cny"), "currency: expected CNY, got 'cny'"),
        (elsewhere("-0.001"), "amount: expected at most 2 decimal places of CNY, got 0.001"),
        (elsewhere("1.005"), "amount: expected at most 2 decimal places of CNY, got 1.005"),
        (elsewhere(f"{'9' * 40}.999"), f"amount: expected at most 2 decimal places of CNY, got {'9' * 40}.999"),
        (
            elsewhere("1")._replace(balance_after=Decimal("-0.125")),
            "balance_after: expected at most 2 decimal places of CNY, got -0.125",
        ),
    ],
)
def test_what_cannot_be_said_is_not_said(flow: Flow, message: str) -> None:
    with pytest.raises(NotRepresentable) as caught:
        codec.write(flow)
    assert str(caught.value) == message


@given(fen=st.integers(-FEN_MAX, FEN_MAX), zeros=st.integers(0, 20))
def test_whole_fen_can_always_be_said(fen: int, zeros: int) -> None:
    amount = Decimal(f"{in_yuan(fen)}{'0' * zeros}")
    assert codec.read(codec.write(elsewhere(str(amount)))).flow.amount == amount
