"""The caller: which calls it repeats, how long they wait, and when a sync gives up."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unanswered, Unavailable, WireError
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.provider import Page, PageRequest
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.rules import RULES
from liushui.sync.events import CallDelayed, CallRetried, SliceFailed, SyncStatus
from liushui.sync.options import Options
from liushui.testing.provider_client_double import ClientDouble
from tests.sync.rows import BEGIN, hourly, new_ledger, source
from tests.sync.running import World, amounts, amounts_of, clock_of, states

SECOND = timedelta(seconds=1)
ONE_DAY = BEGIN + timedelta(days=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


class Failing(ClientDouble):
    """Raises an error for chosen calls, and records when each call came."""

    def __init__(
        self, world: World, errors: Mapping[int, Exception | None], *, always: Exception | None = None
    ) -> None:
        super().__init__(codec, hourly(10))
        self.errors, self.always, self.clock = errors, always, world.clock
        self.came: list[datetime] = []

    async def fetch_page(self, request: PageRequest) -> Page:
        self.came.append(self.clock())
        error = self.errors.get(len(self.came), self.always)
        if error is not None:
            raise error
        return await super().fetch_page(request)


def failing(ledger: Ledger, errors: Mapping[int, Exception | None] = {}, *, always: Exception | None = None) -> World:
    """A world whose account `a` has a Failing client."""
    world = World(clock_of(ledger), {})
    world.clients["a"] = Failing(world, errors, always=always)
    return world


def came(world: World, account: str = "a") -> list[datetime]:
    """The times of an account's calls."""
    client = world.clients[account]
    assert isinstance(client, Failing)
    return client.came


@pytest.mark.parametrize("error", [Unavailable("reset"), WireError("answer", "cut off")])
def test_transient_errors_are_retried_with_growing_waits(ledger: Ledger, error: Exception) -> None:
    world = failing(ledger, dict.fromkeys(range(1, 5), error))
    (result,) = world.sync(ledger, options=Options(attempts=6, wait=SECOND))
    assert (result.status, result.added) == (SyncStatus.DONE, 240)
    assert len(world.slept) == 4
    for number, slept in enumerate(world.slept):
        assert 2**number * SECOND / 2 <= slept <= 2**number * SECOND
    assert len({slept / 2**number for number, slept in enumerate(world.slept)}) > 1, "workers do not come together"
    assert [retried.attempt for retried in world.events_of(CallRetried)] == [1, 2, 3, 4]


def test_no_retry_waits_longer_than_half_a_minute(ledger: Ledger) -> None:
    world = failing(ledger, always=Unavailable("down"))
    world.sync(ledger, options=Options(attempts=12, wait=SECOND, until=ONE_DAY))
    assert max(world.slept) <= 30 * SECOND
    assert len(world.slept) == 11


@pytest.mark.parametrize(("timeout_s", "calls"), [(30, 2), (60, 1), (600, 1), (10, 6), (1, 6)])
def test_a_service_that_never_answers_is_left_after_a_minute(ledger: Ledger, timeout_s: int, calls: int) -> None:
    world = failing(ledger, always=Unanswered("no answer"))
    (result,) = world.sync(ledger, options=Options(timeout=timedelta(seconds=timeout_s)))
    assert (result.status, result.error, len(came(world))) == (SyncStatus.FAILED, "no answer", calls)
    assert len(result.gaps) == 1


def test_a_page_that_takes_too_long_does_not_end_a_sync_that_was_answered(ledger: Ledger) -> None:
    world = failing(ledger, dict.fromkeys((2, 3), Unanswered("no answer")))
    (result,) = world.sync(ledger)
    assert (result.status, result.error, len(result.gaps)) == (SyncStatus.INCOMPLETE, "", 1)
    assert 0 < result.added < 240
    world = failing(ledger, {1: None}, always=Unanswered("no answer"))
    (result,) = world.sync(ledger)
    assert (result.status, result.error) == (SyncStatus.FAILED, "no answer"), "but a second one does"


@pytest.mark.parametrize("error", [Refused("no"), AuthError("no")])
def test_permanent_errors_are_not_retried(ledger: Ledger, error: ProviderError) -> None:
    world = failing(ledger, always=error)
    world.sync(ledger, options=Options(until=ONE_DAY))
    assert len(came(world)) == 1
    assert world.slept == []


def test_retries_are_limited_for_each_slice(ledger: Ledger) -> None:
    """They are counted over all calls of the slice."""
    world = failing(ledger, {number: Unavailable("shaky") for number in range(1, 100, 2)})
    (result,) = world.sync(ledger, options=Options(attempts=3, retries_max=1, until=ONE_DAY))
    assert len(came(world)) == 3, "the second page fails too, and is not asked for again"
    assert result.status is SyncStatus.INCOMPLETE
    world = failing(ledger, {number: Unavailable("shaky") for number in range(1, 100, 2)})
    (result,) = world.sync(ledger, options=Options(attempts=3, retries_max=5, until=ONE_DAY))
    assert (result.status, result.added) == (SyncStatus.DONE, 24)


@pytest.mark.parametrize("error", [RateLimited("slow down", retry_after_s=7), Unavailable("down", retry_after_s=7)])
def test_a_retry_waits_as_long_as_the_provider_asks(ledger: Ledger, error: Exception) -> None:
    world = failing(ledger, {1: error})
    (result,) = world.sync(ledger)
    assert result.status is SyncStatus.DONE
    first, second, *_ = came(world)
    assert second - first == 7 * SECOND
    assert [(waited.wait, waited.reason) for waited in world.events_of(CallDelayed)] == [(7 * SECOND, "blocked")]


