"""Files in zip archives with AES encryption (WinZip's AE-1 and AE-2), which zipfile does not decrypt.

https://www.winzip.com/en/support/aes-encryption/
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import pbkdf2_hmac
from hmac import compare_digest
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_EXTRA: Final = 0x9901
_EXTRA_FORMAT: Final = struct.Struct("<H2sBH")
"""Version, vendor, strength, compression."""
_LOCAL_FORMAT: Final = struct.Struct("<26xHH")
"""The lengths of the name and of the extra field of a local header."""
_KEY_SIZES: Final = {1: 16, 2: 24, 3: 32}
"""Bytes of a key, by its strength."""
_ITERATIONS: Final = 1_000
_CHECK_SIZE: Final = 2
_TAG_SIZE: Final = 10
_BLOCK: Final = 16
_READ: Final = 64 * 1024 * _BLOCK


class WrongPassword(Exception):
    """The password does not fit the archive."""


class _Seal(NamedTuple):
    key_size: int
    compression: int


def read_parts(path: Path, member: zipfile.ZipInfo, password: bytes) -> Iterator[bytes]:
    """The content of a member, in pieces. It is only known to be whole after the last one.

    Raises WrongPassword, NotImplementedError for another compression than deflate, and zipfile.BadZipFile or zlib.error
    for a damaged archive.
    """
    seal = _seal_of(member)
    salt_size = seal.key_size // 2
    with path.open("rb") as file:
        file.seek(member.header_offset)
        name_length, extra_length = _LOCAL_FORMAT.unpack(file.read(_LOCAL_FORMAT.size))
        file.seek(name_length + extra_length, 1)
        salt, check = file.read(salt_size), file.read(_CHECK_SIZE)
        keys = pbkdf2_hmac("sha1", password, salt, _ITERATIONS, 2 * seal.key_size + _CHECK_SIZE)
        if not compare_digest(check, keys[-_CHECK_SIZE:]):
            raise WrongPassword
        left = member.compress_size - salt_size - _CHECK_SIZE - _TAG_SIZE
        tag = hmac.HMAC(keys[seal.key_size : -_CHECK_SIZE], hashes.SHA1())  # noqa: S303 - the format's own
        # The counter is little-endian, which CTR modes of libraries are not: its blocks are encrypted one by one.
        blocks = Cipher(algorithms.AES(keys[: seal.key_size]), modes.ECB()).encryptor()  # noqa: S305
        inflate, number = zlib.decompressobj(-zlib.MAX_WBITS), 1
        while left > 0:
            sealed = file.read(min(left, _READ))
            if not sealed:
                raise zipfile.BadZipFile("it ends too early")
            left -= len(sealed)
            tag.update(sealed)
            count = -(-len(sealed) // _BLOCK)
            stream = blocks.update(b"".join(n.to_bytes(_BLOCK, "little") for n in range(number, number + count)))
            number += count
            plain = _xor(sealed, stream[: len(sealed)])
            yield from [plain] if seal.compression == zipfile.ZIP_STORED else _inflated(inflate, plain)
        if seal.compression != zipfile.ZIP_STORED:
            yield inflate.flush()
        if not compare_digest(tag.finalize()[:_TAG_SIZE], file.read(_TAG_SIZE)):
            raise zipfile.BadZipFile(f"the check of {member.filename} fails")


def _seal_of(member: zipfile.ZipInfo) -> _Seal:
    """How a member is encrypted and compressed."""
    extra = member.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == _EXTRA and size == _EXTRA_FORMAT.size and len(extra) >= 4 + size:
            _, _, strength, compression = _EXTRA_FORMAT.unpack_from(extra, 4)
            if strength not in _KEY_SIZES or compression not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise NotImplementedError(f"strength {strength}, compression {compression}")
            return _Seal(_KEY_SIZES[strength], compression)
        extra = extra[4 + size :]
    raise zipfile.BadZipFile(f"{member.filename} does not say how it is encrypted")


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "little") ^ int.from_bytes(right, "little")).to_bytes(len(left), "little")


def _inflated(inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """Decompressed data, in pieces of a limited size, because a small input may become very large."""
    while data:
        yield inflate.decompress(data, _READ)
        data = inflate.unconsumed_tail
