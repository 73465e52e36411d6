"""The overview and the flows in a real browser: charts, scrolling, keyboard and narrow windows."""

import itertools

import pytest
from playwright.sync_api import Page, expect

from tests.web.watched_page import Open

SCROLL = """
async ([step, frames]) => {
  const pane = document.querySelector("#ledger");
  const names = pane.querySelector(".ledger-names").offsetHeight;
  const frame = () => new Promise(requestAnimationFrame);
  const sampled = [];
  for (let at = 0; at < frames; at += 1) {
    pane.scrollTop += step;
    await frame();
    await frame();
    const box = pane.getBoundingClientRect();
    const seen = [0.2, 0.5, 0.9].map((part) => {
      const y = box.top + names + (box.height - names - 40) * part;
      const row = document.elementFromPoint(box.left + 60, y)?.closest("[data-key]");
      return row ? row.querySelector(".time").textContent : "";
    });
    sampled.push(seen);
  }
  return { sampled, top: pane.scrollTop, rows: Number(pane.getAttribute("aria-rowcount")) };
}
"""
"""Scrolls in steps and returns after each what is visible at three heights of the window."""


def test_rows_are_never_blank_while_scrolling(opened: Open) -> None:
    page = opened("/flows", viewport={"width": 1280, "height": 1600})
    page.locator("#ledger").scroll_into_view_if_needed()
    found = page.evaluate(SCROLL, [700, 45])
    blank = [any(not time for time in seen) for seen in found["sampled"]]
    assert found["top"] > 700 * 40, "it was not held up at an end"
    assert not any(first and second for first, second in itertools.pairwise(blank)), "blank for two frames"
    seen = [[time for time in times if time] for times in found["sampled"]]
    assert all(times == sorted(times, reverse=True) for times in seen), "the newest first"
    tops = [times[0] for times in seen if times]
    assert tops == sorted(tops, reverse=True), "nowhere out of order"
    assert len(set(tops)) > 20
    rendered = page.locator("#ledger .ledger-row[data-key]").count()
    assert rendered < 200, "only rows in sight are elements"


def test_the_end_of_the_flows_is_reached_and_announced(opened: Open) -> None:
    page = opened("/flows?account=trader-1")
    pane = page.locator("#ledger")
    pane.focus()
    for _ in range(6):
        page.keyboard.press("End")
        page.wait_for_load_state("networkidle")
    expect(page.locator("#ledger-state")).to_contain_text("There are no older flows.")
    assert int(str(pane.get_attribute("aria-rowcount"))) > 300


def test_a_flow_is_opened_and_closed_with_the_keyboard(opened: Open) -> None:
    page = opened("/flows?account=trader-1-hkus")
    pane = page.locator("#ledger")
    pane.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    chosen = page.locator("#ledger [aria-selected=true]")
    expect(chosen).to_have_attribute("aria-rowindex", "3")
    drawer = page.locator("#drawer")
    expect(drawer).to_be_visible()
    amount = chosen.locator(".amount-cell").inner_text().replace("\n", "")
    expect(drawer.locator("h2")).to_contain_text(amount)
    expect(drawer).to_contain_text("Row as received")
    expect(drawer).to_contain_text("yes")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(pane).to_be_focused()


def test_a_filter_is_part_of_the_address(opened: Open) -> None:
    page = opened("/flows")
    page.get_by_label("Kind", exact=True).select_option("dividend")
    page.get_by_role("button", name="Filter").click()
    assert "kind=dividend" in page.url
    expect(page.locator("#ledger .kind").first).to_have_text("Dividend")
    expect(page.locator(".totals tbody tr").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) > 1
    assert all(",dividend," in line for line in lines[1:])


def has_ink(page: Page, chart: str) -> bool:
    """Whether a chart's canvas has anything on it."""
    script = """(canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value) => value > 0);
    }"""
    return bool(page.locator(f"[data-chart={chart}] canvas").evaluate(script))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_are_drawn_and_have_their_numbers(opened: Open, theme: str) -> None:
    page = opened("/?currency=USD", color_scheme=theme)
    for chart in ("bars", "sankey"):
        expect(page.locator(f"[data-chart={chart}] canvas")).to_be_visible()
        assert has_ink(page, chart)
    page.get_by_text("Figures by period").click()
    expect(page.locator(".numbers .loaded table")).to_be_visible()
    page.locator("[data-chart=bars] canvas").hover(position={"x": 200, "y": 100})
    expect(page.get_by_role("tooltip")).to_contain_text("Net")


def test_the_balance_over_time_is_drawn_and_told_day_by_day(opened: Open) -> None:
    page = opened("/accounts/shop-1")
    expect(page.locator("[data-chart=balance] canvas")).to_be_visible()
    assert has_ink(page, "balance")
    page.locator("[data-chart=balance] canvas").hover(position={"x": 300, "y": 100})
    expect(page.get_by_role("tooltip")).to_contain_text("202")
    page.get_by_role("link", name="3 months").click()
    expect(page.get_by_role("link", name="3 months")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("link", name="3 months")).to_be_focused()
    expect(page.locator("[data-chart=balance] canvas")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/flows"])
def test_pages_fit_a_narrow_window(opened: Open, path: str) -> None:
    page = opened(path, viewport={"width": 390, "height": 800})
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


LONGEST_RUN = """
(canvas) => {
  const probe = new OffscreenCanvas(1, 1).getContext("2d");
  probe.fillStyle = getComputedStyle(document.querySelector(".swatch.s1")).backgroundColor;
  probe.fillRect(0, 0, 1, 1);
  const wanted = probe.getImageData(0, 0, 1, 1).data.join();
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let longest = 0;
  for (let at = 0, run = 0; at < width * height; at += 1) {
    run = data.slice(4 * at, 4 * at + 4).join() === wanted ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest / devicePixelRatio;
}
"""
"""The longest horizontal line in the colour of the first series."""


def test_bars_fill_the_width_of_their_months(opened: Open) -> None:
    page = opened("/")
    bars = page.locator("[data-chart=bars] canvas")
    expect(bars).to_be_visible()
    assert int(bars.evaluate(LONGEST_RUN)) >= 12


CLIPPED = "(cells) => cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)"


@pytest.mark.parametrize("width", [390, 1280])
def test_no_digit_of_an_amount_is_cut_off(opened: Open, width: int) -> None:
    page = opened("/flows", viewport={"width": width, "height": 1600})
    amounts = page.locator("#ledger [data-key] .amount-cell")
    expect(amounts.first).to_be_visible()
    assert amounts.count() > 10
    assert amounts.evaluate_all(CLIPPED) == []


SCROLLBAR_PX = 15
"""The width of a scrollbar that takes space, which those of the test browser do not."""


def test_every_column_fits_a_window_of_1280_pixels(opened: Open) -> None:
    page = opened("/flows", viewport={"width": 1280, "height": 800})
    page.locator("#ledger [data-key]").first.wait_for()
    window = page.locator(".ledger-window")
    window.evaluate(f"(window) => {{ window.style.marginRight = '{SCROLLBAR_PX}px'; }}")
    assert window.evaluate("(window) => window.scrollWidth - window.clientWidth") <= 0
    clipped = page.locator("#ledger [data-key] .time, #ledger [data-key] .balance").evaluate_all(CLIPPED)
    assert clipped == []
