"""Signed notes with Ed25519, as C2SP specifies them: https://c2sp.org/signed-note. Pure.

A note is a text, an empty line, and signature lines of the form `— NAME BASE64`. BASE64 encodes the key's ID and the
signature.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from liushui.errors import CertificateError, InvalidField, short_repr

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ED25519: Final = b"\x01"
"""The signature type of Ed25519."""
_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32
_SIGNATURES_MAX: Final = 16
_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_LINE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+=*)")


@dataclass(frozen=True)
class VerifierKey:
    """The public part of a signing key. `name` should be a URL without its scheme, such as `example.com/ledger`."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """The key in `NAME+ID+BASE64`, C2SP's text form. Raises InvalidField."""
        name, _, rest = text.partition("+")
        encoded = rest.partition("+")[2]
        try:
            material = b64decode(encoded, validate=True)
        except (Base64Error, ValueError):
            material = b""
        key = cls(name, material[1:])
        if not _NAME.fullmatch(name) or material[:1] != _ED25519 or len(material) != 1 + _KEY_BYTES or str(key) != text:
            expected = f"a verifier key such as example.com/ledger+{'0' * 8}+A…, as `certificate key show` prints it"
            raise InvalidField("key", expected, short_repr(text)) from None
        return key

    @property
    def id(self) -> bytes:
        """The first four bytes of the digest of name, signature type and key."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.label}+{b64encode(_ED25519 + self.public).decode()}"

    @property
    def label(self) -> str:
        """The name and ID, which distinguish keys in messages."""
        return f"{self.name}+{self.id.hex()}"

    def is_signature(self, signature: bytes, text: bytes) -> bool:
        """Whether this key made a signature of a text."""
        # Imported here: most commands check no signature, and the import takes a while.
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A key that signs notes. `seed` is the 32 bytes of RFC 8032's private key."""

    name: str
    seed: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            expected = "a name without spaces and plus signs, such as example.com/ledger"
            raise InvalidField("name", expected, short_repr(self.name))

    @property
    def verifier(self) -> VerifierKey:
        """Its public key."""
        return VerifierKey(self.name, self._key().public_key().public_bytes_raw())

    def sign(self, text: bytes) -> bytes:
        """The note of a text, which ends with a line break."""
        if not text.endswith(b"\n") or any(byte < 0x20 and byte != 0x0A for byte in text):
            raise ValueError("the text of a note ends with a line break, and has no other control character")
        signature = b64encode(self.verifier.id + self._key().sign(text)).decode()
        return text + f"\n— {self.name} {signature}\n".encode()

    def _key(self) -> "Ed25519PrivateKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed)


def open_note(note: bytes, keys: Sequence[VerifierKey]) -> tuple[bytes, VerifierKey]:
    """The text of a note, and the first of the keys that signed it. Raises CertificateError if none of them did."""
    text, signatures = _split(note)
    signers = {(key.name, key.id): key for key in keys}
    for name, blob in signatures:
        key = signers.get((name, blob[:_ID_BYTES]))
        if key is not None:
            if not key.is_signature(blob[_ID_BYTES:], text):
                raise CertificateError(f"it was changed after {key.label} signed it")
            return text, key
    signed_by = ", ".join(f"{name}+{blob[:_ID_BYTES].hex()}" for name, blob in signatures)
    known = ", ".join(key.label for key in keys) or "none"
    raise CertificateError(
        f"it is signed by {signed_by}, and the keys that are known here are {known}: "
        "name the signer's key with --key, if you trust it"
    )


def _split(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The text of a note, and its signatures by name. Raises CertificateError if it is not a signed note."""
    end = note.rfind(b"\n\n") + 1
    try:
        lines = note[end + 1 :].decode().split("\n")
    except UnicodeDecodeError as error:
        raise CertificateError(f"it is not a signed note: {error}") from error
    if end == 0 or lines.pop() or not 1 <= len(lines) <= _SIGNATURES_MAX:
        raise CertificateError("it is not a signed note: expected a text, an empty line and signatures")
    signatures = []
    for line in lines:
        match = _LINE.fullmatch(line)
        blob = b64decode(match[2] + "==") if match else b""
        # Only one spelling is accepted: lenient base64 decoding would not notice some changed bytes.
        if match is None or b64encode(blob).decode() != match[2] or len(blob) <= _ID_BYTES:
            raise CertificateError(f"it is not a signed note: expected a signature line, got {short_repr(line)}")
        signatures.append((match[1], blob))
    return note[:end], signatures
