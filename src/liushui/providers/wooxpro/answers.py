"""WOO X Pro answers, as a reader judges them: by HTTP status, then code, then shape. Codes and classes: MAPPING.md."""

import msgspec

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable, WireError, short_repr
from liushui.providers.wooxpro.rules import REFUSALS
from liushui.providers.wooxpro.wire import Envelope
from liushui.wire import transport
from liushui.wire.decoding import DECODE_ERRORS, excerpt
from liushui.wire.errors import provider_error
from liushui.wire.transport import Answer

SUCCESS = 1000
MESSAGE = "Ok"
BANNED, BANNED_STATUS = 30017, 418

ERRORS: dict[int, type[ProviderError]] = {
    30000: Refused,
    30001: AuthError,
    30002: AuthError,
    30003: AuthError,
    30010: AuthError,
    30011: AuthError,
    30012: AuthError,
    30013: RateLimited,
    30014: Unavailable,
    30016: Unavailable,
    BANNED: RateLimited,
    40011: Refused,
    40034: Refused,
    40039: Refused,
}

_envelope = msgspec.json.Decoder(Envelope)
_rows = msgspec.json.Decoder(list[msgspec.Raw])


def rows_in(answer: Answer) -> list[bytes]:
    """The rows of an answer, byte for byte. Raises WireError, or ProviderError by class."""
    try:
        envelope = _envelope.decode(answer.body)
    except DECODE_ERRORS as error:
        if answer.status != 200:
            raise _fault(answer, f"HTTP {answer.status}, {excerpt(answer.body)}") from error
        raise WireError("answer", f"expected the JSON envelope, got {excerpt(answer.body)}") from error
    if answer.status != 200 or envelope.code != SUCCESS:
        message = envelope.message or f"HTTP {answer.status}"
        raise _fault(answer, message, code=envelope.code, trace=envelope.trace)
    if (envelope.message or "").lower() != MESSAGE.lower():
        raise WireError("message", f"expected {MESSAGE}, got {short_repr(envelope.message)}")
    data = bytes(envelope.data)
    try:
        return [bytes(row) for row in _rows.decode(data)]
    except DECODE_ERRORS as error:
        raise WireError("data", f"expected a list, got {excerpt(data)}: {error}") from error


def _fault(answer: Answer, message: str, *, code: int | None = None, trace: str | None = None) -> ProviderError:
    """The error that an answer stands for. Somebody who is banned waits longer than somebody who was too fast."""
    if code not in ERRORS and answer.status == BANNED_STATUS:
        code = BANNED
    wait_s = transport.parse_retry_after(answer.headers.get("x-bm-ratelimit-reset"))
    if code == BANNED:
        wait_s = REFUSALS.per.total_seconds()
    if answer.retry_after_s is not None:
        wait_s = answer.retry_after_s
    return provider_error(ERRORS, message, code=code, status=answer.status, trace=trace, retry_after_s=wait_s)
