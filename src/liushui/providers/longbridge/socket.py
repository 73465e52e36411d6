"""Longbridge's WebSocket, as far as `longport` 3.x needs it before it makes HTTP calls: authentication only.

A request frame: byte 0 with type 1 in its low nibble; a command byte; u32 request id; u16 timeout in ms; u24 length of
the body; the body, protobuf. A response frame: type 2; the command; the request id; u8 status; u24 length; the body.

Passwords and sessions are signed with the key's secret and not stored. Any process that can read the keys can check
them.
"""

import hmac
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from liushui.instant import to_us
from liushui.provider import FlowReader, Key
from liushui.providers.longbridge.rules import NAME

REQUEST, RESPONSE = 1, 2
AUTH, RECONNECT = 2, 3
OK, BAD_REQUEST, UNAUTHENTICATED = 0, 3, 5
HEADER_BYTES: Final = 11
FRAME_MAX: Final = 64 * 1024
"""In bytes."""

PASSWORD_LIFE: Final = timedelta(minutes=5)
SESSION_LIFE: Final = timedelta(hours=24)


def one_time_password(key: Key, now: datetime) -> str:
    """Return a password that opens one socket and is valid for PASSWORD_LIFE."""
    return _signed(key, "otp", now + PASSWORD_LIFE)


class LongbridgeSocket:
    """Answers the frames of a client that authenticates."""

    def reply(self, frame: bytes, reader: FlowReader) -> bytes | None:
        """Return the response frame, or None if the frame is not a request."""
        if not HEADER_BYTES <= len(frame) <= FRAME_MAX or frame[0] & 0x0F != REQUEST:
            return None
        command, request_id = frame[1], frame[2:6]
        length = int.from_bytes(frame[8:HEADER_BYTES], "big")
        body = frame[HEADER_BYTES : HEADER_BYTES + length]
        status, answer = _authenticated(command, body, reader)
        return bytes([RESPONSE, command]) + request_id + bytes([status]) + len(answer).to_bytes(3, "big") + answer


def _authenticated(command: int, body: bytes, reader: FlowReader) -> tuple[int, bytes]:
    if command not in (AUTH, RECONNECT):
        return BAD_REQUEST, _error(BAD_REQUEST, f"command {command} is not served here")
    try:
        token = next((value for number, value in _fields(body) if number == 1), b"").decode()
    except ValueError:
        return BAD_REQUEST, _error(BAD_REQUEST, "the body is not the expected protobuf message")
    key = _find_key(token, "otp" if command == AUTH else "session", reader)
    if key is None:
        return UNAUTHENTICATED, _error(UNAUTHENTICATED, "token expired or invalid")
    expires = reader.now() + SESSION_LIFE
    session = _signed(key, "session", expires).encode()
    return OK, _bytes_field(1, session) + b"\x10" + _varint(to_us(expires) // 1000)


def _signed(key: Key, purpose: str, expires: datetime) -> str:
    claim = f"{key.public}.{to_us(expires) // 1_000_000}"
    return f"{claim}.{_seal(key, purpose, claim)}"


def _seal(key: Key, purpose: str, claim: str) -> str:
    return hmac.new(key.credentials["app_secret"].encode(), f"{purpose}|{claim}".encode(), sha256).hexdigest()


def _find_key(token: str, purpose: str, reader: FlowReader) -> Key | None:
    """Return the key to which a password or session belongs. Returns None if it is forged or expired."""
    public, _, rest = token.partition(".")
    expires, _, seal = rest.partition(".")
    key = reader.find_key(NAME, public)
    if key is None or not expires.isascii() or not expires.isdigit() or len(expires) > 12:
        return None
    if not hmac.compare_digest(seal.encode(), _seal(key, purpose, f"{public}.{expires}").encode()):
        return None
    now = reader.now()
    if key.expires_at is not None and now >= key.expires_at:
        return None
    return key if to_us(now) // 1_000_000 < int(expires) else None


# ---------------------------------------------------------------- the part of protobuf that these messages use


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _error(code: int, message: str) -> bytes:
    return b"\x08" + _varint(code) + _bytes_field(2, message.encode())


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Return the length-delimited fields of a message, by number. Other fields are skipped. Raises ValueError."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        if tag & 7 == 2:
            length, position = _read_varint(message, position)
            if position + length > len(message):
                raise ValueError("a field runs past the end")
            yield tag >> 3, message[position : position + length]
            position += length
        elif tag & 7 == 0:
            _, position = _read_varint(message, position)
        else:
            raise ValueError(f"wire type {tag & 7} is not expected")


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a number, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("a number runs past the end")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number is too long")
