"""RSA keys of providers: their forms as text, signatures (RSASSA-PKCS1-v1_5 with SHA-256), and new pairs of keys.

A key is PEM text (PKCS #8, PKCS #1, or SubjectPublicKeyInfo), or only the base64 of its body, as some providers' key
tools export it. Line ends do not matter, because forms and environment variables lose them.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from math import lcm
from typing import Final, NamedTuple, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicKey,
    RSAPublicNumbers,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from cryptography.x509 import load_der_x509_certificate

from liushui.errors import InvalidField

BITS: Final = 2048
"""The length of the keys that we generate."""
EXPONENT: Final = 65537
KEYS_CACHED: Final = 256
SIGNATURES_CACHED: Final = 1_024

_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_ENCRYPTED_HEADER: Final = "Proc-Type:"
_FORMS: Final = {
    "CERTIFICATE": "a certificate",
    "CERTIFICATE REQUEST": "a certificate request",
    "ENCRYPTED PRIVATE KEY": "a private key with a password: remove the password with `openssl pkey`",
    "EC PRIVATE KEY": "an elliptic-curve key",
    "OPENSSH PRIVATE KEY": "an OpenSSH key",
    "PRIVATE KEY": "a private key (PKCS #8)",
    "RSA PRIVATE KEY": "a private key (PKCS #1)",
    "PUBLIC KEY": "a public key",
    "RSA PUBLIC KEY": "a public key (PKCS #1)",
}
"""Descriptions of PEM labels, for error texts."""

_PADDING: Final = PKCS1v15()
_DIGEST: Final = Prehashed(SHA256())
K = TypeVar("K")


class KeyPair(NamedTuple):
    """A private key (PKCS #8) and its public key (SubjectPublicKeyInfo), as PEM text."""

    private: str
    public: str


# ---------------------------------------------------------------- reading keys


@lru_cache(KEYS_CACHED)
def read_private_key(field: str, text: str, *, is_ours: bool = False) -> RSAPrivateKey:
    """The private key in a credential. Raises InvalidField that describes the input without showing the key.

    `is_ours`: this program generated the key. Then its primes are not checked, which would take a tenth of a second.
    """

    def load(der: bytes) -> object:
        return load_der_private_key(der, None, unsafe_skip_rsa_key_validation=is_ours)

    return _read(field, text, lambda key: key if isinstance(key, RSAPrivateKey) else None, "an RSA private key", load)


@lru_cache(KEYS_CACHED)
def read_public_key(field: str, text: str, *, takes_certificate: bool = False) -> RSAPublicKey:
    """Return the public key in a credential, or in a certificate if that is allowed. Raises InvalidField."""

    def load(der: bytes) -> object:
        try:
            return load_der_public_key(der)
        except ValueError:
            if not takes_certificate:
                raise
            return load_der_x509_certificate(der).public_key()

    expected = "an RSA public key or a certificate" if takes_certificate else "an RSA public key"
    return _read(field, text, lambda key: key if isinstance(key, RSAPublicKey) else None, expected, load)


def _read(
    field: str, text: str, chosen: Callable[[object], K | None], expected: str, load: Callable[[bytes], object]
) -> K:
    """The key in a text. `load` raises ValueError for invalid DER; `chosen` returns None for another kind of key."""
    label, body = _body_of(text)
    try:
        der = b64decode("".join(body.split()), validate=True)
    except (Base64Error, ValueError):
        der = b""
    try:
        loaded = load(der)
    except (ValueError, TypeError):  # TypeError: the key has a password
        loaded = None
    except Exception as error:  # an algorithm that the library does not support, such as a national standard
        raise InvalidField(field, expected, f"a key of another kind: {error}") from None
    if (key := chosen(loaded)) is not None:
        return key
    raise InvalidField(field, f"{expected} as PEM or base64 text", _describe(text, label, der, loaded))


def _body_of(text: str) -> tuple[str, str]:
    """Return the label of the first PEM block, and its base64. Without a block, the label is "" and the text is the
    base64."""
    block = _PEM.search(text)
    return ("", text) if block is None else (block[1], block[2])


def _describe(text: str, label: str, der: bytes, key: object) -> str:
    """Describe the input that is not a valid key."""
    if _ENCRYPTED_HEADER in text:
        return _FORMS["ENCRYPTED PRIVATE KEY"]
    if key is not None:
        return "a key that is not of RSA"
    form = _FORMS.get(label) or next((name for name, load in _LOADERS if _can(load, der)), "")
    if form:
        return form if der else f"{form} whose body is not base64"
    if "-----BEGIN" in text:
        return "a PEM block without its end, or of an unknown kind"
    if text.startswith(("/", "~", "./")) or text.endswith((".pem", ".txt", ".key")):
        return "what looks like the name of a file: name files with the suffix _file or _FILE"
    return f"{len(text)} characters that are no key"


_LOADERS: Final[Sequence[tuple[str, Callable[[bytes], object]]]] = (
    ("the base64 of a private key", lambda der: load_der_private_key(der, None)),
    ("the base64 of a public key", load_der_public_key),
    ("the base64 of a certificate", load_der_x509_certificate),
)


def _can(load: Callable[[bytes], object], der: bytes) -> bool:
    try:
        load(der)
    except Exception:
        return False
    return True


# ---------------------------------------------------------------- signatures


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """The signature of a message, as base64. Equal messages have equal signatures."""
    return _signature(key, sha256(message).digest())


@lru_cache(SIGNATURES_CACHED)
def _signature(key: RSAPrivateKey, digest: bytes) -> str:
    return b64encode(key.sign(digest, _PADDING, _DIGEST)).decode()


def is_signed(key: RSAPublicKey, message: bytes | memoryview, signature: str) -> bool:
    """Whether a base64 signature of a message was made by the other half of a key."""
    try:
        key.verify(b64decode(signature, validate=True), sha256(message).digest(), _PADDING, _DIGEST)
    except (InvalidSignature, Base64Error, ValueError):
        return False
    return True


# ---------------------------------------------------------------- new pairs


def new_key_pair() -> KeyPair:
    """Generate a pair of keys from the system's random numbers. It takes about a tenth of a second."""
    return _to_text(generate_private_key(EXPONENT, BITS))


P_BASE: Final = 7 << 1021
P_OFFSETS: Final = (
    *(309, 1487, 2295, 2517, 3309, 5703, 6687, 8037, 9315, 9363, 9647, 10767),
    *(10797, 11079, 11355, 11397, 11609, 11979, 12113, 13163, 13473, 13707, 13749, 14765),
)
Q_BASE: Final = 3 << 1022
Q_OFFSETS: Final = (
    *(1037, 1697, 1937, 2087, 2197, 3031, 3727, 5111, 5209, 8329, 8401, 9661),
    *(10421, 10519, 11789, 12409, 13717, 14027, 14237, 14257, 14725, 16351, 16831, 16951),
)
"""P_BASE and Q_BASE plus each of these is a prime. The primes of simulated keys, which are public."""


def simulated_key_pair(random_bytes: Callable[[int], bytes]) -> KeyPair:
    """Return one of 576 public pairs of keys, for simulated accounts and tests. It protects nothing.

    It is determined by two random bytes, and takes a millisecond, because no prime has to be searched.
    """
    first, second = random_bytes(2)
    return _known_pair(P_BASE + P_OFFSETS[first % len(P_OFFSETS)], Q_BASE + Q_OFFSETS[second % len(Q_OFFSETS)])


@lru_cache(len(P_OFFSETS) * len(Q_OFFSETS))
def _known_pair(p: int, q: int) -> KeyPair:
    d = pow(EXPONENT, -1, lcm(p - 1, q - 1))
    public = RSAPublicNumbers(EXPONENT, p * q)
    numbers = RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return _to_text(numbers.private_key(unsafe_skip_rsa_key_validation=True))


def _to_text(key: RSAPrivateKey) -> KeyPair:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private.decode().strip(), public.decode().strip())
