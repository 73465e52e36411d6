"""Screenshots of each page of `liushui demo`, in both themes and three languages: `python -m tests.screenshots DIR`."""

import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from tests.browser import browsing
from tests.demo import Demo, running_demo

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ViewportSize

PAGES: Final = {
    "overview": "/",
    "flows": "/flows",
    "account": "/accounts/shop-1",
    "reconcile": "/reconcile",
    "month": "/reconcile/shop-1/2025-10",
    "sources": "/sources",
    "source": "/sources/trader-1",
    "source-new": "/sources/~new?provider=longbridge",
    "keys": "/keys",
    "key-new": "/keys/new",
    "token-new": "/keys/tokens/new",
    "providers": "/providers",
    "provider": "/providers/wecom",
}
"""The path of each page, by the name of its screenshots."""

THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
LANGUAGES: Final = {"en": "en", "zh-Hans": "zh-CN", "zh-Hant": "zh-HK"}

WIDE: Final["ViewportSize"] = {"width": 1280, "height": 800}
NARROW: Final["ViewportSize"] = {"width": 390, "height": 800}
SETTLE_MS: Final = 600
"""The time that charts take to be drawn."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR", help="Where the screenshots go.")
@click.option("--whole/--window", default=True, help="The whole page, or only the window.")
@click.option("--flows", default=3_000, show_default=True, help="Flows of each account.")
def main(folder: Path, whole: bool, flows: int) -> None:
    """Take the screenshots."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="liushui-screenshots-") as ledger,
        running_demo(Path(ledger), flows=flows) as demo,
        browsing() as browser,
    ):
        for theme, language in product(THEMES, LANGUAGES):
            _take(browser, demo, folder, theme=theme, language=language, whole=whole)


def _take(
    browser: "Browser", demo: Demo, folder: Path, *, theme: Literal["light", "dark"], language: str, whole: bool
) -> None:
    context = browser.new_context(
        base_url=demo.url, color_scheme=theme, locale=LANGUAGES[language], reduced_motion="reduce", viewport=WIDE
    )
    page = context.new_page()
    page.goto("/login")
    page.screenshot(path=folder / f"login-{theme}-{language}.png", full_page=whole)
    page.goto(demo.new_link())
    for width, viewport in (("", WIDE), ("-narrow", NARROW)):
        page.set_viewport_size(viewport)
        for name, path in PAGES.items():
            page.goto(path)
            page.wait_for_timeout(SETTLE_MS)
            screenshot = folder / f"{name}-{theme}-{language}{width}.png"
            page.screenshot(path=screenshot, full_page=whole)
            sys.stdout.write(f"{screenshot}\n")
    context.close()


if __name__ == "__main__":
    main()
