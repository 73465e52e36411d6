"""The errors that the client raises. The text of each is one line that names the field."""

from collections.abc import Sequence

from liushui.client.models import Fault
from liushui.errors import LiushuiError


class ApiError(LiushuiError):
    """The server refused a call. `errors` lists each wrong field, what was expected of it, and what was sent."""

    def __init__(self, status: int, detail: str, errors: Sequence[Fault] = ()) -> None:
        super().__init__(f"{detail} ({status})")
        self.status, self.detail, self.errors = status, detail, list(errors)


class BadRequest(ApiError):
    """400, 413, 415, 422: the request is malformed or not possible. Nothing was changed."""


class Unauthorized(ApiError):
    """401: the token does not exist, has expired, or was revoked."""


class Forbidden(ApiError):
    """403: the token lacks the scope."""


class NotFound(ApiError):
    """404: it does not exist, or the token may not see it."""


class Conflict(ApiError):
    """409: the request contradicts what is recorded. Nothing was changed."""


class NoAnswer(ApiError):
    """No attempt reached the server, or its answer is not one of this API."""


BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: BadRequest,
    415: BadRequest,
    422: BadRequest,
}

# The names of version 0.1. They stay for one release.
NotKnown, NotAllowed, NotThere, Contradiction = Unauthorized, Forbidden, NotFound, Conflict
