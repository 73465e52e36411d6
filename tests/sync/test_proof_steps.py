"""Each step of the proof is necessary: some scenario ends well with it, and badly without it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from liushui.errors import SyncError, Unavailable
from liushui.instant import to_us
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.source_state import record_unproven
from liushui.ledger.maintenance.verify import Verified, verify
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.write.commit import commit_slice
from liushui.ledger.write.quarantine import open_entries
from liushui.provider import Codec, Page, PageRequest, Provider, Slice
from liushui.providers import get_provider
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.rules import RULES
from liushui.sync import paged_fetcher
from liushui.sync.events import SyncStatus
from liushui.sync.fetch import fetch_slice
from liushui.sync.options import Options
from liushui.sync.paged_fetcher import PagedFetcher
from liushui.sync.question import SliceTooLarge, SourceTraits
from liushui.testing.provider_client_double import ClientDouble
from soak import mutations
from soak.mutations import STEPS, Step, patched, proving
from tests.sync.pages import COUNTED, CURSOR, DAY, TIMED, Fleeting, Instant, Scripted, chain, fetched, rows
from tests.sync.rows import BEGIN, NOW, hourly, new_ledger, row
from tests.sync.running import amounts, amounts_of, clock_of, forgetting, states, synced
from tests.sync.services import (
    BySizeAsked,
    EmptyAnswerAgain,
    FilteredAfterCut,
    FirstPageOnly,
    NewestPart,
    Reach,
    SlowClock,
    StartExclusive,
    TimeKeyset,
    TotalSoFar,
    UpToMidnight,
)

FOUR_DAYS = Slice(BEGIN, BEGIN + timedelta(days=4))
EVERYTHING = Options(attempts=1, everything=True)


def a_server_leaves_out_rows_after_it_has_cut_a_page(_folder: Path) -> bool:
    """The second page has rows of the range, though the first one is short."""
    asked = Slice(BEGIN, BEGIN + timedelta(days=2))
    return is_whole_or_too_large(FilteredAfterCut(codec, hourly(10)), asked, size=210)


def is_whole_or_too_large(client: ClientDouble, asked: Slice = FOUR_DAYS, size: int = 100) -> bool:
    """Whether a range has every row, or is found to have more than the page."""
    expected = [one for one in client.rows if asked.since <= codec.read(one).flow.at < asked.until]
    try:
        found = asyncio.run(fetch_slice(client, asked, RULES, size, can_split=True))
    except SliceTooLarge:
        return True
    return sorted(found) == sorted(expected)


def a_provider_counts_more_than_it_gives(_folder: Path) -> bool:
    try:
        fetched(Scripted([Page(rows("a", "b"), None, 5)]), COUNTED)
    except SyncError:
        return True
    return False


def a_range_ends_at_the_last_midnight(folder: Path) -> bool:
    """The newest row is younger than that."""
    ledger, here = new_ledger(folder), [*hourly(10), row(NOW - timedelta(hours=1), "-7777.00")]
    synced(ledger, UpToMidnight(codec, here))
    return amounts(ledger) == amounts_of(here)


def a_row_goes_while_pages_are_read(_folder: Path) -> bool:
    """Rows after it move up, so one of them moves from a page to come to a page that was read already."""
    here = [row(BEGIN, f"-{number}.00") for number in range(25)]

    def goes(number: int, _asked: Slice, _page: int) -> None:
        if number == 5:
            client.rows.pop(0)

    client = ClientDouble(codec, list(here), fault=goes)
    asked = Slice(BEGIN, BEGIN + timedelta(seconds=1))
    found = run_fetch(client, asked)
    return sorted(found) == sorted(here[1:])


def run_fetch(client: ClientDouble, asked: Slice, size: int = 10) -> list[bytes]:
    return asyncio.run(fetch_slice(client, asked, RULES, size, can_split=False))


def an_empty_page_names_another_one(_folder: Path) -> bool:
    return fetched(Scripted(chain([], rows("a", "b"))), CURSOR, DAY) == rows("a", "b")


def a_full_page_has_no_second_one(_folder: Path) -> bool:
    instant = Instant(*[("main", "1", "X")] * 4)
    try:
        return instant.fetched(DAY) == instant.every
    except SliceTooLarge:
        return True


def a_row_has_a_value_that_nobody_documented(_folder: Path) -> bool:
    return is_whole_or_refused(Instant(("main", "9", "X"), *[("main", "1", "X")] * 2, ("main", "1", "Y")))


def a_value_stands_between_two_pages(_folder: Path) -> bool:
    return is_whole_or_refused(Instant(*[("main", "1", one) for one in ("X", "X", "Y", "W", "Y", "Z", "Z")]))


def is_whole_or_refused(instant: Instant) -> bool:
    try:
        return instant.fetched() == instant.every
    except SyncError:
        return True


def an_answer_is_empty_once(folder: Path) -> bool:
    ledger, here = new_ledger(folder), hourly(10)[::60]  # few enough for one run to withdraw
    synced(ledger, ClientDouble(codec, here))

    def vanish_once(call: int, _asked: Slice, _page: int) -> None:
        client.rows = [] if call == 1 else here

    client = ClientDouble(codec, here, fault=vanish_once)
    synced(ledger, client, Options(attempts=1, everything=True, until=BEGIN + timedelta(hours=23)))
    return amounts(ledger) == amounts_of(here)


def another_worker_proves_it_from_a_later_read(folder: Path) -> bool:
    """What this worker reads is older, also when it reads again: its provider answers from a replica that lags."""
    ledger, here = new_ledger(folder), hourly(1)
    late = row(BEGIN + timedelta(minutes=30), "-7777.00")

    def overtaken(call: int, asked: Slice, _page: int) -> None:
        if call == 1:
            clock_of(ledger).move(timedelta(seconds=1))
            received = [codec.read(one) for one in (*here, late)]
            commit_slice(ledger, "a", asked, read_at=ledger.clock(), received=received)

    once = Options(attempts=1, until=BEGIN + timedelta(days=1))
    synced(ledger, ClientDouble(codec, here, fault=overtaken), once)
    return amounts(ledger) == amounts_of([*here, late])


def an_answer_is_to_another_question(folder: Path) -> bool:
    stray = row(BEGIN - timedelta(days=1), "-6666.00")

    class Astray(ClientDouble):
        async def fetch_page(self, request: PageRequest) -> Page:
            page = await super().fetch_page(request)
            return page if len(self.calls) > 1 else page._replace(rows=[stray, *page.rows])

    def timeless(name: str) -> Provider:
        """A provider in whose rows a sync cannot find the time itself."""
        real = get_provider(name)
        return replace(real, rules=replace(real.rules, time_field=None))

    ledger = new_ledger(folder)
    synced(ledger, Astray(codec, hourly(10)), EVERYTHING, provider=timeless)
    return "-6666.00" not in amounts(ledger)


def a_service_ignores_the_range(folder: Path) -> bool:
    """It always answers with the newest day."""

    class Newest(ClientDouble):
        async def fetch_page(self, request: PageRequest) -> Page:
            newest = Slice(BEGIN + timedelta(days=9), BEGIN + timedelta(days=10))
            return await super().fetch_page(request._replace(slice_=newest))

    ledger, here = new_ledger(folder), hourly(10)
    synced(ledger, Newest(codec, here), EVERYTHING)
    return amounts(ledger) == amounts_of(here) or State.OPEN in {state for state, _ in states(ledger)}


def the_end_of_a_range_does_not_belong_to_it(folder: Path) -> bool:
    class Exclusive(ClientDouble):
        async def fetch_page(self, request: PageRequest) -> Page:
            since, until = request.slice_
            return await super().fetch_page(request._replace(slice_=Slice(since, until - RULES.resolution)))

    end = BEGIN + timedelta(days=1)
    ledger, here = new_ledger(folder), [row(end - RULES.resolution, "-5.00"), *hourly(1)]
    synced(ledger, Exclusive(codec, here), Options(attempts=1, until=end))
    return amounts(ledger) == amounts_of(here)


def a_service_holds_fewer_rows_than_were_asked_for(_folder: Path) -> bool:
    """It has no second page, and its rows are cut after the second one."""
    service = Fleeting(cap=2)
    try:
        return service.fetched() == service.every
    except SliceTooLarge:
        return True


def no_second_page_has_rows(_folder: Path) -> bool:
    return is_whole_or_too_large(FirstPageOnly(codec, hourly(4)))


def pages_are_counted_by_the_size_that_was_asked_for(_folder: Path) -> bool:
    """A longer page was whole, and this one is cut after fewer rows: by its bytes, or by chance."""
    traits = SourceTraits(rows_max=50, whole_pages=2)
    client = BySizeAsked(codec, hourly(4))
    try:
        found = asyncio.run(fetch_slice(client, FOUR_DAYS, RULES, 100, can_split=True, traits=traits))
    except SliceTooLarge:
        return True
    return sorted(found) == sorted(hourly(4))


def a_total_counts_the_rows_up_to_the_end_of_the_page(_folder: Path) -> bool:
    """It equals the rows of a page that was cut."""
    rules = replace(RULES, paging=replace(RULES.paging, has_total=True))
    client, traits = TotalSoFar(codec, hourly(4)), SourceTraits(rows_max=50, whole_pages=2)
    try:
        found = asyncio.run(fetch_slice(client, FOUR_DAYS, rules, 100, can_split=True, traits=traits))
    except SliceTooLarge:
        return True
    return sorted(found) == sorted(hourly(4))


def a_range_is_cut_by_its_bytes(_folder: Path) -> bool:
    """The service has no second page. A longer answer was whole, and this one is cut after fewer rows."""
    service = Fleeting(cap=2, rows=4)
    try:
        found = asyncio.run(
            fetch_slice(service, DAY, TIMED, 10, can_split=True, traits=SourceTraits(rows_max=5, whole_pages=2))
        )
    except SliceTooLarge:
        return True
    return Counter(found) == service.every


def a_cursor_leads_past_the_rest_of_an_instant(_folder: Path) -> bool:
    here = [row(BEGIN, f"-{number}.00") for number in range(130)]
    client = TimeKeyset(codec, here)
    try:
        return sorted(run_fetch(client, Slice(BEGIN, BEGIN + timedelta(seconds=1)), size=100)) == sorted(here)
    except SyncError:
        return True


def an_instant_has_more_rows_than_a_question_returns(_folder: Path) -> bool:
    older = row(BEGIN - timedelta(hours=1), "-1.50")
    client = Reach(codec, [older, *(row(BEGIN, f"-{number}.00") for number in range(40))])
    try:
        return len(run_fetch(client, Slice(BEGIN, BEGIN + timedelta(seconds=1)))) == 40
    except SyncError as error:
        return "the instant may have more rows" in str(error)


def rows_have_a_value_that_nobody_asks_for(_folder: Path) -> bool:
    service = Fleeting(accounts=("main", "third"))
    return service.fetched() == service.every


def a_service_answers_the_newest_part_of_a_range(folder: Path) -> bool:
    ledger, here = new_ledger(folder), hourly(10)
    result = synced(ledger, NewestPart(codec, here), Options(attempts=1))
    return result.status is SyncStatus.DONE and amounts(ledger) == amounts_of(here)


def a_record_is_listed_twice(_folder: Path) -> bool:
    """Where ids identify records, it counts once. Rows without an id are as many as they are listed."""
    named, nameless = Scripted([Page(rows("a", "b", "a"))]), Scripted([Page(rows("", "b", ""))])
    rules = replace(CURSOR, id_field="name")
    return fetched(named, rules) == rows("a", "b") and fetched(nameless, rules) == rows("", "b", "")


def a_step_beside_a_crowd_is_left_out(_folder: Path) -> bool:
    """The service leaves out the first second of a range, and the next second has more than a page."""
    step = timedelta(seconds=1)
    here = [row(BEGIN, f"-{number}.00") for number in range(12)]
    service = StartExclusive(codec, here + [row(BEGIN + step, f"-{number}.50") for number in range(12)])
    return sorted(run_fetch(service, Slice(BEGIN, BEGIN + step))) == sorted(here)


def an_outage_answers_empty_lists(folder: Path) -> bool:
    ledger, here = new_ledger(folder), hourly(10)
    synced(ledger, ClientDouble(codec, here))
    synced(ledger, ClientDouble(codec, []), EVERYTHING)
    return amounts(ledger) == amounts_of(here)


def an_empty_answer_comes_again(folder: Path) -> bool:
    """The answer for a longer range had rows, and the one for the shorter range is an older, empty one."""

    def with_small_pages(name: str) -> Provider:
        real = get_provider(name)
        return replace(real, rules=replace(real.rules, paging=replace(RULES.paging, size_max=50)))

    busy = [row(BEGIN + timedelta(days=4, hours=20, minutes=minute), f"-{minute}.75") for minute in range(120)]
    ledger, client = new_ledger(folder), EmptyAnswerAgain(codec, [*hourly(2), *busy])
    synced(ledger, client, provider=with_small_pages)
    assert client.has_repeated
    return amounts(ledger) == amounts_of(client.rows)


def credentials_are_of_another_account(folder: Path) -> bool:
    ledger, here = new_ledger(folder), hourly(10)
    synced(ledger, ClientDouble(codec, here))
    record_unproven(ledger, "a", is_unproven=True)
    others = [one.replace(b'"balance": "-', b'"balance": "-7') for one in here]
    result = synced(ledger, ClientDouble(codec, others), EVERYTHING)
    return amounts(ledger) == amounts_of(here) and result.status is SyncStatus.CREDENTIALS


def the_clock_of_a_provider_is_behind(folder: Path) -> bool:
    """Rows of the last day are not there yet, by its time."""
    ledger = new_ledger(folder)
    synced(ledger, SlowClock(codec, hourly(10)))
    newest_us = max(known.until_us for known in ranges_of(ledger, "a") if known.state is State.PROVEN)
    return newest_us <= to_us(NOW + SlowClock.clock_offset)


def a_cursor_leads_back(_folder: Path) -> bool:
    """It ends within five calls."""
    loop = Scripted([Page(rows("a"), "1"), Page(rows("b"), "1")])
    try:
        fetched(loop, CURSOR)
    except SyncError:
        return loop.calls <= 5
    return False


def a_provider_forgets_its_oldest_day(folder: Path) -> bool:
    ledger, here = new_ledger(folder), hourly(10)[::12]
    synced(ledger, ClientDouble(codec, here))
    clock_of(ledger).at = datetime(2025, 1, 2, 23, 59, 59, tzinfo=UTC)
    synced(ledger, ClientDouble(codec, here[4:]), EVERYTHING, provider=forgetting)
    return amounts(ledger) == amounts_of(here)


def a_row_cannot_be_read(folder: Path) -> bool:
    """It becomes no flow, but it is kept in quarantine."""
    ledger = new_ledger(folder)
    unreadable = row(BEGIN, "1.00").replace(b'"USD"', b"[7]")
    result = synced(ledger, Unread(codec, hourly(10), unreadable))
    with ledger.reading() as connection:
        return result.quarantined == 1 and [entry.wire for entry in open_entries(connection, "a")] == [unreadable]


def a_call_fails(folder: Path) -> bool:
    """Its range stays open, and the sync is incomplete."""

    def breaks(call: int, _asked: Slice, _page: int) -> None:
        if call == 2:
            raise Unavailable("HTTP 500")

    ledger = new_ledger(folder)
    result = synced(ledger, ClientDouble(codec, hourly(10), fault=breaks), Options(attempts=1))
    return result.status is SyncStatus.INCOMPLETE and State.OPEN in {state for state, _ in states(ledger)}


def a_row_is_still_on_its_way(folder: Path) -> bool:
    """It happened two seconds ago, and the provider does not show it yet. Its time must not be proven."""
    ledger, happened = new_ledger(folder), to_us(NOW - timedelta(seconds=2))
    synced(ledger, ClientDouble(codec, hourly(10)))
    return not any(known.since_us <= happened < known.until_us for known in ranges_of(ledger, "a"))


def a_row_comes_late(folder: Path) -> bool:
    ledger, late = new_ledger(folder), row(NOW - timedelta(days=1), "-7777.00")
    client = ClientDouble(codec, hourly(10))
    synced(ledger, client)
    client.rows = [*client.rows, late]
    synced(ledger, client)
    return amounts(ledger) == amounts_of(client.rows)


def a_row_comes_a_week_late(folder: Path) -> bool:
    """It is older than the newest part, so a sync finds it only when it refreshes older ranges."""
    ledger, late = new_ledger(folder), row(NOW - timedelta(days=7), "-7777.00")
    client = ClientDouble(codec, hourly(10))
    synced(ledger, client)
    client.rows = [*client.rows, late]
    clock_of(ledger).move(timedelta(days=1))
    synced(ledger, client)
    return amounts(ledger) == amounts_of(client.rows)


def rows_are_equal(folder: Path) -> bool:
    ledger, here = new_ledger(folder), [*hourly(1), *[row(BEGIN, "12.50")] * 3]
    synced(ledger, ClientDouble(codec, here))
    return amounts(ledger) == amounts_of(here)


def a_row_is_restated(folder: Path) -> bool:
    """Its old version is kept as history, and the chain still verifies."""
    ledger, client = new_ledger(folder), ClientDouble(codec, hourly(1))
    synced(ledger, client)
    client.rows = [*client.rows[:-1], row(BEGIN + timedelta(hours=23), "-99.00")]
    synced(ledger, client, EVERYTHING)
    return is_intact(ledger) and amounts(ledger) == amounts_of(client.rows)


def totals_are_asked_for(folder: Path) -> bool:
    ledger = new_ledger(folder)
    synced(ledger, ClientDouble(codec, hourly(3)))
    return is_intact(ledger)


def a_commit_breaks_off(folder: Path) -> bool:
    """Nothing of what it had written is there."""
    ledger = new_ledger(folder)
    with ledger.writing() as connection:
        connection.exec_driver_sql(_BREAKS_OFF)
    synced(ledger, ClientDouble(codec, hourly(3)))
    with ledger.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER breaks_off")
    return is_intact(ledger) and not amounts(ledger)


_BREAKS_OFF = "CREATE TRIGGER breaks_off BEFORE INSERT ON batches BEGIN SELECT RAISE(ABORT, 'no more'); END"


def is_intact(ledger: Ledger) -> bool:
    return all(isinstance(found, Verified) for found in verify(ledger))


class Unread(ClientDouble):
    """Adds a row that cannot be decoded to the first page of its day."""

    def __init__(self, codec: Codec, rows: list[bytes], unreadable: bytes) -> None:
        super().__init__(codec, rows)
        self._unreadable = unreadable

    async def fetch_page(self, request: PageRequest) -> Page:
        page = await super().fetch_page(request)
        is_there = request.slice_.since <= BEGIN < request.slice_.until and request.page_token is None
        return page._replace(rows=[*page.rows, self._unreadable]) if is_there else page


HELD_BY: Final[dict[str, Callable[[Path], bool]]] = {
    "empty_page_after_the_last": a_server_leaves_out_rows_after_it_has_cut_a_page,
    "total_equals_rows": a_provider_counts_more_than_it_gives,
    "two_reads_agree": a_row_goes_while_pages_are_read,
    "cursor_followed_to_the_end": an_empty_page_names_another_one,
    "full_page_is_cut": a_full_page_has_no_second_one,
    "parts_hold_the_full_pages": a_row_has_a_value_that_nobody_documented,
    "unseen_values": a_value_stands_between_two_pages,
    "second_read_before_versions_end": an_answer_is_empty_once,
    "stale_read_refused": another_worker_proves_it_from_a_later_read,
    "rows_outside_the_slice_refused": an_answer_is_to_another_question,
    "ignored_range_refused": a_service_ignores_the_range,
    "ends_asked_beyond": the_end_of_a_range_does_not_belong_to_it,
    "page_cap_is_found": a_service_holds_fewer_rows_than_were_asked_for,
    "silent_cuts_are_found": no_second_page_has_rows,
    "short_pages_are_continued": pages_are_counted_by_the_size_that_was_asked_for,
    "totals_are_tested": a_total_counts_the_rows_up_to_the_end_of_the_page,
    "short_ranges_are_proven": a_range_is_cut_by_its_bytes,
    "steps_by_other_pages": a_cursor_leads_past_the_rest_of_an_instant,
    "instants_are_not_the_limit": an_instant_has_more_rows_than_a_question_returns,
    "seen_rows_come_again": an_empty_answer_comes_again,
    "unfiltered_question": rows_have_a_value_that_nobody_asks_for,
    "long_ranges_are_proven": a_service_answers_the_newest_part_of_a_range,
    "ends_of_ranges_are_proven": a_range_ends_at_the_last_midnight,
    "each_record_counts_once": a_record_is_listed_twice,
    "steps_beside_crowds": a_step_beside_a_crowd_is_left_out,
    "withdrawals_are_doubted": an_outage_answers_empty_lists,
    "credentials_are_proven": credentials_are_of_another_account,
    "clock_of_the_provider": the_clock_of_a_provider_is_behind,
    "pages_without_end": a_cursor_leads_back,
    "retention_guard": a_provider_forgets_its_oldest_day,
    "unreadable_rows_are_kept": a_row_cannot_be_read,
    "failures_leave_gaps": a_call_fails,
    "newest_wait_until_settled": a_row_is_still_on_its_way,
    "newest_part_again": a_row_comes_late,
    "older_parts_again": a_row_comes_a_week_late,
    "one_transaction": a_commit_breaks_off,
    "equal_rows_are_numbered": rows_are_equal,
    "ended_versions_become_history": a_row_is_restated,
    "totals_in_the_same_commit": totals_are_asked_for,
}
"""The scenario of each step. It returns whether the final state is correct."""


def test_every_step_has_a_test() -> None:
    assert set(HELD_BY) == set(STEPS)


@pytest.mark.parametrize("step", HELD_BY)
def test_the_scenario_passes_with_the_step(tmp_path: Path, step: str) -> None:
    """And the step is reported to change something in it."""
    changes: list[str] = []
    with proving(report=changes.append):
        assert HELD_BY[step](tmp_path)
    assert step in changes


@pytest.mark.parametrize("step", HELD_BY)
def test_the_scenario_fails_without_the_step(tmp_path: Path, step: str) -> None:
    with proving(without=step):
        assert not HELD_BY[step](tmp_path)


def test_an_unknown_step_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^without: expected one of .*, got three_reads_agree$"):
        proving(without="three_reads_agree").__enter__()


def test_a_step_whose_function_is_not_there_is_an_error() -> None:
    for step in (
        Step(paged_fetcher, "reads_agre", mutations.unchecked),
        Step(PagedFetcher, "pag", mutations.unchecked),
    ):
        with pytest.raises(AttributeError, match=step.function):
            patched("mistyped", step, leave_out=True)


def test_outside_the_block_every_step_is_taken() -> None:
    before = {name: getattr(step.owner, step.function) for name, step in STEPS.items()}
    with proving(without="two_reads_agree"):
        assert all(getattr(step.owner, step.function) is not before[name] for name, step in STEPS.items())
    assert {name: getattr(step.owner, step.function) for name, step in STEPS.items()} == before
