"""The Binance codec: identity, integers beyond 2^53, types, rows of other providers, and named faults."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from liushui.errors import WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.providers.binance_usdm import codec

AT = datetime(2026, 11, 29, 11, 17, 3, 456_000, tzinfo=UTC)
TRAN_ID = 450021873300112233


def row(**fields: object) -> dict[str, Any]:
    """A row as the document has it."""
    documented = {"symbol": "ETHUSDT", "incomeType": "COMMISSION", "income": "-0.04200000", "asset": "USDT"}
    return {**documented, "info": "COMMISSION", "time": 1795951023456, "tranId": TRAN_ID, "tradeId": "90017", **fields}


def read(**fields: object) -> Flow:
    return codec.read(json.dumps(row(**fields)).encode()).flow


def written(flow: Flow) -> dict[str, Any]:
    income: dict[str, Any] = json.loads(codec.write(flow))
    return income


def test_a_row_of_the_document() -> None:
    flow = read()
    assert (flow.at, flow.amount, flow.direction, flow.kind) == (AT, Decimal("-0.04200000"), Direction.NONE, Kind.FEE)
    assert (flow.ref, flow.order_ref, flow.symbol, flow.label) == (str(TRAN_ID), "90017", "ETHUSDT", "COMMISSION")
    assert (flow.category, flow.balance_after) == (Category.FUTURES, None)
    assert codec.write(flow) == json.dumps(row(), separators=(",", ":")).encode()


def test_one_id_on_rows_of_two_kinds_is_two_flows() -> None:
    """document: tranId is unique in the same incomeType for a user. A profit and its fee share one."""
    flows = [read(), read(incomeType="REALIZED_PNL"), read(tradeId="90018"), read(asset="BNB"), read(income="-0.042")]
    assert len({flow.identity for flow in flows}) == len(flows)
    assert read(info="other").identity == read().identity


@pytest.mark.parametrize("tran_id", [0, 2**53 + 1, 2**63 - 1])
def test_ids_are_exact(tran_id: int) -> None:
    flow = read(tranId=tran_id)
    assert (flow.ref, written(flow)["tranId"]) == (str(tran_id), tran_id)


def test_numbers_and_text_in_each_others_place() -> None:
    decoded = codec.read(json.dumps(row(tranId=str(TRAN_ID), time="1795951023456", tradeId=90017)).encode())
    assert decoded.flow == read()
    assert json.loads(decoded.served or b"") == row()


def test_null_empty_and_missing_mean_the_same() -> None:
    fields = ("symbol", "info", "tradeId")
    missing = {name: value for name, value in row().items() if name not in fields}
    flow = codec.read(json.dumps(missing).encode()).flow
    assert flow == read(**dict.fromkeys(fields, "")) == read(**dict.fromkeys(fields))
    assert (flow.symbol, flow.order_ref) == (None, None)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("TRANSFER", Kind.TRANSFER),
        ("REALIZED_PNL", Kind.REALIZED_PNL),
        ("DELIVERED_SETTELMENT", Kind.REALIZED_PNL),
        ("FUNDING_FEE", Kind.FUNDING),
        ("REFERRAL_KICKBACK", Kind.REBATE),
        ("INSURANCE_CLEAR", Kind.LIQUIDATION),
        ("AUTO_EXCHANGE", Kind.CONVERSION),
        ("BFUSD_REWARD", Kind.INTEREST),
        ("WELCOME_BONUS", Kind.OTHER),
        ("WHATEVER_IS_NEW", Kind.OTHER),
    ],
)
def test_types(type_: str, kind: Kind) -> None:
    flow = read(incomeType=type_)
    assert (flow.kind, flow.label, written(flow)["incomeType"]) == (kind, type_, type_)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"income": ""}, "income"),
        ({"income": 1.5}, "income"),
        ({"asset": ""}, "asset"),
        ({"time": 10**18}, "time"),
        ({"time": "yesterday"}, "time"),
        ({"tranId": 1.5}, "tranId"),
        ({"incomeType": None}, "incomeType"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(WireError, match=f"^{field}: "):
        read(**fields)


def test_what_a_flow_of_another_provider_becomes() -> None:
    flow = Flow("id-1", AT, Decimal("-1.50"), "USD", kind=Kind.DIVIDEND, ref="R-7", note="Q3", order_ref="O")
    income = written(flow)
    assert 2**53 < income.pop("tranId") < 2**63
    assert income == {
        "symbol": "",
        "incomeType": "DIVIDEND",
        "income": "-1.50",
        "asset": "USD",
        "info": "Q3",
        "time": 1795951023456,
        "tradeId": "O",
    }
    assert written(flow) != written(flow._replace(identity="id-2"))
    assert written(flow._replace(kind=Kind.DEPOSIT, note=None))["info"] == "TRANSFER"
