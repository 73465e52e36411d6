"""Flows of other providers in this API: the written and the omitted fields, and filters that agree with them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.flow import Category, Direction, Flow, Fx, Kind
from liushui.providers.hkus import PROVIDER, codec
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.hkus.caller import Caller
from tests.providers.hkus.rows import ID_MAX, Literal, Row, rows, unwire, wire

ID_OF_X = 8799838123481167
"""The id of the identity "x"."""
AT = datetime(2024, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC)


def flow(**changes: object) -> Flow:
    """A flow of another provider, with some of its fields changed."""
    return Flow(identity="x", at=AT, amount=Decimal("-1.230"), currency="USDT")._replace(**changes)  # type: ignore[arg-type] # a test gives what its field takes


def written(**changes: object) -> Row:
    """What is written for it."""
    return unwire(codec.write(flow(**changes)))


def test_as_little_as_there_is() -> None:
    assert written() == {
        "id": ID_OF_X,
        "tran_type": "cash",
        "date": 1704164645,
        "base_currency": "USDT",
        "amt": "1.230",
        "io_type": "out",
        "business_type": "other",
        "business_sub_type": "other",
    }


def test_as_much_as_this_wire_can_say() -> None:
    assert written(
        direction=Direction.OUT,
        kind=Kind.TRADE,
        category=Category.STOCK,
        label="股票買入成交",
        subaccount="88001",
        balance_after=Decimal("10.0"),
        settled_at=AT,
        ref="17",
        order_ref="lost",
        symbol="700.HK",
        name="騰訊控股",
        price=Decimal("380.20"),
        quantity=Decimal("1E+2"),
        note="a note",
        fx=Fx("HKD", Decimal("9.6"), Decimal("7.80")),
        detail={"longbridge:business_type": 0},
    ) == {
        "id": ID_OF_X,
        "account_id": 88001,
        "tran_type": "cash",
        "date": 1704164645,
        "sett_date": 1704164645,
        "base_currency": "USDT",
        "market": "hkex",
        "product_code": "700",
        "product_name": "騰訊控股",
        "price": "380.20",
        "qty": "100",
        "amt": "1.230",
        "balance": "10.0",
        "io_type": "out",
        "fx_ccy": "HKD",
        "fx_amt": "9.6",
        "fx_rate": "7.80",
        "remarks": "a note",
        "business_type": "hk_stock",
        "business_sub_type": "trade",
    }


@pytest.mark.parametrize("ref", [None, "", "T-17", "017", "17", "0", str(ID_MAX)])
def test_an_id_follows_from_the_identity_and_never_from_anothers_number(ref: str | None) -> None:
    """document: `id` int, the record's id. Another provider's number may be on several rows."""
    assert written(ref=ref)["id"] == ID_OF_X
    assert codec.read(codec.write(flow(ref=ref))).flow.ref == str(ID_OF_X)


def test_equal_flows_have_two_ids_that_stay(reader: MemoryReader, caller: Caller) -> None:
    """A client may take an id for the record's."""
    reader.add_flows("trader-1", [flow(), flow()])
    ids = [row["id"] for row in caller.get().rows]
    assert len(set(ids)) == 2
    assert all(2**52 <= id_ < 2**53 for id_ in ids)
    reader.add_flows("trader-1", [flow(at=AT + timedelta(days=1)), flow()])
    assert {row["id"] for row in caller.get(page_size=100).rows} > set(ids)


@pytest.mark.parametrize(
    ("ref", "id_"),
    [
        (None, 0),
        ("", 0),
        ("T-17", 0),
        ("017", 0),
        ("１７", 0),
        ("-17", 0),
        (str(ID_MAX + 1), 0),
        ("9" * 5000, 0),
        ("0", 0),
        ("17", 17),
        (str(ID_MAX), ID_MAX),
    ],
)
def test_the_id_of_an_own_row_is_never_made_up(ref: str | None, id_: int) -> None:
    """document: `id` int. 0, as in its sample, identifies nothing."""
    own = {"hkus:io_type": "out"}
    assert written(ref=ref, detail=own)["id"] == id_
    read = codec.read(codec.write(flow(ref=ref, detail=own))).flow
    assert read.ref == (str(id_) if id_ else None)


@pytest.mark.parametrize(("subaccount", "id_"), [("", None), ("futures", None), ("088", None), ("88001", 88001)])
def test_accounts_that_are_not_a_number_are_left_out(subaccount: str, id_: int | None) -> None:
    assert written(subaccount=subaccount).get("account_id") == id_