def test_a_retry_waits_for_the_rate_window_where_the_provider_names_no_time(ledger: Ledger) -> None:
    world = failing(ledger, {1: RateLimited("slow down"), 2: RateLimited("slow down")})
    world.sync(ledger)
    first, second, third, *_ = came(world)
    assert (second - first, third - second) == (RULES.rate.per, 2 * RULES.rate.per)


def test_a_block_holds_for_all_sources_of_one_credential(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path, None, "a", "b", "c")
    world = failing(ledger, {1: RateLimited("banned", code=30017, retry_after_s=60)})
    world.clients |= {"b": Failing(world, {}), "c": Failing(world, {})}
    sources = [source("a", key="shared"), source("b", key="shared"), source("c")]
    began = world.clock()
    results = [world.sync(ledger, one)[0] for one in (sources[2], sources[0])]
    assert all(at < began + 60 * SECOND for at in came(world, "c"))
    world.clock.at = came(world)[0] + SECOND
    results += world.sync(ledger, sources[1])
    assert all(at >= came(world)[0] + 60 * SECOND for at in came(world, "b"))
    assert [result.status for result in results] == [SyncStatus.DONE] * 3


def test_a_sync_ends_where_the_provider_asks_for_a_long_wait(ledger: Ledger) -> None:
    world = failing(ledger, {1: RateLimited("banned for an hour", retry_after_s=3600)})
    began = world.clock()
    (result,) = world.sync(ledger)
    assert (result.status, result.not_before, result.error) == (SyncStatus.WAITING, began + 3600 * SECOND, "")
    assert "banned for an hour: put off until 2024-01-11T13:00:00" in result.gaps[0]
    assert [state for state, _ in states(ledger)] == [State.OPEN]
    assert (len(came(world)), world.slept) == (1, [])

    world.clock.move(600 * SECOND)
    (again,) = world.sync(ledger)
    assert (again.status, again.not_before) == (SyncStatus.WAITING, began + 3600 * SECOND)
    assert len(came(world)) == 1, "nobody calls before that"

    world.clock.move(3000 * SECOND)
    (last,) = world.sync(ledger)
    assert (last.status, amounts(ledger)) == (SyncStatus.DONE, amounts_of(hourly(10)))


def test_a_sync_ends_after_the_last_attempt_where_calls_stay_limited(ledger: Ledger) -> None:
    world = failing(ledger, always=RateLimited("slow down", retry_after_s=5))
    (result,) = world.sync(ledger, options=Options(attempts=4))
    assert len(came(world)) == 4
    assert (result.status, result.not_before) == (SyncStatus.WAITING, came(world)[-1] + 5 * SECOND)
    assert len(world.events_of(SliceFailed)) == 1


def windows(times: list[datetime]) -> Iterator[timedelta]:
    calls = RULES.rate.calls
    for early, late in zip(times, times[calls:], strict=False):
        yield late - early


def test_a_paced_source_keeps_the_documented_rate(ledger: Ledger) -> None:
    world = failing(ledger)
    (result,) = world.sync(ledger, source(paced=True), options=Options(size=10))
    times = came(world)
    assert result.added == 240
    assert len(times) > 2 * RULES.rate.calls
    assert min(windows(times)) >= RULES.rate.per
    assert min(late - early for early, late in pairwise(times)) >= RULES.rate.spacing
    assert {waited.reason for waited in world.events_of(CallDelayed)} == {"rate"}


def test_two_sources_of_one_credential_share_the_rate(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path, None, "a", "b")
    world = failing(ledger)
    world.clients["b"] = Failing(world, {})
    world.sync(ledger, source("a", paced=True, key="k"), source("b", paced=True, key="k"), options=Options(size=10))
    times = sorted(came(world, "a") + came(world, "b"))
    assert min(windows(times)) >= RULES.rate.per
    assert amounts(ledger) == amounts_of(hourly(10) * 2)


def test_a_call_that_takes_too_long_fails(ledger: Ledger) -> None:
    class Dripping(ClientDouble):
        async def fetch_page(self, request: PageRequest) -> Page:
            await asyncio.sleep(3600)
            raise AssertionError("it came after all")

    world = World(clock_of(ledger), {"a": Dripping(codec, [])})
    (result,) = world.sync(ledger, options=Options(attempts=1, timeout=timedelta(milliseconds=10), until=ONE_DAY))
    assert "no whole answer within 0.04 s" in result.gaps[0]


class InSessions(Failing):
    """Needs a session, which takes a call of its own and lasts for three pages."""

    def __init__(self, world: World) -> None:
        super().__init__(world, {})
        self.pages_left = 0

    def needs_session(self) -> bool:
        return self.pages_left == 0

    async def open_session(self) -> None:
        self.came.append(self.clock())
        self.pages_left = 3

    async def fetch_page(self, request: PageRequest) -> Page:
        assert self.pages_left > 0
        self.pages_left -= 1
        return await super().fetch_page(request)


def test_a_call_that_opens_a_session_counts_against_the_rate(ledger: Ledger) -> None:
    world = World(clock_of(ledger), {})
    world.clients["a"] = InSessions(world)
    (result,) = world.sync(ledger, source(paced=True), options=Options(size=10))
    assert (result.status, result.added) == (SyncStatus.DONE, 240)
    times = came(world)
    assert len(times) > 2 * RULES.rate.calls
    assert min(windows(times)) >= RULES.rate.per
