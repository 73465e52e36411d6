"""Our client and our server over the same bills: addresses, days, accounts, and what a sync plans."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from liushui.errors import AuthError, Refused, Unavailable, WireError
from liushui.http import Request, Response
from liushui.instant import to_us
from liushui.ledger.coverage import Range, State
from liushui.provider import Client, Page, PageRequest, Slice
from liushui.providers import load_providers
from liushui.providers.wechatpay import PROVIDER
from liushui.providers.wechatpay.rules import URL_LIFE
from liushui.providers.wechatpay.server import WechatpayServer
from liushui.sync.fetch import fetch_slice
from liushui.sync.plan import Plan
from liushui.sync.slicer import Slicer
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from liushui.testing.transport import HTTPS, DialectTransport, clients_over, system_clock_is
from tests.providers.wechatpay.rows import row

NOW: Final = datetime(2026, 11, 20, 4, tzinfo=UTC)
"""Noon in Shanghai."""
DAY: Final = Slice(datetime(2026, 10, 31, 16, tzinfo=UTC), datetime(2026, 11, 1, 16, tzinfo=UTC))
"""2026-11-01 in Shanghai."""
HOUR: Final = timedelta(hours=1)
ROWS: Final = [
    row(at="2026-11-01 00:00:00", number="1"),
    row(at="2026-11-01 23:59:59", number="2", side="支出"),
    row(at="2026-11-01 12:00:00", number="3", of="FEES"),
]
OTHER_DAY: Final = row(at="2026-11-02 00:00:00", number="4")


class Reader(MemoryReader):
    """A reader whose days can be incomplete."""

    gaps: tuple[Slice, ...] = ()

    def is_complete(self, accounts: Sequence[str], since: datetime, until: datetime) -> bool:
        del accounts
        return not any(gap.since < until and since < gap.until for gap in self.gaps)


class Bench(DialectTransport):
    """A client joined to the server. `change` may replace an answer."""

    def __init__(self) -> None:
        self.clock = MovableClock(NOW)
        self.reader = Reader(self.clock)
        self.reader.add_rows("shop", PROVIDER, [*ROWS, OTHER_DAY])
        self.key = self.reader.create_key(PROVIDER, "shop")
        self.change: Callable[[Request, Response], Response] = lambda _, response: response
        super().__init__(load_providers(), self.reader)

    def answer(self, provider: Any, request: Request) -> Response:  # noqa: ANN401 - there is only one
        response = super().answer(provider, request)
        assert isinstance(response, Response)
        return self.change(request, response)

    def run(self, use: Callable[[Client], Awaitable[Any]], **credentials: str) -> Any:  # noqa: ANN401 - a page or rows
        async def run() -> Any:  # noqa: ANN401
            given = {**self.key.credentials, **credentials}
            client = PROVIDER.connect(base_url=HTTPS, credentials=given, rate=None, timeout_s=5)
            try:
                return await use(client)
            finally:
                await client.close()

        return asyncio.run(run())

    def page(self, slice_: Slice = DAY, **params: str) -> Page:
        page = self.run(lambda client: client.fetch_page(PageRequest(slice_, 10, params=params)))
        assert isinstance(page, Page)
        return page

    def rows(self, slice_: Slice) -> list[bytes]:
        """What a sync reads of a slice."""
        read = self.run(lambda client: fetch_slice(client, slice_, PROVIDER.rules, 10, can_split=False))
        return sorted(read)

    @property
    def paths(self) -> list[str]:
        return [exchange.request.path for exchange in self.exchanges]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with clients_over(bench), system_clock_is(bench.clock):
        yield bench


def test_a_slice_has_the_rows_of_all_accounts_of_its_day(bench: Bench) -> None:
    assert bench.rows(DAY) == sorted(ROWS)
    # OPERATION has no bill, so there is nothing to download.
    assert bench.paths.count("/v3/bill/fundflowbill") == 3
    assert bench.paths.count("/v3/billdownload/file") == 2


@pytest.mark.parametrize("params", [{"account_type": "SAVINGS"}, {"bill_date": "2026-02-30"}, {"tar_type": "None"}])
def test_a_refusal_names_the_parameter_that_does_not_fit(bench: Bench, params: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        bench.page(**params)
    problem = json.loads(bench.exchanges[-1].response.body)
    ((field, value),) = params.items()
    issue = problem["detail"].pop("issue")
    assert problem["detail"] == {"field": field, "value": value, "location": "query"}
    assert (problem["code"], problem["message"]) == ("PARAM_ERROR", f"{field}: {issue}")


def test_a_part_of_a_day_has_its_rows(bench: Bench) -> None:
    assert bench.rows(Slice(DAY.since, DAY.since + HOUR)) == ROWS[:1]
    assert bench.rows(Slice(DAY.until - HOUR, DAY.until)) == ROWS[1:2]


def test_a_document_is_given_in_pages_without_a_further_call(bench: Bench) -> None:
    async def read(client: Client) -> list[Page]:
        first = await client.fetch_page(PageRequest(DAY, 1, params={"account_type": "BASIC"}))
        second = await client.fetch_page(PageRequest(DAY, 1, first.next_token, params={"account_type": "BASIC"}))
        return [first, second]

    first, second = bench.run(read)
    assert [*first.rows, *second.rows] == ROWS[:2]
    assert first.next_token == "2026-11-01.BASIC.1"
    assert second.next_token is None
    assert len(bench.exchanges) == 2


def test_no_host_that_an_answer_names_is_called(bench: Bench) -> None:
    """The address is signed, and another host all the same: its query is sent to the source's own host."""

    def to_elsewhere(request: Request, response: Response) -> Response:
        if not response.body.startswith(b'{"hash_type"'):
            return response
        body = response.body.replace(b"http://provider.test/", b"https://elsewhere.test/pay/")
        return WechatpayServer().sign_again(request, response._replace(body=body), bench.reader)

    bench.change = to_elsewhere
    assert bench.rows(DAY) == sorted(ROWS)
    assert {request.url.host for request in bench.requests} == {"provider.test"}


