"""Amounts in a real browser: the usual decimals are shown, points and edges are aligned, and copies are exact."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import pytest
from playwright.sync_api import Browser, Page

from liushui.ledger.jobs.sources import add_source
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read, new_ledger
from tests.web.bridge import browsing_as
from tests.web.ledgers import BEGIN, row
from tests.web.visitor import visiting

AMOUNTS: Final = {"264600.00": "+264,600.00", "3148000.000000": "+3,148,000.00", "-5": "−5.00", "0.125000": "+0.125"}
"""Exact amounts, and how each is shown."""

EDGES: Final = """
(cells) => cells.map((cell) => {
  const range = document.createRange();
  const [whole, rest] = [cell.firstChild, cell.querySelector("i")];
  range.selectNodeContents(whole);
  return [Math.round(range.getBoundingClientRect().right), Math.round(rest.getBoundingClientRect().right)];
})
"""
"""Where the part before the point ends, and where the column does, of each amount."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Page]:
    """A page of a reader of a few flows."""
    ledger = new_ledger(tmp_path_factory.mktemp("amounts"), "a")
    rows = [row(f"r{number}", number * timedelta(hours=1), amount) for number, amount in enumerate(AMOUNTS)]
    commit_read(ledger, Slice(BEGIN, NOON), *rows, account="a", read_at=NOON)
    add_source(ledger, account="a", base_url="http://x", credentials={}, since=BEGIN, paced=True)
    with visiting(ledger) as visitor:
        visitor.log_in()
        with browsing_as(visitor, browser, viewport={"width": 1440, "height": 900}) as page:
            yield page
    ledger.close()


def test_amounts_of_the_list_are_aligned_and_exact_on_hover(page: Page) -> None:
    page.goto("/flows")
    cells = page.locator("#ledger [data-key] .amount-cell")
    edges = cells.evaluate_all(EDGES)
    assert len({point for point, _ in edges}) == 1, "points stand below each other"
    assert len({edge for _, edge in edges}) == 1, "and so do the right edges"
    titles = cells.evaluate_all("(cells) => cells.map((cell) => cell.title)")
    assert titles == ["+0.125000", "", "+3,148,000.000000", ""]


@pytest.mark.parametrize(("path", "frame"), [("/flows", "#ledger"), ("/?since=2025-11-01", ".moved-kinds")])
def test_zeros_are_out_of_sight_and_copied(page: Page, path: str, frame: str) -> None:
    page.goto(path)
    page.locator(f"{frame} .zeros").first.wait_for(state="attached")
    widths = page.locator(f"{frame} .zeros").evaluate_all("(zeros) => zeros.map((one) => one.offsetWidth)")
    assert widths and set(widths) == {0}
    copied = page.evaluate(
        """(frame) => {
          const selection = getSelection();
          selection.selectAllChildren(document.querySelector(frame));
          return selection.toString();
        }""",
        frame,
    )
    expected = ("+3,148,000.000000", "−5", "+264,600.00") if frame == "#ledger" else ("3,412,600.125000",)
    for exact in expected:
        assert exact in copied.replace("\n", ""), copied
