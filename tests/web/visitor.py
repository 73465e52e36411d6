"""A visitor to the pages over HTTP: it keeps cookies and sends forms."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import unescape
from typing import Any

from litestar.testing import TestClient

from liushui.ledger.access.sessions import create_login_code
from liushui.ledger.engine import Ledger
from liushui.providers import load_providers
from liushui.server.context import AppContext
from liushui.server.web.sessions import BrowserSessions
from liushui.testing.reader import MemoryLimits
from tests.sites import site_of

Answer = Any
"""httpx's, of the version that Litestar brings."""

HOST = "http://127.0.0.1:8700"
SAME_SITE = {"origin": HOST}


class Visitor:
    """A visitor with cookies."""

    def __init__(self, ledger: Ledger, client: TestClient[Any]) -> None:
        self.ledger, self.client = ledger, client

    def get(self, path: str, **headers: str) -> Answer:
        """The answer to a GET, without following redirects."""
        return self.client.get(path, headers={name.replace("_", "-"): said for name, said in headers.items()})

    def post(
        self,
        path: str,
        form: Mapping[str, str | Sequence[str]] | None = None,
        *,
        token: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a form. `token`: whether it carries the CSRF token. A header of "" is left out."""
        sent = dict(form or {})
        if token:
            sent["csrf_token"] = self.token()
        named = {**SAME_SITE, **(headers or {})}
        return self.client.post(path, data=sent, headers={name: said for name, said in named.items() if said})

    def upload(
        self, path: str, name: str, content: bytes, form: Mapping[str, str], *, token: str | None = None
    ) -> Answer:
        """The answer to a form with a file. `token`: another CSRF token than the session's."""
        sent = {"csrf_token": self.token() if token is None else token, **form}
        return self.client.post(path, data=sent, files={"file": (name, content)}, headers=SAME_SITE)

    def token(self) -> str:
        """The CSRF token of the session; empty without one."""
        found = re.search(r'name="csrf_token" value="([^"]*)"', self.get("/providers").text)
        return unescape(found[1]) if found else ""

    def log_in(self) -> Answer:
        """Log in by a link."""
        answer = self.get(f"/login?code={create_login_code(self.ledger)}")
        assert answer.status_code == 303, answer.text
        return answer


@contextmanager
def visiting(ledger: Ledger, *, url: str = HOST, limits: MemoryLimits | None = None) -> Iterator[Visitor]:
    """A visitor to the pages of a ledger that is served at `url`."""
    app_context = AppContext(
        ledger,
        load_providers(),
        url,
        "ws://127.0.0.1:8701",
        limits or MemoryLimits(ledger.clock),
        BrowserSessions(ledger).principal,
    )
    with (
        site_of(app_context) as site,
        TestClient(site, base_url=url, raise_server_exceptions=False) as client,
    ):
        client.follow_redirects = False
        yield Visitor(ledger, client)
