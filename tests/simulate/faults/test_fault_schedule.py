"""A seeded schedule repeats itself, and a client that retries succeeds."""

from collections import Counter
from itertools import groupby, pairwise
from threading import Thread
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import ConfigError
from liushui.http import Request
from liushui.simulate.faults.fault import Fault, FaultKind
from liushui.simulate.faults.fault_schedule import EXPIRIES_APART, SeededSchedule
from liushui.simulate.faults.profiles import PROFILES, RATE_BASE, Profile, RowChange, choose, profile_named

MANY: Final = 3_000
ALWAYS: Final = Profile(wire={FaultKind.STALLED: RATE_BASE})


def request_for(number: int) -> Request:
    return Request("GET", "/flows", f"page={number}", {})


def faults_of(profile: Profile, seed: int, requests: list[Request]) -> list[Fault]:
    schedule = SeededSchedule(profile, seed)
    return [schedule.next_fault(request) for request in requests]


@pytest.mark.parametrize("name", PROFILES)
def test_the_same_seed_and_requests_meet_the_same_faults(name: str) -> None:
    profile, requests = PROFILES[name], [request_for(number // 3) for number in range(MANY)]
    assert faults_of(profile, 7, requests) == faults_of(profile, 7, requests)
    differs = faults_of(profile, 7, requests) != faults_of(profile, 8, requests)
    assert differs or not profile.wire


@pytest.mark.parametrize("name", PROFILES)
def test_exactly_the_faults_of_a_profile_happen(name: str) -> None:
    profile = PROFILES[name]
    schedule = faults_of(profile, 1, [request_for(number) for number in range(MANY)])
    assert {fault.kind for fault in schedule} - {None} == set(profile.wire)
    assert {fault.delay for fault in schedule} == set(profile.delays)


def test_faults_come_in_bursts_up_to_their_limit() -> None:
    schedule = faults_of(PROFILES["network"], 3, [request_for(number) for number in range(MANY)])
    lengths = Counter(len(list(run)) for kind, run in groupby(fault.kind for fault in schedule) if kind)
    assert set(lengths) == set(range(1, PROFILES["network"].burst + 1))


@given(st.sampled_from(sorted(PROFILES)), st.integers(0, 10**6), st.lists(st.integers(0, 3), max_size=200))
def test_no_more_requests_fail_in_a_row_than_a_burst_has(name: str, seed: int, numbers: list[int]) -> None:
    profile = PROFILES[name]
    schedule = faults_of(profile, seed, [request_for(number) for number in numbers])
    for wrong, run in groupby(fault.kind is not None for fault in schedule):
        assert not wrong or len(list(run)) <= profile.burst


@given(st.permutations([0] * 12 + [1] * 40))
def test_a_repeated_request_gets_through_among_others(order: list[int]) -> None:
    """Even where every request begins a fault."""
    schedule = SeededSchedule(ALWAYS, 1)
    wrong: list[bool] = []
    for number in order:
        kind = schedule.next_fault(request_for(number)).kind
        if number == 0:
            wrong.append(kind is not None)
    assert max((len(list(run)) for failed, run in groupby(wrong) if failed), default=0) <= ALWAYS.burst


def test_expiries_are_far_apart() -> None:
    profile = Profile(wire={FaultKind.EXPIRED: RATE_BASE})
    sorts = [fault.kind for fault in faults_of(profile, 1, [request_for(number) for number in range(MANY)])]
    expired = [number for number, kind in enumerate(sorts) if kind]
    assert len(expired) > 1
    assert all(later - earlier >= EXPIRIES_APART for earlier, later in pairwise(expired))


def test_several_threads_together_get_the_faults_of_one() -> None:
    profile = PROFILES["limits"]
    schedule, found = SeededSchedule(profile, 5), list[Fault]()
    threads = [
        Thread(target=lambda: found.extend(schedule.next_fault(request_for(0)) for _ in range(250))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(found) == Counter(faults_of(profile, 5, [request_for(0)] * 1_000))


# ---------------------------------------------------------------- profiles


def test_an_unknown_profile_is_an_error_with_the_known_names() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^faults: expected none or network or .* or storm, or a deviation such as page-cap-50, got 'hail'$",
    ):
        profile_named("hail")
    assert {name: profile_named(name) for name in PROFILES} == PROFILES


def test_rates_sum_to_the_base_at_most() -> None:
    for profile in PROFILES.values():
        assert sum(profile.wire.values()) <= RATE_BASE
        assert sum(profile.rows.values()) <= RATE_BASE
        assert 0 < profile.rate_percent <= 100
    storm = PROFILES["storm"]
    assert set(storm.wire) == set(FaultKind)
    assert set(storm.rows) == set(RowChange)


def test_each_kind_is_chosen_as_often_as_its_rate() -> None:
    rates = {FaultKind.HTML: 3, FaultKind.RESET: 2}
    fell = Counter(choose(rates, number) for number in range(RATE_BASE))
    assert fell == {FaultKind.HTML: 3, FaultKind.RESET: 2, None: RATE_BASE - 5}
