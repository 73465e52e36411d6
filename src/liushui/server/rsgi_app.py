"""The application that Granian runs: it serves the providers' APIs itself and passes everything else to the site.

The bridge runs our Litestar site, an ASGI application, behind RSGI, Granian's native interface. The router finds the
provider whose API a path belongs to: by the documented path, or under /dialect/<provider>/.
"""

import asyncio
import logging
import random
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, Final, Protocol
from urllib.parse import quote

from liushui import __version__
from liushui.http import Request, Response
from liushui.provider import MOUNT, FlowReader, Provider
from liushui.server.admission import (
    SWITCH_INTERVAL,
    Admission,
    RequestExecutor,
    Ticket,
    provider_ticket,
    site_ticket,
    while_connected,
)
from liushui.server.api import ROOT as API_ROOT
from liushui.server.health import HEADERS as HEALTH_HEADERS
from liushui.server.health import Health
from liushui.server.public_address import DIRECT, FORWARDED_FOR, PublicAddress
from liushui.server.security_headers import ERROR_HEADERS

# ---------------------------------------------------------------- the bridge to ASGI


class Headers(Protocol):
    """The headers of a request. Their names are in lower case. A header that is sent twice is there twice."""

    def get(self, key: str, default: Any = None) -> Any: ...  # noqa: ANN401 - as Granian declares it
    def get_all(self, key: str) -> list[str]: ...
    def items(self) -> Iterable[tuple[str, str]]: ...


class Scope(Protocol):
    """A request as Granian passes it."""

    proto: str
    http_version: str
    scheme: str
    client: str
    server: str
    method: str
    path: str
    """Without escapes: Granian has decoded it, and does not pass on the path as sent."""
    query_string: str
    """As sent."""

    @property
    def headers(self) -> Headers: ...


class Stream(Protocol):
    """An answer that is sent in parts."""

    async def send_bytes(self, data: bytes) -> None: ...


class Http(Protocol):
    """Granian's side of a request: its body, and the answer to it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def __call__(self) -> Awaitable[bytes]: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...
    async def client_disconnect(self) -> None: ...


class StreamingHttp(Http, Protocol):
    """The same for streams."""

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Stream: ...


class WebsocketMessage(Protocol):
    """A WebSocket message."""

    kind: int
    data: bytes | str


class Transport(Protocol):
    """An open WebSocket."""

    async def receive(self) -> WebsocketMessage: ...
    async def send_bytes(self, data: bytes) -> None: ...


class Websocket(Protocol):
    """A WebSocket that a client wants to open."""

    async def accept(self) -> Transport: ...
    def close(self, status: int | None = None) -> tuple[int, bool]: ...


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application: scope, receive, send."""

IS_HEAD: Final = "liushui_is_head"
"""The key in an ASGI scope that says whether a GET is in fact a HEAD, which must not change anything."""

_VERSIONS: Final = {"version": "3.0", "spec_version": "2.4"}


