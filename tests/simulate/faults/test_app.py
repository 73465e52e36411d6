"""Faults behind a real port: what clients see, and the simulator's truth."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx2
import msgspec
import pytest

from liushui.errors import LiushuiError, Unavailable, WireError
from liushui.http import Response
from liushui.provider import DocumentCodec, Page, PageRequest, Slice
from liushui.providers import load_providers
from liushui.simulate.faults.app import carry_out
from liushui.simulate.faults.fault import Answered, Endless, Reset, Stalled, TransportOutcome, Unreached
from liushui.simulate.faults.reader import TRUTH_PATH
from liushui.simulate.serve import SimulatorInfo
from liushui.testing.processes import run
from liushui.testing.transport import clients_over
from tests.simulate.faults.testbed import BEGIN, END, FLOWS

WHOLE: Final = Slice(BEGIN, END)

CLIENTS: Final = 10
PAGES: Final = 15
ENOUGH: Final = 5 << 20
"""The bytes of an endless body that a client reads."""

TRUE: Final = Response(200, [("a", "b")], b"0123456789")


class RecordingHttp:
    """Granian's answering side of a request, which records the calls."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("the body must not be read")

    async def __call__(self) -> bytes:
        raise AssertionError("the body must not be read")

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.calls.append(Response(status, headers, body))

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> "RecordingHttp":
        self.calls.append((status, headers))
        return self

    async def send_bytes(self, data: bytes) -> None:
        self.calls.append(data)

    async def client_disconnect(self) -> None:
        self.calls.append("gone")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Answered(TRUE), [TRUE]),
        (Reset(TRUE, 4), [(200, [("a", "b"), ("content-length", "10")]), b"0123"]),
        (Reset(TRUE._replace(body=b""), 0), [(200, [("a", "b"), ("content-length", "1")]), b""]),
        (Unreached(), [(500, [("content-length", "1")]), b""]),
        (Stalled(), ["gone"]),
        (Endless(TRUE, b"and so on"), [(200, [("a", "b")]), b"0123456789", b"and so on", "gone"]),
    ],
)
def test_outcomes_are_carried_out(outcome: TransportOutcome, expected: list[object]) -> None:
    sent = RecordingHttp()
    asyncio.run(carry_out(outcome, sent))
    assert sent.calls == expected


def test_an_answer_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = RecordingHttp()
    slept: list[tuple[float, int]] = []

    async def sleep(seconds: float) -> None:
        slept.append((seconds, len(sent.calls)))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(carry_out(Answered(TRUE, timedelta(milliseconds=80)), sent))
    assert slept == [(0.08, 0)], "it waits, and then answers"
    assert sent.calls == [TRUE]


# ---------------------------------------------------------------- another process


