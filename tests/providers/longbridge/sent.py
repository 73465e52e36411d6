"""Records the requests of a client, in a network with a single answer."""

import httpx2
import pytest


class Sent:
    """What a client sent, each request answered alike."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: httpx2.Response) -> None:
        self.requests: list[httpx2.Request] = []
        self._answer = answer
        real = httpx2.AsyncClient
        transport = httpx2.MockTransport(self._handle)
        monkeypatch.setattr(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": transport}))

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self._answer
