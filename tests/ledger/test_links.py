"""Links of a ledger: they are independent of the way it is read, and the same on every engine."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read import links as reading
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.filters import AFTER_ALL_US, BEFORE_ALL_US
from liushui.ledger.read.links import LinkReader
from liushui.ledger.write.commit import SliceRead, commit_slices, make_account
from liushui.provider import Slice
from liushui.providers import load_providers
from liushui.reconcile.links import Link, LinkKind, LinkState, seconds_of
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World
from liushui.testing.empty_ledger import create_ledger
from tests.engines import LedgerStore

PROVIDERS = load_providers()
RULES = {name: provider.rules for name, provider in PROVIDERS.items()}
BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)


@pytest.fixture
def world_ledger(ledger_store: LedgerStore) -> Ledger:
    """The accounts of a simulated person, half a year of each."""
    ledger = create_ledger(ledger_store.url())
    world = World(Parameters(accounts=1, flows=500, seed=11, begin=BEGIN, end=END), institutions_of(PROVIDERS))
    for name in world.accounts:
        provider = PROVIDERS[world.account(name).institution.name]
        make_account(ledger, name, provider.name, provider.rules.zone)
        rows = [provider.codec.read(provider.codec.write(flow)) for flow in world.flows(name, BEGIN, END)]
        commit_slices(ledger, name, [SliceRead(Slice(BEGIN, END), END, rows)])
    return ledger


def every_link(ledger: Ledger, since_us: int = BEFORE_ALL_US, until_us: int = AFTER_ALL_US) -> list[Link]:
    """The links in a range."""
    with ledger.reading() as connection:
        return list(LinkReader(connection, find_accounts(queries_of(connection)), RULES).links(since_us, until_us))


def test_links_do_not_depend_on_how_a_ledger_is_read(world_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    links = every_link(world_ledger)
    assert {link.kind for link in links} == set(LinkKind)
    assert {link.state for link in links} == {LinkState.CERTAIN, LinkState.CANDIDATE}
    assert [link.order for link in links] == sorted(link.order for link in links)
    assert len({link.id for link in links}) == len(links)
    begins = [to_us(BEGIN + timedelta(days=11 * number)) for number in range(-1, 18)]
    parts = [every_link(world_ledger, *pair) for pair in itertools.pairwise(begins)]
    assert list(itertools.chain.from_iterable(parts)) == links, "a range has the links of that range"
    monkeypatch.setattr(reading, "TRANSFERS_CHUNK_US", 5 * reading.DAY_US)
    monkeypatch.setattr(reading, "FLOWS_CHUNK", 37)
    assert every_link(world_ledger) == links, "so do small chunks"


@pytest.mark.parametrize("kinds", [*[(kind,) for kind in LinkKind], (LinkKind.TRANSFER, LinkKind.FEE)], ids="-".join)
def test_links_of_some_kinds_are_those_of_all_links(world_ledger: Ledger, kinds: tuple[LinkKind, ...]) -> None:
    wanted = [link for link in every_link(world_ledger) if link.kind in kinds]
    with world_ledger.reading() as connection:
        reader = LinkReader(connection, find_accounts(queries_of(connection)), RULES)
        assert list(reader.links(BEFORE_ALL_US, AFTER_ALL_US, kinds=kinds)) == wanted


def test_transfers_are_listed_without_reading_all_flows(world_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LinkReader, "within", None)
    with world_ledger.reading() as connection:
        reader = LinkReader(connection, find_accounts(queries_of(connection)), RULES)
        assert list(reader.links(BEFORE_ALL_US, AFTER_ALL_US, kinds={LinkKind.TRANSFER, LinkKind.PAYOUT}))


def test_every_flow_has_its_links(world_ledger: Ledger) -> None:
    links = every_link(world_ledger)
    with world_ledger.reading() as connection:
        reader = LinkReader(connection, find_accounts(queries_of(connection)), RULES)
        for link in [*links[::40], *(link for link in links if link.state is LinkState.CANDIDATE)]:
            for key in link.keys:
                assert reader.links_of(key) == [one for one in links if key in one.keys]


def test_an_id_names_the_second_of_its_link(world_ledger: Ledger) -> None:
    for link in every_link(world_ledger)[::20]:
        second = seconds_of(link.id)
        assert second is not None
        assert second[0] <= link.flows[0].at_us < second[1]
    assert [seconds_of(text) for text in ("", "x", "20240101T000000-12", "20241301T000000-0123456789ab")] == [None] * 4


def names(links: Iterator[Link]) -> set[str]:
    """The accounts of links."""
    return {flow.account for link in links for flow in link.flows}


def test_own_transfers_are_those_between_the_accounts_that_are_asked_for(world_ledger: Ledger) -> None:
    with world_ledger.reading() as connection:
        reader = LinkReader(connection, find_accounts(queries_of(connection)), RULES)
        every = list(reader.own_transfers(("shop-1", "trader-1"), BEFORE_ALL_US, AFTER_ALL_US))
        assert names(iter(every)) == {"shop-1", "trader-1"}
        assert {link.kind for link in every} == {LinkKind.PAYOUT}
        assert {link.flows[0].currency + link.flows[1].currency for link in every} == {"CNYCNH"}
        assert not list(reader.own_transfers(("shop-1",), BEFORE_ALL_US, AFTER_ALL_US))


def test_a_transfer_from_an_account_that_two_show_has_one_end(world_ledger: Ledger) -> None:
    with world_ledger.reading() as connection:
        reader = LinkReader(connection, find_accounts(queries_of(connection)), RULES)
        found = {
            accounts: list(reader.own_transfers(accounts, BEFORE_ALL_US, AFTER_ALL_US))
            for accounts in (("shop-1", "trader-1"), ("shop-1-wechatpay", "trader-1"), reader_accounts(reader))
        }
    at_wecom, at_wechatpay, everywhere = found.values()
    assert names(iter(at_wechatpay)) == {"shop-1-wechatpay", "trader-1"}
    assert [link.flows[1] for link in at_wecom] == [link.flows[1] for link in at_wechatpay]
    assert "shop-1" not in names(iter(everywhere)), "with both accounts, it is the one of the bill"
    assert {link.id for link in at_wechatpay} <= {link.id for link in everywhere}


def reader_accounts(reader: LinkReader) -> tuple[str, ...]:
    """Every account of a reader."""
    return tuple(account.account for account in reader._accounts)


def test_the_same_money_in_two_accounts_is_seen_twice_by_those_who_ask_for_both(world_ledger: Ledger) -> None:
    with world_ledger.reading() as connection:
        reader = LinkReader(connection, find_accounts(queries_of(connection)), RULES)
        twice = list(reader.seen_twice(("shop-1", "shop-1-wechatpay"), BEFORE_ALL_US, AFTER_ALL_US))
        assert len(twice) == 500, "each of the bill's flows is at WeCom too"
        assert {tuple(flow.account for flow in link.flows) for link in twice} == {("shop-1", "shop-1-wechatpay")}
        for link in twice:
            view, original = link.flows
            assert (view.amount, view.at_us, view.ref) == (original.amount, original.at_us, original.ref)
        for accounts in (("shop-1",), ("shop-1-wechatpay",), ("shop-1", "trader-1")):
            assert not list(reader.seen_twice(accounts, BEFORE_ALL_US, AFTER_ALL_US))
