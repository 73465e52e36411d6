"""Stripe's rows: minor units, fees inside a row, and rows whose status changes without money."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Flow, Kind
from liushui.instant import from_us
from liushui.money import to_plain_string
from liushui.provider import UNSERVABLE
from liushui.providers.stripe import codec, with_fee
from liushui.providers.stripe.rules import PLACES

AT: Final = from_us(1_767_225_600_123_456)


def row(**changes: object) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": "txn_1",
        "object": "balance_transaction",
        "amount": 1000,
        "available_on": 1_767_312_000,
        "balance_type": "payments",
        "created": 1_767_225_600,
        "currency": "usd",
        "description": None,
        "exchange_rate": None,
        "fee": 0,
        "fee_details": [],
        "net": 1000,
        "reporting_category": "charge",
        "source": "ch_1",
        "status": "pending",
        "type": "charge",
    } | changes
    return fields


def read(**changes: object) -> Flow:
    return codec.read(json.dumps(row(**changes)).encode()).flow


@pytest.mark.parametrize(
    ("currency", "minor", "amount"),
    [
        ("usd", 1, "0.01"),
        ("usd", -123456, "-1234.56"),
        ("jpy", 500, "500"),
        ("krw", -1, "-1"),
        ("kwd", 12340, "12.340"),
        ("bhd", -1, "-0.001"),
        ("isk", 50000, "500.00"),
        ("ugx", 70000, "700.00"),
        ("huf", 123400, "1234.00"),
        ("usd", 0, "0.00"),
    ],
)
def test_minor_units(currency: str, minor: int, amount: str) -> None:
    flow = read(currency=currency, amount=minor, net=minor)
    assert (to_plain_string(flow.amount), flow.currency) == (amount, currency.upper())
    assert json.loads(codec.write(flow))["net"] == minor


@pytest.mark.parametrize("currency", sorted(PLACES))
def test_every_currency_is_written_as_it_is_read(currency: str) -> None:
    amount = Decimal(12345).scaleb(-PLACES[currency])
    written = codec.write(Flow("f", AT, amount, currency, kind=Kind.RECEIPT))
    assert codec.read(written).flow.amount == amount


@pytest.mark.parametrize(
    ("amount", "currency", "field"),
    [
        ("0.001", "USD", "amount"),
        ("0.5", "JPY", "amount"),
        ("0.0001", "KWD", "amount"),
        ("1", "USDT", "currency"),
        ("1", "CNH", "currency"),
        ("90071992547409.92", "USD", "amount"),
    ],
)
def test_what_has_no_minor_units_is_refused(amount: str, currency: str, field: str) -> None:
    with pytest.raises(NotRepresentable) as refusal:
        codec.write(Flow("f", AT, Decimal(amount), currency))
    assert refusal.value.field == field


def test_a_row_with_a_fee_is_one_flow_of_what_was_left() -> None:
    fees = [
        {"amount": 320, "application": None, "currency": "usd", "description": "Processing", "type": "stripe_fee"},
        {"amount": 100, "application": "ca_1", "currency": "usd", "description": None, "type": "application_fee"},
    ]
    flow = read(amount=10_000, fee=420, net=9_580, fee_details=fees)
    assert (flow.amount, flow.kind) == (Decimal("95.80"), Kind.RECEIPT)
    assert flow.detail is not None
    assert {name: flow.detail[name] for name in (codec.GROSS, codec.FEE)} == {codec.GROSS: "100.00", codec.FEE: "-4.20"}
    written = json.loads(codec.write(flow))
    assert written["fee_details"] == fees
    assert [written[name] for name in ("amount", "fee", "net")] == [10_000, 420, 9_580]


@pytest.mark.parametrize(("amount", "fee", "net"), [(100, 0, 99), (100, 3, 103), (0, 0, 1)])
def test_a_net_that_is_not_the_amount_without_the_fee_is_rejected(amount: int, fee: int, net: int) -> None:
    with pytest.raises(WireError, match="net: expected amount - fee"):
        read(amount=amount, fee=fee, net=net)


def test_a_status_is_not_a_fact() -> None:
    """A row that becomes available is the same flow: nothing moved."""
    assert read(status="pending") == read(status="available")


def test_an_exchange_rate_keeps_its_digits() -> None:
    wire = json.dumps(row()).encode().replace(b'"exchange_rate": null', b'"exchange_rate": 1.23400000000000000001e-2')
    flow = codec.read(wire).flow
    assert flow.detail is not None
    assert flow.detail[codec.EXCHANGE_RATE] == "1.23400000000000000001e-2"
    assert b'"exchange_rate":1.23400000000000000001e-2' in codec.write(flow)


def test_an_expanded_source_is_its_id() -> None:
    assert read(source={"id": "ch_9", "object": "charge", "amount": 1000}).order_ref == "ch_9"


@pytest.mark.parametrize("minor", [2**53, -(2**53), 2**70])
def test_what_clients_would_round_is_not_served(minor: int) -> None:
    assert codec.read(json.dumps(row(amount=minor, net=minor)).encode()).served == UNSERVABLE


@pytest.mark.parametrize(
    ("type_", "category", "kind"),
    [
        ("payment", "charge", Kind.RECEIPT),
        ("payment_refund", "refund", Kind.REFUND),
        ("payment_failure_refund", "refund", Kind.REFUND),
        ("payment_reversal", "charge_failure", Kind.REFUND),
        ("refund_failure", "refund_failure", Kind.REFUND),
        ("payout_cancel", "payout_reversal", Kind.WITHDRAWAL),
        ("payout_failure", "payout_reversal", Kind.WITHDRAWAL),
        ("payout_minimum_balance_hold", "payout_minimum_balance_hold", Kind.ADJUSTMENT),
        ("topup_reversal", "topup_reversal", Kind.DEPOSIT),
        ("transfer_refund", "transfer_reversal", Kind.TRANSFER),
        ("inbound_transfer", "topup", Kind.TRANSFER),
        ("connect_collection_transfer", "connect_collection_transfer", Kind.TRANSFER),
        ("stripe_fx_fee", "fee", Kind.FEE),
        ("application_fee_refund", "platform_earning_refund", Kind.FEE),
        ("tax_fund", "tax", Kind.TAX),
        ("adjustment", "dispute", Kind.REFUND),
        ("adjustment", "dispute_reversal", Kind.REFUND),
        ("adjustment", "partial_capture_reversal", Kind.REFUND),
        ("adjustment", "fee", Kind.FEE),
        ("adjustment", "other_adjustment", Kind.ADJUSTMENT),
        ("reserve_transaction", "risk_reserved_funds", Kind.ADJUSTMENT),
        ("reserved_funds", "connect_reserved_funds", Kind.ADJUSTMENT),
        ("issuing_authorization_hold", "issuing_authorization_hold", Kind.ADJUSTMENT),
        ("payment_network_reserve_release", "network_cost", Kind.ADJUSTMENT),
        ("issuing_transaction", "issuing_transaction", Kind.OTHER),
        ("a_type_of_tomorrow", "charge", Kind.OTHER),
    ],
)
def test_kinds(type_: str, category: str, kind: Kind) -> None:
    assert read(type=type_, reporting_category=category).kind is kind


@pytest.mark.parametrize("kind", list(Kind))
def test_a_kind_that_can_be_written_is_read_again(kind: Kind) -> None:
    flow = codec.read(codec.write(Flow("f", AT, Decimal(1), "EUR", kind=kind))).flow
    assert flow.kind is (kind if kind in codec.TYPES else Kind.OTHER)


def test_an_id_of_ours_contains_its_instant() -> None:
    flow = Flow("f", AT, Decimal(1), "EUR")
    assert codec.instant_in(codec.place_id(flow)) == AT
    assert codec.place_id(flow) != codec.place_id(flow._replace(identity="g"))
    assert codec.instant_in("txn_1MiN3gLkdIwHu7ixNCZvFdgA") is None
    assert codec.instant_in("txn_" + "f" * 48) is None


def test_a_simulated_fee_is_taken_from_the_payment() -> None:
    flow = with_fee(Flow("f", AT, Decimal("97.00"), "CNY", kind=Kind.RECEIPT), lambda _below: 1)
    read_again = codec.read(codec.write(flow)).flow
    assert read_again.amount == Decimal("97.00")
    assert read_again.detail is not None
    assert Decimal(str(read_again.detail[codec.GROSS])) + Decimal(str(read_again.detail[codec.FEE])) == flow.amount
    assert read_again.at == AT - timedelta(microseconds=123_456)