def test_an_answer_that_was_changed_on_its_way_is_not_read(bench: Bench) -> None:
    bench.change = lambda _, response: response._replace(body=response.body.replace(b"hash_value", b"hash_Value"))
    with pytest.raises(WireError, match="Wechatpay-Signature"):
        bench.page()
    assert bench.paths == ["/v3/bill/fundflowbill"]


def test_another_bill_than_the_stated_one_is_not_read(bench: Bench) -> None:
    def other(request: Request, response: Response) -> Response:
        return response if request.route.endswith("bill") else response._replace(body=b"x" + response.body)

    bench.change = other
    with pytest.raises(WireError, match="hash_value: expected the document with the digest"):
        bench.page()


def test_a_bill_that_changes_before_it_is_read_is_asked_for_again(bench: Bench) -> None:
    added = row(at="2026-11-01 13:00:00", number="5")
    waiting = [added]

    def change(request: Request, response: Response) -> Response:
        if request.route.endswith("bill") and waiting:
            bench.reader.add_rows("shop", PROVIDER, [waiting.pop()])
        return response

    bench.change = change
    assert added in bench.page().rows
    assert [exchange.response.status for exchange in bench.exchanges] == [200, 400, 200, 200]


def test_an_address_is_of_one_merchant_and_of_five_minutes(bench: Bench) -> None:
    bench.page()
    address = bench.exchanges[-1].request.query
    other = bench.reader.create_key(PROVIDER, "shop")

    def download(credentials: Any) -> int:  # noqa: ANN401
        async def call(client: Any) -> int:  # noqa: ANN401
            answer = await client._call("/v3/billdownload/file", address)
            return int(answer.status)

        return int(bench.run(call, **dict(credentials)))

    assert download(bench.key.credentials) == 200
    assert download(other.credentials) == 403
    bench.clock.move(URL_LIFE)
    assert download(bench.key.credentials) == 400


