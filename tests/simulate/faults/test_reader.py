"""The truth about changing rows at any instant; a provider's server serves exactly these rows."""

from collections import Counter
from datetime import datetime, timedelta
from operator import methodcaller
from typing import Final

import msgspec
import pytest

from liushui.errors import ConfigError, WireError
from liushui.flow import Flow
from liushui.http import Request
from liushui.instant import MAX_INSTANT, MIN_INSTANT, to_iso
from liushui.provider import FlowQuery, PageRequest, Provider
from liushui.providers import load_providers
from liushui.rules import PageNumber
from liushui.simulate.faults.profiles import MISCOUNT_SPAN, PROFILES, RATE_BASE, Profile, RowChange
from liushui.simulate.faults.reader import FLOWS_MAX, LIVE_FOR, TRUTH_PATH, TruthEndpoint, with_lifecycles
from liushui.simulate.people import institutions_of
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import Parameters, World
from liushui.testing.clock import NOON, MovableClock
from liushui.testing.transport import QueuedFaults
from tests.simulate.faults.testbed import BEGIN, END, FaultyProvider

EVERY: Final = pytest.mark.parametrize("provider", load_providers().values(), ids=list(load_providers()))
LONGBRIDGE: Final = load_providers()["longbridge"]
STEPS: Final = (timedelta(0), timedelta(minutes=1), timedelta(hours=3), timedelta(days=1), timedelta(days=9))
UNREACHED: Final = timedelta(days=400)


def quiet(provider: Provider, profile: Profile | str, *, flows: int = 200) -> FaultyProvider:
    """A provider without faults on the wire."""
    return FaultyProvider(provider, profile, schedule=QueuedFaults(), flows=flows)


@EVERY
@pytest.mark.parametrize("profile", ["late", "restated", "malformed", "dense"])
def test_a_reader_gets_the_truth_of_each_instant(provider: Provider, profile: str) -> None:
    """The truth changes with time, except in the profile without changes."""
    faulty = quiet(provider, Profile(rows={change: 5 * rate for change, rate in PROFILES[profile].rows.items()}))
    seen = []
    for step in STEPS:
        faulty.clock.move(step)
        rows = Counter(faulty.read(60))
        assert rows == Counter(faulty.truth().rows)
        seen.append(rows)
    changes = len({frozenset(rows.items()) for rows in seen})
    assert (changes == 1) == (profile == "dense")


