"""Finds the provider whose API a path belongs to: by the documented path, or under /dialect/<provider>/."""

import random
import re
from collections.abc import Mapping
from itertools import takewhile

from liushui.http import Request, Response
from liushui.provider import FlowReader, Provider

MOUNT = "/dialect/"
_SLASHES = re.compile(r"/{2,}")


class DialectRouter:
    """The APIs of several providers, over one reader of flows."""

    def __init__(self, providers: Mapping[str, Provider], reader: FlowReader) -> None:
        self._reader = reader
        self._providers = dict(providers)
        self._by_path = {route.path: provider for provider in providers.values() for route in provider.server.routes}
        self._sockets = [provider.socket for provider in providers.values() if provider.socket]
        self._random = random.Random()  # noqa: S311 - a trace id is no secret, it only has to be unique

    def find(self, path: str) -> tuple[Provider, str] | None:
        """The provider that a raw path belongs to, and the path as its documentation prints it."""
        provider = self._by_path.get(path)
        if provider is not None:
            return provider, path
        route = _SLASHES.sub("/", path)
        if route.startswith(MOUNT):
            name, _, rest = route[len(MOUNT) :].partition("/")
            provider = self._providers.get(name)
            return None if provider is None else (provider, f"/{rest}")
        provider = self._by_path.get(route) or self._nearest(route)
        return None if provider is None else (provider, route)

    def _nearest(self, route: str) -> Provider | None:
        """The provider that says in its own format that there is no such path: the one with the most similar path."""
        wanted = route.split("/")[1:]
        longest, nearest = 0, None
        for path, provider in self._by_path.items():
            pairs = zip(wanted, path.split("/")[1:], strict=False)
            common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            if common > longest:
                longest, nearest = common, provider
        return nearest

    def request(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, route: str
    ) -> Request:
        """A request with a trace id of its own."""
        return Request(method, path, query, headers, body, route, f"{self._random.getrandbits(128):032x}")

    def answer(self, provider: Provider, request: Request) -> Response:
        """The provider's own answer."""
        return provider.server.answer(request, self._reader)

    def reply(self, frame: bytes) -> bytes | None:
        """The answer to a WebSocket frame, by the provider that knows the frame. None: no provider does."""
        for socket in self._sockets:
            if (answer := socket.reply(frame, self._reader)) is not None:
                return answer
        return None
