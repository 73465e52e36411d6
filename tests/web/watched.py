"""A page in a browser, and what it does that it must not."""

from collections.abc import Callable
from typing import Final, TypeAlias

from playwright.sync_api import ConsoleMessage, Page, Request, Route

Open: TypeAlias = Callable[..., Page]
"""Opens a path of the demonstration: `opened("/keys", color_scheme="dark", locale="zh-CN")`."""

TIMEOUT_MS: Final = 20_000

_NOTE_VIOLATIONS: Final = """
window.violations = [];
addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) => {
  violations.push(`${violatedDirective} ${blockedURI}`);
});
"""


class Watched:
    """Listens to a page. Requests to anybody but the server fail, as with the network unplugged, and are kept."""

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
        """What was wrong. Answers of 4xx are told in the console: where they are meant, they are passed over."""
        violations: list[str] = self.page.evaluate("window.violations ?? []")
        said = [text for text in self._said if not (self._may_fail and "Failed to load resource" in text)]
        return [*(f"asked {url}" for url in self._outside), *violations, *said]
