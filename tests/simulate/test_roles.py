"""Facts that only accounts of one role have: brokers, futures exchanges and shops."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from liushui.flow import Direction, Flow, Kind
from liushui.instant import to_us
from liushui.money import to_plain_string
from liushui.simulate.world import Parameters, World
from tests.simulate.worlds import INSTITUTIONS, whole, world_of


@pytest.fixture(scope="module")
def futures() -> list[Flow]:
    return whole(world_of(10_000), "trader-1-coins")


@pytest.fixture(scope="module")
def shop() -> list[Flow]:
    return whole(world_of(10_000), "shop-1")


@pytest.fixture(scope="module")
def broker() -> list[Flow]:
    return whole(world_of(10_000), "trader-1-second")


# ---------------------------------------------------------------- brokers


def test_a_trade_is_its_price_times_its_quantity_and_settles_two_trading_days_later(broker: list[Flow]) -> None:
    trades = [flow for flow in broker if flow.kind is Kind.TRADE]
    assert len(trades) > 1_000
    for trade in trades:
        assert trade.price is not None
        assert trade.quantity is not None
        assert abs(trade.amount) == trade.price * trade.quantity
        assert trade.name
        assert trade.order_ref
        assert trade.settled_at is not None
        days = (trade.settled_at.date() - trade.at.date()).days
        assert days == (4 if trade.at.weekday() in (3, 4) else 2)


def test_both_legs_of_a_conversion_state_the_other_and_the_rate(broker: list[Flow]) -> None:
    legs = [flow for flow in broker if flow.kind is Kind.CONVERSION]
    assert len(legs) > 100
    for leg in legs:
        assert leg.fx is not None
        sold, bought = (leg, leg.fx) if leg.amount < 0 else (leg.fx, leg)
        assert 0 <= abs(sold.amount) * leg.fx.rate - bought.amount < Decimal("0.01")
        assert any(
            other.currency == leg.fx.currency and abs(other.amount) == leg.fx.amount and other.amount * leg.amount < 0
            for other in legs
            if other.at == leg.at
        )


def test_rows_are_numbered_in_their_order(broker: list[Flow]) -> None:
    numbers = [int(flow.ref or "") for flow in broker]
    assert numbers == list(range(numbers[0], numbers[0] + len(broker)))


# ---------------------------------------------------------------- futures exchanges


def test_a_futures_account_has_two_subaccounts_one_coin_and_milliseconds(futures: list[Flow]) -> None:
    assert {flow.subaccount for flow in futures} == {"futures", "copy_trading"}
    assert {flow.currency for flow in futures} == {"USDT"}
    assert {len(to_plain_string(flow.amount).partition(".")[2]) for flow in futures} == {8}
    assert {flow.direction for flow in futures} == {Direction.NONE}
    assert all(to_us(flow.at) % 1_000 == 0 for flow in futures)
    assert sum(to_us(flow.at) % 1_000_000 != 0 for flow in futures) > len(futures) // 3
    kinds = Counter(flow.kind for flow in futures)
    assert set(kinds) == {Kind.TRANSFER, Kind.REALIZED_PNL, Kind.FUNDING, Kind.FEE, Kind.LIQUIDATION}
    assert min(kinds.values()) > 50
    assert all((flow.symbol == "") == (flow.kind is Kind.TRANSFER) for flow in futures)


def test_funding_comes_every_eight_hours(futures: list[Flow]) -> None:
    times = {flow.at.time() for flow in futures if flow.kind is Kind.FUNDING}
    assert {time.isoformat() for time in times} == {"00:00:00", "08:00:00", "16:00:00"}


def test_record_ids_repeat_across_kinds_and_some_are_the_time(futures: list[Flow]) -> None:
    kinds_of: dict[str, set[Kind]] = {}
    for flow in futures:
        kinds_of.setdefault(flow.ref or "", set()).add(flow.kind)
    assert sum(len(kinds) > 1 for kinds in kinds_of.values()) > 500
    assert sum(flow.ref == str(to_us(flow.at) // 1_000) for flow in futures) > 500
    instants = Counter(flow.at for flow in futures)
    assert sum(many > 2 for many in instants.values()) > 100


# ---------------------------------------------------------------- shops


def test_a_shop_has_two_merchants_and_one_currency_in_fen(shop: list[Flow]) -> None:
    assert len({flow.subaccount for flow in shop}) == 2
    assert {flow.currency for flow in shop} == {"CNY"}
    assert all((flow.amount * 100) % 1 == 0 for flow in shop)
    kinds = Counter(flow.kind for flow in shop)
    assert set(kinds) == {Kind.RECEIPT, Kind.REFUND, Kind.FEE, Kind.WITHDRAWAL, Kind.OTHER}
    assert min(kinds.values()) > 50


def test_a_refund_follows_its_receipt_and_some_come_back(shop: list[Flow]) -> None:
    receipts = {flow.order_ref: flow for flow in shop if flow.kind is Kind.RECEIPT}
    refunds = [flow for flow in shop if flow.kind is Kind.REFUND]
    for refund in refunds:
        receipt = receipts[refund.order_ref]
        assert receipt.at < refund.at < receipt.at + timedelta(hours=3)
        assert abs(refund.amount) <= receipt.amount
    assert sum(flow.amount > 0 for flow in refunds) > 50
    assert all((flow.amount > 0) == (flow.direction is Direction.IN) for flow in refunds)


def test_a_fee_shares_the_number_of_its_receipt(shop: list[Flow]) -> None:
    receipts = {(flow.ref, flow.order_ref): flow for flow in shop if flow.kind is Kind.RECEIPT}
    fees = [flow for flow in shop if flow.kind is Kind.FEE]
    for fee in fees:
        receipt = receipts[fee.ref, fee.order_ref]
        assert receipt.at == fee.at
        assert 0 < -fee.amount <= receipt.amount


def test_withdrawals_empty_the_wallet(shop: list[Flow]) -> None:
    taken = [flow for flow in shop if flow.kind is Kind.WITHDRAWAL]
    assert all(flow.balance_after == 0 and flow.amount <= 0 for flow in taken)


# ---------------------------------------------------------------- details of one provider


def test_a_provider_adds_details_to_its_own_accounts_only(shop: list[Flow]) -> None:
    """The flows stay the same, because details are drawn from their own generator."""

    def signed(flow: Flow, below: Callable[[int], int]) -> Flow:
        return flow._replace(detail={"till:clerk": below(1_000)})

    institutions = [
        institution._replace(simulate_detail=signed if institution.name == "till" else None)
        for institution in INSTITUTIONS
    ]
    world = World(Parameters(accounts=1, flows=10_000), institutions)
    dressed = whole(world, "shop-1")
    assert [flow._replace(detail=None) for flow in dressed] == shop
    clerks = {flow.detail["till:clerk"] for flow in dressed if flow.detail}
    assert len(clerks) > 900
    assert whole(World(Parameters(accounts=1, flows=10_000), institutions), "shop-1") == dressed
    assert not any(flow.detail for flow in whole(world, "trader-1-coins"))
