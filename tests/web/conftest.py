"""A ledger of two accounts and a visitor to its pages for each test; a demo server and a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page

from liushui.ledger.engine import Ledger
from tests.browser import browser_path, browsing
from tests.demo import Demo, running_demo
from tests.ledger.ledgers import new_ledger
from tests.system import leave_out
from tests.web.visitor import Visitor, visiting
from tests.web.watched_page import TIMEOUT_MS, Open, Watched

FLOWS: Final = 300


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with the accounts `a` and `b`, under a clock that stands still."""
    ledger = new_ledger(tmp_path, "a", "b")
    yield ledger
    ledger.close()


@pytest.fixture
def visitor(ledger: Ledger) -> Iterator[Visitor]:
    """A visitor who is not logged in."""
    with visiting(ledger) as visitor:
        yield visitor


@pytest.fixture
def guest(visitor: Visitor) -> Visitor:
    """A visitor who is logged in."""
    visitor.log_in()
    return visitor


# ---------------------------------------------------------------- a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Playwright keeps an event loop going, which tests of other files must not find."""
    if browser_path() is None:
        leave_out("there is no Chromium: `apt-get install chromium` enables this test")
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """What `make run` shows, with fewer flows."""
    with running_demo(tmp_path_factory.mktemp("demo"), flows=FLOWS) as demo:
        yield demo


@pytest.fixture(scope="module")
def cookies(demo: Demo, browser: Browser) -> list[Any]:
    """The cookies of a browser that logged in by a link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(demo.new_link())
    kept = context.cookies()
    context.close()
    return kept


@pytest.fixture
def opened(demo: Demo, browser: Browser, cookies: list[Any]) -> Iterator[Open]:
    """Opens pages of the demonstration in a browser that has logged in, and at the end checks what they did: they asked
    nobody else for anything, and broke neither their own policy nor anything else."""
    watched: list[Watched] = []

    def open_page(
        path: str = "/",
        *,
        logged_in: bool = True,
        may_fail: bool = False,
        **options: Any,  # noqa: ANN401 - Playwright's own
    ) -> Page:
        context = browser.new_context(base_url=demo.url, **{"locale": "en", "color_scheme": "light", **options})
        context.set_default_timeout(TIMEOUT_MS)
        if logged_in:
            context.add_cookies(cookies)
        one = Watched(context.new_page(), demo.url, may_fail=may_fail)
        watched.append(one)
        one.page.goto(path)
        return one.page

    yield open_page
    for one in watched:
        found = one.found()
        one.page.context.close()
        assert not found, found
