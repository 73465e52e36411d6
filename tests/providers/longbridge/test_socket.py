"""Longbridge's WebSocket frames as a function: authentication, and a legal answer to any bytes."""

from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.instant import to_us
from liushui.provider import Key
from liushui.providers.longbridge import PROVIDER
from liushui.providers.longbridge.socket import LongbridgeSocket, one_time_password
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.longbridge.caller import Caller

AUTH, RECONNECT = 2, 3
OK, BAD_REQUEST, UNAUTHENTICATED = 0, 3, 5
SOCKET = LongbridgeSocket()


def frame(body: bytes, *, command: int = AUTH, request_id: int = 1, kind: int = 1) -> bytes:
    """A request as official clients frame it: 10 s to answer."""
    head = bytes([kind, command]) + request_id.to_bytes(4, "big") + (10_000).to_bytes(2, "big")
    return head + len(body).to_bytes(3, "big") + body


def asking(text: str) -> bytes:
    """The message of an authentication: field 1, and a map that is passed over."""
    value = text.encode()
    return bytes([0x0A, *varint(len(value))]) + value + bytes([0x12, 4]) + b"\x0a\x02ab"


def varint(number: int) -> list[int]:
    return [number] if number < 0x80 else [number & 0x7F | 0x80, *varint(number >> 7)]


class Replied(NamedTuple):
    """An answer, taken apart."""

    command: int
    request_id: int
    status: int
    body: bytes


def taken_apart(answer: bytes | None) -> Replied:
    assert answer is not None
    assert answer[0] == 2
    assert int.from_bytes(answer[7:10], "big") == len(answer) - 10
    return Replied(answer[1], int.from_bytes(answer[2:6], "big"), answer[6], answer[10:])


class Session(NamedTuple):
    """What an authentication answers."""

    id: str
    expires_ms: int


def session_of(body: bytes) -> Session:
    assert body[0] == 0x0A
    length, at = read_varint(body, 1)
    text, rest = body[at : at + length].decode(), body[at + length :]
    assert rest[0] == 0x10
    expires, end = read_varint(rest, 1)
    assert end == len(rest)
    return Session(text, expires)


def read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at


def password(caller: Caller) -> str:
    path = "/v1/socket/token"
    token: str = caller.send(caller.signed("", path=path, route=path)).data["otp"]
    return token


# ---------------------------------------------------------------- who is let in


def test_a_password_opens_a_session(caller: Caller) -> None:
    answer = taken_apart(SOCKET.reply(frame(asking(password(caller)), request_id=0xDEADBEEF), caller.reader))
    assert answer[:3] == (AUTH, 0xDEADBEEF, OK)
    session = session_of(answer.body)
    assert session.expires_ms == to_us(caller.clock() + timedelta(hours=24)) // 1000
    again = taken_apart(SOCKET.reply(frame(asking(session.id), command=RECONNECT), caller.reader))
    assert (again.status, session_of(again.body).expires_ms) == (OK, session.expires_ms)


def status(text: str, reader: MemoryReader, command: int = AUTH) -> int:
    return taken_apart(SOCKET.reply(frame(asking(text), command=command), reader)).status


def test_a_password_is_good_for_five_minutes(caller: Caller, clock: MovableClock) -> None:
    token = password(caller)
    clock.move(timedelta(seconds=299))
    assert status(token, caller.reader) == OK
    clock.move(timedelta(seconds=1))
    assert status(token, caller.reader) == UNAUTHENTICATED


def test_a_password_and_a_session_are_two_things(caller: Caller) -> None:
    token = password(caller)
    session = session_of(taken_apart(SOCKET.reply(frame(asking(token)), caller.reader)).body)
    assert status(token, caller.reader, RECONNECT) == UNAUTHENTICATED
    assert status(session.id, caller.reader, AUTH) == UNAUTHENTICATED