class AsgiBridge:
    """Passes requests to an ASGI application, and its answers back: whole, or streamed if they come in parts."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def answer(self, scope: Scope, http: StreamingHttp) -> None:
        """Answer one request. HEAD gets the headers that GET gets."""
        exchange = _Exchange(http, headers_only=scope.method == "HEAD")
        try:
            await self._app(asgi_scope(scope), exchange.receive, exchange.send)
        except Exception:
            if not exchange.client_left:  # an application may fail in any way after the client has disconnected
                raise
        finally:
            exchange.close()


class _Exchange:
    """One request and its answer."""

    def __init__(self, http: StreamingHttp, *, headers_only: bool = False) -> None:
        self._http = http
        self._headers_only = headers_only
        self._parts: AsyncIterator[bytes] | None = http.__aiter__()
        self._ended = asyncio.Event()
        self._disconnect: asyncio.Task[None] | None = None
        self.client_left = False
        """Whether the client disconnected before it received the whole answer."""
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._stream: Stream | None = None

    async def receive(self) -> Message:
        """Return the next part of the body. After the last part, wait until the exchange has ended."""
        if self._parts is not None:
            try:  # not in a loop, which would make a new iterator: Granian returns the body only once
                part = await self._parts.__anext__()
            except StopAsyncIteration:
                pass
            else:
                return {"type": "http.request", "body": bytes(part), "more_body": True}
            self._parts = None
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._disconnect is None:
            self._disconnect = asyncio.create_task(self._await_disconnect())
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a part of the answer. Raises OSError when the client has disconnected."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
            if self._headers_only:
                self._http.response_bytes(self._status, self._headers, b"")
                self._ended.set()
            return
        if self._headers_only:
            if message.get("more_body"):  # an answer in parts may be long, or have no end
                self.client_left = True
                raise OSError("the client wants only the headers")
            return
        body, more = bytes(message.get("body", b"")), message.get("more_body", False)
        if self._stream is not None or more:
            await self._send_part(body)
        else:
            self._http.response_bytes(self._status, self._headers, body)
        if not more:
            self._ended.set()

    async def _send_part(self, body: bytes) -> None:
        if self._stream is None:
            self._stream = self._http.response_stream(self._status, self._headers)
        if body:
            try:
                await self._stream.send_bytes(body)
            except RuntimeError as error:  # Granian's sign that the client has disconnected
                self.client_left = True
                self._ended.set()
                raise OSError("the client has disconnected") from error

    async def _await_disconnect(self) -> None:
        await self._http.client_disconnect()
        self.client_left = not self._ended.is_set()
        self._ended.set()

    def close(self) -> None:
        """Stop waiting for the client, and end the stream."""
        if self._disconnect is not None:
            self._disconnect.cancel()
            self._disconnect = None
        # Granian ends a stream when it is freed. In a reference cycle, that would be at a later garbage collection.
        self._stream = None


_UNESCAPED: Final = "/:@!$&'()*+,;="
"""What a path may contain without escapes, beside letters, digits and -._~ (RFC 3986)."""


def asgi_scope(scope: Scope) -> Message:
    """A request of Granian's as an ASGI scope."""
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": scope.http_version,
        "method": "GET" if scope.method == "HEAD" else scope.method,
        IS_HEAD: scope.method == "HEAD",
        "scheme": scope.scheme,
        "path": scope.path,
        "raw_path": quote(scope.path, safe=_UNESCAPED).encode(),
        "query_string": scope.query_string.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in scope.headers.items()
        ],
        "client": _endpoint(scope.client),
        "server": _endpoint(scope.server),
        "state": {},
    }


def _endpoint(text: str) -> tuple[str, int] | None:
    """The host and port in HOST:PORT. None: it has another form, such as a Unix socket."""
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else None


# ---------------------------------------------------------------- the router


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
        """Return the provider to which a raw path belongs, and the path as its documentation prints it."""
        provider = self._by_path.get(path)
        if provider is not None:
            return provider, path
        route = _SLASHES.sub("/", path)
        if route.startswith(MOUNT):
            name, _, rest = route[len(MOUNT) :].partition("/")
            provider = self._providers.get(name)
            return None if provider is None else (provider, f"/{rest}")
        if not route.startswith("/") or route == API_ROOT or route.startswith(f"{API_ROOT}/"):
            return None  # not a path, or a path of our own API, even if a provider's paths begin alike
        provider = self._by_path.get(route) or self._nearest(route)
        return None if provider is None else (provider, route)

    def _nearest(self, route: str) -> Provider | None:
        """Return the provider with the most similar path; it answers in its own format that the path does not exist."""
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
        """Return the answer to a WebSocket frame, by the provider that recognises the frame. None: no provider does."""
        for socket in self._sockets:
            if (answer := socket.reply(frame, self._reader)) is not None:
                return answer
        return None


class MountedServer(Protocol):
    """Serves an API that belongs to no provider."""

    def answer(self, request: Request, reader: FlowReader) -> Response: ...


@dataclass(frozen=True)
class MountedApis:
    """APIs that belong to no provider, by name, over one reader. They are served only at /dialect/<name>/…."""

    servers: Mapping[str, MountedServer]
    reader: FlowReader

    def find(self, path: str) -> tuple[MountedServer, str] | None:
        """Return the server to which a raw path belongs, and the path without the mount."""
        if not path.startswith(MOUNT):
            return None
        name, _, rest = path[len(MOUNT) :].partition("/")
        server = self.servers.get(name)
        return None if server is None else (server, f"/{rest}")


# ---------------------------------------------------------------- the application


_log = logging.getLogger(__name__)

