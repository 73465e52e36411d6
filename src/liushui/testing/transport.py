"""A provider's client joined to its server without a network: an HTTP transport that answers from a reader."""

from collections.abc import Mapping
from typing import NamedTuple

import httpx2

from liushui.http import Request, Response
from liushui.provider import FlowReader, Provider
from liushui.server.router import DialectRouter


class Exchange(NamedTuple):
    """A request, as a provider's server has it, and what it answered."""

    request: Request
    response: Response


class DialectTransport(httpx2.AsyncBaseTransport):
    """Answers each request of an httpx2 client as `liushui serve` would. Keeps what was asked and answered."""

    def __init__(self, providers: Mapping[str, Provider], reader: FlowReader) -> None:
        self._dialects = DialectRouter(providers, reader)
        self.asked: list[httpx2.Request] = []
        self.answered: list[Exchange] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        found = self._dialects.find(path)
        if found is None:
            return httpx2.Response(404, request=request)
        provider, route = found
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.aread()
        asked = self._dialects.request(request.method, path, query, headers, body, route)
        answer = self._dialects.answer(provider, asked)
        self.answered.append(Exchange(asked, answer))
        return httpx2.Response(answer.status, headers=answer.headers, content=answer.body, request=request)
