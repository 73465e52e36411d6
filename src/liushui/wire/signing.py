"""Request signatures that several dialects share."""

import hmac
from collections.abc import Mapping
from hashlib import sha1, sha256

SIGNED_HEADERS = ("authorization", "x-api-key", "x-timestamp")
"""What both generations of Longbridge sign, in this order."""

_SCHEME = "HMAC-SHA256"


def longbridge_signature(
    *,
    secret: str,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes = b"",
) -> str:
    """The lower-case hex signature. `path` and `query` stand as on the wire; `headers` has SIGNED_HEADERS."""
    values = "".join(f"{name}:{headers[name]}\n" for name in SIGNED_HEADERS)
    canonical = f"{method}|{path}|{query}|{values}|{';'.join(SIGNED_HEADERS)}|"
    if body:
        canonical += sha1(body, usedforsecurity=False).hexdigest()
    digest = sha1(canonical.encode(), usedforsecurity=False).hexdigest()
    return hmac.new(secret.encode(), f"{_SCHEME}|{digest}".encode(), sha256).hexdigest()


def longbridge_signature_header(signature: str) -> str:
    """The value of x-api-signature."""
    return f"{_SCHEME} SignedHeaders={';'.join(SIGNED_HEADERS)}, Signature={signature}"


def longbridge_signature_fits(header: str, signature: str) -> bool:
    """Whether an x-api-signature value carries that signature. Constant time in the signature."""
    expected = longbridge_signature_header(signature)
    return hmac.compare_digest(header.encode(), expected.encode())
