"""What comes out of a request: an answer, or a connection that fails. A function of the ruling and the true answer."""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

from liushui.http import Response
from liushui.simulate.faults.fault import AT_ONCE, Ruling, Sort


class Answered(NamedTuple):
    """A whole answer, after a delay."""

    response: Response
    delay: timedelta = AT_ONCE


class Reset(NamedTuple):
    """The beginning of an answer, after a delay, and then the end of the connection."""

    response: Response
    """The whole of it."""
    after_bytes: int
    """How many bytes of its body arrive."""
    delay: timedelta = AT_ONCE


class Unreached(NamedTuple):
    """No byte of an answer: the connection is refused, or closed."""

    delay: timedelta = AT_ONCE


class Stalled(NamedTuple):
    """A connection that stays open, and on which nothing comes."""

    delay: timedelta = AT_ONCE
    """How long it takes to be accepted."""


T = TypeVar("T")

Outcome = Answered | Reset | Unreached | Stalled

NOT_ASKED: Final = frozenset({Sort.REFUSED, Sort.STALLED, Sort.GARBLED, Sort.HTML, Sort.BROKEN, Sort.MAINTENANCE})
"""Where something before the provider's server fails: it never sees the request, and counts it against no rate."""

GARBAGE: Final = (
    *(b"", b" ", b"OK", b"null", b"0", b"{}", b"[]", b'"busy"', b"\xff\xfe", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
    *(b"<html><body>It works!</body></html>", b'{"error":"internal"}', b"{'code': 0}", b"data: {}\n\n"),
)
"""Bodies that are no answer of any provider."""

BROKEN: Final = (500, 502, 503, 504)
"""HTTP statuses of a provider that is broken, or of something in between that finds it so."""
BROKEN_FROM: Final = 500

_HTML: Final = ("content-type", "text/html; charset=utf-8")
_TEXT: Final = ("content-type", "text/plain; charset=utf-8")


def outcome_of(ruling: Ruling, response: Response, outages: Sequence[Response] = ()) -> Outcome:
    """What comes out, where `response` is the true answer.

    `outages` are answers in which the provider says that it is broken or under maintenance. Pure.
    """
    delay, whole = ruling.delay, len(response.body)
    match ruling.sort:
        case Sort.REFUSED:
            return Unreached(delay)
        case Sort.STALLED:
            return Stalled(delay)
        case Sort.RESET:
            return Reset(response, ruling.form % whole if whole else 0, delay)
        case Sort.TRUNCATED if whole:
            return Answered(response._replace(body=response.body[: ruling.form % whole]), delay)
    return Answered(_said(ruling, response, outages), delay)


def _said(ruling: Ruling, response: Response, outages: Sequence[Response]) -> Response:
    """The answer that comes in place of the true one, or that one."""
    match ruling.sort:
        case Sort.GARBLED:
            return Response(200, [_TEXT], _form(ruling, GARBAGE))
        case Sort.HTML:
            return _page(_form(ruling, BROKEN))
        case Sort.BROKEN:
            own = [said for said in outages if said.status >= BROKEN_FROM]
            return _form(ruling, [*own, *(Response(status, [_TEXT], b"") for status in BROKEN)])
        case Sort.MAINTENANCE:
            own = [said for said in outages if said.status < BROKEN_FROM]
            return _form(ruling, own or [_page(200, "Under maintenance")])
        case Sort.TOO_MANY | Sort.BANNED if ruling.retry_after_s is not None:
            return response._replace(headers=[*response.headers, ("retry-after", str(ruling.retry_after_s))])
    return response


def _form(ruling: Ruling, forms: Sequence[T]) -> T:
    return forms[ruling.form % len(forms)]


def _page(status: int, title: str = "") -> Response:
    said = title or f"{status} {HTTPStatus(status).phrase}"
    body = f"<!doctype html><html><head><title>{said}</title></head><body><h1>{said}</h1></body></html>"
    return Response(status, [_HTML], body.encode())