BODY_MAX: Final = 1024 * 1024
BODY_TIMEOUT_S: Final = 30
"""How long the body of a request to a provider's API may take to arrive."""
INLINE_ROWS_MAX: Final = 500
"""Answers with more rows are made in a thread, one at a time, so that small answers need not wait."""

BINARY_MESSAGE: Final = 1
"""Granian's kind of a binary WebSocket message."""


class App:
    """An RSGI application, Granian's native interface: faster than ASGI, which only our own site needs.

    `mounted`: APIs that belong to no provider. `site`: answers all other requests; the simulator has no site. `health`
    answers before the site, which may be busy. Slow work is done in threads, for as many requests as the admission
    control allows. `public`: the address at which clients reach it. Providers get the path with the prefix of
    that address, because clients sign it.
    """

    def __init__(
        self,
        dialects: DialectRouter,
        providers: Mapping[str, Provider],
        site: AsgiBridge | None = None,
        health: Health | None = None,
        public: PublicAddress = DIRECT,
        mounted: MountedApis | None = None,
    ) -> None:
        self._public = public
        self._mounted = mounted
        self._dialects = dialects
        self._index = index_page(providers)
        self._site = site
        self._health = health
        self._admission = Admission()
        self._executor = RequestExecutor()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Granian calls this before the first request."""
        sys.setswitchinterval(SWITCH_INTERVAL.total_seconds())
        loop.set_default_executor(self._executor)

    async def __rsgi__(self, scope: Scope, protocol: Http | Websocket) -> None:
        """Answer one request. It is one long function, because each further coroutine costs as much as the routing."""
        # Of two hosts, a proxy may check one and this server the other.
        has_two_hosts = len(scope.headers.get_all("host")) > 1
        if scope.proto == "ws":
            websocket: Websocket = protocol  # type: ignore[assignment] # scope.proto says which of the two it is
            if has_two_hosts:
                websocket.close(400)
            else:
                await self._converse(websocket)
            return
        http: Http = protocol  # type: ignore[assignment]
        if has_two_hosts:
            http.response_bytes(400, _PROBLEM_JSON, _TWO_HOSTS)
            return
        path = self._public.path(scope.path)
        match = self._dialects.find(path)
        if match is None:
            await self._answer_elsewhere(scope, path, http)
            return
        provider, route = match
        headers = dict(scope.headers.items())
        try:
            body = b"" if _BODY_HEADERS.isdisjoint(headers) else await _read_body(http, headers)
        except TimeoutError:
            http.response_bytes(408, _PROBLEM_JSON, _TOO_SLOW)
            return
        if body is None:
            http.response_bytes(413, _PROBLEM_JSON, _TOO_LARGE)
            return
        request = self._dialects.request(scope.method, scope.path, scope.query_string, headers, body, route)
        try:
            if provider.server.estimate_rows(request) > INLINE_ROWS_MAX:
                client = self._public.client(scope.client, scope.headers.get_all(FORWARDED_FOR))
                work = partial(self._dialects.answer, provider, request)
                large = await self._answer_large(work, http, provider_ticket(headers, client))
                if large is None:
                    return
                response = large
            else:
                response = self._dialects.answer(provider, request)
        except Exception:
            # Logged without the query and the headers, which may contain secrets. The trace id identifies the log line.
            _log.exception("no answer to %s %s, trace %s", request.method, request.route, request.trace)
            response = Response(500, [*_PROBLEM_JSON, ("x-trace-id", request.trace)], _INTERNAL_ERROR)
        http.response_bytes(response.status, response.headers, response.body)

    async def _answer_large(self, answer: Callable[[], Response], http: Http, ticket: Ticket) -> Response | None:
        """An answer that is made in a thread. None: the client has disconnected."""
        if (refusal := self._admission.refusal(ticket)) is not None:
            return await self._admission.refuse(refusal, ticket)
        with self._admission.admitted(ticket):
            work = asyncio.get_running_loop().run_in_executor(self._executor, copy_context().run, answer)
            return await while_connected(work, http.client_disconnect())

    async def _answer_from_site(self, site: AsgiBridge, scope: Scope, path: str, http: Http) -> None:
        client = self._public.client(scope.client, scope.headers.get_all(FORWARDED_FOR))
        ticket = site_ticket(path, dict(scope.headers.items()), client)
        if (refusal := self._admission.refusal(ticket)) is not None:
            response = await self._admission.refuse(refusal, ticket)
            http.response_bytes(response.status, response.headers, response.body)
            return
        with self._admission.admitted(ticket):
            work = site.answer(scope, http)  # type: ignore[arg-type] # Granian's own object has all of it
            await while_connected(work, http.client_disconnect())

    async def _answer_mounted(
        self, server: MountedServer, route: str, scope: Scope, http: Http, reader: FlowReader
    ) -> None:
        """Answer for an API that belongs to no provider, in a thread. Its requests have no bodies."""
        headers = dict(scope.headers.items())
        request = self._dialects.request(scope.method, scope.path, scope.query_string, headers, b"", route)
        ticket = provider_ticket(headers, self._public.client(scope.client, scope.headers.get_all(FORWARDED_FOR)))
        try:
            response = await self._answer_large(partial(server.answer, request, reader), http, ticket)
        except Exception:
            # Logged without the path, which may contain a secret.
            _log.exception("no answer to %s below %s, trace %s", request.method, MOUNT, request.trace)
            response = Response(500, [*_PROBLEM_JSON, ("x-trace-id", request.trace)], _INTERNAL_ERROR)
        if response is not None:
            http.response_bytes(response.status, response.headers, response.body)

    async def _answer_elsewhere(self, scope: Scope, path: str, http: Http) -> None:
        if self._mounted is not None and (match := self._mounted.find(path)) is not None:
            await self._answer_mounted(*match, scope, http, self._mounted.reader)
            return
        checked = await self._health.answer(path) if self._health is not None else None
        if checked is not None:
            status, body = checked
            http.response_bytes(status, HEALTH_HEADERS, b"" if scope.method == "HEAD" else body)
        elif self._site is not None:
            await self._answer_from_site(self._site, scope, path, http)
        elif path == "/":
            http.response_bytes(200, INDEX_HEADERS, self._index)
        else:
            http.response_bytes(404, _PROBLEM_JSON, _NOT_FOUND)

    async def _converse(self, websocket: Websocket) -> None:
        """The same as on the WebSocket port, but without pings, which Granian cannot send."""
        transport = await websocket.accept()
        while (message := await transport.receive()).kind == BINARY_MESSAGE and isinstance(message.data, bytes):
            answer = self._dialects.reply(message.data)
            if answer is None:
                break
            await transport.send_bytes(answer)
        websocket.close()


async def _read_body(http: Http, headers: Mapping[str, str]) -> bytes | None:
    """The body of a request. None: it exceeds BODY_MAX. Raises TimeoutError if it does not arrive."""
    length = headers.get("content-length", "")
    if "transfer-encoding" not in headers and (not length or length == "0"):
        return b""
    async with asyncio.timeout(BODY_TIMEOUT_S):
        if length.isdecimal() and len(length) <= len(str(BODY_MAX)) and int(length) <= BODY_MAX:
            return await http()  # reading it in parts would take as long as the whole answer
        body = b""
        async for part in http:
            body += part
            if len(body) > BODY_MAX:
                return None
        return body


_BODY_HEADERS: Final = frozenset({"content-length", "transfer-encoding"})
"""A request with a body has one of these headers."""

_PROBLEM_JSON: Final = [("content-type", "application/problem+json"), *ERROR_HEADERS.items()]
_NOT_FOUND: Final = b'{"type":"about:blank","title":"Not Found","status":404,"detail":"nothing is served at this path"}'
_INTERNAL_ERROR: Final = b'{"type":"about:blank","title":"Internal Server Error","status":500}'
_TWO_HOSTS: Final = (
    b'{"type":"about:blank","title":"Bad Request","status":400,"detail":"host: expected one header, got several"}'
)
_TOO_SLOW: Final = b'{"type":"about:blank","title":"Request Timeout","status":408}'
_TOO_LARGE: Final = b'{"type":"about:blank","title":"Content Too Large","status":413}'


INDEX_HEADERS: Final = [
    ("content-type", "text/html; charset=utf-8"),
    *(ERROR_HEADERS | {"content-security-policy": "default-src 'none'"}).items(),
]


def index_page(providers: Mapping[str, Provider]) -> bytes:
    """The page at / of a server without a site: it lists the providers' APIs and shows no data."""
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
