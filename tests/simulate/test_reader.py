"""WorldReader as a server uses it: time passing, keys, rates, sessions, and ten million flows."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pytest

from liushui.conditions import EVERYTHING, Where, one_of
from liushui.provider import FlowQuery, Key, RateCheck, Role
from liushui.providers import load_providers
from liushui.providers.longbridge import PROVIDER, codec
from liushui.rules import Rate
from liushui.simulate.people import institutions_of
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import Parameters, World
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits
from tests.simulate.worlds import LATER, as_row

NAME: Final = PROVIDER.name
PROVIDERS: Final = {NAME: PROVIDER}


def reader_of(
    flows: int,
    *,
    accounts: int = 1,
    live: bool = False,
    now: datetime = LATER,
    limited: bool = False,
    seed: int = 1,
) -> tuple[WorldReader, MovableClock]:
    """A reader of a world with one provider, and its clock."""
    clock = MovableClock(now)
    world = World(Parameters(accounts=accounts, flows=flows, live=live, seed=seed), institutions_of(PROVIDERS))
    return WorldReader(world, PROVIDERS, clock, limits=MemoryLimits(clock) if limited else None), clock


def everything(reader: WorldReader, where: Where = EVERYTHING) -> FlowQuery:
    asked = reader.world.parameters
    return FlowQuery(reader.world.accounts, asked.begin, asked.end + timedelta(days=9_999), 10**9, where=where)


def rows_of(reader: WorldReader, query: FlowQuery) -> bytes:
    return reader.read_page(NAME, query, as_row).rows


def truth(reader: WorldReader, query: FlowQuery) -> bytes:
    """The rows of one account's query, newest first, computed without pages."""
    (account,) = query.accounts
    return b",".join(map(as_row, reversed(list(reader.truth(account, query.since, query.until)))))


# ---------------------------------------------------------------- time


def test_rows_appear_when_the_clock_reaches_them() -> None:
    reader, clock = reader_of(20_000, live=True)
    end = reader.world.parameters.end
    coming = list(reader.world.flows("trader-1", end, end + timedelta(days=6)))
    assert len(coming) > 20
    query = everything(reader)._replace(since=end)
    for flow in coming:
        clock.at = flow.at - timedelta(microseconds=1)
        assert rows_of(reader, query) == truth(reader, query)
        assert reader.count_flows(query) == sum(known.at < flow.at for known in coming)
        clock.at = flow.at
        assert rows_of(reader, query) == truth(reader, query)
        assert reader.count_flows(query) == sum(known.at <= flow.at for known in coming)
    assert reader.accounts()[0].flows == 20_000 + len(coming)


def test_nothing_appears_before_it_happened() -> None:
    reader, clock = reader_of(5_000, now=datetime(2023, 5, 1, 14, 30, 11, 250_000, tzinfo=UTC))
    query = everything(reader)
    assert rows_of(reader, query) == truth(reader, query)
    assert 0 < reader.count_flows(query) == reader.accounts()[0].flows < 5_000
    clock.at = datetime(2020, 1, 1, tzinfo=UTC)
    assert rows_of(reader, query) == b""
    assert reader.count_flows(query) == 0
    clock.at = LATER
    assert (
        reader.count_flows(query) == reader.read_page(NAME, query, as_row).size == reader.accounts()[0].flows == 5_000
    )


def test_labels_depend_on_the_language() -> None:
    reader, _ = reader_of(1_000)
    query = everything(reader)
    for language, word in (("en", "Platform Fee"), ("zh-CN", "现金股息"), (None, "現金股息")):
        page = reader.read_page(NAME, query._replace(language=language), partial(codec.write, language=language))
        assert word.encode() in page.rows


# ---------------------------------------------------------------- keys


