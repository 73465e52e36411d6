"""Errors on the wire: a server's error answer, and the error class that a client derives from it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.wire.decoding import DECODE_ERRORS, check_lengths, excerpt, split_rows
from liushui.wire.transport import Answer

E = TypeVar("E", bound=msgspec.Struct)
P = TypeVar("P")
C = TypeVar("C", int, str)
"""The type of a provider's error codes."""


class ErrorResponse(Exception):
    """Raised in a server to answer with an error: its HTTP status, the provider's error code and a message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def decode_envelope(decoder: msgspec.json.Decoder[E], answer: Answer, *, trace: str | None = None) -> E:
    """Decode the envelope of an answer with any status.

    Raises WireError, or Unavailable with an HTTP status of 500 or more: a broken service need not answer in JSON.
    """
    try:
        return decoder.decode(answer.body)
    except DECODE_ERRORS as error:
        if answer.status >= 500:
            reason = f"HTTP {answer.status}, {excerpt(answer.body)}"
            raise Unavailable(reason, trace=trace, retry_after_s=answer.retry_after_s) from error
        expected = f"expected the JSON envelope with HTTP {answer.status}"
        raise WireError("answer", f"{expected}, got {excerpt(answer.body)}: {error}") from error


def parse_tolerantly(parse: Callable[[Answer], P], answer: Answer, path: Sequence[str]) -> tuple[P, list[bytes] | None]:
    """Parse an answer in which rows of the list at `path` may be invalid JSON. Such rows must not hide the others.

    Returns the result of `parse` on the answer, and None. If `parse` raises WireError, it returns the result for the
    answer with an empty list, and all rows of the list. The codec rejects those that cannot be read.
    """
    try:
        return parse(answer), None
    except WireError:
        split = split_rows(answer.body, path)
        if split is None or not split.rows:
            raise
        check_lengths(split.rows)
        return parse(answer._replace(body=split.rest)), split.rows


def provider_error(
    classes: Mapping[C, type[ProviderError]],
    message: str | None,
    answer: Answer,
    *,
    code: C | None,
    trace: str | None = None,
    retry_after_s: float | None = None,
) -> ProviderError:
    """Return the error for an error answer, by its code and its HTTP status.

    `classes` maps the provider's error codes; for other codes the status decides. `retry_after_s` is the wait in
    seconds if the answer has no Retry-After header.
    """
    known = None if code is None else classes.get(code)
    wait_s = retry_after_s if answer.retry_after_s is None else answer.retry_after_s
    text = message or f"HTTP {answer.status}"
    return (known or error_class(answer.status))(text, code=code, trace=trace, retry_after_s=wait_s)


def error_class(status: int) -> type[ProviderError]:
    """The error class for an HTTP status."""
    if status in (401, 403):
        return AuthError
    if status == 429:
        return RateLimited
    return Unavailable if status >= 500 else Refused
