"""FaultyTransport with queued faults: the next requests meet them, and later ones are answered correctly."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx2
import pytest

from liushui.errors import RateLimited, Unavailable, WireError
from liushui.providers import load_providers
from liushui.simulate.faults.fault import Answered, Fault, FaultKind, Reset
from liushui.testing.clock import NOON, MovableClock
from liushui.testing.transport import QueuedFaults, system_clock_is
from tests.simulate.faults.testbed import FaultyProvider, raised

LONGBRIDGE: Final = load_providers()["longbridge"]


def test_queued_faults_happen_once_in_their_order() -> None:
    faults = QueuedFaults()
    faulty = FaultyProvider(LONGBRIDGE, schedule=faults)
    faults.then(FaultKind.RESET, None, FaultKind.TOO_MANY)
    faults.then(Fault(FaultKind.TRUNCATED, variant=10))
    assert faults.left == 4
    assert [type(raised(faulty)) for _ in range(6)] == [
        Unavailable,
        type(None),
        RateLimited,
        WireError,
        type(None),
        type(None),
    ]
    assert faults.left == 0
    assert len(faults.requests) == len(faulty.wire.outcomes) == 6
    assert {request.route for request in faults.requests} == {"/v1/asset/cashflow"}


def test_the_variant_is_the_byte_at_which_an_answer_breaks() -> None:
    faults = QueuedFaults()
    faulty = FaultyProvider(LONGBRIDGE, schedule=faults)
    faults.then(None, Fault(FaultKind.RESET, variant=33), Fault(FaultKind.TRUNCATED, variant=33))
    for _ in range(3):
        raised(faulty)
    whole, reset, truncated = faulty.wire.outcomes
    assert isinstance(whole, Answered)
    assert isinstance(reset, Reset)
    assert isinstance(truncated, Answered)
    assert reset.after_bytes == 33
    assert truncated.response.body == whole.response.body[:33]


def test_time_passes_on_the_movable_clock_only(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = QueuedFaults()
    faulty = FaultyProvider(LONGBRIDGE, schedule=faults)
    faults.then(Fault(delay=timedelta(seconds=4)), FaultKind.STALLED, Fault(delay=timedelta(seconds=31)))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    found = [raised(faulty) for _ in range(3)]
    assert not any(slept), "nobody waits in real time"
    assert faulty.clock.at == NOON + timedelta(seconds=4 + 30 + 30), "a client waits for 30 s, and no longer"
    assert found[0] is None
    assert all(isinstance(error, Unavailable) for error in found[1:])


def test_the_system_clock_follows_the_movable_clock() -> None:
    clock = MovableClock(datetime(2030, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC))
    before = time.time_ns()
    with system_clock_is(clock):
        assert time.time_ns() == 1_893_456_000_250_000_000
        assert time.time() == 1_893_456_000
        clock.move(timedelta(seconds=1))
        assert time.time_ns() == 1_893_456_001_250_000_000
    assert before <= time.time_ns() < before + 60 * 10**9


def test_an_unknown_path_meets_no_fault() -> None:
    faults = QueuedFaults()
    faulty = FaultyProvider(LONGBRIDGE, schedule=faults)
    faults.then(FaultKind.RESET)

    async def ask() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=faulty.wire) as client:
            return await client.get("https://provider.test/nowhere")

    assert asyncio.run(ask()).status_code == 404
    assert faults.left == 1