def test_keys_follow_from_the_seed() -> None:
    accounts = reader_of(10, accounts=3)[0].accounts()
    again, _ = reader_of(99, accounts=3)
    assert [account.name for account in accounts] == ["trader-1", "trader-2", "trader-3"]
    for account in accounts:
        assert set(account.credentials) == {field.name for field in PROVIDER.credentials}
        assert again.find_key(NAME, PROVIDER.key_name(account.credentials)) == Key(
            account.credentials["app_key"], NAME, (account.name,), account.credentials, paced=False
        )
    other, _ = reader_of(10, accounts=3, seed=2)
    assert other.find_key(NAME, accounts[0].credentials["app_key"]) is None
    assert again.find_key("other", accounts[0].credentials["app_key"]) is None
    assert len({account.credentials["access_token"] for account in accounts}) == 3


def test_every_provider_has_a_key_for_every_account_at_it() -> None:
    found = load_providers()
    reader = WorldReader(World(Parameters(accounts=2, flows=10), institutions_of(found)), found)
    given_out = [(account.provider.name, account.name) for account in reader.accounts()]
    assert len(set(given_out)) == len(given_out) == 2 * len(found)
    assert {name for name, _ in given_out} == set(found)
    for name, account in given_out:
        assert account.startswith("shop-" if found[name].role is Role.SHOP else "trader-")


def test_with_limits_calls_are_counted_by_key() -> None:
    reader, _ = reader_of(10, accounts=2, limited=True)
    first, second = (key_of(reader, place) for place in (0, 1))
    rate = Rate(1, timedelta(seconds=1))
    assert reader.admit(first, rate) == RateCheck(admitted=True, used=1)
    assert reader.admit(second, rate) == RateCheck(admitted=True, used=1)
    assert reader.admit(first, rate) == RateCheck(admitted=False, used=1)
    assert reader.admit(first, rate, "else") == RateCheck(admitted=True, used=1)


def test_without_limits_every_call_is_admitted() -> None:
    reader, _ = reader_of(10)
    assert all(reader.admit(key_of(reader, 0), PROVIDER.rules.rate).admitted for _ in range(100))


@pytest.mark.parametrize("limited", [True, False])
def test_a_session_lasts_as_long_as_asked(limited: bool) -> None:
    reader, clock = reader_of(10, accounts=2, limited=limited)
    key, life, began = key_of(reader, 0), timedelta(hours=2), clock.at
    assert reader.session_start(key, life) == began
    clock.move(life - timedelta(microseconds=1))
    assert reader.session_start(key, life) == began
    assert reader.session_start(key_of(reader, 1), life) == clock.at
    clock.move(timedelta(microseconds=1))
    assert reader.session_start(key, life) == clock.at


def key_of(reader: WorldReader, place: int) -> Key:
    key = reader.find_key(NAME, PROVIDER.key_name(reader.accounts()[place].credentials))
    assert key is not None
    return key


# ---------------------------------------------------------------- size


def test_ten_million_flows_need_little_memory() -> None:
    tracemalloc.start()
    try:
        reader, _ = reader_of(10_000_000)
        query = everything(reader)._replace(limit=10_000)
        pages = [
            reader.read_page(NAME, query._replace(offset=offset), codec.write) for offset in (0, 5_000_000, 9_990_000)
        ]
        place = reader.read_page(NAME, query._replace(after="", offset=5_000_000), codec.write).end_cursor
        upwards = reader.read_page(NAME, query._replace(after=place, newest=False), codec.write)
        count = (
            reader.count_flows(query),
            reader.count_flows(query._replace(until=LATER, since=datetime(2023, 5, 5, 5, tzinfo=UTC))),
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [page.size for page in pages] == [10_000] * 3
    assert peak < 150_000_000
    assert b"Deposit" in pages[2].rows[-300:] or "入金".encode() in pages[2].rows[-300:]
    assert upwards.size == 10_000
    assert count[0] == 10_000_000
    assert 5_000_000 < count[1] < 6_000_000


def test_a_rare_filter_generates_each_day_once() -> None:
    reader, _ = reader_of(20_000)
    query = everything(reader, (one_of("kind", "adjustment"),))
    made: list[int] = []
    found, whole = reader.count_flows(query), reader.world.day
    reader.world.day = lambda account, day: made.append(day) or whole(account, day)  # type: ignore[method-assign,func-returns-value]
    assert reader.count_flows(query) == found > 100
    assert len(made) <= 2
