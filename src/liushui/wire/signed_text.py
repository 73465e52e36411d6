"""Texts that only a server with a secret can make, such as cursors. They can be checked without storing them.

They contain only characters that need no URL encoding, so clients may encode them once, twice or not at all.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256


def sign_text(secret: str, purpose: str, payload: bytes, scope: bytes = b"") -> str:
    """`payload.signature`, both in Base64. The signature also covers the purpose and the scope."""
    message = b"\n".join((purpose.encode(), scope, payload))
    return f"{_base64(payload)}.{_base64(hmac.digest(secret.encode(), message, sha256))}"


def open_text(text: str, secret: str, purpose: str, scope: bytes = b"") -> bytes | None:
    """The payload of a signed text. None: it was not made with this secret, purpose and scope."""
    payload = claimed_payload(text)
    if payload is None:
        return None
    return payload if is_equal(text, sign_text(secret, purpose, payload, scope)) else None


def claimed_payload(text: str) -> bytes | None:
    """The payload of a signed text, unverified. None: it has none."""
    encoded = text.partition(".")[0]
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        return None


def is_equal(one: str, other: str) -> bool:
    """Whether two texts are equal, compared in constant time."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
