"""The accounts of people at institutions, their names, and the transfers between accounts of one person."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest

from liushui.flow import Flow, Kind
from liushui.provider import Provider, Role
from liushui.providers import load_providers
from liushui.providers.longbridge import PROVIDER
from liushui.simulate.people import Institution, accounts_of, institutions_of
from liushui.simulate.transfers import SAME_MONEY, TAKES_S, Transfer
from liushui.simulate.world import Parameters, World, day_number
from tests.simulate.worlds import INSTITUTIONS, whole, world_of


def provider(name: str, role: Role, *, socket: bool = False) -> Provider:
    return replace(PROVIDER, name=name, role=role, socket=PROVIDER.socket if socket else None)


def names_of(people: int, *found: Provider) -> list[str]:
    return [account.name for account in accounts_of(people, institutions_of({one.name: one for one in found}))]


# ---------------------------------------------------------------- names


BROKER_A: Final = provider("a", Role.BROKER)
BROKER_B: Final = provider("b", Role.BROKER, socket=True)
END: Final = datetime(2022, 1, 1, tzinfo=UTC)
FUTURES: Final = provider("f", Role.FUTURES)
SHOP_S: Final = provider("s", Role.SHOP)
SHOP_T: Final = provider("t", Role.SHOP)


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ([BROKER_B], ["trader-1"]),
        ([BROKER_A], ["trader-1"]),
        ([BROKER_A, BROKER_B], ["trader-1", "trader-1-a"]),
        ([BROKER_A, provider("c", Role.BROKER)], ["trader-1", "trader-1-c"]),
        ([FUTURES], ["trader-1-f"]),
        ([SHOP_T, SHOP_S], ["shop-1", "shop-1-t"]),
        ([SHOP_S, FUTURES, BROKER_B, BROKER_A], ["trader-1", "trader-1-a", "trader-1-f", "shop-1"]),
    ],
)
def test_main_accounts_are_named_without_their_provider(found: list[Provider], names: list[str]) -> None:
    assert names_of(1, *found) == names
    assert names_of(1, *found[::-1]) == names
    assert names_of(2, *found) == [*names, *(name.replace("-1", "-2", 1) for name in names)]


def test_the_main_account_is_at_the_broker_with_a_socket() -> None:
    institutions = institutions_of({"a": BROKER_A, "b": BROKER_B})
    assert institutions == (Institution("a", Role.BROKER, is_main=False), Institution("b", Role.BROKER, is_main=True))


def test_a_single_brokers_name_does_not_change_its_accounts() -> None:
    asked = Parameters(accounts=1, flows=500)
    assert whole(World(asked)) == whole(World(asked, institutions_of({"a": BROKER_A})))


# ---------------------------------------------------------------- transfers


SECONDS: Final = range(TAKES_S[0], TAKES_S[0] + TAKES_S[1])


def transfers_of(world: World, person: int) -> list[Transfer]:
    days = range(world.begin_day, world.end_day or 0)
    return [sent for day in days for sent in world.transfers(person, day)]


@pytest.mark.parametrize("flows", [100, 400, 10_000])
def test_every_transfer_is_a_row_in_both_accounts(flows: int) -> None:
    world = world_of(flows, people=2)
    rows = {name: Counter(map(_facts, whole(world, name))) for name in world.accounts}
    for person in (1, 2):
        sent = transfers_of(world, person)
        assert len(sent) >= flows // 50
        for one in sent:
            assert (one.arrived_at - one.left_at).total_seconds() in SECONDS
            assert SAME_MONEY.get(one.out_of.currency, one.out_of.currency) == SAME_MONEY.get(
                one.into.currency, one.into.currency
            )
            (left,) = [row for row in whole_of(world, one.source) if _is_end(row, one.left_at, one, one.out_of)]
            (came,) = [row for row in whole_of(world, one.target) if _is_end(row, one.arrived_at, one, one.into)]
            assert left.amount == -came.amount <= 0
            assert one.amount in (None, came.amount)
            assert rows[one.source][_facts(left)] == rows[one.target][_facts(came)] == 1


_wholes: dict[tuple[int, str], list[Flow]] = {}


def whole_of(world: World, account: str) -> list[Flow]:
    key = world.parameters.flows, account
    if key not in _wholes:
        _wholes[key] = whole(world, account)
    return _wholes[key]


def _facts(flow: Flow) -> tuple[object, ...]:
    return flow.at, flow.amount, flow.subaccount, flow.currency, flow.note, flow.ref


def _is_end(row: Flow, at: datetime, sent: Transfer, wallet: tuple[str, str]) -> bool:
    if row.at != at or (row.subaccount, row.currency) != wallet:
        return False
    return row.note == sent.note or (row.note is None and row.kind is Kind.TRANSFER)


def test_notes_name_each_transfer_once_in_each_of_its_accounts() -> None:
    """Checked as an accountant would, from the statements alone."""
    world = world_of(10_000)
    main, second, shop = (_transfer_rows(world, name) for name in ("trader-1", "trader-1-second", "shop-1"))
    assert len(second) > 100
    assert len(shop) > 100
    assert not second.keys() & shop.keys()
    for other in (second, shop):
        for note, row in other.items():
            assert main[note].amount == -row.amount
            assert main[note].currency == SAME_MONEY.get(row.currency, row.currency)
            assert abs(main[note].at - row.at) <= timedelta(seconds=SECONDS[-1])
    assert all(row.kind is Kind.WITHDRAWAL for row in shop.values())
    to_futures = main.keys() - second.keys() - shop.keys()
    coins = Counter((row.at.date(), abs(row.amount)) for row in whole(world, "trader-1-coins"))
    assert len(to_futures) > 100
    for note in to_futures:
        assert coins[main[note].at.date(), abs(main[note].amount)] >= 1
        assert main[note].currency == "USD"


def _transfer_rows(world: World, account: str) -> dict[str, Flow]:
    """The rows whose notes name a transfer, by that note."""
    rows = [(row.note or "", row) for row in whole(world, account)]
    found = {note: row for note, row in rows if note.startswith("Transfer ")}
    assert len(found) == sum(note.startswith("Transfer ") for note, _ in rows)
    return found


def test_exchanges_send_each_other_money() -> None:
    """Each transfer leaves one and arrives at the other, and nothing else of the world depends on it."""
    exchanges = [Institution(name, Role.EXCHANGE, is_main=False) for name in ("okx", "bybit", "binance")]
    world = World(Parameters(accounts=1, flows=1_500, end=END), exchanges)
    sent = transfers_of(world, 1)
    assert len(sent) > 50
    assert len({(one.source, one.target) for one in sent}) == 6
    for one in sent:
        assert one.amount is not None
        (left,) = [row for row in whole_of(world, one.source) if row.note == one.note]
        (came,) = [row for row in whole_of(world, one.target) if row.note == one.note]
        assert (left.amount, came.amount) == (-one.amount, one.amount)
        assert left.kind is came.kind is Kind.TRANSFER
        assert (came.at - left.at).total_seconds() in SECONDS
    for name in world.accounts:
        ensure_chained(whole_of(world, name))
    alone = World(Parameters(accounts=1, flows=1_500, end=END), exchanges[:1])
    assert transfers_of(alone, 1) == []


def test_indicative_balances_are_right_in_the_end() -> None:
    shop = Institution("shop", Role.SHOP, is_main=True)
    asked = Parameters(accounts=1, flows=1_500, end=END)
    exact = whole(World(asked, [shop]), "shop-1")
    advisory = whole(World(asked, [shop._replace(is_advisory=True)]), "shop-1")
    assert [flow._replace(balance_after=None) for flow in advisory] == [
        row._replace(balance_after=None) for row in exact
    ]
    others = [stated.balance_after != row.balance_after for stated, row in zip(advisory, exact, strict=True)]
    assert len(exact) // 30 < sum(others) < len(exact) // 8
    assert len(set(advisory)) == len(set(exact)), "rows that only their balances tell apart"
    days = [flow.at.date() for flow in exact]
    assert not any(other for other, day, after in zip(others, days, days[1:], strict=False) if day != after)


def without_balance(flow: Flow) -> Flow:
    return flow._replace(balance_after=None)


def ensure_chained(flows: list[Flow]) -> None:
    balances: dict[tuple[str, str], Decimal] = {}
    for flow in flows:
        wallet = flow.subaccount, flow.currency
        assert flow.balance_after == balances.get(wallet, Decimal(0)) + flow.amount
        balances[wallet] = flow.balance_after


def test_without_a_main_account_there_are_no_transfers() -> None:
    institutions = [institution for institution in INSTITUTIONS if institution.role is not Role.BROKER]
    world = World(Parameters(accounts=1, flows=1_000), institutions)
    assert transfers_of(world, 1) == []


def test_the_order_in_which_days_are_generated_does_not_matter() -> None:
    day = next(sent.left_at for sent in transfers_of(world_of(3_000), 1) if sent.source == "shop-1")
    number = (day - datetime(1970, 1, 1, tzinfo=day.tzinfo)).days
    first, second = world_of(3_000), world_of(3_000)
    one = first.day("trader-1", number), first.day("shop-1", number)
    other = second.day("shop-1", number), second.day("trader-1", number)
    assert one == other[::-1]


def test_the_receipts_at_wecom_are_the_same_money_as_the_wechat_pay_bill() -> None:
    providers = load_providers()
    parameters = Parameters(accounts=2, flows=300, seed=7, begin=datetime(2021, 11, 1, tzinfo=UTC), end=END)
    world = World(parameters, institutions_of(providers))
    alone = World(parameters, institutions_of({"wecom": providers["wecom"]}))
    orders = 0
    for person in range(1, parameters.accounts + 1):
        view, original = f"shop-{person}", f"shop-{person}-wechatpay"
        assert world.view_of(original) == view
        assert (world.original_of(view), world.original_of(original)) == (original, original)
        for day in range(world.begin_day, day_number(END)):
            for seen, booked in zip(world.day(view, day), world.day(original, day), strict=True):
                assert (seen.at, seen.amount, seen.kind) == (booked.at, booked.amount, booked.kind)
                assert (seen.ref, seen.balance_after, seen.note) == (booked.ref, booked.balance_after, booked.note)
                if seen.order_ref:  # the shop's own number, which the bill has beside WeChat Pay's
                    orders += 1
                    assert booked.detail is not None
                    assert booked.detail["wechatpay:业务凭证号"] == seen.order_ref
                    assert booked.order_ref == f"4200{seen.order_ref}"
            if not any(world.transfers(person, day)):
                assert [flow._replace(detail=None) for flow in world.day(view, day)] == [
                    flow._replace(detail=None) for flow in alone.day(view, day)
                ], "WeCom's account does not depend on the bill"
    assert orders
