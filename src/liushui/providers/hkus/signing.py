"""How requests of this dialect are signed. The document names the three headers and gives no recipe."""

import hmac
from hashlib import sha256


def signature_of(*, secret: str, timestamp: str, method: str, path: str, query: str, body: bytes = b"") -> str:
    """The lower-case hex signature. `path` and `query` stand as on the wire; `timestamp` is in milliseconds."""
    target = f"{path}?{query}" if query else path
    message = f"{timestamp}{method}{target}".encode(errors="replace") + body
    return hmac.new(secret.encode(), message, sha256).hexdigest()


def signature_fits(header: str, signature: str) -> bool:
    """Whether an X-API-Signature value is that signature, in either case. Constant time in the signature."""
    return hmac.compare_digest(header.lower().encode(errors="replace"), signature.encode())
