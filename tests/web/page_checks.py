"""Conditions for every page in a browser: accessible by axe, and not cut off at its edge."""

from pathlib import Path
from typing import Final

from playwright.sync_api import Page

AXE: Final = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")

CUT: Final = """
() => [...document.querySelectorAll("main *")]
  .map((element) => [element, getComputedStyle(element)])
  .filter(([, style]) => style.overflowX !== "visible" && style.textOverflow !== "ellipsis")
  .map(([element]) => element)
  .filter((element) => element.clientWidth && element.scrollWidth > element.clientWidth + 1)
  .filter((element) => !element.matches(".calendar-frame, .code-block, .unseen, textarea"))
  .map((element) => `${element.tagName}.${element.className}`)
"""
"""The elements whose content is wider than they are. Calendars, code and text to edit scroll by themselves."""


def serious_problems(page: Page, *rules: str) -> list[str]:
    """The serious problems that axe finds: address, rule and place. `rules`: only these; none: all that axe has."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    return [
        f"{page.url}: {problem['id']}: {node['target']}: {node.get('failureSummary', '')[:200]}"
        for problem in page.evaluate("(options) => axe.run(options)", options)["violations"]
        if problem["impact"] in ("serious", "critical")
        for node in problem["nodes"][:3]
    ]