@EVERY
def test_the_truth_separates_flows_from_rejected_rows(provider: Provider) -> None:
    faulty = quiet(provider, Profile(rows={RowChange.MALFORMED: RATE_BASE // 2}))
    truth = faulty.truth()
    assert len(truth.flows) > 0 < len(truth.rejected)
    assert len(truth.rows) == len(truth.flows) + len(truth.rejected)
    for row in truth.rejected:
        with pytest.raises(WireError):
            provider.codec.read(row)


@EVERY
def test_a_malformed_row_leaves_the_others_intact(provider: Provider) -> None:
    faulty = quiet(provider, Profile(rows={RowChange.MENDED: RATE_BASE // 5}))
    rows = faulty.read(60)
    assert Counter(rows) == Counter(faulty.truth().rows)
    faulty.clock.move(UNREACHED)
    assert not faulty.truth().rejected


def test_the_truth_of_an_instant_does_not_change() -> None:
    faulty = quiet(LONGBRIDGE, "restated")
    then = [NOON + step for step in (*STEPS, UNREACHED)]
    before = [faulty.reader.truth(faulty.account.name, *faulty.whole, at) for at in then]
    faulty.clock.move(UNREACHED)
    faulty.read(60)
    assert [faulty.reader.truth(faulty.account.name, *faulty.whole, at) for at in then] == before
    again = quiet(LONGBRIDGE, "restated")
    assert [again.reader.truth(faulty.account.name, *faulty.whole, at) for at in then] == before


def test_all_late_rows_appear_in_the_end() -> None:
    faulty, plain = quiet(LONGBRIDGE, Profile(rows={RowChange.LATE: RATE_BASE})), quiet(LONGBRIDGE, "none")
    assert len(faulty.truth().rows) < len(plain.truth().rows)
    faulty.clock.move(UNREACHED)
    assert Counter(faulty.truth().rows) == Counter(plain.truth().rows)


def test_the_truth_is_limited_to_a_range_and_a_known_account() -> None:
    faulty = quiet(LONGBRIDGE, "none")
    middle = BEGIN + (END - BEGIN) // 2
    halves = [
        faulty.reader.truth(faulty.account.name, since, until, NOON).rows
        for since, until in ((BEGIN, middle), (middle, END))
    ]
    assert [row for half in halves for row in half] == faulty.reader.truth(faulty.account.name, BEGIN, END, NOON).rows
    assert all(halves)
    with pytest.raises(ConfigError, match="account: expected trader-1, got 'nobody'"):
        faulty.reader.truth("nobody", BEGIN, END, NOON)


def test_unpublished_days_are_not_part_of_the_truth() -> None:
    wecom = quiet(load_providers()["wecom"], "none")
    for at in (NOON, BEGIN + timedelta(days=4)):
        published = wecom.provider.rules.readable(at)[1]
        flows = wecom.reader.truth(wecom.account.name, MIN_INSTANT, MAX_INSTANT, at).flows
        assert flows
        assert all(flow.at < published for flow in flows)


# ---------------------------------------------------------------- pages and totals


def query(
    faulty: FaultyProvider, *, limit: int = 7, offset: int = 0, after: str | None = None, newest: bool = True
) -> FlowQuery:
    return FlowQuery((faulty.account.name,), BEGIN, END, limit, offset, after, newest, ascending=not newest)


def as_row(flow: Flow) -> bytes:
    return msgspec.json.encode(flow)


@pytest.mark.parametrize("newest", [True, False])
def test_pages_by_cursor_and_by_offset_are_equal(newest: bool) -> None:
    faulty = quiet(LONGBRIDGE, Profile(rows={RowChange.TWIN: RATE_BASE}), flows=40)
    by_place, by_offset, after = [], [], ""
    for number in range(100):
        page = faulty.reader.read_page("", query(faulty, newest=newest, after=after), as_row)
        by_place.append(page.rows)
        by_offset.append(faulty.reader.read_page("", query(faulty, newest=newest, offset=7 * number), as_row).rows)
        if page.end_cursor is None:
            break
        after = page.end_cursor
    assert by_place == by_offset
    assert len(by_place) == 12
    whole = [as_row(version) for version in _flows(faulty)]
    assert b",".join(by_place) == b",".join(reversed(whole) if newest else whole)


def test_pages_shift_when_rows_appear_between_two_reads() -> None:
    """A row that was pushed to the next page is read twice, so the pages together are wrong."""
    faulty = quiet(LONGBRIDGE, Profile(rows={RowChange.LATE: RATE_BASE}))
    half = len(_flows(faulty)) // 2
    first = faulty.reader.read_page("", query(faulty, limit=half), as_row).rows
    faulty.clock.move(timedelta(days=5))
    second = faulty.reader.read_page("", query(faulty, limit=half, offset=half), as_row).rows
    assert Counter(_read(first)) & Counter(_read(second))
    assert Counter(_read(first) + _read(second)) != Counter(_flows(faulty))


def _read(rows: bytes) -> list[Flow]:
    return msgspec.json.decode(b"[%b]" % rows, type=list[Flow])


def _flows(faulty: FaultyProvider) -> list[Flow]:
    return _read(faulty.reader.read_page("", query(faulty, newest=False, limit=10_000), as_row).rows)


def test_a_cursor_that_no_page_named_is_refused() -> None:
    faulty = quiet(LONGBRIDGE, "none")
    with pytest.raises(WireError, match="after: expected a cursor that a page named"):
        faulty.reader.read_page("", query(faulty, after="nowhere"), as_row)


def test_wrong_totals_follow_from_the_clock() -> None:
    faulty = quiet(LONGBRIDGE, Profile(miscounts=RATE_BASE // 2))
    true = faulty.reader.count_flows(query(faulty, limit=1))
    spans = []
    for _ in range(60):
        spans.append(faulty.reader.count_flows(query(faulty)))
        faulty.clock.move(MISCOUNT_SPAN // 2)
        assert faulty.reader.count_flows(query(faulty)) == spans[-1]
        faulty.clock.move(MISCOUNT_SPAN // 2)
    honest = len(_flows(faulty))
    assert 10 < sum(total == honest for total in spans) < 50
    assert all(0 < abs(total - honest) <= 3 for total in spans if total != honest)
    assert true in spans


def test_a_provider_with_totals_serves_the_readers_count() -> None:
    counting = [
        known
        for known in load_providers().values()
        if isinstance(known.rules.paging, PageNumber) and known.rules.paging.has_total
    ]
    assert counting
    for provider in counting:
        faulty = quiet(provider, Profile(miscounts=RATE_BASE))
        request = PageRequest(faulty.whole, 5)
        page = faulty.run(methodcaller("fetch_page", request))
        assert page.total is not None
        assert page.total != len(faulty.truth().rows)


# ---------------------------------------------------------------- worlds


def reader_of(*, flows: int = 50, live: bool = False) -> WorldReader:
    known = {LONGBRIDGE.name: LONGBRIDGE}
    parameters = Parameters(accounts=2, flows=flows, begin=BEGIN, end=END, live=live)
    return WorldReader(World(parameters, institutions_of(known)), known, MovableClock(NOON))


def present_rows(*, opened: datetime, flows: int = 50, live: bool = False, profile: str = "late") -> list[int]:
    """The number of an account's rows at the start and after each of STEPS."""
    known = {LONGBRIDGE.name: LONGBRIDGE}
    reader = with_lifecycles(reader_of(flows=flows, live=live), known, profile=PROFILES[profile], seed=1, opened=opened)
    return [len(reader.truth("trader-2", BEGIN, MAX_INSTANT, opened + step).rows) for step in STEPS]


def test_an_old_world_changes_as_though_it_had_just_ended() -> None:
    late = present_rows(opened=END, flows=2_000)
    assert late == present_rows(opened=NOON, flows=2_000) == present_rows(opened=NOON + UNREACHED, flows=2_000)
    assert late == sorted(late)
    assert late[0] < late[-1]


def test_a_live_world_goes_on() -> None:
    there = present_rows(opened=END, live=True, profile="none")
    assert there == sorted(there)
    assert there[0] == 50 < there[-1]
    assert STEPS[-1] < LIVE_FOR


def test_a_world_that_is_too_large_is_an_error() -> None:
    with pytest.raises(ConfigError, match=f"flows: expected {FLOWS_MAX} at most with faults, got {FLOWS_MAX + 1}"):
        present_rows(opened=END, flows=FLOWS_MAX + 1)


def test_the_simulator_serves_its_truth() -> None:
    faulty = quiet(LONGBRIDGE, "malformed")
    truth = TruthEndpoint(faulty.reader)
    asked = f"account={faulty.account.name}&since={to_iso(BEGIN)}&until={to_iso(END)}&at={to_iso(NOON)}"
    response = truth(Request("GET", TRUTH_PATH, asked, {"accept-language": "en"}))
    assert response is not None
    assert response.status == 200
    expected = faulty.reader.truth(faulty.account.name, BEGIN, END, NOON, language="en").rows
    assert response.body == b"".join(row + b"\n" for row in expected)
    now = truth(Request("GET", TRUTH_PATH, f"account={faulty.account.name}", {}))
    assert now is not None
    assert len(now.body.splitlines()) == len(expected)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [("", "account: "), ("account=nobody", "account: "), ("account=trader-1&at=noon", "at: "), ("%ff=", "query: ")],
)
def test_an_invalid_request_for_the_truth_is_refused(asked: str, reason: str) -> None:
    response = TruthEndpoint(quiet(LONGBRIDGE, "none").reader)(Request("GET", TRUTH_PATH, asked, {}))
    assert response is not None
    assert response.status == 400
    assert msgspec.json.decode(response.body, type=dict[str, str | int])["detail"].startswith(reason)  # type: ignore[union-attr]


def test_other_paths_are_left_to_the_providers() -> None:
    assert TruthEndpoint(quiet(LONGBRIDGE, "none").reader)(Request("GET", "/v1/asset/cashflow", "", {})) is None
