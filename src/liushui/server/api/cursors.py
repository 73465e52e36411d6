"""Cursors: places that only we can have named, each for one question of one caller. Nobody reads them but we."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from typing import Final, TypeVar

import msgspec

from liushui.errors import short_repr
from liushui.ledger.access.vault import shared_secret
from liushui.ledger.engine import Ledger
from liushui.server.api.errors import ProblemError, invalid_parameter

_MARK_BYTES: Final = 16
EXPECTED: Final = "a cursor that this query was given"

T = TypeVar("T")


def cursor(ledger: Ledger, about: str, place: object) -> str:
    """The cursor of a place. `about` is what it is for: of another question, or another caller, it is refused."""
    body = msgspec.msgpack.encode(place)
    return urlsafe_b64encode(_mark(ledger, about, body) + body).decode().rstrip("=")


def place_of(ledger: Ledger, about: str, text: str, type_: type[T], parameter: str = "cursor") -> T:
    """The place that a cursor names. Raises ProblemError where it was not given for this."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise _foreign(parameter, text) from None
    mark, body = raw[:_MARK_BYTES], raw[_MARK_BYTES:]
    if not hmac.compare_digest(mark, _mark(ledger, about, body)):
        raise _foreign(parameter, text)
    return msgspec.msgpack.decode(body, type=type_)


def key_of(account: str, at_us: int, id_: str) -> str:
    """What names a flow: its key in the ledger, fit for a URL. It is no secret, and opens nothing."""
    return urlsafe_b64encode(msgspec.msgpack.encode((account, at_us, id_))).decode().rstrip("=")


def flow_of(key: str) -> tuple[str, int, str] | None:
    """The account, time and id that a key names; None where it names nothing."""
    try:
        raw = urlsafe_b64decode(key + "=" * (-len(key) % 4))
        found = msgspec.msgpack.decode(raw, type=tuple[str, int, str])
    except (ValueError, msgspec.MsgspecError):
        return None
    return found if key_of(*found) == key and -(2**62) < found[1] < 2**62 else None


def _foreign(parameter: str, text: str) -> ProblemError:
    return invalid_parameter(parameter, EXPECTED, short_repr(text))


def _mark(ledger: Ledger, about: str, body: bytes) -> bytes:
    return hmac.digest(_secret(ledger), about.encode() + b"\0" + body, "sha256")[:_MARK_BYTES]


@lru_cache(maxsize=8)
def _secret(ledger: Ledger) -> bytes:
    return shared_secret(ledger, "cursors")