def test_a_day_that_a_ledger_has_in_part_has_no_bill_yet(bench: Bench) -> None:
    """A bill claims to be whole."""
    bench.reader.gaps = (Slice(DAY.since + HOUR, DAY.since + 2 * HOUR),)
    with pytest.raises(Unavailable, match="has not been read completely"):
        bench.page()
    bench.reader.gaps = ()
    assert bench.page().rows


def test_days_that_are_not_over_not_published_and_not_kept(bench: Bench) -> None:
    today = datetime(2026, 11, 19, 16, tzinfo=UTC)
    with pytest.raises(Refused, match="before today"):
        bench.page(Slice(today, today + HOUR))
    bench.clock.at = today + 9 * HOUR
    with pytest.raises(Unavailable, match="STATEMENT_CREATING"):
        bench.page(Slice(today - HOUR, today))
    bench.clock.at = today + 10 * HOUR
    assert bench.page(Slice(today - HOUR, today)).rows == []
    with pytest.raises(Refused, match="three months"):
        bench.page(Slice(today - timedelta(days=100), today - timedelta(days=99)))


def test_a_stale_clock_and_another_platform_key(bench: Bench) -> None:
    with pytest.raises(AuthError, match="give the source the new key"):
        bench.run(lambda client: client.fetch_page(PageRequest(DAY, 1)), platform_key_id="PUB_KEY_ID_9")
    stale = MovableClock(NOW - timedelta(minutes=6))
    with system_clock_is(stale), pytest.raises(AuthError, match="SIGN_ERROR"):
        bench.page()


def test_the_address_has_the_host_and_the_prefix_that_a_client_uses(bench: Bench) -> None:
    async def call(client: Any) -> bytes:  # noqa: ANN401
        answer = await client._call("/v3/bill/fundflowbill", "bill_date=2026-11-01")
        return bytes(answer.body)

    for prefix in ("", "/dialect/wechatpay"):

        async def run(prefix: str = prefix) -> bytes:
            client = PROVIDER.connect(
                base_url=HTTPS + prefix, credentials=bench.key.credentials, rate=None, timeout_s=5
            )
            try:
                return await call(client)
            finally:
                await client.close()

        url = urlsplit(json.loads(asyncio.run(run()))["download_url"])
        assert (url.netloc, url.path) == ("provider.test", f"{prefix}/v3/billdownload/file")


# ---------------------------------------------------------------- what a sync plans


def test_a_slice_is_never_longer_than_a_day_and_never_cut() -> None:
    slicer = Slicer.for_rules(PROVIDER.rules, 10)
    slicer.learn(100_000, DAY)
    middle = DAY.since + 8 * HOUR
    assert slicer.next_slice(Slice(middle, middle + timedelta(days=9))) == Slice(middle, DAY.until)
    assert slicer.next_slice(Slice(DAY.since, DAY.since + timedelta(days=9))) == DAY
    assert not slicer.can_split(DAY)


def test_ranges_that_are_due_are_whole_days() -> None:
    """A refresh and a doubt of an hour read the whole day; a source may begin within one."""
    begun, rules = DAY.since + 8 * HOUR, PROVIDER.rules
    (first,) = Plan(rules, [], since=begun, now=NOW).due_ranges()
    assert (first.since, first.until) == (begun, datetime(2026, 11, 19, 16, tzinfo=UTC))
    proven = Range(to_us(begun), to_us(first.until), State.PROVEN, "", to_us(NOW - HOUR), 1)
    hour = Slice(DAY.until + HOUR, DAY.until + 2 * HOUR)
    doubted, newest = Plan(rules, [proven], since=begun, now=NOW, doubted=[hour]).due_ranges()
    assert doubted == Slice(DAY.until, DAY.until + timedelta(days=1))
    assert newest == Slice(first.until - timedelta(days=4), first.until)
