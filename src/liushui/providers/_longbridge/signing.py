"""How a request to Longbridge is signed: HMAC-SHA256 over its method, path, query, three headers, and body."""

import hmac
import time
from collections.abc import Mapping
from hashlib import sha1

from liushui.wire.transport import check_header_value

SIGNED_HEADERS = ("authorization", "x-api-key", "x-timestamp")
"""What both generations sign, in this order."""

_SCHEME = "HMAC-SHA256"
_NAMES = ";".join(SIGNED_HEADERS)
_HEADER = f"{_SCHEME} SignedHeaders={_NAMES}, Signature="


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
    values = "".join([f"{name}:{headers[name]}\n" for name in SIGNED_HEADERS])
    canonical = f"{method}|{path}|{query}|{values}|{_NAMES}|"
    if body:
        canonical += sha1(body, usedforsecurity=False).hexdigest()
    digest = sha1(canonical.encode(), usedforsecurity=False).hexdigest()
    return hmac.digest(secret.encode(), f"{_SCHEME}|{digest}".encode(), "sha256").hex()


def longbridge_signature_header(signature: str) -> str:
    """The value of x-api-signature."""
    return _HEADER + signature


def longbridge_signature_fits(header: str, signature: str) -> bool:
    """Whether an x-api-signature value carries that signature. Constant time in the signature."""
    expected = longbridge_signature_header(signature)
    return hmac.compare_digest(header.encode(), expected.encode())


class Signer:
    """Signs requests with one credential and the time of this machine.

    Raises ConfigError for a credential that no header can hold.
    """

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self._key = check_header_value("app_key", credentials["app_key"])
        self._token = check_header_value("access_token", credentials["access_token"])
        self._secret = credentials["app_secret"]

    def headers(self, method: str, path: str, *, query: str, body: bytes) -> dict[str, str]:
        """The headers that a request needs, signed now. `path` is the whole of it, mount prefix included."""
        headers = {"x-api-key": self._key, "authorization": self._token, "x-timestamp": str(int(time.time()))}
        signature = longbridge_signature(
            secret=self._secret, method=method, path=path, query=query, headers=headers, body=body
        )
        return {**headers, "x-api-signature": longbridge_signature_header(signature)}
