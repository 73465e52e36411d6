"""The world read as a server reads it: pages that partition the rows, filters, time passing, keys and rates."""

import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.flow import Category, Flow
from liushui.instant import to_us
from liushui.provider import Admit, FlowQuery, Key, Rate
from liushui.providers import providers
from liushui.providers.longbridge import PROVIDER, codec
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import Parameters, World
from liushui.wire.http import Request
from liushui.wire.signing import longbridge_signature, longbridge_signature_header

NAME = PROVIDER.name
LATER = datetime(2030, 1, 1, tzinfo=UTC)


class MovedClock:
    """Says what it was told."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def reader_of(
    flows: int,
    *,
    accounts: int = 1,
    live: bool = False,
    now: datetime = LATER,
    admit: Admit | None = None,
    seed: int = 1,
) -> tuple[WorldReader, MovedClock]:
    clock = MovedClock(now)
    world = World(Parameters(accounts=accounts, flows=flows, live=live, seed=seed))
    return WorldReader(world, {NAME: PROVIDER}, clock, admit=admit), clock


def everything(reader: WorldReader) -> FlowQuery:
    asked = reader.world.parameters
    return FlowQuery(reader.world.accounts, asked.begin, asked.end + timedelta(days=9_999), 10**9, language="en")


def rows_of(reader: WorldReader, query: FlowQuery) -> Sequence[bytes]:
    page = reader.newest(NAME, query, lambda flow: codec.write(flow, query.language))
    return codec.rows_of_data(b'{"list":[' + page + b"]}")


def truth(reader: WorldReader, query: FlowQuery) -> list[bytes]:
    """What a query must give before paging, made the long way."""
    merged = [flow for name in reader.world.accounts for flow in reader.truth(name, query.since, query.until)]
    merged.sort(key=lambda flow: flow.at)
    return [codec.write(flow, query.language) for flow in reversed(merged) if _fits(flow, query)]


def _fits(flow: Flow, query: FlowQuery) -> bool:
    return query.category in (None, flow.category) and query.symbol in (None, flow.symbol)


SMALL = reader_of(1_500, accounts=2)[0]
"""Two accounts, sparse: most days are empty."""
DENSE = WorldReader(
    World(Parameters(accounts=1, flows=4_000, end=datetime(2021, 1, 8, tzinfo=UTC))), {NAME: PROVIDER}, lambda: LATER
)
"""One account, hundreds of rows a day."""


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize("reader", [SMALL, DENSE], ids=["sparse", "dense"])
@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 1_200), language=st.sampled_from(["en", "zh-CN", None]))
def test_pages_of_any_size_partition_the_rows(reader: WorldReader, size: int, language: str | None) -> None:
    query = everything(reader)._replace(limit=size, language=language)
    got: list[bytes] = []
    for number in range(4_001 // size + 2):
        page = rows_of(reader, query._replace(offset=number * size))
        assert len(page) == min(size, max(len(truth_of(reader, query)) - number * size, 0))
        got += page
    assert got == truth_of(reader, query)


_truths: dict[tuple[int, str | None], list[bytes]] = {}


def truth_of(reader: WorldReader, query: FlowQuery) -> list[bytes]:
    key = id(reader), query.language
    if key not in _truths:
        _truths[key] = truth(reader, query)
    return _truths[key]


@pytest.mark.parametrize("reader", [SMALL, DENSE], ids=["sparse", "dense"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_range_filter_and_page(reader: WorldReader, data: st.DataObject) -> None:
    whole = everything(reader)
    instants = [flow.at for flow in reader.truth("trader-1", whole.since, whole.until)]
    near = st.tuples(
        st.sampled_from(instants), st.sampled_from([-86_400_000_000, -1, 0, 1, 500_000, 1_000_000, 86_400_000_000])
    )
    since, until = sorted(at + timedelta(microseconds=off) for at, off in (data.draw(near), data.draw(near)))
    query = whole._replace(
        since=since,
        until=until,
        category=data.draw(st.sampled_from([None, *Category])),
        symbol=data.draw(st.sampled_from([None, "AAPL.US", "700.HK", "NONE.US"])),
        offset=data.draw(st.integers(0, 300)),
        limit=data.draw(st.integers(1, 300)),
    )
    assert rows_of(reader, query) == truth(reader, query)[query.offset : query.offset + query.limit]


@pytest.mark.parametrize("reader", [SMALL, DENSE], ids=["sparse", "dense"])
@pytest.mark.parametrize("category", [Category.CASH, Category.OTHER])
def test_filtered_pages_partition_the_rows_first_and_again(reader: WorldReader, category: Category) -> None:
    query = everything(reader)._replace(category=category, limit=37)
    expected = truth(reader, query)
    for _ in range(2):
        got = [row for number in range(120) for row in rows_of(reader, query._replace(offset=number * 37))]
        assert got == expected


def test_what_is_not_there_is_not_searched_for() -> None:
    reader, _ = reader_of(10_000_000)
    for query in (
        everything(reader)._replace(symbol="NONE.US"),
        everything(reader)._replace(category=Category.FUTURES),
        everything(reader)._replace(accounts=("trader-2",)),
        everything(reader)._replace(accounts=()),
        everything(reader)._replace(offset=10**12),
    ):
        assert rows_of(reader, query) == []


def test_the_order_of_account_names_does_not_matter() -> None:
    query = everything(SMALL)
    mirrored = query._replace(accounts=(*query.accounts[::-1], "trader-1", "somebody"))
    assert rows_of(SMALL, query) == rows_of(SMALL, mirrored)


def test_each_language_has_its_words() -> None:
    query = everything(SMALL)._replace(limit=500)
    names = {
        language: b"".join(rows_of(SMALL, query._replace(language=language))) for language in ("en", "zh-CN", None)
    }
    assert b"Platform Fee" in names["en"]
    assert "现金股息".encode() in names["zh-CN"]
    assert "現金股息".encode() in names[None]


# ---------------------------------------------------------------- time


def test_rows_appear_as_the_clock_passes_them() -> None:
    reader, clock = reader_of(20_000, live=True)
    end = reader.world.parameters.end
    coming = list(reader.world.flows("trader-1", end, end + timedelta(days=6)))
    assert len(coming) > 20
    query = everything(reader)._replace(since=end)
    for flow in coming:
        clock.at = flow.at - timedelta(microseconds=1)
        assert rows_of(reader, query) == truth(reader, query)
        assert len(rows_of(reader, query)) == sum(known.at < flow.at for known in coming)
        clock.at = flow.at
        assert rows_of(reader, query) == truth(reader, query)
        assert codec.write(flow, "en") in rows_of(reader, query)
    assert reader.accounts()[0].flows == 20_000 + len(coming)


def test_nothing_is_shown_before_it_happened() -> None:
    reader, clock = reader_of(5_000, now=datetime(2023, 5, 1, 14, 30, 11, 250_000, tzinfo=UTC))
    shown = rows_of(reader, everything(reader))
    assert shown == truth(reader, everything(reader))
    assert 0 < len(shown) == reader.accounts()[0].flows < 5_000
    clock.at = datetime(2020, 1, 1, tzinfo=UTC)
    assert rows_of(reader, everything(reader)) == []
    clock.at = LATER
    assert len(rows_of(reader, everything(reader))) == reader.accounts()[0].flows == 5_000


# ---------------------------------------------------------------- keys


def test_keys_follow_from_the_seed() -> None:
    accounts = reader_of(10, accounts=3)[0].accounts()
    again, _ = reader_of(99, accounts=3)
    assert [account.name for account in accounts] == ["trader-1", "trader-2", "trader-3"]
    for account in accounts:
        assert set(account.credentials) == {field.name for field in PROVIDER.credentials}
        assert again.key(NAME, account.credentials[PROVIDER.key_field]) == Key(
            account.credentials["app_key"], NAME, (account.name,), account.credentials, paced=False
        )
    other, _ = reader_of(10, accounts=3, seed=2)
    assert other.key(NAME, accounts[0].credentials["app_key"]) is None
    assert again.key("other", accounts[0].credentials["app_key"]) is None
    assert len({account.credentials["access_token"] for account in accounts}) == 3


def test_every_provider_has_a_key_for_every_account() -> None:
    world = World(Parameters(accounts=2, flows=10))
    given_out = WorldReader(world, providers()).accounts()
    assert {(account.provider.name, account.name) for account in given_out} == {
        (name, account) for name in providers() for account in world.accounts
    }


def test_calls_are_counted_by_key_where_rates_are_held() -> None:
    counted: list[tuple[str, Rate]] = []

    def admit(key: str, rate: Rate) -> bool:
        counted.append((key, rate))
        return len(counted) < 3

    reader, _ = reader_of(10, accounts=2, admit=admit)
    first, second = (key_of(reader, place) for place in (0, 1))
    rate = PROVIDER.rules.rate
    assert [reader.admit(key, rate) for key in (first, second, first)] == [True, True, False]
    assert counted == [(f"{NAME}:{key.public}", rate) for key in (first, second, first)]


def test_no_rate_is_held_where_nobody_counts() -> None:
    reader, _ = reader_of(10)
    assert all(reader.admit(key_of(reader, 0), PROVIDER.rules.rate) for _ in range(100))


def key_of(reader: WorldReader, place: int) -> Key:
    key = reader.key(NAME, reader.accounts()[place].credentials[PROVIDER.key_field])
    assert key is not None
    return key


def test_a_signed_request_is_answered() -> None:
    reader, clock = reader_of(2_000)
    key = key_of(reader, 0)
    headers = {
        "x-api-key": key.public,
        "authorization": key.credentials["access_token"],
        "x-timestamp": str(to_us(clock.at) // 1_000_000),
        "accept-language": "en",
    }
    path, query = "/v1/asset/cashflow", "start_time=0&end_time=1893456000&page=2&size=700"
    signature = longbridge_signature(
        secret=key.credentials["app_secret"], method="GET", path=path, query=query, headers=headers
    )
    headers["x-api-signature"] = longbridge_signature_header(signature)
    answer = PROVIDER.server.answer(Request("GET", path, query, headers, route=path), reader)
    assert answer.status == 200
    page = b",".join(truth(reader, everything(reader))[700:1400])
    assert answer.body == b'{"code":0,"message":"success","data":{"list":[' + page + b"]}}"


# ---------------------------------------------------------------- size


def test_ten_million_flows_are_not_held() -> None:
    tracemalloc.start()
    try:
        reader, _ = reader_of(10_000_000)
        query = everything(reader)._replace(limit=10_000)
        pages = [rows_of(reader, query._replace(offset=offset)) for offset in (0, 5_000_000, 9_990_000)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [len(page) for page in pages] == [10_000] * 3
    assert peak < 150_000_000
    assert codec.read(pages[2][-1]).flow.kind == "deposit"
