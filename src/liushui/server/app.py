"""The application behind the port: Granian's native interface (RSGI) in, the dialects' answers out."""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Final

from liushui import __version__
from liushui.http import Response
from liushui.provider import Provider
from liushui.server.asgi_bridge import AsgiBridge, Http, Scope, Websocket
from liushui.server.router import MOUNT, DialectRouter

_log = logging.getLogger(__name__)

BODY_MAX: Final = 1024 * 1024
ROWS_AT_ONCE: Final = 500
"""Answers with more rows than this are made in a thread, one at a time, so that small ones do not wait for them:
however many are asked for at once, a worker works on one."""

SOCKET_BYTES: Final = 1
"""Granian's number for a binary WebSocket message."""


class App:
    """Answers requests from the dialects, and what is none of theirs from our own site, where there is one."""

    def __init__(
        self, dialects: DialectRouter, providers: Mapping[str, Provider], site: AsgiBridge | None = None
    ) -> None:
        self._dialects = dialects
        self._index = index_page(providers)
        self._site = site
        self._large = ThreadPoolExecutor(1, thread_name_prefix="large")

    async def __rsgi__(self, scope: Scope, protocol: Http | Websocket) -> None:
        """Granian calls this for each request. What most of them need is done here: a coroutine more costs as much."""
        if scope.proto == "ws":
            await self._converse(protocol)  # type: ignore[arg-type] # which of the two it is, scope.proto says
            return
        http: Http = protocol  # type: ignore[assignment]
        found = self._dialects.find(scope.path)
        if found is None:
            await self._elsewhere(scope, http)
            return
        provider, route = found
        headers = dict(scope.headers.items())
        body = b"" if _BODIED.isdisjoint(headers) else await _body_of(http, headers)
        if body is None:
            http.response_bytes(413, _PROBLEM, _TOO_LARGE)
            return
        request = self._dialects.request(scope.method, scope.path, scope.query_string, headers, body, route)
        try:
            if provider.server.estimate_rows(request) > ROWS_AT_ONCE:
                loop = asyncio.get_running_loop()
                answer = partial(self._dialects.answer, provider, request)
                response = await loop.run_in_executor(self._large, copy_context().run, answer)
            else:
                response = self._dialects.answer(provider, request)
        except Exception:  # a fault of ours is told with a trace, and logged under it without what was asked
            _log.exception("no answer to %s %s, trace %s", request.method, request.route, request.trace)
            response = Response(500, [*_PROBLEM, ("x-trace-id", request.trace)], _FAULT)
        http.response_bytes(response.status, response.headers, response.body)

    async def _elsewhere(self, scope: Scope, http: Http) -> None:
        """What is no dialect's."""
        if self._site is not None:
            await self._site.answer(scope, http)  # type: ignore[arg-type] # Granian's own has all of it
        elif scope.path == "/":
            http.response_bytes(200, HEADERS, self._index)
        else:
            http.response_bytes(404, _PROBLEM, _NOT_FOUND)

    async def _converse(self, websocket: Websocket) -> None:
        """The same conversation as on the socket port, but without pings, which Granian cannot send."""
        transport = await websocket.accept()
        while (message := await transport.receive()).kind == SOCKET_BYTES and isinstance(message.data, bytes):
            answer = self._dialects.reply(message.data)
            if answer is None:
                break
            await transport.send_bytes(answer)
        websocket.close()


async def _body_of(http: Http, headers: Mapping[str, str]) -> bytes | None:
    """A request's body. None: it is larger than BODY_MAX."""
    length = headers.get("content-length", "")
    if "transfer-encoding" not in headers and (not length or length == "0"):
        return b""
    if length.isdecimal() and len(length) <= len(str(BODY_MAX)) and int(length) <= BODY_MAX:
        return await http()  # at once: in parts it takes as long as the whole answer
    body = b""
    async for part in http:
        body += part
        if len(body) > BODY_MAX:
            return None
    return body


_BODIED: Final = frozenset({"content-length", "transfer-encoding"})
"""Headers of which a request with a body has one."""

_PROBLEM: Final = [("content-type", "application/problem+json")]
_NOT_FOUND: Final = b'{"type":"about:blank","title":"Not Found","status":404,"detail":"nothing is served at this path"}'
_FAULT: Final = b'{"type":"about:blank","title":"Internal Server Error","status":500}'
_TOO_LARGE: Final = b'{"type":"about:blank","title":"Content Too Large","status":413}'


HEADERS: Final = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'"),
    ("x-content-type-options", "nosniff"),
]


def index_page(providers: Mapping[str, Provider]) -> bytes:
    """What a browser is shown at /: what is served here, and nothing of what is in it."""
    rows = "".join(
        f"<tr><td>{provider.title}</td><td><code>{route.method} {route.path}</code></td>"
        f"<td><code>{MOUNT}{provider.name}{route.path}</code></td></tr>"
        for provider in providers.values()
        for route in provider.server.routes
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>liushui</title></head><body>
<h1>liushui 流水</h1><p>One ledger for every fund flow. Version {__version__}.</p>
<table><tr><th>Provider</th><th>Served at</th><th>and at</th></tr>{rows}</table>
<p>A key for one of them: <code>liushui key create --dialect NAME --account ACCOUNT</code></p>
</body></html>
""".encode()
