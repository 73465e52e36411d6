"""Every deviation has the effect of its name, and no other: the answers that a client of each provider receives."""

import asyncio
import gzip
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import httpx2
import msgspec
import pytest

from liushui.errors import AuthError, ProviderError, RateLimited, Unavailable, WireError
from liushui.flow import Flow
from liushui.http import Response
from liushui.provider import NO_VALUES, Client, FlowQuery, Page, PageRequest, Provider, Slice
from liushui.providers import load_providers
from liushui.simulate.faults.deviation import Deviation, RowsPage, Scenario, is_marked
from liushui.simulate.faults.deviation_hooks import (
    BOMB_BYTES,
    CAPS,
    NEWEST_DAYS,
    REPEATED_CURSOR,
    UNLISTED_VALUE,
    ever_new_cursors,
    is_hidden,
)
from liushui.simulate.faults.json_rewriting import fields_of, with_field
from liushui.simulate.faults.profiles import PROFILES, profile_named
from liushui.testing.clock import MovableClock
from liushui.testing.conformance.deviations import check_deviations
from liushui.testing.deviations import (
    BEGIN,
    DEVIATIONS,
    NOW,
    DeviatingProvider,
    TooManyCalls,
    deviations_of,
    seeded_pairs,
)
from liushui.testing.transport import HTTPS, ReadWithoutBound
from tests.providers import toy
from tests.simulate.faults.testbed import FaultyProvider

PROVIDERS: Final = {**load_providers(), toy.NAME: toy.PROVIDER}
EVERY: Final = tuple(PROVIDERS)
DOCUMENTS: Final = ("wechatpay",)
"""The providers whose rows come in documents of whole days, of which a digest is stated."""
LISTS: Final = tuple(name for name in EVERY if name not in DOCUMENTS)
"""Those whose rows come in lists, in JSON."""
CURSORS: Final = ("bybit", "wecom", "toy")
LONG_RANGES: Final = tuple(name for name in LISTS if name != "bybit")
"""Those that answer ranges of more than a week."""
MONTHS_AT_MOST: Final = ("alipay", "wecom")
"""Those of them that answer ranges of a month at most."""
NUMBERED: Final = ("alipay", "binance_usdm", "hkus", "longbridge", "longbridge_legacy")
"""Those whose pages are numbered."""
WITHOUT_EMPTY_LISTS: Final = ("alipay",)
"""The providers whose documents leave empty lists out."""
DAY: Final = timedelta(days=1)
WEEK: Final = Slice(BEGIN, BEGIN + 7 * DAY)
"""Rows of a week, which every provider answers with one call."""
EMPTY: Final = Slice(BEGIN - 2 * DAY, BEGIN - DAY)
CROWDED: Final = Slice(BEGIN + 34 * DAY, BEGIN + 40 * DAY)
"""A range that ends with the crowd, where there is one."""

