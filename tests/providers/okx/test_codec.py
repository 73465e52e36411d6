"""The OKX codec: identity, legs, codes, derived ids, rows that lack fields, and named faults."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.providers.okx import codec, with_legs
from liushui.providers.okx.wire import bill_id_of

AT = datetime(2026, 11, 29, 8, 0, 0, 123_000, tzinfo=UTC)


def row(**fields: object) -> dict[str, Any]:
    """A bill with the required fields, and others."""
    required = {"billId": "42", "balChg": "-1.50", "ccy": "USDT", "ts": "1795939200123", "type": "2"}
    return {**required, **fields}


def read(**fields: object) -> Flow:
    return codec.read(json.dumps(row(**fields)).encode()).flow


def written(flow: Flow) -> dict[str, Any]:
    bill: dict[str, Any] = json.loads(codec.write(flow))
    return bill


def test_a_minimal_row() -> None:
    flow = read()
    assert (flow.identity, flow.ref, flow.at) == ("00000000000000000042", "42", AT)
    assert (flow.amount, flow.direction, flow.kind) == (Decimal("-1.50"), Direction.NONE, Kind.TRADE)
    assert (flow.balance_after, flow.symbol, flow.order_ref, flow.note) == (None, None, None, None)
    assert flow.detail == {"okx:type": "2"}


def test_empty_null_and_missing_mean_the_same() -> None:
    empty = dict.fromkeys(("bal", "px", "sz", "notes", "instId", "fee", "subType"), "")
    assert read(**empty) == read(**dict.fromkeys(empty)) == read()


def test_identities_sort_as_ids_do() -> None:
    ids = ["9", "10", "623950854533513219", "2800000000000000101"]
    identities = [read(billId=id_).identity for id_ in ids]
    assert identities == sorted(identities)


def test_legs_stay_text() -> None:
    flow = read(balChg="-1.4567", pnl="-1", fee="-0.4567", interest="0", subType="5")
    assert flow.detail is not None
    assert [flow.detail[f"okx:{name}"] for name in ("pnl", "fee", "interest")] == ["-1", "-0.4567", "0"]
    assert flow.label == "Close long"


@pytest.mark.parametrize(
    ("type_", "sub_type", "kind", "label"),
    [
        ("1", "11", Kind.TRANSFER, "Transfer in"),
        ("2", "1", Kind.TRADE, "Buy"),
        ("3", "112", Kind.REALIZED_PNL, "Delivery long"),
        ("5", "104", Kind.LIQUIDATION, "Liquidation long"),
        ("7", "9", Kind.INTEREST, "Interest deduction for Market loans"),
        ("8", "173", Kind.FUNDING, "Funding fee expense"),
        ("29", "236", Kind.CONVERSION, "Easy convert in"),
        ("381", "381", Kind.INTEREST, "381"),
        ("999", "888", Kind.OTHER, "888"),
    ],
)
def test_codes(type_: str, sub_type: str, kind: Kind, label: str) -> None:
    flow = read(type=type_, subType=sub_type)
    assert (flow.kind, flow.label) == (kind, label)
    assert (written(flow)["type"], written(flow)["subType"]) == (type_, sub_type)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"billId": "'42"}, "billId"),
        ({"billId": "1" * 21}, "billId"),
        ({"billId": ""}, "billId"),
        ({"balChg": ""}, "balChg"),
        ({"balChg": "1e3"}, "balChg"),
        ({"bal": "0.1.2"}, "bal"),
        ({"ccy": ""}, "ccy"),
        ({"ts": "2026-11-29"}, "ts"),
        ({"px": "NaN"}, "px"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: dict[str, str], field: str) -> None:
    with pytest.raises(WireError, match=f"^{field}: "):
        read(**fields)


def test_whole_numbers_are_served_as_text() -> None:
    decoded = codec.read(json.dumps(row(billId=42, ts=1795939200123)).encode())
    assert decoded.flow == read()
    assert json.loads(decoded.served or b"") == row()


# ---------------------------------------------------------------- flows of other providers


def foreign(**fields: object) -> Flow:
    return Flow("id-1", AT, Decimal("-1.50"), "USD", **fields)  # type: ignore[arg-type] # fields of a flow


def test_derived_ids_rise_with_time() -> None:
    ids = [int(codec.derived_id(foreign()._replace(at=AT + timedelta(seconds=s)))) for s in range(5)]
    assert ids == sorted(ids)
    assert all(
        codec.second_of(str(id_)) == AT.replace(microsecond=0) + timedelta(seconds=s) for s, id_ in enumerate(ids)
    )
    assert max(ids) < 2**63


def test_a_derived_id_depends_on_the_identity() -> None:
    assert codec.derived_id(foreign()) == codec.derived_id(foreign(ref="other", kind=Kind.FEE))
    assert codec.derived_id(foreign()) != codec.derived_id(foreign()._replace(identity="id-2"))


def test_a_flow_before_1970_has_no_id() -> None:
    with pytest.raises(NotRepresentable, match=r"^at: .*1970"):
        codec.write(foreign()._replace(at=datetime(1969, 12, 31, tzinfo=UTC)))


def test_a_balance_of_a_part_is_none_of_the_account() -> None:
    assert written(foreign(balance_after=Decimal("7.10")))["bal"] == "7.10"
    assert written(foreign(balance_after=Decimal("7.10"), subaccount="margin"))["bal"] == ""


def test_what_a_flow_of_another_provider_becomes() -> None:
    bill = written(foreign(kind=Kind.FUNDING, category=Category.FUTURES, symbol="BTCUSDT", label="Funding Fee"))
    stated = {name: value for name, value in bill.items() if value}
    assert stated.pop("billId").isdecimal()
    assert stated == {
        "balChg": "-1.50",
        "ccy": "USD",
        "instId": "BTCUSDT",
        "instType": "SWAP",
        "notes": "Funding Fee",
        "subType": "173",
        "ts": "1795939200123",
        "type": "8",
    }


@given(
    amount=st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**9), max_value=10**9),
    random=st.randoms(),
)
def test_simulated_legs_add_up_to_the_amount(amount: Decimal, random: Random) -> None:
    flow = with_legs(foreign(kind=Kind.REALIZED_PNL)._replace(amount=amount), random.randrange)
    assert flow.detail is not None
    assert Decimal(str(flow.detail["okx:pnl"])) + Decimal(str(flow.detail["okx:fee"])) == amount
    assert (flow.kind, flow.amount) == (Kind.TRADE, amount)


# ---------------------------------------------------------------- ids of rows that cannot be read


@pytest.mark.parametrize(
    ("wire", "bill_id"),
    [
        (b'{"bal":NaN,"billId":"42","ts":"1"}', "42"),
        (b'{"notes":"\\ud83d","billId" : 42 }', "42"),
        (b'{"billId":"x42"}', None),
        (b'{"bal":"1"}', None),
        (b'{"billId":"42","billId":"43"}', None),
    ],
)
def test_the_id_of_a_row(wire: bytes, bill_id: str | None) -> None:
    assert bill_id_of(wire) == bill_id
