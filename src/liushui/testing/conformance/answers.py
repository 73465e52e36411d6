"""The client against answers that are none: each becomes an error of the right class, never rows that nobody sent."""

from collections.abc import Callable
from random import Random
from typing import Final

import httpx2
import pytest

from liushui.errors import ProviderError, Unavailable, WireError
from liushui.provider import Page
from liushui.testing.conformance.chance import broken_bytes
from liushui.testing.conformance.checks import Checks
from liushui.testing.conformance.ends import Memory
from liushui.testing.conformance.ensure import ensure, ensure_equal
from liushui.testing.conformance.fields import damaged, with_unknown

BROKEN_ANSWERS: Final = 1_000
ROWS: Final = 5
"""Rows on the page that is broken."""
JUNK: Final = (b"", b" ", b"<html>", b"null", b"7", b'"text"', b"{}", b"\xff", b'{"a":' * 50_000, b"[" * 100_000)


class AnswerChecks(Checks):
    """What a client makes of what comes."""

    @pytest.mark.parametrize(
        "fault", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), httpx2.RemoteProtocolError("cut")]
    )
    def test_no_answer(self, memory: Memory, fault: Exception) -> None:
        def fail(_: httpx2.Request) -> httpx2.Response:
            raise fault

        with pytest.raises(Unavailable, match=str(fault)):
            _page(memory, fail)

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_an_answer_of_something_in_between(self, memory: Memory, status: int) -> None:
        with pytest.raises(Unavailable):
            _page(memory, lambda _: httpx2.Response(status, text="<html>Bad Gateway</html>"))

    @pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 404, 429])
    def test_what_is_no_answer(self, memory: Memory, status: int) -> None:
        """With a status that is none of the provider's errors, it is a WireError; and never rows."""
        for junk in JUNK:
            with pytest.raises(WireError if status == 200 else (WireError, ProviderError)):
                _page(memory, lambda _, body=junk: httpx2.Response(status, content=body))  # type: ignore[misc]

    def test_an_answer_that_is_cut_off(self, memory: Memory) -> None:
        whole = _whole(memory)
        for end in sorted({*range(0, len(whole), 1 + len(whole) // 100), len(whole) - 1}):
            with pytest.raises((WireError, Unavailable)):
                _page(memory, rows_as=whole[:end])

    def test_a_part_of_the_envelope_that_is_missing_or_does_not_fit(self, memory: Memory) -> None:
        """It is an error, or it does not matter: a list that is not there is no empty list."""
        whole = _whole(memory)
        expected = list(self.provider.codec.extract_rows(whole))
        for body in damaged(_object_of(whole)):
            try:
                page = _page(memory, rows_as=body)
            except (WireError, ProviderError):
                continue
            ensure_equal(f"rows of {body[:300]!r}", list(page.rows), expected)

    def test_a_part_of_the_envelope_that_nobody_knows_is_passed_over(self, memory: Memory) -> None:
        whole = _whole(memory)
        page = _page(memory, rows_as=with_unknown(_object_of(whole)))
        ensure_equal("rows", list(page.rows), list(self.provider.codec.extract_rows(whole)))

    def test_broken_answers_are_pages_or_errors(self, memory: Memory) -> None:
        whole, random = _whole(memory), Random(5)  # noqa: S311 - the same answers in each run
        for number in range(BROKEN_ANSWERS):
            body = broken_bytes(random, whole)
            try:
                page = _page(memory, rows_as=body)
            except (WireError, ProviderError):
                continue
            for row in page.rows:
                ensure(row in body, f"answer {number} does not have the row {row!r}")


def _page(
    memory: Memory,
    instead: Callable[[httpx2.Request], httpx2.Response] | None = None,
    *,
    rows_as: bytes | None = None,
) -> Page:
    """What a client makes of an answer of another's, or of rows that came as these bytes."""
    memory.wire.instead, memory.wire.rows_as = instead, rows_as
    return memory.ask(lambda client: client.fetch_page(memory.ends.recent, ROWS))


def _whole(memory: Memory) -> bytes:
    """An answer with some rows, as the server gives it."""
    _page(memory)
    return memory.wire.exchanges[-1].response.body


def _object_of(answer: bytes) -> bytes:
    if not answer.lstrip().startswith(b"{"):
        pytest.skip("the envelope is no object")
    return answer
