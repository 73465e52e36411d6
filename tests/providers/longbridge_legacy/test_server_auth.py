"""Authentication of the first draft: the body is signed too, and the document has one code for every refusal."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from liushui.http import Request
from liushui.provider import Key
from liushui.providers import longbridge
from liushui.providers._longbridge.wire import SIGNED_HEADERS
from liushui.providers.longbridge_legacy import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.longbridge.caller import seconds
from tests.providers.longbridge.rows import wire
from tests.providers.longbridge_legacy.caller import EVER, FORBIDDEN, NOT_FOUND, PATH, Caller, answered
from tests.providers.longbridge_legacy.rows import row

BODY = json.dumps(EVER).encode()

CAPTURED = Request(
    "POST",
    PATH,
    "x=1",
    {
        "x-api-key": "ak",
        "authorization": "at",
        "x-timestamp": "1795228104",
        "x-api-signature": "HMAC-SHA256 SignedHeaders=authorization;x-api-key;x-timestamp, "
        "Signature=73b98afe2cf2e4a928d9b27c4a7b107a60ad10fda962c00a473b7a614c678ecb",
        "content-type": "application/json",
    },
    b'{"start_time":1,"symbol":"AAPL.US"}',
    PATH,
    "t",
)
"""What the generic client of `longbridge` 5.3.0 sent with the key ak, the secret as and the token at."""


def test_an_official_clients_signature_is_accepted() -> None:
    """Its body lacks what is required: that is said only to somebody whose signature is good."""
    reader = MemoryReader(lambda: datetime.fromtimestamp(1795228104, UTC))
    credentials = {"app_key": "ak", "app_secret": "as", "access_token": "at"}
    reader.add_key(Key("ak", PROVIDER.name, ("trader-1",), credentials))
    assert answered(CAPTURED, reader).message == "bad request: end_time: expected, but missing"
    for signed in ("method", "path", "query"):
        other = CAPTURED._replace(**{signed: getattr(CAPTURED, signed) + "x"})
        assert answered(other, reader).said in (FORBIDDEN, NOT_FOUND)
    answer = answered(CAPTURED._replace(body=CAPTURED.body + b" "), reader)
    assert (answer.said, answer.message) == (FORBIDDEN, "request forbidden: signature invalid")


def test_the_body_is_signed_to_the_byte(caller: Caller) -> None:
    request = caller.signed(BODY)
    assert caller.send(request).rows == []
    for same in (BODY + b" ", BODY.replace(b": ", b":"), b"", BODY.replace(b"50", b"51")):
        assert caller.send(request._replace(body=same)).said == FORBIDDEN


@pytest.mark.parametrize("path", [f"/{PATH}", f"/dialect/longbridge_legacy{PATH}"])
def test_the_whole_path_is_signed(caller: Caller, path: str) -> None:
    assert caller.send(caller.signed(BODY, path=path)).rows == []
    assert caller.send(caller.signed(BODY, path=path)._replace(path=PATH)).said == FORBIDDEN


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("app_key", "apikey illegal"),
        ("app_secret", "signature invalid"),
        ("access_token", "token expired or invalid"),
    ],
)
@pytest.mark.parametrize("wrong", ["", "wrong", "é"])
def test_each_field_of_a_credential_counts(caller: Caller, field: str, message: str, wrong: str) -> None:
    """document: 403 1470403 request forbidden 一般可能是因为操作者没有操作权限"""
    credentials = {**caller.key.credentials, field: wrong}
    answer = Caller(caller.reader, caller.clock, Key(credentials["app_key"], PROVIDER.name, (), credentials)).ask()
    assert (answer.said, answer.message) == (FORBIDDEN, f"request forbidden: {message}")


@pytest.mark.parametrize("name", [*SIGNED_HEADERS, "x-api-signature"])
def test_a_header_that_is_missing(caller: Caller, name: str) -> None:
    """document: Authorization 必须 是"""
    request = caller.signed(BODY)
    headers = {known: value for known, value in request.headers.items() if known != name}
    assert caller.send(request._replace(headers=headers)).said == FORBIDDEN


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json; charset=utf-8"])
def test_the_content_type_is_not_insisted_on(caller: Caller, content_type: str) -> None:
    """document: Content-Type **固定值**："application/json; charset=utf-8" """
    assert caller.send(caller.signed(BODY, headers={"content-type": content_type})).rows == []


@pytest.mark.parametrize(("off_s", "good"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_clock_that_is_off(caller: Caller, off_s: int, good: bool) -> None:
    answer = caller.send(caller.signed(BODY, timestamp=seconds(caller.clock() + timedelta(seconds=off_s))))
    assert (answer.status == 200) is good
    assert good or answer.message == "request forbidden: signature invalid: x-timestamp is 301 s off"


def test_a_request_grows_stale(caller: Caller, clock: MovableClock) -> None:
    request = caller.signed(BODY)
    clock.move(timedelta(seconds=300, microseconds=999_999))
    assert caller.send(request).rows == []
    clock.move(timedelta(microseconds=1))
    assert caller.send(request).said == FORBIDDEN


def test_a_token_ends_when_its_key_does(reader: MemoryReader, clock: MovableClock) -> None:
    key = reader.create_key(PROVIDER, "trader-1", expires_at=clock() + timedelta(seconds=10))
    caller = Caller(reader, clock, key)
    clock.move(timedelta(seconds=9, microseconds=999_999))
    assert caller.ask().rows == []
    clock.move(timedelta(microseconds=1))
    answer = caller.ask()
    assert (answer.said, answer.message) == (FORBIDDEN, "request forbidden: token expired")


def test_a_revoked_key(caller: Caller, reader: MemoryReader) -> None:
    reader.revoke(caller.key)
    assert caller.ask().said == FORBIDDEN


def test_a_key_of_the_other_generation(caller: Caller, reader: MemoryReader) -> None:
    other = reader.create_key(longbridge.PROVIDER, "trader-1")
    assert Caller(reader, caller.clock, other).ask().said == FORBIDDEN


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", BODY])
def test_nothing_is_said_to_somebody_without_a_key(reader: MemoryReader, body: bytes) -> None:
    answer = answered(Request("POST", PATH, "", {}, body, PATH, "t"), reader)
    assert (answer.said, answer.message) == (FORBIDDEN, "request forbidden: apikey illegal")


def test_a_key_reads_its_own_accounts(caller: Caller, reader: MemoryReader) -> None:
    reader.add_rows("trader-2", PROVIDER, [wire(row())])
    assert caller.ask().rows == []
    assert len(Caller(reader, caller.clock, reader.create_key(PROVIDER, "trader-1", "trader-2")).ask().rows) == 1
