"""The system's Chromium, headless and driven by Playwright, for tests and screenshots of the pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from liushui.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
OPTIONS: Final = (
    "--no-sandbox",  # which root may not have
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Options that keep Chromium from making network requests of its own."""


def browser_path() -> str | None:
    """The path of the system's Chromium, or None."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


@contextmanager
def browsing() -> Iterator["Browser"]:
    """A browser, until the block ends. Raises ConfigError where Chromium or Playwright is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError("playwright: expected to be installed, it is not: `pip install playwright`") from error
    path = browser_path()
    if path is None:
        raise ConfigError(f"browser: expected {' or '.join(NAMES)} on the PATH: `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()