@pytest.mark.parametrize("change", ["", ".", "..", "x", "{}x", "x{}", "{}.x"])
def test_what_is_not_a_password(caller: Caller, change: str) -> None:
    assert status(change.format(password(caller)), caller.reader) == UNAUTHENTICATED


def test_a_password_cannot_be_made_to_last(caller: Caller) -> None:
    public, expires, seal = password(caller).split(".")
    assert status(f"{public}.{int(expires) + 1}.{seal}", caller.reader) == UNAUTHENTICATED
    assert status(f"{public}.{'9' * 13}.{seal}", caller.reader) == UNAUTHENTICATED
    assert status(f"{public}.١.{seal}", caller.reader) == UNAUTHENTICATED


def test_a_password_ends_with_its_key(caller: Caller, reader: MemoryReader) -> None:
    token = password(caller)
    reader.revoke(caller.key)
    assert status(token, reader) == UNAUTHENTICATED


@pytest.mark.parametrize(("left_s", "expected"), [(61, OK), (60, UNAUTHENTICATED)])
def test_a_password_ends_when_its_key_expires(
    reader: MemoryReader, clock: MovableClock, left_s: int, expected: int
) -> None:
    key: Key = reader.create_key(PROVIDER, "trader-1", expires_at=clock() + timedelta(seconds=left_s))
    token = one_time_password(key, clock())
    clock.move(timedelta(seconds=60))
    assert status(token, reader) == expected


# ---------------------------------------------------------------- any bytes


@pytest.mark.parametrize(
    ("body", "command"),
    [
        (b"", 1),
        (b"", 16),
        (b"\x0a\x7f", AUTH),
        (b"\x0a", AUTH),
        (b"\x0a\x01\xff", AUTH),
        (b"\x0d\x00\x00\x00\x00", AUTH),
        (b"\xff" * 12, AUTH),
    ],
)
def test_what_cannot_be_understood_is_told(caller: Caller, body: bytes, command: int) -> None:
    answer = taken_apart(SOCKET.reply(frame(body, command=command), caller.reader))
    assert answer.status == BAD_REQUEST
    assert answer.body.startswith(bytes([0x08, BAD_REQUEST, 0x12]))


@pytest.mark.parametrize("bad", [b"", b"\x01\x02", frame(b"", kind=2), frame(b"", kind=0), b"\x01" * 65_537])
def test_what_is_not_a_request_ends_the_conversation(caller: Caller, bad: bytes) -> None:
    assert SOCKET.reply(bad, caller.reader) is None


def test_a_client_may_say_that_it_packs_and_signs(caller: Caller) -> None:
    """Flags in the high nibble of the first byte, which this conversation has no use for."""
    assert taken_apart(SOCKET.reply(frame(asking(password(caller)), kind=0x11), caller.reader)).status == OK


READER = MemoryReader(MovableClock())
KEY = READER.create_key(PROVIDER, "trader-1")
_texts = st.sampled_from([one_time_password(KEY, READER.now()), f"{KEY.public}.1.x"]) | st.text(max_size=40)


@settings(max_examples=500)
@given(
    whole=st.binary(max_size=80)
    | st.builds(
        lambda body, command, request_id, cut, more: frame(body, command=command, request_id=request_id)[cut:] + more,
        st.binary(max_size=40) | _texts.map(asking),
        st.integers(0, 255) | st.sampled_from([AUTH, RECONNECT]),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0, 0, 0, 1, 5]),
        st.binary(max_size=3),
    )
)
def test_any_frame_has_a_legal_answer_or_none(whole: bytes) -> None:
    answer = SOCKET.reply(whole, READER)
    if answer is None:
        assert len(whole) < 11 or whole[0] & 0x0F != 1
        return
    replied = taken_apart(answer)
    assert (replied.command, replied.request_id) == (whole[1], int.from_bytes(whole[2:6], "big"))
    assert replied.status in (OK, BAD_REQUEST, UNAUTHENTICATED)
    if replied.status == OK:
        assert session_of(replied.body).id.startswith(KEY.public)