@contextmanager
def simulating_faults(
    profile: str, *, provider: str = "longbridge", seed: int = 1, flows: int = FLOWS, range_: Slice = WHOLE
) -> Iterator[SimulatorInfo]:
    """Simulate one account with faults on free ports until the block ends."""
    ports = ["--port", "0", "--socket-port", "0"]
    command = [sys.executable, "-m", "liushui", "simulate", "--format", "json", "--accounts", "1", *ports]
    command += ["--provider", provider, "--no-rate-limit", "--flows", str(flows)]
    command += ["--begin", range_.since.date().isoformat(), "--end", range_.until.date().isoformat()]
    command += ["--faults", profile, "--fault-seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield msgspec.json.decode(process.stdout.readline(), type=SimulatorInfo)
        finally:
            process.terminate()


def test_clients_see_faults_and_otherwise_the_truth() -> None:
    """Many clients at once: each page is complete, and each failure is an error of the right class."""
    provider = load_providers()["longbridge"]
    pages, errors = list[Counter[bytes]](), list[LiushuiError]()

    async def read(simulator: SimulatorInfo) -> None:
        client = provider.connect(
            base_url=simulator.base_url, credentials=simulator.accounts[0].credentials, rate=None, timeout_s=2
        )
        for _ in range(PAGES):
            try:
                page = await client.fetch_page(PageRequest(Slice(BEGIN, END), 10_000))
            except (Unavailable, WireError) as error:
                errors.append(error)
            else:
                pages.append(Counter(page.rows))
        await client.close()

    async def read_side_by_side(simulator: SimulatorInfo) -> None:
        await asyncio.gather(*(read(simulator) for _ in range(CLIENTS)))

    with simulating_faults("network", seed=3) as simulator:
        asyncio.run(read_side_by_side(simulator))
        truth = httpx2.get(
            f"{simulator.base_url}{TRUTH_PATH}",
            params={"account": simulator.accounts[0].name},
            headers={"accept-language": "zh-HK"},
        )
    rows = Counter(truth.content.splitlines())
    assert rows.total() == FLOWS
    assert all(page == rows for page in pages)
    assert len(pages) > len(errors)
    broken_off = sum(isinstance(error.__cause__, httpx2.RemoteProtocolError) for error in errors)
    assert 0 < broken_off < len(errors)


@pytest.mark.parametrize("name", load_providers())
def test_every_client_gets_its_page_without_faults(name: str) -> None:
    """Of days that every provider has published and still keeps."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = Slice(today - timedelta(days=7), today - timedelta(days=2))
    with simulating_faults("none", provider=name, range_=days) as simulator:
        known = load_providers()[name]
        least = known.rules.size_min
        page = asyncio.run(fetch_page(simulator, max(least, 30), days))
        if isinstance(known.codec, DocumentCodec):
            assert page.rows  # as many as the first day has
        else:
            assert len(page.rows) >= 30 if least > 30 else len(page.rows) == 30


def test_a_deviation_is_simulated_by_its_name() -> None:
    with simulating_faults("page-cap-50") as simulator:
        assert len(asyncio.run(fetch_page(simulator)).rows) == 50


def test_an_endless_answer_ends_when_its_client_leaves() -> None:
    """And the simulator goes on answering others."""
    recorded: list[httpx2.Request] = []

    def record(request: httpx2.Request) -> httpx2.Response:
        recorded.append(request)
        return httpx2.Response(404)

    async def read(request: httpx2.Request) -> int:
        length = 0
        async with httpx2.AsyncClient() as http:
            answer = await http.send(request, stream=True)
            async for chunk in answer.aiter_raw():
                length += len(chunk)
                if length > ENOUGH:
                    break
            await answer.aclose()
        return length

    with simulating_faults("endless-body") as simulator:
        with clients_over(httpx2.MockTransport(record)), pytest.raises(LiushuiError):
            asyncio.run(fetch_page(simulator))
        for _ in range(2):
            assert asyncio.run(read(recorded[0])) > ENOUGH
        assert httpx2.get(simulator.base_url).status_code == 200


async def fetch_page(simulator: SimulatorInfo, size: int = 1_000, range_: Slice = WHOLE) -> Page:
    (account,) = simulator.accounts
    provider = load_providers()[account.provider]
    client = provider.connect(base_url=simulator.base_url, credentials=account.credentials, rate=None, timeout_s=30)
    try:
        return await client.fetch_page(PageRequest(range_, size))
    finally:
        await client.close()


def test_an_unknown_profile_ends_the_command() -> None:
    with pytest.raises(LiushuiError, match=r"faults: expected none or network or .*, got 'hail'"):
        run("simulate", "--faults", "hail", "--port", "0")


def test_the_providers_are_served_beside_the_truth() -> None:
    with simulating_faults("none") as simulator:
        assert httpx2.get(f"{simulator.base_url}{TRUTH_PATH}").status_code == 400
        assert httpx2.get(f"{simulator.base_url}/v1/asset/cashflow").json()["code"] == 403203
        assert httpx2.get(simulator.base_url).status_code == 200
        assert httpx2.get(f"{simulator.base_url}/nowhere").status_code == 404
