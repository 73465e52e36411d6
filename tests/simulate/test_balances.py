"""The balance of each row is the sum of all flows of its wallet up to that row."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from liushui.flow import Flow
from liushui.money import EXACT, ZERO
from liushui.simulate.balanced_spans import span_calendar
from liushui.simulate.world import World
from tests.simulate.worlds import ACCOUNTS, whole, world_of

Balances = dict[tuple[str, str], Decimal]


def check(flows: list[Flow], balances: Balances) -> None:
    """Compare each balance with the running sum."""
    for flow in flows:
        wallet = flow.subaccount, flow.currency
        balances[wallet] = EXACT.add(balances[wallet], flow.amount)
        assert balances[wallet] == flow.balance_after, flow


@pytest.mark.parametrize("flows", [0, 1, 2, 3, 5, 9, 40, 333, 3_000])
@pytest.mark.parametrize("account", ACCOUNTS)
def test_every_balance_is_the_sum_of_all_flows_so_far(account: str, flows: int) -> None:
    for seed in range(3):
        check(whole(world_of(flows, seed=seed), account), defaultdict(lambda: ZERO))


@pytest.mark.parametrize("account", ACCOUNTS)
def test_balances_of_busy_days_and_of_days_after_the_end(account: str) -> None:
    dense = world_of(40_000, end=datetime(2021, 1, 12, tzinfo=UTC))
    check(whole(dense, account), defaultdict(lambda: ZERO))
    live = world_of(3_000, live=True)
    balances: Balances = defaultdict(lambda: ZERO)
    check(list(live.flows(account, live.parameters.begin, datetime(2027, 1, 1, tzinfo=UTC))), balances)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_every_span_begins_with_the_same_balances(account: str) -> None:
    world = world_of(10_000)
    days = span_calendar(begin=world.begin_day, end=world.end_day or 0, flows=10_000).days
    levels = [levels_before(world, account, world.begin_day + number * days) for number in (1, 7, 100, 200)]
    assert levels == [levels[0]] * 4
    assert all(level == 0 for level in levels[0].values()) == account.startswith("shop")


def levels_before(world: World, account: str, day: int) -> Balances:
    """The balance of each wallet before a day."""
    until = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    flows = world.flows(account, world.parameters.begin, until)
    return {(flow.subaccount, flow.currency): flow.balance_after or ZERO for flow in flows}


def test_no_shop_has_a_negative_balance() -> None:
    for flows in (10_000, 400):
        for account in ("shop-1", "shop-2"):
            assert all((flow.balance_after or 0) >= 0 for flow in whole(world_of(flows, people=2), account))


def test_traders_rarely_have_a_negative_balance() -> None:
    for account in ACCOUNTS:
        flows = whole(world_of(10_000), account)
        assert sum((flow.balance_after or 0) < 0 for flow in flows) < len(flows) // 20


def test_few_rows_are_closing_rows() -> None:
    flows = whole(world_of(10_000))
    assert sum("sweep" in (flow.note or "") or flow.name in SWEEPS for flow in flows) < 1_200


SWEEPS = ("高騰微金美元貨幣基金", "Taikang Kaitai HKD Money Market")
