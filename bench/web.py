"""web: every page of a ledger with an account at each provider, at the server and in Chromium.

At the server, one logged-in reader uses one connection. In Chromium, the work of the page's main thread is measured
from the navigation to the end of a reader's first interaction. The wheel scrolls the list of flows.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from bench.context import BenchContext
from bench.full_ledger import make_full_ledger
from bench.overview import median_ms, page_reader
from bench.process import LIUSHUI, BenchError, Server, serving
from bench.results import Measurement, Ratio, Series
from liushui.errors import ConfigError
from liushui.ledger.access.sessions import create_login_code
from liushui.ledger.engine import open_ledger
from liushui.services.access import login_link
from liushui.testing.processes import free_port
from tests.browser import browsing

if TYPE_CHECKING:
    from playwright.sync_api import Page

BAR_PAGE_MS: Final = 50.0
BAR_OVERVIEWS: Final = 2.0
BAR_INTERACTION_MS: Final = 300.0
BARS_FROM: Final = 1_000_000
"""The number of flows from which the ratio to the overview has a bar. With fewer, fixed costs dominate."""
TIMES: Final = 7
"""The requests of a page in a round. Their median is the round's value."""
SCROLLED_ROWS: Final = 100_000
WHEEL_PIXELS: Final = 900
SCROLL_S: Final = 900
"""The longest time for the scrolling, on a busy machine."""
LAST_ROWS: Final = 200
"""The last rows never leave the view, because nothing is below them."""
BAR_FRAMES: Final = 2.0
"""All rows in sight have to be there by the second frame. 1 means: in every frame."""


class _Interaction(NamedTuple):
    """The first action of a reader on a page: an element that is clicked, and the element that shows that the action is
    done."""

    name: str
    path: str
    clicked: str
    shown: str


INTERACTIONS: Final = (
    _Interaction("the overview: open a balance", "/", ".holding summary", ".holding[open] table"),
    _Interaction("flows: open a flow", "/flows", "#ledger [data-key]", "#drawer:not([hidden]) h2"),
)

WATCH: Final = """
() => {
  const pane = document.getElementById("ledger");
  const names = pane.querySelector(".ledger-names").offsetHeight;
  const body = pane.querySelector(".ledger-rows");
  const channel = new MessageChannel();
  const seen = { frames: 0, blank: 0, longest: 0, rows: 0 };
  let run = 0;
  let before = [];
  let forgotten = 0;
  channel.port1.onmessage = () => {
    const height = parseFloat(getComputedStyle(pane).getPropertyValue("--row")) * 16;
    const last = Math.round(body.offsetHeight / height) - 1;
    const rows = [...body.querySelectorAll("[data-key]:not([hidden])")];
    const now = rows.map((row) => [row.dataset.key, Number(row.dataset.index)]);
    const drawn = new Set(now.map(([, index]) => index));
    const from = Math.floor(pane.scrollTop / height);
    const to = Math.min(last, Math.floor((pane.scrollTop + pane.clientHeight - names - 1) / height));
    let whole = true;
    for (let index = from; index <= to; index += 1) whole = whole && drawn.has(index);
    // Rows far above are forgotten, so that the index of a row that stays becomes smaller: that many went by, too.
    const known = new Map(before);
    const [key, index] = now.find(([key]) => known.has(key)) ?? [];
    if (key) forgotten += known.get(key) - index;
    before = now;
    seen.rows = forgotten + from;
    seen.frames += 1;
    run = whole ? 0 : run + 1;
    if (!whole) seen.blank += 1;
    seen.longest = Math.max(seen.longest, run);
  };
  const frame = () => {
    channel.port2.postMessage(0); // answered after this frame was drawn
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.watchedFrames = seen;
}
"""
"""Check after each drawn frame whether it has every row that belongs in sight."""


def measure(context: BenchContext) -> Measurement:
    """Milliseconds of each page, of the first interaction, and the blank frames of a long scroll."""
    measurement, flows = Measurement("web"), context.options.flows
    ledger = make_full_ledger(context.folder / "full.db", flows, context.log)
    port = free_port()
    command = [*LIUSHUI, "--ledger", str(ledger), "serve", "--workers", "1", "--port", str(port)]
    command += ["--socket-port", str(free_port())]
    with serving(command, port=port, log=context.folder / "web.log", path="/login") as server:
        _at_the_server(context, measurement, page_reader(server, ledger), _paths(ledger))
        try:
            with _browser_page(server, ledger) as page:
                _first_interactions(context, measurement, page, server.url)
                _scrolling(context, measurement, page, server.url)
        except ConfigError as error:
            measurement.notes.append(f"web: nothing was measured in a browser: {error}")
    return measurement


