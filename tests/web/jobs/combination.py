"""The window, language and theme of a job, and the conditions for every page at its end."""

import os
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, Final, Literal, NamedTuple

import pytest
from playwright.sync_api import Page

from liushui.server.web.i18n import read_languages
from tests.web.page_checks import CUT, serious_problems

EVERY: Final = os.environ.get("LIUSHUI_TEST_JOBS") == "all"
"""Whether each job is done in every combination (`make jobs`), and not in one alone."""
LOCALES: Final = {"en": "en", "zh-Hans": "zh-CN", "zh-Hant": "zh-HK"}
"""What a browser asks for to get a language."""
NARROW: Final = 768
LANGUAGES: Final = read_languages()


class Combination(NamedTuple):
    """A width in pixels, the tag of a language, and a theme."""

    width: int
    tag: str
    theme: Literal["light", "dark"]

    @property
    def options(self) -> Mapping[str, Any]:
        """What a browser is opened with."""
        size = {"width": self.width, "height": 900}
        return {"viewport": size, "locale": LOCALES[self.tag], "color_scheme": self.theme, "reduced_motion": "reduce"}

    def say(self, text: str, **values: object) -> str:
        """A text of the page, in its language."""
        return LANGUAGES[self.tag].say(text, **values)


THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
COMBINATIONS: Final = [Combination(width, tag, theme) for theme, tag, width in product(THEMES, LOCALES, (1440, 390))]


def combinations_of(number: int) -> Iterable[Any]:
    """The combinations of a job: all, or one. Jobs have different ones, so that together they have each of them."""
    chosen = COMBINATIONS if EVERY else [COMBINATIONS[number * 5 % len(COMBINATIONS)]]
    return [pytest.param(one, id=f"{one.width}-{one.tag}-{one.theme}") for one in chosen]


def check_page(page: Page, combination: Combination) -> None:
    """The page in sight has no serious problem of accessibility, is in its language, and nothing of it is cut off."""
    assert page.locator("html").get_attribute("lang") == combination.tag
    problems = serious_problems(page)
    assert not problems, "\n".join(problems)
    assert page.evaluate("document.documentElement.scrollWidth") <= combination.width, page.url
    if combination.width < NARROW:
        assert page.evaluate(CUT) == [], f"{page.url}: what is cut at the edge"
