"""Access tokens and cursors: what the server hands out signed with a key's secret, so that it has to keep neither.

Any process that knows the key can check them. Pure.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import NamedTuple

import msgspec

from liushui.provider import Key
from liushui.wire.decoding import DECODE_ERRORS

Bound = tuple[int, int, str]
"""What a cursor is bound to: begin_time, end_time and mch_id."""

_claim_of = msgspec.json.Decoder(tuple[str, int]).decode
_encode = msgspec.json.Encoder().encode


class Session(NamedTuple):
    """What an access token names: a key, and the instant that its session began."""

    public: str
    began_us: int


def access_token(key: Key, began_us: int) -> str:
    """The token of a key's session. It has no character that a query would encode."""
    return _signed(key, "access_token", _encode((key.public, began_us)))


def session_claimed(token: str) -> Session | None:
    """What a token says, whoever made it. None: none of ours ever said so."""
    payload = _payload(token)
    try:
        return None if payload is None else Session(*_claim_of(payload))
    except DECODE_ERRORS:
        return None


def is_access_token(token: str, key: Key, session: Session) -> bool:
    """Whether this is the key's own token of that session. Constant time in the signature."""
    return hmac.compare_digest(token.encode(), access_token(key, session.began_us).encode())


def cursor(key: Key, place: str, bound: Bound) -> str:
    """The cursor for the rows after a place, of one key and for what it asked."""
    return _cursor(key, place.encode(), bound)


def place_of(text: str, key: Key, bound: Bound) -> str | None:
    """The place in a cursor. None: it was not given to this key for what it asks."""
    payload = _payload(text)
    if payload is None or not hmac.compare_digest(text.encode(), _cursor(key, payload, bound).encode()):
        return None
    return payload.decode()


def _cursor(key: Key, payload: bytes, bound: Bound) -> str:
    return _signed(key, "cursor", payload, _encode(bound))


def _signed(key: Key, purpose: str, payload: bytes, bound_to: bytes = b"") -> str:
    """The payload and, after a dot, the signature over it and what it is bound to."""
    message = b"\n".join((purpose.encode(), bound_to, payload))
    digest = hmac.digest(key.credentials["corpsecret"].encode(), message, sha256)
    return f"{_text(payload)}.{_text(digest)}"


def _payload(signed: str) -> bytes | None:
    """What stands before the dot, decoded."""
    text = signed.partition(".")[0]
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
