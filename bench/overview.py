"""overview: the page's first view and a filtered page of flows over HTTP, against the bare query behind each.

One logged-in reader uses one connection. The bare query is the SQL that the page cannot do without. The driver alone
runs it on the same file. The difference is the cost of the page itself.
"""

import http.client
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from bench.context import ACCOUNT, BenchContext
from bench.process import LIUSHUI, BenchError, Server, serving
from bench.results import Measurement, Ratio, Series
from liushui.ledger.access.sessions import create_login_code
from liushui.ledger.engine import open_ledger
from liushui.services.access import login_link
from liushui.testing.processes import free_port

BAR_OVERVIEW_MS: Final = 300.0
BAR_PAGE_MS: Final = 50.0
TIMES: Final = 15
"""The requests of a page in a round. Their median is the round's value."""

_SUMS: Final = """
SELECT substr(day, 1, 7), kind, sum(flows), group_concat(money_in, ' '), group_concat(money_out, ' ') FROM day_totals
WHERE account = ? AND currency = ? AND day >= (SELECT date(max(day), '-1 year') FROM day_totals) GROUP BY 1, 2
"""
_PAGE: Final = "SELECT * FROM flows WHERE account = ? AND {condition} ORDER BY at_us DESC, id DESC LIMIT 300"


class _Asked(NamedTuple):
    """A page and its bare query. `bar_ms` is the largest median that is allowed."""

    what: str
    path: str
    sql: str
    values: tuple[str, ...]
    bar_ms: float | None


def measure(context: BenchContext) -> Measurement:
    """Milliseconds of each page and of its bare query, in turn."""
    measurement, ledger = Measurement("overview"), context.ledger()
    currency, kind = _commonest(ledger)
    rows = "/page/flows/rows"
    asked = (
        _Asked("the overview", "/", _SUMS, (ACCOUNT, currency), BAR_OVERVIEW_MS),
        _Asked("flows", rows, _PAGE.format(condition="1"), (ACCOUNT,), BAR_PAGE_MS),
        _Asked(
            "flows of a kind", f"{rows}?kind={kind}", _PAGE.format(condition="kind = ?"), (ACCOUNT, kind), BAR_PAGE_MS
        ),
        _Asked(
            "flows of a currency",
            f"{rows}?currency={currency}",
            _PAGE.format(condition="currency = ?"),
            (ACCOUNT, currency),
            BAR_PAGE_MS,
        ),
        _Asked(
            "flows with a text that few have",
            f"{rows}?text=in+transit",
            _PAGE.format(condition="note LIKE ?"),
            (ACCOUNT, "%in transit%"),
            BAR_PAGE_MS,
        ),
        _Asked("where it came from and went", "/page/overview/streams", _SUMS, (ACCOUNT, currency), None),
    )
    port = free_port()
    command = [*LIUSHUI, "--ledger", str(ledger), "serve", "--workers", "1", "--port", str(port)]
    command += ["--socket-port", str(free_port())]
    pages: dict[str, list[float]] = {one.what: [] for one in asked}
    bare: dict[str, list[float]] = {one.what: [] for one in asked}
    with serving(command, port=port, log=context.folder / "overview.log", path="/login") as server:
        get, database = page_reader(server, ledger), sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
        for number in range(context.options.rounds):
            context.log(f"overview, round {number + 1}")
            for one in asked:
                pages[one.what].append(median_ms(lambda path=one.path: get(path)))  # type: ignore[misc] # the default binds it
                query = (one.sql, one.values)
                bare[one.what].append(median_ms(lambda query=query: database.execute(*query).fetchall()))  # type: ignore[misc]
        database.close()
    for one in asked:
        ours = Series(one.what, "the page", "ms", pages[one.what])
        measurement.ratios.append(
            Ratio(f"{one.what} ÷ its query", ours, Series(one.what, "bare", "ms", bare[one.what]))
        )
        if one.bar_ms is not None:
            bar = Series(one.what, "may take", "ms", [one.bar_ms] * len(ours.values))
            measurement.ratios.append(Ratio(f"{one.what} ÷ {one.bar_ms:.0f} ms", ours, bar, 1.0, "at most"))
    measurement.notes.append(f"overview: medians of {TIMES} whole answers to one reader over one connection")
    return measurement


def _commonest(ledger: Path) -> tuple[str, str]:
    """Return the most common currency, and the most common kind among those that at most one flow in ten has."""
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as database:
        by_currency = "SELECT currency FROM day_totals GROUP BY 1 ORDER BY sum(flows) DESC LIMIT 1"
        by_kind = """
        SELECT kind FROM day_totals GROUP BY 1
        HAVING sum(flows) <= (SELECT sum(flows) FROM day_totals) / 10 ORDER BY sum(flows) DESC LIMIT 1
        """
        (currency,), (kind,) = database.execute(by_currency).fetchone(), database.execute(by_kind).fetchone()
    return str(currency), str(kind)


def page_reader(server: Server, ledger: Path) -> Callable[[str], bytes]:
    """Fetches pages like a browser that has logged in with a link."""
    book = open_ledger(str(ledger))
    link = urlsplit(login_link(server.url, create_login_code(book)))
    book.close()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", f"{link.path}?{link.query}")
    answer = connection.getresponse()
    answer.read()
    cookie = (answer.getheader("set-cookie") or "").partition(";")[0]

    def get(path: str) -> bytes:
        connection.request("GET", path, headers={"cookie": cookie})
        found = connection.getresponse()
        body = found.read()
        if found.status != http.HTTPStatus.OK:
            raise BenchError(f"{path}: expected 200, got {found.status}")
        return body

    return get


def median_ms(call: Callable[[], object], times: int = TIMES) -> float:
    """The median of the milliseconds that some calls took."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        took.append((time.perf_counter() - begun) * 1_000)
    return sorted(took)[times // 2]
