"""The Bybit codec: identity, checked legs, kinds by patterns, rows of other providers, and named faults."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.providers.bybit import codec, with_legs

AT = datetime(2026, 11, 29, 11, 17, 3, 456_000, tzinfo=UTC)


def row(**fields: object) -> dict[str, Any]:
    """A row with the required fields, and others."""
    return {"change": "1.50", "transactionTime": "1795951023456", "type": "TRADE", "currency": "USDT", **fields}


def read(**fields: object) -> Flow:
    return codec.read(json.dumps(row(**fields)).encode()).flow


def written(flow: Flow) -> dict[str, Any]:
    transaction: dict[str, Any] = json.loads(codec.write(flow))
    return transaction


def test_a_minimal_row() -> None:
    flow = read()
    assert (flow.at, flow.amount, flow.direction, flow.kind) == (AT, Decimal("1.50"), Direction.NONE, Kind.TRADE)
    assert (flow.ref, flow.balance_after, flow.label) == (None, None, "TRADE")
    assert flow.detail == {"bybit:type": "TRADE"}


def test_the_identity_is_made_of_six_fields() -> None:
    """The document's sample has one id on two rows. A balance or a size is no part of a movement."""
    same = read(id="1", tradeId="t", cashBalance="7", size="3", orderId="o", category="linear")
    assert same.identity == read(id="1", tradeId="t").identity
    for other in ({"id": "2"}, {"tradeId": "u"}, {"type": "ADL"}, {"currency": "USDC"}, {"change": "1.5"}):
        assert read(**{"id": "1", "tradeId": "t", **other}).identity != same.identity


@pytest.mark.parametrize(
    ("change", "legs", "unexplained"),
    [
        ("11.4194725", {"cashFlow": "12.25", "fee": "0.8305275", "funding": ""}, None),
        ("-0.003676", {"cashFlow": "0", "fee": "0.00000000", "funding": "-0.003676"}, None),
        ("0.25", {"fee": "-0.25"}, None),
        ("1.5", {"cashFlow": "1"}, "0.5"),
        ("1", {"cashFlow": "1", "fee": "0.1", "funding": "0.2"}, "-0.1"),
        ("1.5", {}, None),
        ("1.5", {"cashFlow": "0"}, "1.5"),
    ],
)
def test_the_change_is_made_up_of_its_legs(change: str, legs: dict[str, str], unexplained: str | None) -> None:
    """document: Change = cashFlow + funding - fee"""
    flow = read(change=change, **legs)
    assert flow.detail is not None
    assert flow.detail.get("bybit:unexplained") == unexplained
    assert flow.amount == Decimal(change)
    assert {name: flow.detail[f"bybit:{name}"] for name in legs if legs[name]} == {
        name: text for name, text in legs.items() if text
    }


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("TRADE", Kind.TRADE),
        ("SETTLEMENT", Kind.FUNDING),
        ("FEE_REFUND", Kind.REBATE),
        ("FLEXIBLE_STAKING_REFUND", Kind.TRANSFER),
        ("FLEXIBLE_STAKING_REDEMPTION", Kind.TRANSFER),
        ("TRANSFER_OUT", Kind.TRANSFER),
        ("TRANSFER_IN_INS_LOAN", Kind.TRANSFER),
        ("INTEREST_REPAYMENT_INS_LOAN", Kind.INTEREST),
        ("SPOT_REPAYMENT_SELL", Kind.CONVERSION),
        ("IDN_CONVERT_BUY", Kind.CONVERSION),
        ("DELIVERY_FEE", Kind.FEE),
        ("AIRDROP", Kind.OTHER),
        ("BONUS_RECOLLECT", Kind.OTHER),
        ("WHATEVER_IS_NEW", Kind.OTHER),
        ("", Kind.OTHER),
    ],
)
def test_types(type_: str, kind: Kind) -> None:
    flow = read(type=type_)
    assert (flow.kind, flow.label, written(flow)["type"]) == (kind, type_, type_)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"change": ""}, "change"),
        ({"change": "1e3"}, "change"),
        ({"transactionTime": "yesterday"}, "transactionTime"),
        ({"currency": ""}, "currency"),
        ({"fee": "free"}, "fee"),
        ({"cashFlow": "-"}, "cashFlow"),
        ({"cashBalance": "NaN"}, "cashBalance"),
        ({"qty": "1,000"}, "qty"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: dict[str, str], field: str) -> None:
    with pytest.raises(WireError, match=f"^{field}: "):
        read(**fields)


@pytest.mark.parametrize(
    ("category", "ours"),
    [("spot", Category.OTHER), ("linear", Category.FUTURES), ("option", Category.FUTURES), ("", Category.OTHER)],
)
def test_categories(category: str, ours: Category) -> None:
    assert read(category=category).category is ours


# ---------------------------------------------------------------- flows of other providers


def foreign(**fields: object) -> Flow:
    return Flow("id-1", AT, Decimal("-1.50"), "USD", **fields)  # type: ignore[arg-type] # fields of a flow


def test_what_a_flow_of_another_provider_becomes() -> None:
    flow = foreign(kind=Kind.FUNDING, category=Category.FUTURES, symbol="BTCUSDT", balance_after=Decimal("7.10"))
    assert {name: value for name, value in written(flow).items() if value} == {
        "id": "id-1",
        "symbol": "BTCUSDT",
        "side": "None",
        "funding": "-1.50",
        "fee": "0",
        "change": "-1.50",
        "cashFlow": "0",
        "transactionTime": "1795951023456",
        "type": "SETTLEMENT",
        "cashBalance": "7.10",
        "currency": "USD",
        "category": "linear",
    }
    assert written(foreign(balance_after=Decimal(7), subaccount="margin"))["cashBalance"] == ""
    assert written(foreign(kind=Kind.TRANSFER, ref="R"))["type"] == "TRANSFER_OUT"
    assert written(foreign(kind=Kind.DIVIDEND))["type"] == "OTHER"


@pytest.mark.parametrize("kind", Kind)
def test_a_flow_of_another_provider_is_explained_by_its_legs(kind: Kind) -> None:
    flow = codec.read(codec.write(foreign(kind=kind))).flow
    assert codec.UNEXPLAINED not in (flow.detail or {})


@given(
    amount=st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**9), max_value=10**9),
    kind=st.sampled_from((Kind.REALIZED_PNL, Kind.FEE, Kind.FUNDING)),
    random=st.randoms(),
)
def test_simulated_legs_make_up_the_amount(amount: Decimal, kind: Kind, random: Random) -> None:
    flow = with_legs(foreign(kind=kind)._replace(amount=amount), random.randrange)
    read_again = codec.read(codec.write(flow)).flow
    assert codec.UNEXPLAINED not in (read_again.detail or {})
    assert read_again.amount == amount
