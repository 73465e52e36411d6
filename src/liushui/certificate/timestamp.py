"""Time stamps of RFC 3161: an authority's signed statement that a certificate existed at a time."""

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from liushui.errors import CertificateError, ConfigError

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

TIMEOUT_S: Final = 30
ANSWER_BYTES_MAX: Final = 256 * 1024
GRANTED: Final = (0, 1)
"""The statuses of answers with a time stamp."""


def request_timestamp(url: str, note: bytes) -> bytes:
    """Ask the authority at `url` for a time stamp of a note, SHA-256 of all its bytes. Returns the answer in DER.

    Raises ConfigError if the package for it is not installed, or if `url` is not a URL. Raises CertificateError if the
    authority cannot be reached, refuses, or answers another request.
    """
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
    except ImportError as error:
        raise ConfigError("timestamp: expected the package rfc3161-client: pip install 'liushui[timestamp]'") from error
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"timestamp: expected http:// or https://, got {url!r}")
    request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = _post(url, request.as_bytes())
    response = _decode(answer, url)
    if response.status not in GRANTED:
        raise CertificateError(
            f"the authority at {url} refused to stamp the certificate: {', '.join(response.status_string)}"
        )
    info = response.tst_info
    # The authority's certificate is not checked here. People who rely on the stamp check it with `openssl ts -verify`.
    if info.message_imprint.message != sha256(note).digest() or info.nonce != request.nonce:
        raise CertificateError(f"the authority at {url} answered with a time stamp of something else")
    return answer


def stamped_at(answer: bytes) -> datetime:
    """Return the time in a time stamp. Raises CertificateError."""
    return _decode(answer, "the time stamp").tst_info.gen_time


def _decode(answer: bytes, source: str) -> "TimeStampResponse":
    from rfc3161_client import decode_timestamp_response

    try:
        return decode_timestamp_response(answer)
    except ValueError as error:
        raise CertificateError(f"{source} is not an answer of RFC 3161: {error}") from error


def _post(url: str, query: bytes) -> bytes:
    # Imported here: no other command of this area needs HTTP.
    import httpx2

    try:
        answer = httpx2.post(
            url, content=query, headers={"Content-Type": "application/timestamp-query"}, timeout=TIMEOUT_S
        )
    except httpx2.HTTPError as error:
        raise CertificateError(f"the authority at {url} cannot be reached: {error}") from error
    if not answer.is_success or len(answer.content) > ANSWER_BYTES_MAX:
        raise CertificateError(f"the authority at {url} answered with HTTP {answer.status_code}")
    return answer.content
