"""Calls that are repeated, held back and put off: by the class of the error, and for as long as the provider says."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Unpack

import pytest

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.provider import NO_VALUES, Page, Slice
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.rules import RULES
from liushui.sync.events import CallDelayed, CallRetried, SliceFailed, SyncStatus
from liushui.sync.options import Options
from liushui.testing.client import ClientDouble
from tests.sync.rows import BEGIN, hourly, new_ledger, source
from tests.sync.running import How, World, amounts, amounts_of, clock_of, states

SECOND = timedelta(seconds=1)
ONE_DAY = BEGIN + timedelta(days=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


class Failing(ClientDouble):
    """Answers as it should, but for the calls that are to fail; knows when each came."""

    def __init__(self, world: World, errors: Mapping[int, Exception], *, always: Exception | None = None) -> None:
        super().__init__(codec, hourly(10))
        self.errors, self.always, self.clock = errors, always, world.clock
        self.came: list[datetime] = []

    async def fetch_page(
        self,
        asked: Slice,
        size: int,
        *,
        page_token: str | None = None,
        params: Mapping[str, str] = NO_VALUES,
        newest: bool = False,
    ) -> Page:
        self.came.append(self.clock())
        error = self.errors.get(len(self.came), self.always)
        if error is not None:
            raise error
        return await super().fetch_page(asked, size, page_token=page_token, params=params, newest=newest)


def failing(ledger: Ledger, errors: Mapping[int, Exception] = {}, *, always: Exception | None = None) -> World:
    """A world whose account `a` has such a client."""
    world = World(clock_of(ledger), {})
    world.clients["a"] = Failing(world, errors, always=always)
    return world


def came(world: World, account: str = "a") -> list[datetime]:
    """When the calls of an account came."""
    client = world.clients[account]
    assert isinstance(client, Failing)
    return client.came


@pytest.mark.parametrize("error", [Unavailable("reset"), WireError("answer", "cut off")])
def test_what_may_pass_is_tried_again_later_each_time(ledger: Ledger, error: Exception) -> None:
    world = failing(ledger, dict.fromkeys(range(1, 5), error))
    (result,) = world.sync(ledger, options=Options(attempts=6, wait=SECOND))
    assert (result.status, result.added) == (SyncStatus.DONE, 240)
    assert len(world.slept) == 4
    for number, slept in enumerate(world.slept):
        assert 2**number * SECOND / 2 <= slept <= 2**number * SECOND
    assert len({slept / 2**number for number, slept in enumerate(world.slept)}) > 1, "workers do not come together"
    assert [retried.attempt for retried in world.told(CallRetried)] == [1, 2, 3, 4]


def test_no_wait_is_longer_than_half_a_minute(ledger: Ledger) -> None:
    world = failing(ledger, always=Unavailable("down"))
    world.sync(ledger, options=Options(attempts=12, wait=SECOND, until=ONE_DAY))
    assert max(world.slept) <= 30 * SECOND
    assert len(world.slept) == 11


@pytest.mark.parametrize("error", [Refused("no"), AuthError("no")])
def test_what_cannot_pass_is_not_tried_again(ledger: Ledger, error: ProviderError) -> None:
    world = failing(ledger, always=error)
    world.sync(ledger, options=Options(until=ONE_DAY))
    assert len(came(world)) == 1
    assert world.slept == []


def test_a_slice_has_a_budget_of_repetitions(ledger: Ledger) -> None:
    """Whichever of its calls fail: every page of it, once."""
    world = failing(ledger, {number: Unavailable("shaky") for number in range(1, 100, 2)})
    (result,) = world.sync(ledger, options=Options(attempts=3, retries_max=1, until=ONE_DAY))
    assert len(came(world)) == 3, "the second page fails too, and is not asked for again"
    assert result.status is SyncStatus.INCOMPLETE
    world = failing(ledger, {number: Unavailable("shaky") for number in range(1, 100, 2)})
    (result,) = world.sync(ledger, options=Options(attempts=3, retries_max=2, until=ONE_DAY))
    assert (result.status, result.added) == (SyncStatus.DONE, 24)


@pytest.mark.parametrize("error", [RateLimited("slow down", retry_after_s=7), Unavailable("down", retry_after_s=7)])
def test_a_provider_is_left_alone_for_as_long_as_it_says(ledger: Ledger, error: Exception) -> None:
    world = failing(ledger, {1: error})
    (result,) = world.sync(ledger)
    assert result.status is SyncStatus.DONE
    first, second, *_ = came(world)
    assert second - first == 7 * SECOND
    assert [(waited.wait, waited.reason) for waited in world.told(CallDelayed)] == [(7 * SECOND, "blocked")]


def test_without_its_word_its_own_window_is_waited_for(ledger: Ledger) -> None:
    world = failing(ledger, {1: RateLimited("slow down"), 2: RateLimited("slow down")})
    world.sync(ledger)
    first, second, third, *_ = came(world)
    assert (second - first, third - second) == (RULES.rate.per, 2 * RULES.rate.per)


def test_what_one_source_is_told_holds_the_others_of_its_key(tmp_path: Path) -> None:
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


def test_a_source_that_is_told_to_wait_for_long_is_put_off(ledger: Ledger) -> None:
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


def test_a_provider_that_never_has_enough_is_put_off_at_last(ledger: Ledger) -> None:
    world = failing(ledger, always=RateLimited("slow down", retry_after_s=5))
    (result,) = world.sync(ledger, options=Options(attempts=4))
    assert len(came(world)) == 4
    assert (result.status, result.not_before) == (SyncStatus.WAITING, came(world)[-1] + 5 * SECOND)
    assert len(world.told(SliceFailed)) == 1


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
    assert {waited.reason for waited in world.told(CallDelayed)} == {"rate"}


def test_two_sources_of_one_key_keep_it_together(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path, None, "a", "b")
    world = failing(ledger)
    world.clients["b"] = Failing(world, {})
    world.sync(ledger, source("a", paced=True, key="k"), source("b", paced=True, key="k"), options=Options(size=10))
    times = sorted(came(world, "a") + came(world, "b"))
    assert min(windows(times)) >= RULES.rate.per
    assert amounts(ledger) == amounts_of(hourly(10) * 2)


def test_an_answer_that_never_ends_is_no_answer(ledger: Ledger) -> None:
    class Dripping(ClientDouble):
        async def fetch_page(
            self,
            asked: Slice,
            size: int,
            *,
            page_token: str | None = None,
            params: Mapping[str, str] = NO_VALUES,
            newest: bool = False,
        ) -> Page:
            await asyncio.sleep(3600)
            raise AssertionError("it came after all")

    world = World(clock_of(ledger), {"a": Dripping(codec, [])})
    (result,) = world.sync(ledger, options=Options(attempts=1, timeout=timedelta(milliseconds=10), until=ONE_DAY))
    assert "no whole answer within 0.04 s" in result.gaps[0]


class InSessions(Failing):
    """Makes a call of its own for a session that is good for three pages."""

    def __init__(self, world: World) -> None:
        super().__init__(world, {})
        self.pages_left = 0

    def needs_session(self) -> bool:
        return self.pages_left == 0

    async def open_session(self) -> None:
        self.came.append(self.clock())
        self.pages_left = 3

    async def fetch_page(self, asked: Slice, size: int, **how: Unpack[How]) -> Page:
        assert self.pages_left > 0
        self.pages_left -= 1
        return await super().fetch_page(asked, size, **how)


def test_a_call_for_a_session_is_counted_as_any_other(ledger: Ledger) -> None:
    world = World(clock_of(ledger), {})
    world.clients["a"] = InSessions(world)
    (result,) = world.sync(ledger, source(paced=True), options=Options(size=10))
    assert (result.status, result.added) == (SyncStatus.DONE, 240)
    times = came(world)
    assert len(times) > 2 * RULES.rate.calls
    assert min(windows(times)) >= RULES.rate.per
