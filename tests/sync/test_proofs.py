"""Each step of the proof holds something: with it what was read is right, and without it, it is not."""

import asyncio
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Unpack

import pytest

from liushui.errors import SyncError
from liushui.ledger.commit import commit_slice
from liushui.provider import Page, Slice
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.rules import RULES
from liushui.sync import proofs
from liushui.sync.drain import Overfull, drain
from liushui.sync.options import Options
from liushui.sync.proofs import Proofs
from liushui.testing.client import ClientDouble
from tests.sync.pages import COUNTED, CURSOR, DAY, Instant, Scripted, chain, drained, rows
from tests.sync.rows import BEGIN, hourly, new_ledger, row
from tests.sync.running import How, amounts, amounts_of, clock_of, forgetting, synced

EVERYTHING = Options(attempts=1, everything=True)


def a_server_gives_fewer_rows_than_it_was_asked_for(folder: Path) -> bool:
    ledger = new_ledger(folder)
    synced(ledger, ClientDouble(codec, hourly(10), cap=10), Options(size=100, attempts=1))
    return amounts(ledger) == amounts_of(hourly(10))


def a_provider_counts_more_than_it_gives(_folder: Path) -> bool:
    try:
        drained(Scripted([Page(rows("a", "b"), None, 5)]), COUNTED)
    except SyncError:
        return True
    return False


def a_row_goes_while_pages_are_read(_folder: Path) -> bool:
    """It stood before those that are still to come: one of them moves to a page that was read already."""
    here = [row(BEGIN, f"-{number}.00") for number in range(25)]

    def goes(number: int, _asked: Slice, _page: int) -> None:
        if number == 5:
            client.rows.pop(0)

    client = ClientDouble(codec, list(here), fault=goes)
    asked = Slice(BEGIN, BEGIN + timedelta(seconds=1))
    found = run_drain(client, asked)
    return sorted(found) == sorted(here[1:])


def run_drain(client: ClientDouble, asked: Slice) -> list[bytes]:
    return asyncio.run(drain(client.page, asked, RULES, 10, divisible=False))


def an_empty_page_names_another_one(_folder: Path) -> bool:
    return drained(Scripted(chain([], rows("a", "b"))), CURSOR, DAY) == rows("a", "b")


def a_full_page_has_no_second_one(_folder: Path) -> bool:
    instant = Instant(*[("main", "1", "X")] * 4)
    try:
        return instant.drained(DAY) == instant.every
    except Overfull:
        return True


def a_row_has_a_value_that_nobody_documented(_folder: Path) -> bool:
    return is_whole_or_refused(Instant(("main", "9", "X"), *[("main", "1", "X")] * 2, ("main", "1", "Y")))


def a_value_stands_between_two_pages(_folder: Path) -> bool:
    return is_whole_or_refused(Instant(*[("main", "1", one) for one in ("X", "X", "Y", "W", "Y", "Z", "Z")]))


def is_whole_or_refused(instant: Instant) -> bool:
    try:
        return instant.drained() == instant.every
    except SyncError:
        return True


def an_answer_is_empty_once(folder: Path) -> bool:
    ledger, here = new_ledger(folder), hourly(10)
    synced(ledger, ClientDouble(codec, here))

    def vanish_once(call: int, _asked: Slice, _page: int) -> None:
        client.rows = [] if call == 1 else here

    client = ClientDouble(codec, here, fault=vanish_once)
    synced(ledger, client, EVERYTHING)
    return amounts(ledger) == amounts_of(here)


def another_worker_proves_it_from_a_later_read(folder: Path) -> bool:
    """What this one reads is older, and stays so when it is read again: a replica that lags."""
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
        async def page(self, asked: Slice, size: int, **how: Unpack[How]) -> Page:
            page = await super().page(asked, size, **how)
            return page if len(self.calls) > 1 else page._replace(rows=[stray, *page.rows])

    ledger = new_ledger(folder)
    synced(ledger, Astray(codec, hourly(10)), EVERYTHING)
    return "-6666.00" not in amounts(ledger)


def a_provider_forgets_its_oldest_day(folder: Path) -> bool:
    ledger, here = new_ledger(folder), hourly(10)
    synced(ledger, ClientDouble(codec, here))
    clock_of(ledger).at = datetime(2025, 1, 2, 23, 59, 59, tzinfo=UTC)
    synced(ledger, ClientDouble(codec, here[48:]), EVERYTHING, provider=forgetting)
    return amounts(ledger) == amounts_of(here)


HELD_BY: Final[dict[str, Callable[[Path], bool]]] = {
    "empty_page_after_the_last": a_server_gives_fewer_rows_than_it_was_asked_for,
    "total_equals_rows": a_provider_counts_more_than_it_gives,
    "two_reads_agree": a_row_goes_while_pages_are_read,
    "cursor_followed_to_the_end": an_empty_page_names_another_one,
    "full_page_is_cut": a_full_page_has_no_second_one,
    "parts_hold_the_full_pages": a_row_has_a_value_that_nobody_documented,
    "unseen_values": a_value_stands_between_two_pages,
    "second_read_before_versions_end": an_answer_is_empty_once,
    "stale_read_refused": another_worker_proves_it_from_a_later_read,
    "rows_outside_the_slice_refused": an_answer_is_to_another_question,
    "retention_guard": a_provider_forgets_its_oldest_day,
}
"""What each step is for. Told whether all is right afterwards."""


def test_every_step_has_its_reason() -> None:
    assert set(HELD_BY) == {step.name for step in fields(Proofs)}


@pytest.mark.parametrize("step", HELD_BY)
def test_with_the_step_all_is_right(tmp_path: Path, step: str) -> None:
    assert HELD_BY[step](tmp_path)


@pytest.mark.parametrize("step", HELD_BY)
def test_without_the_step_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.setattr(proofs, "PROOFS", replace(Proofs(), **{step: False}))
    assert not HELD_BY[step](tmp_path)
