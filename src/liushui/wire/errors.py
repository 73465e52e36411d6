"""Errors on the wire: an error answer of a server, and the error class that a client makes of one."""

from collections.abc import Mapping

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable


class ErrorResponse(Exception):
    """Raised in a server to answer with an error: its HTTP status, the provider's error code and a message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def provider_error(
    classes: Mapping[int, type[ProviderError]],
    message: str,
    *,
    code: int | None,
    status: int,
    trace: str | None = None,
    retry_after_s: float | None = None,
) -> ProviderError:
    """The error for an error answer. `classes` maps the provider's error codes; other codes go by the HTTP status."""
    known = None if code is None else classes.get(code)
    return (known or error_class(status))(message, code=code, trace=trace, retry_after_s=retry_after_s)


def error_class(status: int) -> type[ProviderError]:
    """The error class for an HTTP status."""
    if status in (401, 403):
        return AuthError
    if status == 429:
        return RateLimited
    return Unavailable if status >= 500 else Refused