APPLIES_TO: Final = {
    "page-cap-50": tuple(name for name in LISTS if name != "bybit"),
    "page-cap-100": ("alipay", "binance_usdm", "longbridge", "longbridge_legacy", "wecom", "wooxpro"),
    "page-cap-by-size-asked": ("alipay", "binance_usdm", "hkus", "longbridge", "longbridge_legacy"),
    "page-cap-varies": ("bybit", "okx", "stripe", "wecom", "toy"),
    "ignores-account": ("wooxpro",),
    "ignores-symbol": ("wooxpro",),
    "ignores-type": ("wooxpro",),
    "newest-days-only": tuple(name for name in LISTS if name != "bybit"),
    "ignores-page": (
        "alipay",
        "binance_usdm",
        "bybit",
        "hkus",
        "longbridge",
        "longbridge_legacy",
        "okx",
        "stripe",
        "wecom",
        "toy",
    ),
    "unlisted-account": ("wooxpro",),
    "total-zero": ("alipay", "hkus"),
    "total-of-page": ("alipay", "hkus"),
    "total-absent": ("alipay", "hkus"),
    "row-repeated": ("alipay", "hkus", "okx", "stripe", "toy"),
    "cursor-repeats": CURSORS,
    "cursor-repeats-empty": CURSORS,
    "cursor-never-ends": CURSORS,
    "hidden-rows": CURSORS,
    **dict.fromkeys(("start-exclusive", "end-exclusive", "ends-wider", "other-zone", "other-order"), LISTS),
    **dict.fromkeys(("up-to-midnight", "from-midnight", "up-to-full-hour", "from-full-hour"), LISTS),
    **dict.fromkeys(("up-to-monday", "from-monday", "middle-missing"), LONG_RANGES),
    **dict.fromkeys(("up-to-month", "from-month"), tuple(name for name in LONG_RANGES if name not in MONTHS_AT_MOST)),
    **dict.fromkeys(("cut-by-bytes", "cut-by-chance", "rows-at-most"), (*NUMBERED, "wooxpro")),
    **dict.fromkeys(("joints-missing", "last-page-again"), NUMBERED),
    "first-page-short": LONG_RANGES,
    **dict.fromkeys(("lone-surrogate", "nan", "broken-number", "null-list", "absent-list"), LISTS),
    **dict.fromkeys(("message-absent", "message-other", "numbers-as-text", "text-as-numbers"), LISTS),
    **dict.fromkeys(("other-document", "unsigned", "control-totals"), DOCUMENTS),
}
"""The providers that can have a deviation, if not every provider can."""


def double_of(provider: str, *deviations: str | Deviation) -> DeviatingProvider:
    named = [DEVIATIONS[one] if isinstance(one, str) else one for one in deviations]
    return DeviatingProvider(PROVIDERS[provider], named, MovableClock(NOW))


def fetch(
    double: DeviatingProvider,
    slice_: Slice = WEEK,
    *,
    token: str | None = None,
    size: int = 0,
    params: Mapping[str, str] = NO_VALUES,
) -> Page:
    """The page that a client of the provider receives."""
    size = size or double.provider.rules.paging.size_max

    async def call() -> Page:
        client = double.provider.connect(base_url=HTTPS, credentials=double.key.credentials, rate=None, timeout_s=30)
        try:
            page = await client.fetch_page(PageRequest(slice_, size, token, params))
            rows = list(page.rows)
            while double.provider.name in DOCUMENTS and page.next_token is not None:  # each page is a document
                page = await client.fetch_page(PageRequest(slice_, size, page.next_token, params))
                rows += page.rows
            return page._replace(rows=rows)
        finally:
            await client.close()

    with double.connected():
        return asyncio.run(call())


def answer_to(double: DeviatingProvider, slice_: Slice = WEEK) -> Response:
    """The answer to the last call of a client that fetches a page, whatever it thinks of it."""
    with suppress(ProviderError, WireError):
        fetch(double, slice_)
    return double.exchanges[-1].response


def stored_in(double: DeviatingProvider, slice_: Slice) -> list[bytes]:
    return [row for row in double.stored if slice_.since <= at_of(double, row) < slice_.until]


def around_a_marked_row(double: DeviatingProvider) -> Slice:
    at = next(at_of(double, row) for row in double.stored if is_marked(row))
    return Slice(at - 2 * DAY, at + 2 * DAY)


def at_of(double: DeviatingProvider, row: bytes) -> datetime:
    return flow_of(double, row).at


def flow_of(double: DeviatingProvider, row: bytes) -> Flow:
    return double.provider.codec.read(row).flow


