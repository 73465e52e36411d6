"""Errors on a wire, both ways: what a server answers, and which class a client makes of what it was answered."""

from collections.abc import Mapping

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable


class ErrorResponse(Exception):
    """An answer that is an error: its HTTP status, its code and its words."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def provider_error(
    known: Mapping[int, type[ProviderError]],
    message: str,
    *,
    code: int | None,
    status: int,
    trace: str | None = None,
    retry_after_s: float | None = None,
) -> ProviderError:
    """The error that an answer stands for: by its code where that is known, else by its HTTP status."""
    raised = error_class(status) if code is None else known.get(code, error_class(status))
    if raised is RateLimited or raised is Unavailable:
        return raised(message, code=code, trace=trace, retry_after_s=retry_after_s)
    return raised(message, code=code, trace=trace)


def error_class(status: int) -> type[ProviderError]:
    """What an HTTP status alone stands for."""
    if status in (401, 403):
        return AuthError
    if status == 429:
        return RateLimited
    return Unavailable if status >= 500 else Refused
