"""The API of a ledger in this process, and callers with tokens."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from litestar.testing import TestClient

from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import Ledger
from liushui.providers import load_providers
from liushui.server.api import ROOT
from liushui.server.context import AppContext
from liushui.testing.reader import MemoryLimits
from tests.sites import site_of

Answer = Any
"""httpx's, of the version that Litestar brings."""


class Caller:
    """A caller, with a token or without."""

    def __init__(self, client: TestClient[Any], text: str | None) -> None:
        self._client = client
        self.headers = {} if text is None else {"authorization": f"Bearer {text}"}

    def ask(self, method: str, path: str, **options: Any) -> Answer:  # noqa: ANN401 - httpx's own options
        """The answer to a request."""
        headers = {**self.headers, **options.pop("headers", {})}
        return self._client.request(
            method, path if path.startswith("/api") else ROOT + path, headers=headers, **options
        )

    def get(self, path: str, **params: Any) -> Any:  # noqa: ANN401 - JSON
        """The JSON of the answer to a GET, which must succeed."""
        answer = self.ask("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Api:
    """The API, and a factory of callers."""

    def __init__(self, ledger: Ledger, client: TestClient[Any]) -> None:
        self.ledger, self.client = ledger, client

    def caller(self, *names: str, scopes: Collection[Scope] = tuple(Scope), **options: Any) -> Caller:  # noqa: ANN401
        """A caller that sees these accounts; without any, all."""
        made = create_token(self.ledger, names=list(names) or None, scopes=scopes, **options)
        return Caller(self.client, made.text)

    def stranger(self, text: str | None = None) -> Caller:
        """A caller with an unknown token, or without one."""
        return Caller(self.client, text)


@contextmanager
def open_api(ledger: Ledger) -> Iterator[Api]:
    """The API of a ledger."""
    app_context = AppContext(ledger, load_providers(), "http://test", "ws://test", MemoryLimits(ledger.clock))
    with site_of(app_context) as site, TestClient(site, raise_server_exceptions=False) as client:
        yield Api(ledger, client)
