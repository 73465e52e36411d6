"""A fault of one request, as a value, and what the client then sees. Pure.

A schedule decides on a Fault for each request. faulty_dialects.py carries out the faults that a server can express
itself (rates, expiry, clocks, pages). The other faults become a TransportOutcome here. A port or an in-memory transport
carries that out.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol, TypeVar

from liushui.http import Request, Response

NO_DELAY: Final = timedelta(0)


class FaultKind(StrEnum):
    """A way in which a request goes wrong."""

    REFUSED = "refused"
    """The connection is closed before the first byte of an answer."""
    STALLED = "stalled"
    """The connection stays open and nothing arrives."""
    RESET = "reset"
    """The connection breaks within the answer."""
    TRUNCATED = "truncated"
    """The body ends early, although its length says that it is complete."""
    GARBLED = "garbled"
    """HTTP 200 with a body that is not an answer of the provider."""
    HTML = "html"
    """An error page of a proxy."""
    BROKEN = "broken"
    """HTTP 500 and similar."""
    MAINTENANCE = "maintenance"
    """HTTP 200 and a notice of maintenance."""
    TOO_MANY = "too many"
    """The call exceeds a rate."""
    BANNED = "banned"
    """The key is banned for a while, because it kept calling above the rate."""
    EXPIRED = "expired"
    """The key, or the token made with it, has expired."""
    SKEWED = "skewed"
    """The provider's clock is an hour ahead."""
    REPEATED = "repeated"
    """The previous page is returned again."""
    CURSOR_LOST = "cursor lost"
    """The cursor is no longer known."""


class Fault(NamedTuple):
    """The fault of one request."""

    kind: FaultKind | None = None
    """None: the request is answered correctly."""
    delay: timedelta = NO_DELAY
    """How long the answer takes."""
    variant: int = 0
    """Selects one of the variants of a fault, or the byte at which it happens. Any number; it is taken modulo the
    number of choices."""
    retry_after_s: int | None = None
    """The Retry-After header of a call above a rate. None: the header is not sent."""


class FaultSchedule(Protocol):
    """Decides on the fault of each request."""

    def next_fault(self, request: Request) -> Fault:
        """Return the fault of the next request."""
        ...


# ---------------------------------------------------------------- what the client sees


class Answered(NamedTuple):
    """A whole answer, after a delay."""

    response: Response
    delay: timedelta = NO_DELAY


class Reset(NamedTuple):
    """The beginning of an answer, after a delay. Then the connection breaks."""

    response: Response
    """The whole answer."""
    after_bytes: int
    """How many bytes of its body arrive."""
    delay: timedelta = NO_DELAY


class Unreached(NamedTuple):
    """No byte of an answer arrives: the connection is refused or closed."""

    delay: timedelta = NO_DELAY


class Stalled(NamedTuple):
    """A connection that stays open without any data. `delay`: how long it takes to be accepted."""

    delay: timedelta = NO_DELAY


class Endless(NamedTuple):
    """An answer whose body never ends: the body of the response, then `chunk` again and again."""

    response: Response
    chunk: bytes
    delay: timedelta = NO_DELAY


T = TypeVar("T")

TransportOutcome = Answered | Reset | Unreached | Stalled | Endless

BEFORE_THE_SERVER: Final = frozenset(
    {
        FaultKind.REFUSED,
        FaultKind.STALLED,
        FaultKind.GARBLED,
        FaultKind.HTML,
        FaultKind.BROKEN,
        FaultKind.MAINTENANCE,
    }
)
"""Faults in front of the provider's server. The server never sees the request and does not count it against a rate."""

GARBAGE: Final = (
    *(b"", b" ", b"OK", b"null", b"0", b"{}", b"[]", b'"busy"', b"\xff\xfe", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
    *(b"<html><body>It works!</body></html>", b'{"error":"internal"}', b"{'code': 0}", b"data: {}\n\n"),
)
"""Bodies that are not an answer of any provider."""

BROKEN: Final = (500, 502, 503, 504)
"""HTTP statuses of a broken provider, or of a proxy in front of one."""
BROKEN_FROM: Final = 500

_HTML: Final = ("content-type", "text/html; charset=utf-8")
_TEXT: Final = ("content-type", "text/plain; charset=utf-8")


def transport_outcome(fault: Fault, response: Response, outages: Sequence[Response] = ()) -> TransportOutcome:
    """Return what the client sees if `response` is the server's answer.

    `outages` are answers with which the provider reports, in its own format, that it is broken or under maintenance.
    """
    delay, length = fault.delay, len(response.body)
    match fault.kind:
        case FaultKind.REFUSED:
            return Unreached(delay)
        case FaultKind.STALLED:
            return Stalled(delay)
        case FaultKind.RESET:
            return Reset(response, fault.variant % length if length else 0, delay)
        case FaultKind.TRUNCATED if length:
            return Answered(response._replace(body=response.body[: fault.variant % length]), delay)
    return Answered(_response_of(fault, response, outages), delay)


def _response_of(fault: Fault, response: Response, outages: Sequence[Response]) -> Response:
    """The answer that replaces the server's, or the server's own."""
    match fault.kind:
        case FaultKind.GARBLED:
            return Response(200, [_TEXT], _variant(fault, GARBAGE))
        case FaultKind.HTML:
            return _html_page(_variant(fault, BROKEN))
        case FaultKind.BROKEN:
            own = [outage for outage in outages if outage.status >= BROKEN_FROM]
            return _variant(fault, [*own, *(Response(status, [_TEXT], b"") for status in BROKEN)])
        case FaultKind.MAINTENANCE:
            own = [outage for outage in outages if outage.status < BROKEN_FROM]
            return _variant(fault, own or [_html_page(200, "Under maintenance")])
        case FaultKind.TOO_MANY | FaultKind.BANNED if fault.retry_after_s is not None:
            return with_retry_after(response, str(fault.retry_after_s))
    return response


def with_retry_after(response: Response, value: str) -> Response:
    """Return the response with this Retry-After header instead of the server's own."""
    headers = [(name, text) for name, text in response.headers if name.lower() != "retry-after"]
    return response._replace(headers=[*headers, ("retry-after", value)])


def _variant(fault: Fault, variants: Sequence[T]) -> T:
    return variants[fault.variant % len(variants)]


def _html_page(status: int, title: str = "") -> Response:
    title = title or f"{status} {HTTPStatus(status).phrase}"
    body = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Response(status, [_HTML], body.encode())
