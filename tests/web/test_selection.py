"""Rows of the list are selected by keyboard and pointer, and their sums are exact at any size."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read, new_ledger
from tests.web.bridge import browsing_as
from tests.web.ledgers import BEGIN, row
from tests.web.visitor import visiting

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Page]:
    """The list of five flows, the newest first."""
    ledger = new_ledger(tmp_path_factory.mktemp("selection"), "a")
    amounts = ("-5.00", "9007199254740993.010", "0.2", "0.10", "-1234.5")
    rows = [
        row(f"r{number}", number * HOUR, amount, currency="HKD" if number == 0 else "USD")
        for number, amount in enumerate(amounts)
    ]
    commit_read(ledger, Slice(BEGIN, NOON), *rows, account="a", read_at=NOON)
    with visiting(ledger) as visitor:
        visitor.log_in()
        with browsing_as(visitor, browser, viewport={"width": 1440, "height": 900}) as page:
            yield page
    ledger.close()


def test_the_sum_of_a_selection_is_exact_and_made_by_keyboard(page: Page) -> None:
    page.goto("/flows")
    bar = page.locator("#selection")
    expect(bar).to_be_hidden()
    page.locator("#ledger").focus()
    for key in ("ArrowDown", "ArrowDown", "Space", "Shift+ArrowDown"):
        page.keyboard.press(key)
    expect(bar.locator("output")).to_have_text("Selected: 2+0.30 USD")
    page.keyboard.press("Shift+ArrowDown")
    expect(bar.locator("output")).to_have_text("Selected: 3+9,007,199,254,740,993.31 USD")
    page.keyboard.press("Control+a")
    expect(bar.locator("output")).to_have_text("Selected: 5+9,007,199,254,739,758.81 USD−5.00 HKD")
    page.keyboard.press("Escape")
    expect(bar).to_be_hidden()


def test_rows_are_selected_by_their_boxes_without_opening_them(page: Page) -> None:
    page.goto("/flows")
    boxes = page.locator("#ledger").get_by_role("checkbox", name="Select this flow")
    boxes.nth(0).click()
    boxes.nth(3).click(modifiers=["Shift"])
    bar = page.locator("#selection")
    expect(bar.locator("output")).to_contain_text("Selected: 4")
    expect(page.locator("#drawer")).to_be_hidden()
    boxes.nth(1).click()
    expect(bar.locator("output")).to_contain_text("Selected: 3")
    expect(boxes.nth(1)).not_to_be_checked()
    bar.get_by_role("button", name="Clear the selection").click()
    expect(bar).to_be_hidden()
    expect(boxes.nth(0)).not_to_be_checked()