def of_every(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with each of the deviations, at every provider that can have it."""
    pairs = [(provider, name) for name in names for provider in APPLIES_TO.get(name, EVERY)]
    return pytest.mark.parametrize(("provider", "name"), pairs)


# ---------------------------------------------------------------- the registry


@pytest.mark.parametrize("deviation", DEVIATIONS.values(), ids=str)
def test_a_deviation_is_described_in_one_line(deviation: Deviation) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", deviation.name)
    assert DEVIATIONS[deviation.name] is deviation
    assert "\n" not in deviation.description
    assert not deviation.description.endswith(".")
    re.compile(deviation.reason)


def test_every_deviation_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs/proof.md").read_text(encoding="utf-8")
    rows = [f"| `{deviation.name}` | {deviation.description} |" for deviation in DEVIATIONS.values()]
    assert "\n".join(["|---|---|", *rows, ""]) in page


@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_deviation_applies_to_the_providers_that_can_have_it(name: str) -> None:
    applies_to = tuple(known for known, provider in PROVIDERS.items() if DEVIATIONS[name] in deviations_of(provider))
    assert applies_to == APPLIES_TO.get(name, EVERY)


@pytest.mark.parametrize("provider", [PROVIDERS[name] for name in LISTS], ids=lambda provider: provider.name)
def test_pairs_repeat_themselves_and_do_not_contradict_each_other(provider: Provider) -> None:
    pairs = seeded_pairs(provider, 7, 20)
    assert pairs == seeded_pairs(provider, 7, 20) != seeded_pairs(provider, 8, 20)
    assert len(set(pairs)) == 20
    for one, other in pairs:
        assert one.group != other.group
        assert one.scenario is other.scenario is Scenario.ALWAYS


@pytest.mark.parametrize("provider", EVERY)
def test_without_a_deviation_a_service_answers_as_its_own_server_does(provider: str) -> None:
    double = double_of(provider)
    assert sorted(fetch(double).rows) == sorted(stored_in(double, WEEK))
    assert double.rows == double.stored
    assert not double.bad_rows
    assert dict(double.exchanges[-1].response.headers)["date"] == "Thu, 01 Jan 2026 12:00:00 GMT"


def test_a_client_that_makes_too_many_calls_is_stopped() -> None:
    double = double_of("hkus")
    double.count_from_here(2)
    fetch(double)
    fetch(double)
    with pytest.raises(TooManyCalls):
        fetch(double)
    assert double.calls == 3


# ---------------------------------------------------------------- what is read


@of_every("page-cap-50", "page-cap-100")
def test_a_page_has_fewer_rows_than_were_asked_for(provider: str, name: str) -> None:
    double = double_of(provider, name)
    whole = Slice(BEGIN, BEGIN + 30 * DAY)
    assert len(stored_in(double, whole)) > 100
    assert len(fetch(double, whole).rows) == DEVIATIONS[name].page_cap
    if PROVIDERS[provider].rules.size_min <= 20:
        assert len(fetch(double, whole, size=20).rows) == 20


def test_numbered_pages_that_are_capped_follow_each_other() -> None:
    double = double_of("longbridge", "page-cap-50")
    whole = Slice(BEGIN, BEGIN + 40 * DAY)
    pages = [fetch(double, whole, token=token).rows for token in (None, "2", "3", "4", "5", "6")]
    assert sorted(row for page in pages for row in page) == sorted(double.stored)


@of_every("page-cap-by-size-asked")
def test_numbered_pages_that_are_capped_leave_rows_out(provider: str, name: str) -> None:
    double = double_of(provider, name)
    whole = Slice(BEGIN, BEGIN + (double.provider.rules.window_max or 40 * DAY))
    size = max(80, double.provider.rules.size_min)
    pages = [fetch(double, whole, token=token, size=size).rows for token in (None, "2", "3")]
    assert [len(page) for page in pages] == ([50, 50, 50] if size == 80 else [50, 0, 0])
    assert sum((Counter(page) for page in pages), Counter()) < Counter(double.stored)


@of_every("page-cap-varies")
def test_pages_are_cut_at_different_numbers_of_rows(provider: str, name: str) -> None:
    double = double_of(provider, name)
    length = min(21 * DAY, double.provider.rules.window_max or 21 * DAY)
    ranges = [Slice(BEGIN + day * DAY, BEGIN + day * DAY + length) for day in range(12)]
    size = double.provider.rules.paging.size_max
    cut = {rows for one in ranges if (rows := len(fetch(double, one).rows)) < min(size, len(stored_in(double, one)))}
    assert len(cut) > 1
    assert cut <= set(CAPS)


@of_every("newest-days-only")
def test_a_long_range_is_answered_in_part(provider: str, name: str) -> None:
    double = double_of(provider, name)
    long = Slice(BEGIN, BEGIN + 12 * DAY)
    newest = Slice(long.until - NEWEST_DAYS, long.until)
    assert sorted(fetch(double, long).rows) == sorted(stored_in(double, newest))
    assert sorted(fetch(double, WEEK).rows) == sorted(stored_in(double, WEEK))


@of_every("ignores-time")
def test_the_range_is_ignored(provider: str, name: str) -> None:
    if provider in DOCUMENTS:  # a document with rows of other days is not accepted
        with pytest.raises(WireError, match="outside"):
            fetch(double_of(provider, name), EMPTY)
        return
    assert len(fetch(double_of(provider, name), EMPTY).rows) > 0


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("ignores-account", "account", "futures"),
        ("ignores-symbol", "symbol", "DOGEUSDT"),
        ("ignores-type", "flow_type", 1),
    ],
)
def test_a_filter_is_ignored(name: str, parameter: str, value: str | int) -> None:
    def values(double: DeviatingProvider) -> set[str | int]:
        rows = fetch(double, Slice(BEGIN, BEGIN + 12 * DAY), params={"account": "futures", parameter: str(value)}).rows
        return {msgspec.json.decode(row)[parameter] for row in rows}

    assert values(double_of("wooxpro")) == {value}
    assert values(double_of("wooxpro", name)) > {value}


@of_every("ignores-page")
def test_the_first_page_comes_again(provider: str, name: str) -> None:
    double = double_of(provider, name)
    first = fetch(double, CROWDED)
    assert first.next_token
    assert fetch(double, CROWDED, token=first.next_token).rows == first.rows != ()


def test_rows_of_an_account_that_is_not_listed_come_without_a_filter_only() -> None:
    double = double_of("wooxpro", "unlisted-account")
    (accounts,) = [one.values for one in double.provider.rules.filters if one.parameter == "account"]
    filtered = [row for account in accounts or () for row in fetch(double, params={"account": account}).rows]
    everything = fetch(double).rows
    assert set(filtered) < set(everything)
    assert all(b"unlisted" in row for row in set(everything) - set(filtered))


@pytest.mark.parametrize("provider", LISTS)
@pytest.mark.parametrize(
    ("name", "has_start", "has_end", "is_wider"),
    [("start-exclusive", False, True, False), ("end-exclusive", True, False, False), ("ends-wider", True, True, True)],
)
def test_rows_at_the_ends_of_a_range(
    provider: str, name: str, *, has_start: bool, has_end: bool, is_wider: bool
) -> None:
    double = double_of(provider, name)
    step = double.provider.rules.resolution
    times = {at_of(double, row) for row in fetch(double).rows}
    assert (WEEK.since in times) is has_start
    assert (WEEK.until - step in times) is has_end
    assert (WEEK.until in times) is is_wider
    assert WEEK.since - step not in times  # there is no such row


# ---------------------------------------------------------------- what an answer has


@pytest.mark.parametrize(("name", "total"), [("total-zero", 0), ("total-of-page", 40), ("total-absent", None)])
def test_the_total_is_wrong(name: str, total: int | None) -> None:
    double = double_of("hkus", name)
    data = msgspec.json.decode(answer_to(double, CROWDED).body)["data"]
    assert data.get("total_records") == total
    assert ("total_records" in data) is (total is not None)
    assert len(data["transactions"]) == 40


@of_every("empty-outage")
def test_lists_are_empty_during_an_outage(provider: str, name: str) -> None:
    double = double_of(provider, name)
    assert not fetch(double).rows
    double.service.is_active = False
    assert fetch(double).rows


@of_every("row-repeated")
def test_marked_records_are_listed_twice(provider: str, name: str) -> None:
    double = double_of(provider, name)
    days = around_a_marked_row(double)
    expected = [row for stored in stored_in(double, days) for row in [stored] * (1 + is_marked(stored))]
    assert sorted(fetch(double, days).rows) == sorted(expected)
    assert len(expected) > len(stored_in(double, days))


@of_every("other-account")
def test_other_credentials_read_other_rows(provider: str, name: str) -> None:
    double = double_of(provider, name)
    double.key, own = double.other_key, double.key
    assert double.key.credentials != own.credentials
    rows = set(fetch(double).rows)
    assert rows <= set(double.others)
    assert not rows & set(double.stored)


@of_every("clock-ahead", "clock-behind")
def test_the_clock_of_a_service_is_off(provider: str, name: str) -> None:
    double = double_of(provider, name)
    offset = DEVIATIONS[name].clock_offset
    stated = dict(answer_to(double).headers)["date"]
    assert parsedate_to_datetime(stated) == NOW + offset
    if not double.provider.rules.allows_skew(offset):
        with pytest.raises(AuthError):
            fetch(double)
    elif offset < timedelta(0):
        assert not fetch(double, Slice(NOW + offset + timedelta(minutes=1), NOW)).rows


@of_every("cursor-repeats", "cursor-repeats-empty", "cursor-never-ends")
def test_cursors_do_not_end(provider: str, name: str) -> None:
    double = double_of(provider, name)
    first = fetch(double)
    second = fetch(double, token=first.next_token)
    third = fetch(double, token=second.next_token)
    assert first.next_token
    assert second.next_token
    assert third.next_token
    assert (first.next_token == second.next_token == third.next_token) is (name != "cursor-never-ends")
    assert sorted(first.rows) == sorted(stored_in(double, WEEK))
    assert second.rows == third.rows == (first.rows if name == "cursor-repeats" else second.rows)
    assert bool(second.rows) is (name == "cursor-repeats")


@of_every("hidden-rows")
def test_hidden_rows_make_pages_short(provider: str, name: str) -> None:
    double = double_of(provider, name)
    rows = fetch(double, size=8)
    assert 0 < len(rows.rows) < 8
    assert rows.next_token
    assert not any(is_hidden(row) for row in rows.rows)
    assert set(rows.rows) <= set(double.rows)
    assert not any(is_hidden(row) for row in double.rows)


# ---------------------------------------------------------------- bodies


def body_over_http(double: DeviatingProvider) -> bytes:
    """What an HTTP client without a bound receives: the request of the provider's client, sent again."""
    double.service.is_active = False
    fetch(double)
    double.service.is_active = True
    request = double.requests[-1]

    async def call() -> bytes:
        async with httpx2.AsyncClient() as client:
            return (await client.send(request)).content

    with double.connected():
        return asyncio.run(call())


@of_every("endless-body")
def test_a_body_never_ends(provider: str, name: str) -> None:
    with pytest.raises(ReadWithoutBound):
        body_over_http(double_of(provider, name))


@of_every("gzip-bomb")
def test_a_small_body_unpacks_to_a_large_one(provider: str, name: str) -> None:
    double = double_of(provider, name)
    assert len(body_over_http(double)) > BOMB_BYTES
    response = double.exchanges[-1].response
    assert len(response.body) < 1 << 20
    assert ("content-encoding", "gzip") in response.headers
    assert len(gzip.decompress(response.body)) > BOMB_BYTES


@of_every("lone-surrogate", "nan", "broken-number")
def test_marked_rows_are_not_json_and_all_others_are_as_stored(provider: str, name: str) -> None:
    double = double_of(provider, name)
    days = around_a_marked_row(double)
    body = answer_to(double, days).body
    marked = [row for row in stored_in(double, days) if is_marked(row)]
    assert len(double.bad_rows) == len([row for row in double.stored if is_marked(row)])
    assert all(body.count(row) == 1 for row in stored_in(double, days) if row not in marked)
    assert not any(row in body for row in marked)
    assert sum(row in body for row in double.bad_rows) == len(marked)
    for row in double.bad_rows:
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(row)


@of_every("other-document")
def test_another_document_is_sent(provider: str, name: str) -> None:
    with pytest.raises(WireError, match="digest"):
        fetch(double_of(provider, name))


@of_every("control-totals")
def test_control_totals_are_those_of_other_rows(provider: str, name: str) -> None:
    """The digest is that of the document, so nothing else shows it."""
    with pytest.raises(WireError, match="control totals"):
        fetch(double_of(provider, name))


@of_every("unsigned")
def test_an_answer_has_no_signature(provider: str, name: str) -> None:
    with pytest.raises(WireError, match="signed"):
        fetch(double_of(provider, name))


@of_every("null-list", "absent-list")
def test_an_empty_list_is_written_in_another_way(provider: str, name: str) -> None:
    double = double_of(provider, name)
    plain = answer_to(double_of(provider), EMPTY).body
    body = answer_to(double, EMPTY).body
    assert b"liushui" not in body
    if provider in WITHOUT_EMPTY_LISTS:
        assert body.count(b'"detail_list":null') == (name == "null-list")
        return
    assert plain.count(b"[]") == 1
    if not plain.startswith(b"{"):
        assert body == plain  # the list is the whole answer
    elif name == "null-list":
        assert body.count(b"null") == plain.count(b"null") + 1
        assert not body.count(b"[]")
    else:
        assert not body.count(b"[]")
        msgspec.json.decode(body)
    assert sorted(fetch(double).rows) == sorted(stored_in(double, WEEK))


@of_every("message-absent", "message-other")
def test_the_message_of_an_answer(provider: str, name: str) -> None:
    names = {"message", "msg", "errmsg"}
    before, after = (answer_to(double_of(provider, *given)).body for given in ((), (name,)))
    if not before.startswith(b"{"):
        assert after == before
        return
    old, new = fields_of(before), fields_of(after)
    if name == "message-absent":
        assert new.keys() == old.keys() - names
    else:
        assert new.keys() == old.keys()
        assert {new[one] for one in names & new.keys()} <= {'"OK, 成功"'.encode()}


def without_trace(body: bytes) -> bytes:
    """The answer without the id that is new in each, and without the signature of the rest."""
    return re.sub(rb'"(?:trace|sign)":"[^"]*"', b"", body)


@of_every("numbers-as-text", "text-as-numbers")
def test_numbers_and_text_change_places(provider: str, name: str) -> None:
    before, after = (without_trace(answer_to(double_of(provider, *given)).body) for given in ((), (name,)))
    assert before.replace(b'"', b"") == after.replace(b'"', b"")
    if name == "numbers-as-text":
        assert len(after) > len(before) or provider in ("alipay", "okx")  # all values are text
    else:  # one provider has no text that is a whole number
        assert len(after) < len(before) or provider == "longbridge_legacy"


# ---------------------------------------------------------------- waiting


@of_every("retry-after-seconds", "retry-after-date")
def test_calls_are_refused_until_the_service_answers_again(provider: str, name: str) -> None:
    double = double_of(provider, name)
    wait = DEVIATIONS[name].retry_after
    assert wait is not None
    with pytest.raises((RateLimited, Unavailable)):
        fetch(double)
    stated = dict(double.exchanges[-1].response.headers)["retry-after"]
    if name == "retry-after-seconds":
        assert stated == str(int(wait.total_seconds()))
    else:
        assert parsedate_to_datetime(stated) == NOW + wait
    double.clock.move(wait - timedelta(seconds=1))
    with pytest.raises((RateLimited, Unavailable)):
        fetch(double)
    double.clock.move(timedelta(seconds=1))
    assert fetch(double).rows


# ---------------------------------------------------------------- together, and in the simulator


def test_two_deviations_are_in_force_together() -> None:
    double = double_of("longbridge", "page-cap-50", "numbers-as-text")
    body = answer_to(double, Slice(BEGIN, BEGIN + 30 * DAY)).body
    assert body.startswith(b'{"code":"0"')
    assert len(msgspec.json.decode(body)["data"]["list"]) == 50


@pytest.mark.parametrize("name", DEVIATIONS)
def test_the_simulator_offers_a_deviation_as_a_profile(name: str) -> None:
    assert name not in PROFILES
    assert profile_named(name).deviations == (name,)


def test_a_simulated_provider_deviates() -> None:
    faulty = FaultyProvider(PROVIDERS["longbridge"], profile_named("page-cap-50"))

    async def first_page(client: Client) -> Page:
        return await client.fetch_page(PageRequest(faulty.whole, 200))

    assert len(faulty.run(first_page).rows) == 50


def test_a_simulated_provider_stores_unlisted_values() -> None:
    faulty = FaultyProvider(PROVIDERS["wooxpro"], profile_named("unlisted-account"))
    accounts = Counter(msgspec.json.decode(row)["account"] for row in faulty.truth().rows)
    assert accounts.keys() == {"futures", "copy_trading", UNLISTED_VALUE.decode().strip('"')}

    async def unlisted(client: Client) -> Page:
        return await client.fetch_page(PageRequest(faulty.whole, 1_000, params={"account": "futures"}))

    assert {msgspec.json.decode(row)["account"] for row in faulty.run(unlisted).rows} == {"futures"}


# ---------------------------------------------------------------- the check itself


def without_one(page: RowsPage, _query: object) -> RowsPage:
    return page._replace(rows=[row for row in page.rows if not is_marked(row)])


def with_invented(page: RowsPage, _query: object) -> RowsPage:
    invented = [with_field(row, "balance", b'"0.01"') for row in page.rows if is_marked(row)]
    return page._replace(rows=[*page.rows, *invented])


def with_one_invented_a_page(page: RowsPage, _query: object) -> RowsPage:
    return page._replace(rows=[*page.rows, with_field(page.rows[0], "balance", b'"0.01"')] if page.rows else [])


def test_the_check_finds_rows_that_nobody_can_miss(tmp_path: Path) -> None:
    deviation = Deviation(name="loses-rows", description="loses rows", reason="anything", change_page=without_one)
    (violation,) = check_deviations(PROVIDERS["longbridge"], [deviation], tmp_path)
    assert violation == "the first sync: 6 rows and 0 bad ones are lacking, and the range is complete"


def test_the_check_finds_rows_that_the_service_does_not_have(tmp_path: Path) -> None:
    deviation = Deviation(name="invents-rows", description="invents rows", change_page=with_invented)
    violation, *_ = check_deviations(PROVIDERS["longbridge"], [deviation], tmp_path)
    assert "rows are there that the service does not have" in violation


def test_a_first_sync_of_a_service_that_invents_a_row_for_each_page_ends(tmp_path: Path) -> None:
    """Each shorter range has another row too many, as if its page had been cut."""
    deviation = Deviation(
        name="invents-a-row-a-page",
        description="invents a row for each page",
        reason="has rows that no answer for the range has",
        change_page=with_one_invented_a_page,
    )
    violations = check_deviations(PROVIDERS["longbridge"], [deviation], tmp_path)
    assert not [violation for violation in violations if violation.startswith("the first sync")]


def test_the_check_wants_the_reason(tmp_path: Path) -> None:
    deviation = Deviation(
        name="breaks", description="breaks answers", reason="the moon", change_body=lambda body: body[:-9]
    )
    (violation,) = check_deviations(PROVIDERS["longbridge"], [deviation], tmp_path)
    assert violation.startswith("the first sync: 240 rows and 0 bad ones are lacking, for another reason: ")


def test_a_service_with_new_cursors_takes_one_that_another_deviation_gave() -> None:
    query = FlowQuery(("a",), BEGIN, NOW, 10, after=REPEATED_CURSOR)
    first = ever_new_cursors(RowsPage([b"row"], None), query)
    assert first.rows == []
    assert first.end_cursor not in (None, "", REPEATED_CURSOR)
    assert ever_new_cursors(first, query._replace(after=first.end_cursor)).end_cursor != first.end_cursor
