"""Watches a page in a browser for requests to other servers, errors and policy violations."""

from collections.abc import Callable
from typing import Final, TypeAlias

from playwright.sync_api import ConsoleMessage, Page, Request, Route, expect

Open: TypeAlias = Callable[..., Page]
"""Opens a path of the demo: `opened("/keys", color_scheme="dark", locale="zh-CN")`."""

TIMEOUT_MS: Final = 60_000
"""How long a page may take on a busy machine."""

expect.set_options(timeout=TIMEOUT_MS)

_NOTE_VIOLATIONS: Final = """
window.violations = [];
addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) => {
  violations.push(`${violatedDirective} ${blockedURI}`);
});
"""


class Watched:
    """Watches a page. Requests to other servers fail, as without a network, and are stored."""

    def __init__(self, page: Page, url: str, *, may_fail: bool) -> None:
        self.page, self._url, self._may_fail = page, url, may_fail
        self._outside: list[str] = []
        self._said: list[str] = []
        page.add_init_script(_NOTE_VIOLATIONS)
        page.context.route("**/*", self._pass)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._said.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._said.append(message.text)

    def _pass(self, route: Route, request: Request) -> None:
        if request.url.startswith((f"{self._url}/", "data:", "blob:")):
            route.continue_()
        else:
            self._outside.append(request.url)
            route.abort()

    def found(self) -> list[str]:
        """The problems. Expected answers of 4xx, which the browser logs as errors, are left out."""
        violations: list[str] = self.page.evaluate("window.violations ?? []")
        said = [text for text in self._said if not (self._may_fail and "Failed to load resource" in text)]
        return [*(f"asked {url}" for url in self._outside), *violations, *said]