@pytest.mark.parametrize(
    ("symbol", "market", "code"),
    [
        (None, None, None),
        ("", None, ""),
        ("AAPL.US", "usex", "AAPL"),
        ("BRK.B.US", "usex", "BRK.B"),
        ("700.HK", "hkex", "700"),
        ("D05.SG", None, "D05.SG"),
        ("BTCUSDT", None, "BTCUSDT"),
        ("HK", None, "HK"),
        (".HK", None, ".HK"),
        ("700.hk", None, "700.hk"),
    ],
)
def test_symbols(symbol: str | None, market: str | None, code: str | None) -> None:
    row = written(symbol=symbol)
    assert (row.get("market"), row.get("product_code")) == (market, code)
    assert codec.read(codec.write(flow(symbol=symbol))).flow.symbol == symbol


@pytest.mark.parametrize(
    ("amount", "direction", "side"),
    [
        ("1", Direction.OUT, "in"),
        ("-1", Direction.IN, "out"),
        ("0", Direction.OUT, "out"),
        ("-0", Direction.NONE, "in"),
        ("0", Direction.IN, "in"),
    ],
)
def test_the_amounts_sign_decides_the_side(amount: str, direction: Direction, side: str) -> None:
    row = written(amount=Decimal(amount), direction=direction)
    assert (row["io_type"], row["amt"]) == (side, amount.removeprefix("-"))
    assert codec.read(codec.write(flow(amount=Decimal(amount), direction=direction))).flow.amount == Decimal(amount)


@pytest.mark.parametrize(
    ("note", "label", "remarks"),
    [
        (None, "", None),
        ("", "label", "label"),
        (None, "label", "label"),
        ("note", "label", "note"),
        ("note", "", "note"),
    ],
)
def test_remarks_are_the_note_or_else_the_label(note: str | None, label: str, remarks: str | None) -> None:
    assert written(note=note, label=label).get("remarks") == remarks


@pytest.mark.parametrize("kind", Kind)
def test_kinds_survive(kind: Kind) -> None:
    assert written(kind=kind)["business_sub_type"] == kind.value
    assert codec.read(codec.write(flow(kind=kind))).flow.kind is kind


# ---------------------------------------------------------------- filters

_flows = st.builds(
    flow,
    amount=st.sampled_from([Decimal(1), Decimal(-1), Decimal(0), Decimal("-0.0")]),
    direction=st.sampled_from(Direction),
    category=st.sampled_from(Category),
    symbol=st.sampled_from([None, "", "AAPL.US", "700.HK", "D05.SG", "US", ".HK", "700.hk"]) | st.text(),
)
_ASKED = ("us_stock", "hk_stock", "other", "sg_stock", "OTHER")


@given(flows=st.lists(_flows, max_size=6), received=st.lists(rows, max_size=4), data=st.data())
def test_a_filter_finds_the_rows_that_say_so_and_no_others(
    flows: list[Flow], received: list[Row], data: st.DataObject
) -> None:
    """document: `business_type` Filter by business type; `io_type` Filter by cash flow direction."""
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))
    reader.add_flows("trader-1", flows)
    reader.add_rows("trader-1", PROVIDER, map(wire, received))
    everything = caller.get(page_size=100).rows
    assert len(everything) == len(flows) + len(received)
    known = [row["business_type"] for row in everything if row.get("business_type")]
    asked = data.draw(st.sampled_from([*_ASKED, *known]))
    for business_type in (None, asked):
        for io_type in (None, "in", "out"):
            answer = caller.get(page_size=100, business_type=business_type, io_type=io_type)
            expected = [
                row
                for row in everything
                if business_type in (None, row.get("business_type")) and io_type in (None, row["io_type"])
            ]
            assert answer.rows == expected
            assert answer.total == len(expected)


def test_a_negative_amt_keeps_the_side_its_row_names(caller: Caller, reader: MemoryReader) -> None:
    negative = wire({"date": 1, "base_currency": "USD", "amt": Literal("-5"), "io_type": "in"})
    reader.add_rows("trader-1", PROVIDER, [negative])
    assert len(caller.get(io_type="in").rows) == 1
    assert caller.get(io_type="out").rows == []


@pytest.mark.parametrize("symbol", ["D05.SG", "BTCUSDT", ".hk"])
def test_a_stock_of_another_market_has_no_business_type(caller: Caller, reader: MemoryReader, symbol: str) -> None:
    reader.add_flows("trader-1", [flow(category=Category.STOCK, symbol=symbol)])
    assert "business_type" not in caller.get().rows[0]
    assert [caller.get(business_type=asked).total for asked in _ASKED] == [0] * len(_ASKED)
