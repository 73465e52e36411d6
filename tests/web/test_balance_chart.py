"""The chart of a balance in Chromium: no line is drawn into the days whose flows may be missing."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page

from liushui.ledger.jobs.sources import add_source
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read, new_ledger
from tests.web.bridge import browsing_as
from tests.web.ledgers import BEGIN, CREDENTIALS, row
from tests.web.visitor import visiting

DAY = timedelta(days=1)

COLUMNS = """
() => {
  const canvas = document.querySelector("[data-chart=balance] canvas");
  if (!canvas) return null;
  const probe = document.body.appendChild(document.createElement("span"));
  const parts = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  };
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const columns = (wanted) => {
    const found = new Set();
    for (let pixel = 0; pixel < width * height; pixel += 1) {
      const near = (part) => Math.abs(data[4 * pixel + part] - wanted[part]) < 12;
      if (data[4 * pixel + 3] > 200 && near(0) && near(1) && near(2)) found.add(pixel % width);
    }
    return [...found];
  };
  const result = [columns(parts("--amber-soft")), columns(parts("--series-1"))];
  probe.remove();
  return result.every((list) => list.length) ? result : null;
}
"""
"""The columns of a chart's pixels that have the band of a gap, and those that have the line of the balance. Null:
it is not drawn yet."""


@pytest.fixture
def page(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Page]:
    """The page of an account that lacks the second ten of its forty days."""
    ledger = new_ledger(tmp_path_factory.mktemp("chart"), "a")
    rows = [row(f"r{day}", day * DAY, f"{day}.50") for day in range(1, 40)]
    commit_read(ledger, Slice(BEGIN, BEGIN + 10 * DAY), *rows[:9], account="a", read_at=NOON)
    commit_read(ledger, Slice(BEGIN + 20 * DAY, NOON), *rows[19:], account="a", read_at=NOON)
    add_source(ledger, account="a", base_url="http://x", credentials=CREDENTIALS, since=BEGIN, paced=True)
    with visiting(ledger) as visitor:
        visitor.log_in()
        with browsing_as(visitor, browser, viewport={"width": 1440, "height": 900}) as page:
            yield page
    ledger.close()


def test_a_line_ends_where_a_gap_begins(page: Page) -> None:
    page.goto("/accounts/a")
    band, line = page.wait_for_function(COLUMNS).json_value()
    first, last = min(band) + 2, max(band) - 2  # the edges of the band are blended with what is beside them
    assert last - first > 100
    assert [column for column in line if column < first], "the days before the gap have a line"
    assert [column for column in line if column > last], "the days after it have one"
    assert [column for column in line if first <= column <= last] == []
