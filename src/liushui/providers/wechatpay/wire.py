"""WeChat Pay fund flow bills on the wire: paths, signatures, answers, documents. Names are the provider's."""

import re
import zlib
from hashlib import sha1
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from liushui.errors import AuthError, ProviderError, Untrustworthy, WireError, short_repr
from liushui.formats.wechatpay_fundflow import read_document
from liushui.providers.wechatpay.rules import ERRORS
from liushui.wire.decoding import check_lengths, excerpt
from liushui.wire.errors import decode_envelope, provider_error
from liushui.wire.rsa import is_signed
from liushui.wire.transport import BODY_MAX, Answer

BILL_PATH: Final = "/v3/bill/fundflowbill"
DOWNLOAD_PATH: Final = "/v3/billdownload/file"
SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"
SHA1: Final = "SHA1"
GZIP: Final = "GZIP"

_PART: Final = re.compile(r'([a-z_]+)="([^"]*)"')
_GZIP_MAGIC: Final = b"\x1f\x8b"
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{40}")


# ---------------------------------------------------------------- signatures


def request_message(method: str, target: str, timestamp: str, nonce: str, body: bytes = b"") -> bytes:
    """Return the text that the signature of a request covers. `target` is the path with the query, exactly as sent."""
    return b"".join(b"%b\n" % part for part in (*_encoded(method, target, timestamp, nonce), body))


def answer_message(timestamp: str, nonce: str, body: bytes) -> bytes:
    """Return the text that the signature of an answer covers."""
    return b"".join(b"%b\n" % part for part in (*_encoded(timestamp, nonce), body))


def _encoded(*texts: str) -> list[bytes]:
    return [text.encode(errors="replace") for text in texts]


class Authorization(NamedTuple):
    """The parts of an Authorization header."""

    mchid: str
    nonce_str: str
    signature: str
    timestamp: str
    serial_no: str

    def to_header(self) -> str:
        """Return the value of the header."""
        return f"{SCHEME} " + ",".join(f'{name}="{value}"' for name, value in self._asdict().items())


def parse_authorization(header: str) -> Authorization | None:
    """Return the parts of an Authorization header, in any order. Returns None if it is another header or lacks a
    part."""
    scheme, _, parts = header.partition(" ")
    values = dict(_PART.findall(parts))
    if scheme != SCHEME or not values.keys() >= set(Authorization._fields):
        return None
    return Authorization(*(values[name] for name in Authorization._fields))


def check_answer(answer: Answer, key: RSAPublicKey, key_id: str, *, now_s: int, age_max_s: int) -> None:
    """Raise WireError if an answer has no valid signature: anybody may have made such an answer.

    Raises AuthError if another key of the platform signed the answer: the platform has then replaced its key.
    """
    stated = {
        name: answer.headers.get(f"wechatpay-{name}", "") for name in ("timestamp", "nonce", "serial", "signature")
    }
    for name, value in stated.items():
        if not value:
            raise WireError(f"Wechatpay-{name.capitalize()}", "expected a signed answer, got one without this header")
    if stated["serial"] != key_id:
        signed = f"an answer is signed by the platform key {short_repr(stated['serial'])}"
        raise AuthError(f"{signed}, and the credentials have {short_repr(key_id)}: give the source the new key")
    if not is_signed(key, answer_message(stated["timestamp"], stated["nonce"], answer.body), stated["signature"]):
        raise WireError("Wechatpay-Signature", "expected the platform's signature of this answer, got another one")
    timestamp = stated["timestamp"]
    if not timestamp.isdecimal() or abs(int(timestamp[:12]) - now_s) > age_max_s:
        raise WireError("Wechatpay-Timestamp", f"expected a time within {age_max_s} s, got {short_repr(timestamp)}")


# ---------------------------------------------------------------- answers


class Link(msgspec.Struct):
    """Where a bill is, and the digest of the unpacked document."""

    hash_type: str
    hash_value: str
    download_url: str


class Problem(msgspec.Struct):
    """An error."""

    code: str | None = None
    message: str | None = None


_link = msgspec.json.Decoder(Link)
_problem = msgspec.json.Decoder(Problem)


def error_of(answer: Answer) -> ProviderError:
    """Return the error in an answer. Raises WireError or Unavailable if the answer is not one of this API's errors."""
    problem = decode_envelope(_problem, answer)
    return provider_error(ERRORS, problem.message, answer, code=problem.code)


def parse_link(answer: Answer) -> Link:
    """Return the address of a bill. Raises WireError. The caller has checked the signature."""
    link = decode_envelope(_link, answer)
    if link.hash_type != SHA1:
        raise WireError("hash_type", f"expected {SHA1}, got {short_repr(link.hash_type)}")
    if _DIGEST.fullmatch(link.hash_value) is None:
        raise WireError("hash_value", f"expected 40 hexadecimal digits, got {short_repr(link.hash_value)}")
    return link


def download_query(link: Link) -> str:
    """Return the query of a bill's address. The path is the same for all bills.

    The client sends it to its own base URL and never to a host that an answer names. Raises WireError.
    """
    try:
        parts = urlsplit(link.download_url)
    except ValueError as error:
        raise WireError("download_url", f"expected a URL, got {short_repr(link.download_url)}") from error
    if parts.scheme not in ("http", "https") or not parts.path.endswith(DOWNLOAD_PATH) or not parts.query:
        expected = f"expected a URL of {DOWNLOAD_PATH} with a query"
        raise WireError("download_url", f"{expected}, got {short_repr(link.download_url)}")
    if not parts.query.isascii() or not parts.query.isprintable() or " " in parts.query:
        raise WireError("download_url", f"expected a query in ASCII, got {short_repr(parts.query)}")
    return parts.query


def unpacked(document: bytes) -> bytes:
    """Return a document unpacked, whether or not it is packed. Raises WireError, or Untrustworthy if it is longer than
    BODY_MAX."""
    if not document.startswith(_GZIP_MAGIC):
        return document
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(document, BODY_MAX + 1)
    except zlib.error as error:
        raise WireError("document", f"expected a gzip file: {error}") from error
    if len(content) > BODY_MAX:
        raise Untrustworthy(f"a document is longer than {BODY_MAX // 1024**2} MiB, and was not read on")
    if not unpacker.eof or unpacker.unused_data:
        raise WireError("document", "expected a whole gzip file, got one that was cut off or goes on")
    return content


def check_digest(document: bytes, digest: str) -> None:
    """Raise WireError if an unpacked document does not have the stated digest."""
    got = digest_of(document)
    if got != digest.lower():
        raise WireError("hash_value", f"expected the document with the digest {digest}, got one with {got}")


def digest_of(document: bytes) -> str:
    """Return the SHA-1 of an unpacked document, as the API states it."""
    return sha1(document, usedforsecurity=False).hexdigest()


def rows_of(document: bytes, account_type: str) -> list[bytes]:
    """Return the rows of an unpacked document. Raises WireError, or Untrustworthy for a row that is too large."""
    try:
        text = document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WireError("document", f"expected UTF-8, got {excerpt(document)}: {error}") from error
    rows = read_document(text, account_type)
    check_lengths(rows)
    return rows
