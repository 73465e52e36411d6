"""The application at a misbehaving provider's port. It carries out transport outcomes through Granian's interface."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from liushui.http import Request, Response
from liushui.server.rsgi_app import App, Http, Scope, StreamingHttp, Websocket
from liushui.simulate.faults.fault import Answered, Endless, Reset, Stalled, TransportOutcome, Unreached
from liushui.simulate.faults.faulty_dialects import recorded_outcomes

STALL_MAX_S: Final = 300
"""How long a stalled connection is held open. Clients give up earlier."""


class FaultyApp:
    """Serves `app`, whose dialects are FaultyDialects, and carries out the faults.

    `own_routes` answers the simulator's own paths, which never fail. It returns None for all other paths.
    """

    def __init__(self, app: App, own_routes: Callable[[Request], Response | None]) -> None:
        self._app, self._own_routes = app, own_routes

    async def __rsgi__(self, scope: Scope, protocol: StreamingHttp | Websocket) -> None:
        """Granian calls this for each request."""
        if scope.proto == "ws":
            await self._app.__rsgi__(scope, protocol)
        else:
            await self._answer(scope, protocol)  # type: ignore[arg-type] # scope.proto says which of the two it is

    async def _answer(self, scope: Scope, http: StreamingHttp) -> None:
        request = Request(scope.method, scope.path, scope.query_string, dict(scope.headers.items()))
        own = await asyncio.to_thread(self._own_routes, request)
        if own is not None:
            http.response_bytes(*own)
            return
        captured = _CapturedHttp(http)
        with recorded_outcomes() as outcomes:
            await self._app.__rsgi__(scope, captured)
        await carry_out(outcomes[-1] if outcomes else Answered(captured.response), http)


async def carry_out(outcome: TransportOutcome, http: StreamingHttp) -> None:
    """Carry out an outcome for a client.

    The port stays open. A refused connection is therefore accepted, and closed before the first byte of an answer.
    """
    await asyncio.sleep(outcome.delay.total_seconds())
    match outcome:
        case Answered(response):
            http.response_bytes(*response)
        case Reset(response, after_bytes):
            await _break_off(response, after_bytes, http)
        case Unreached():
            await _break_off(_NO_ANSWER, 0, http)
        case Endless(response, chunk):
            await _send_without_end(response, chunk, http)
        case Stalled():
            try:
                await asyncio.wait_for(http.client_disconnect(), STALL_MAX_S)
            except TimeoutError:
                await _break_off(_NO_ANSWER, 0, http)


async def _break_off(response: Response, after_bytes: int, http: StreamingHttp) -> None:
    """Send the first bytes of an answer, then let the connection break."""
    # Granian closes a connection whose answer is shorter than its length. If no byte of the body was sent, it closes
    # before the headers, so the client sees no answer at all.
    head = [*response.headers, ("content-length", str(max(1, len(response.body))))]
    stream = http.response_stream(response.status, head)
    await stream.send_bytes(response.body[:after_bytes])


async def _send_without_end(response: Response, chunk: bytes, http: StreamingHttp) -> None:
    """Send an answer and then chunks, until the client has disconnected."""
    stream = http.response_stream(response.status, response.headers)
    await stream.send_bytes(response.body)
    disconnected = asyncio.ensure_future(http.client_disconnect())
    while not disconnected.done():
        await stream.send_bytes(chunk)
        await asyncio.sleep(0)  # otherwise the client's disconnection would not be noticed


class _CapturedHttp:
    """The response side of a request, which captures the answer instead of sending it."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.response = _NO_ANSWER

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._http.__aiter__()

    def __call__(self) -> Awaitable[bytes]:
        return self._http()

    async def client_disconnect(self) -> None:
        await self._http.client_disconnect()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.response = Response(status, headers, body)


_NO_ANSWER: Final = Response(500, [], b"")