def _paths(ledger: Path) -> list[str]:
    """The pages and what they load, for every third account."""
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as database:
        names = [name for (name,) in database.execute("SELECT account FROM accounts ORDER BY account")]
    paths = ["/", "/page/overview/moved", "/page/overview/streams"]
    paths += ["/flows", "/page/flows/rows", "/page/flows/totals", "/sources", "/review", "/reconcile", "/keys"]
    month = f"{date.today().replace(day=1) - timedelta(days=1):%Y-%m}"  # noqa: DTZ011 - that of the ledger's newest rows
    for name in map(quote, names[::3]):
        paths += [f"/accounts/{name}", f"/page/accounts/{name}/calendar", f"/flows?account={name}", f"/sources/{name}"]
        paths.append(f"/reconcile/{name}/{month}")
    return paths


# ---------------------------------------------------------------- at the server


def _at_the_server(
    context: BenchContext, measurement: Measurement, get: Callable[[str], bytes], paths: Sequence[str]
) -> None:
    took: dict[str, list[float]] = {path: [] for path in paths}
    for number in range(context.options.rounds):
        context.log(f"web, pages at the server, round {number + 1}")
        for path in paths:
            took[path].append(median_ms(lambda path=path: get(path), TIMES))  # type: ignore[misc] # the default binds it
    overview = Series("the overview", "the page", "ms", took["/"])
    for path, values in took.items():
        ours = Series(path, "the page", "ms", values)
        may = Series(path, "may take", "ms", [BAR_PAGE_MS] * len(values))
        measurement.ratios.append(Ratio(f"{path} ÷ {BAR_PAGE_MS:.0f} ms", ours, may, 1.0, "at most"))
    slowest = max(took, key=lambda path: sorted(took[path])[len(took[path]) // 2])
    ours = Series(f"the slowest page, {slowest}", "the page", "ms", took[slowest])
    what = "the slowest page ÷ the overview"
    is_large = context.options.flows >= BARS_FROM
    measurement.ratios.append(
        Ratio(what, ours, overview, BAR_OVERVIEWS, "at most") if is_large else Ratio(what, ours, overview)
    )
    measurement.notes.append("web: medians of whole answers to one reader over one connection; nothing else is read")


# ---------------------------------------------------------------- in a browser


@contextmanager
def _browser_page(server: Server, ledger: Path) -> "Iterator[Page]":
    """A page of Chromium that has logged in. Raises ConfigError if there is no Chromium."""
    with browsing() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        book = open_ledger(str(ledger))
        link = login_link(server.url, create_login_code(book))
        book.close()
        page.goto(link)
        yield page


def _first_interactions(context: BenchContext, measurement: Measurement, page: "Page", origin: str) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time, whatever else is running
    for one in INTERACTIONS:
        values = []
        for number in range(context.options.rounds):
            context.log(f"web, {one.name}, round {number + 1}")
            page.goto("about:blank")
            begun = _main_thread_ms(session)
            page.goto(f"{origin}{one.path}")
            page.locator(one.clicked).first.click()
            page.locator(one.shown).first.wait_for()
            values.append(_main_thread_ms(session) - begun)
        ours = Series(one.name, "Chromium's main thread", "ms", values)
        may = Series(one.name, "may take", "ms", [BAR_INTERACTION_MS] * len(values))
        measurement.ratios.append(Ratio(f"{one.name} ÷ {BAR_INTERACTION_MS:.0f} ms", ours, may, 1.0, "at most"))


def _main_thread_ms(session: Any) -> float:  # noqa: ANN401 - Playwright's session of Chromium's protocol
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"]) * 1_000


def _scrolling(context: BenchContext, measurement: Measurement, page: "Page", origin: str) -> None:
    """Turn the wheel until this number of rows has passed. If rows are not loaded in time, the wheel stops; the frame
    is not blank."""
    context.log(f"web, scrolling {SCROLLED_ROWS:,} rows")
    page.goto(f"{origin}/flows")
    page.locator("#ledger [data-key]").first.wait_for()
    page.evaluate(WATCH)
    page.locator("#ledger").hover()
    rows_max = min(SCROLLED_ROWS, context.options.flows)
    seen = page.evaluate("() => window.watchedFrames")
    begun_s = time.monotonic()
    while seen["rows"] < rows_max - LAST_ROWS:
        page.mouse.wheel(0, WHEEL_PIXELS)
        seen = page.evaluate("() => window.watchedFrames")
        if time.monotonic() - begun_s > SCROLL_S:
            raise BenchError(f"web: {seen['rows']:,} of {rows_max:,} rows went by within {SCROLL_S} s")
    what = f"frames until all rows are there, scrolling {rows_max:,} rows"
    ours = Series(what, "the list", "frames", [float(seen["longest"] + 1)])
    may = Series(what, "may take", "frames", [BAR_FRAMES])
    measurement.ratios.append(Ratio(f"{what} ÷ {BAR_FRAMES:.0f}", ours, may, 1.0, "at most"))
    measurement.figures.append(Series("frames while scrolling", "the list", "frames", [float(seen["frames"])]))
    measurement.notes.append(
        f"web: of {seen['frames']:,} frames of the scrolled list, {seen['blank']:,} lacked a row that belongs in sight"
    )
