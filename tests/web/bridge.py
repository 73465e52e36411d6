"""A browser whose requests a visitor in the same process answers: no port, no server, any ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import Browser, Page, Request, Route

from tests.web.visitor import HOST, Visitor
from tests.web.watched_page import TIMEOUT_MS, Watched

_KEPT: Final = ("accept", "accept-language", "content-type", "hx-request", "origin", "sec-fetch-site", "x-csrf-token")
"""The headers of a browser that the pages read. Cookies are the visitor's own."""


NO_EVENTS: Final = "retry: 3600000\n: nothing happens\n\n"
"""Events of the ledger, none: the browser asks again after an hour."""


@contextmanager
def browsing_as(visitor: Visitor, browser: Browser, *, may_fail: bool = False, **options: Any) -> Iterator[Page]:  # noqa: ANN401 - Playwright's own
    """A page of a browser that acts for a visitor who is logged in. At the end it has to be without errors.

    Redirects are followed here, so the browser does not see the address of the last one.
    """
    context = browser.new_context(base_url=HOST, **{"locale": "en", "color_scheme": "light", **options})
    context.set_default_timeout(TIMEOUT_MS)

    def answer(route: Route, request: Request) -> None:
        if "/api/v1/events" in request.url:  # a stream would not end
            route.fulfill(content_type="text/event-stream", body=NO_EVENTS)
            return
        headers = {name: text for name, text in request.headers.items() if name in _KEPT}
        response = visitor.client.request(
            request.method, request.url, headers=headers, content=request.post_data_buffer, follow_redirects=True
        )
        route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.content)

    watched = Watched(context.new_page(), HOST, may_fail=may_fail)
    context.route(f"{HOST}/**", answer)
    try:
        yield watched.page
        found = watched.found()
        assert not found, found
    finally:
        context.close()
