"""The application behind the port, as its provider misbehaves: outcomes carried out over Granian's interface."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from liushui.http import Request, Response
from liushui.server.app import App
from liushui.server.asgi_bridge import Connected, Http, Scope, Websocket
from liushui.simulate.faults.dialects import recorded_outcomes
from liushui.simulate.faults.transport_faults import Answered, Outcome, Reset, Stalled, Unreached

STALL_MAX_S: Final = 300
"""For how long a stalled connection is held open; clients give up before."""


class FaultyApp:
    """Answers requests as `app` does, whose dialects are FaultyDialects, or fails to.

    `own` answers paths of the simulator's own, which never fail; None: it is none of them.
    """

    def __init__(self, app: App, own: Callable[[Request], Response | None]) -> None:
        self._app, self._own = app, own

    async def __rsgi__(self, scope: Scope, protocol: Connected | Websocket) -> None:
        """Granian calls this for each request."""
        if scope.proto == "ws":
            await self._app.__rsgi__(scope, protocol)
        else:
            await self._answer(scope, protocol)  # type: ignore[arg-type] # which of the two it is, scope.proto says

    async def _answer(self, scope: Scope, http: Connected) -> None:
        request = Request(scope.method, scope.path, scope.query_string, dict(scope.headers.items()))
        own = await asyncio.to_thread(self._own, request)
        if own is not None:
            http.response_bytes(*own)
            return
        kept = _Kept(http)
        with recorded_outcomes() as outcomes:
            await self._app.__rsgi__(scope, kept)
        await carry_out(outcomes[-1] if outcomes else Answered(kept.response), http)


async def carry_out(outcome: Outcome, http: Connected) -> None:
    """Let a client see an outcome.

    The port itself stays open, so a connection that is not to be reached is closed before a byte of an answer.
    """
    await asyncio.sleep(outcome.delay.total_seconds())
    match outcome:
        case Answered(response):
            http.response_bytes(*response)
        case Reset(response, after_bytes):
            await _break_off(response, after_bytes, http)
        case Unreached():
            await _break_off(_NO_ANSWER, 0, http)
        case Stalled():
            try:
                await asyncio.wait_for(http.client_disconnect(), STALL_MAX_S)
            except TimeoutError:
                await _break_off(_NO_ANSWER, 0, http)


async def _break_off(response: Response, after_bytes: int, http: Connected) -> None:
    """Send so much of an answer. Granian closes a connection whose answer ends before its length; where not one byte
    of the body was sent, before its head."""
    head = [*response.headers, ("content-length", str(max(1, len(response.body))))]
    stream = http.response_stream(response.status, head)
    await stream.send_bytes(response.body[:after_bytes])


class _Kept:
    """The answering side of a request whose answer is only kept."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.response = _NO_ANSWER

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._http.__aiter__()

    def __call__(self) -> Awaitable[bytes]:
        return self._http()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.response = Response(status, headers, body)


_NO_ANSWER: Final = Response(500, [], b"")
