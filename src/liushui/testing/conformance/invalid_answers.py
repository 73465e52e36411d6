"""The client with invalid answers: each must raise an error of the right class, and never return invented rows."""

from collections.abc import Callable
from random import Random
from typing import Final

import httpx2
import pytest

from liushui.errors import ProviderError, Unavailable, WireError
from liushui.provider import Page, PageRequest
from liushui.rules import DayDocument
from liushui.testing.conformance.assertions import ensure, ensure_equal
from liushui.testing.conformance.both_ends import Checks, MemoryPair
from liushui.testing.conformance.odd_values import break_bytes, with_misfits, with_unknown_field

BROKEN_ANSWERS: Final = 1_000
ROWS: Final = 5
"""Rows on the page whose answer is broken."""
JUNK: Final = (b"", b" ", b"<html>", b"null", b"7", b'"text"', b"{}", b"\xff", b'{"a":' * 50_000, b"[" * 100_000)


class AnswerChecks(Checks):
    """How a client handles answers."""

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            (httpx2.ConnectError("refused"), "refused"),
            (httpx2.ReadTimeout("slow"), "took the call and gave no answer"),
            (httpx2.RemoteProtocolError("cut"), "cut"),
        ],
    )
    def test_a_connection_error_is_unavailable(self, memory: MemoryPair, fault: Exception, message: str) -> None:
        def fail(_: httpx2.Request) -> httpx2.Response:
            raise fault

        with pytest.raises(Unavailable, match=message):
            _page(memory, fail)

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_an_error_page_of_a_proxy_is_unavailable(self, memory: MemoryPair, status: int) -> None:
        with pytest.raises(Unavailable):
            _page(memory, lambda _: httpx2.Response(status, text="<html>Bad Gateway</html>"))

    @pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 404, 429])
    def test_an_invalid_answer_is_an_error(self, memory: MemoryPair, status: int) -> None:
        """With HTTP 200, the error is a WireError. With other statuses it may be another error. Rows are never
        returned."""
        for junk in JUNK:
            with pytest.raises(WireError if status == 200 else (WireError, ProviderError)):
                _page(memory, lambda _, body=junk: httpx2.Response(status, content=body))  # type: ignore[misc]

    def test_a_truncated_answer_is_an_error(self, memory: MemoryPair) -> None:
        valid = _valid_answer(memory)
        for end in sorted({*range(0, len(valid), 1 + len(valid) // 100), len(valid) - 1}):
            with pytest.raises((WireError, Unavailable)):
                _page(memory, rows_body=valid[:end])

    def test_a_missing_or_mistyped_envelope_field_is_an_error_or_irrelevant(self, memory: MemoryPair) -> None:
        """A missing list counts as an empty list, because some services leave empty lists out."""
        valid = _valid_answer(memory)
        expected = list(self.provider.codec.extract_rows(valid))
        for body in with_misfits(_object_of(valid)):
            try:
                page = _page(memory, rows_body=body)
            except (WireError, ProviderError):
                continue
            if page.rows:
                ensure_equal(f"rows of {body[:300]!r}", list(page.rows), expected)

    def test_an_unknown_envelope_field_is_ignored(self, memory: MemoryPair) -> None:
        valid = _valid_answer(memory)
        page = _page(memory, rows_body=with_unknown_field(_object_of(valid)))
        ensure_equal("rows", list(page.rows), list(self.provider.codec.extract_rows(valid)))

    def test_a_broken_answer_is_an_error_or_has_only_rows_of_its_bytes(self, memory: MemoryPair) -> None:
        valid, random = _valid_answer(memory), Random(5)  # noqa: S311 - the same answers in each run
        is_document = isinstance(self.provider.rules.paging, DayDocument)
        documented = list(self.provider.codec.extract_rows(valid)) if is_document else []
        for number in range(BROKEN_ANSWERS // 5 if is_document else BROKEN_ANSWERS):
            body = break_bytes(random, valid)
            try:
                page = _page(memory, rows_body=body)
            except (WireError, ProviderError):
                continue
            for row in page.rows:
                # A document that may be compressed is accepted only if it has the stated digest.
                ensure(row in body or row in documented, f"answer {number} does not have the row {row!r}")


def _page(
    memory: MemoryPair,
    instead: Callable[[httpx2.Request], httpx2.Response] | None = None,
    *,
    rows_body: bytes | None = None,
) -> Page:
    """Return the page that a client makes of another answer, or of an answer with this body."""
    memory.transport.answer_instead, memory.transport.rows_body = instead, rows_body
    return memory.run(
        lambda client: client.fetch_page(PageRequest(memory.endpoint.recent, memory.endpoint.at_least(ROWS)))
    )


def _valid_answer(memory: MemoryPair) -> bytes:
    """A valid answer with some rows."""
    _page(memory)
    return memory.transport.exchanges[-1].response.body


def _object_of(answer: bytes) -> bytes:
    if not answer.lstrip().startswith(b"{"):
        pytest.skip("the envelope is no object")
    return answer
