"""The list of 50,000 flows in a real browser: going to a day, and scrolling from there in both directions."""

import itertools
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.web import WATCH
from tests.ledger.ledgers import new_ledger
from tests.web.bridge import browsing_as
from tests.web.ledgers import fill_many
from tests.web.visitor import visiting

ROWS: Final = 50_000
"""One a minute from November 1, 2025 on, in the account's zone: the newest is of December 5."""

FAST_ROWS: Final = 10_000
"""The rows that a fast scroll passes."""
FAST_PIXELS: Final = 2_500
"""More than two windows at each turn of the wheel."""
FAST_TURNS_MAX: Final = 5_000

SIZES: Final = {
    (1280, 800): "2025-11-20",
    (390, 800): "2025-12-04",
    (1440, 1600): "2025-11-02",
    (1000, 500): "2025-11-09",
}
"""Sizes of the window in pixels, and the day that is gone to in each."""

IN_SIGHT: Final = """
(pane) => {
  const top = pane.querySelector(".ledger-names").offsetHeight;
  const box = pane.getBoundingClientRect();
  return [...pane.querySelectorAll("[data-key]:not([hidden])")]
    .map((row) => [row.getBoundingClientRect(), row.querySelector(".time").textContent])
    .filter(([row]) => row.top >= box.top + top - 1 && row.bottom <= box.top + pane.clientHeight + 1)
    .sort(([one], [other]) => one.top - other.top)
    .map(([, time]) => time);
}
"""
"""The times of the rows that are wholly in sight, from the top down."""


MOVED: Final = f"""
(before) => {{
  const times = ({IN_SIGHT})(document.querySelector("#ledger"));
  return times.length > 0 && times[0] !== before;
}}
"""
"""Whether the list has moved."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Page]:
    """A page of a reader of many flows."""
    ledger = new_ledger(tmp_path_factory.mktemp("many"), "a")
    fill_many(ledger, "a", ROWS, minutes=1)
    with visiting(ledger) as visitor:
        visitor.log_in()
        with browsing_as(visitor, browser, viewport={"width": 1280, "height": 800}) as page:
            yield page
    ledger.close()


def go_to(page: Page, day: str) -> None:
    """Go to a day as a reader does, and wait until the rows around it are there."""
    page.get_by_label("Go to a day").fill(day)
    with page.expect_navigation():
        page.get_by_role("button", name="Go", exact=True).click()
    page.wait_for_load_state("networkidle")


def times_in_sight(page: Page) -> list[str]:
    """The times of the rows in sight, as soon as there are any."""
    pane = page.locator("#ledger")
    expect(pane.locator("[data-key]").first).to_be_attached()
    times: list[str] = pane.evaluate(IN_SIGHT)
    return times


def test_going_to_a_day_shows_its_last_flow_first(page: Page) -> None:
    page.goto("/flows")
    for size, day in SIZES.items():
        page.set_viewport_size({"width": size[0], "height": size[1]})
        go_to(page, day)
        assert times_in_sight(page)[0] == f"{day} 23:59:00", size


def test_going_to_a_day_beyond_either_end_shows_that_end(page: Page) -> None:
    page.goto("/flows?at=2030-01-01")
    assert times_in_sight(page)[0] == "2025-12-05 17:19:00"
    page.goto("/flows?at=2025-10-31")
    expect(page.locator("#ledger-state")).to_have_text("There are no older flows.")
    assert times_in_sight(page)[-1] == "2025-11-01 00:00:00"


@pytest.mark.parametrize("direction", [1, -1], ids=["down", "up"])
def test_scrolling_from_a_day_skips_and_repeats_nothing(page: Page, direction: int) -> None:
    page.goto("/flows?at=2025-11-18")
    page.wait_for_load_state("networkidle")
    seen = [times_in_sight(page)]
    page.locator("#ledger").hover()
    for pixels in (*[700] * 5, *[4_000] * 12):
        page.mouse.wheel(0, direction * pixels)
        page.wait_for_function(MOVED, arg=seen[-1][0])
        seen.append(times_in_sight(page))
    tops = [times[0] for times in seen]
    assert tops == sorted(tops, reverse=direction > 0), "it moves in one direction"
    for times in seen:
        minutes = [minute_of(time) for time in times]
        assert all(after == before - 1 for before, after in itertools.pairwise(minutes)), "a row a minute, newest first"


def minute_of(time: str) -> int:
    """The minute of its month that a time such as `2025-11-18 23:59:00` is in."""
    return int(time[8:10]) * 1440 + int(time[11:13]) * 60 + int(time[14:16])


def test_fast_scrolling_leaves_no_row_out_of_sight(page: Page) -> None:
    """Every row that belongs in sight is drawn, at the latest in the second frame. Until a batch has come, the list is
    shorter, and the wheel stops at its end."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/flows")
    expect(page.locator("#ledger [data-key]").first).to_be_attached()
    page.evaluate(WATCH)
    page.locator("#ledger").hover()
    turns = 0
    while (seen := page.evaluate("() => window.watchedFrames"))["rows"] < FAST_ROWS:
        page.mouse.wheel(0, FAST_PIXELS)
        turns += 1
        assert turns < FAST_TURNS_MAX, seen
    assert seen["frames"] > 0
    assert seen["longest"] <= 1, f"{seen['blank']} of {seen['frames']} frames lacked a row"
