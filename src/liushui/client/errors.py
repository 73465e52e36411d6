"""What a call of our own API ends with where it is not answered. The text is one line and names the field."""

from collections.abc import Sequence

from liushui.client.models import Fault
from liushui.errors import LiushuiError


class ApiError(LiushuiError):
    """The server refused a call. `errors` name what was expected and what came."""

    def __init__(self, status: int, detail: str, errors: Sequence[Fault] = ()) -> None:
        super().__init__(f"{detail} ({status})")
        self.status, self.detail, self.errors = status, detail, list(errors)


class NotKnown(ApiError):
    """The token is none, is over, or was revoked."""


class NotAllowed(ApiError):
    """The token has not the scope."""


class NotThere(ApiError):
    """There is no such thing, or none that the token may see."""


class Contradiction(ApiError):
    """What was to be recorded contradicts what is there. Nothing was changed."""


class BadRequest(ApiError):
    """The call cannot be meant: `errors` say why. Nothing was changed."""


class NoAnswer(ApiError):
    """The server could not be reached, or could not answer, however often it was tried."""


CLASSES: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: NotKnown,
    403: NotAllowed,
    404: NotThere,
    409: Contradiction,
    413: BadRequest,
    415: BadRequest,
    422: BadRequest,
}
