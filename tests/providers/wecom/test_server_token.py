"""Authentication: corp ids, secrets and access tokens, each at the limits of its lifetime."""

from datetime import timedelta
from typing import Final

import pytest

from liushui.http import Request
from liushui.providers.wecom import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits, MemoryReader
from tests.providers.wecom.caller import GET_TOKEN, Caller, answered

MICROSECOND: Final = timedelta(microseconds=1)

# ---------------------------------------------------------------- gettoken


def test_a_token_is_given(caller: Caller) -> None:
    answer = caller.get_token()
    assert (answer.errcode, answer.errmsg) == (0, "ok")
    assert list(answer.members) == ["access_token", "expires_in"]
    assert answer.members["expires_in"] == 7200
    assert caller.key.credentials["corpsecret"] not in answer.members["access_token"]


@pytest.mark.parametrize(
    ("changes", "errcode", "errmsg"),
    [
        ({"corpid": None}, 41002, "corpid missing"),
        ({"corpid": ""}, 41002, "corpid missing"),
        ({"corpid": None, "corpsecret": None}, 41002, "corpid missing"),
        ({"corpsecret": None}, 41004, "corpsecret missing"),
        ({"corpsecret": ""}, 41004, "corpsecret missing"),
        ({"corpid": "nobody"}, 40013, "invalid corpid"),
        ({"corpid": "流水"}, 40013, "invalid corpid"),
        ({"corpsecret": "wrong"}, 40001, "invalid credential"),
        ({"corpsecret": "流水"}, 40001, "invalid credential"),
    ],
)
def test_what_is_not_a_credential(caller: Caller, changes: dict[str, str | None], errcode: int, errmsg: str) -> None:
    answer = caller.get_token(**changes)
    assert (answer.errcode, answer.errmsg) == (errcode, errmsg)


def test_unknown_parameters_are_ignored(caller: Caller) -> None:
    assert caller.get_token(debug="1").errcode == 0


def test_a_query_that_cannot_be_decoded(reader: MemoryReader) -> None:
    answer = answered(Request("GET", GET_TOKEN, "corpid=%ff", {}, route=GET_TOKEN), reader)
    assert answer.errcode == 40058
    assert answer.errmsg.startswith("invalid parameter: query: expected URL-encoded parameters, got ")


def test_the_same_token_is_given_while_it_is_good(caller: Caller, clock: MovableClock) -> None:
    first = caller.get_token().members["access_token"]
    for left_s, moved in ((7200, timedelta(0)), (7199, MICROSECOND), (3600, timedelta(hours=1) - MICROSECOND)):
        clock.move(moved)
        assert caller.get_token().members == {"access_token": first, "expires_in": left_s}
    clock.move(timedelta(seconds=3599))
    assert caller.get_token().members == {"access_token": first, "expires_in": 1}
    clock.move(MICROSECOND)
    again = caller.get_token().members
    assert (again["access_token"] != first, again["expires_in"]) == (True, 7200)


def test_no_token_is_given_that_is_not_good_for_a_second(caller: Caller, clock: MovableClock) -> None:
    """A public client asks for a new token whenever one just given is refused, without an end."""
    for moved in (timedelta(0), timedelta(seconds=7198), timedelta(seconds=1), MICROSECOND, timedelta(seconds=7199)):
        clock.move(moved)
        given = caller.get_token().members
        caller.token = given["access_token"]
        clock.move(timedelta(seconds=given["expires_in"]) - MICROSECOND)
        assert caller.ask().errcode == 0
        clock.move(MICROSECOND - timedelta(seconds=given["expires_in"]))


def test_a_token_is_good_to_any_process(caller: Caller, clock: MovableClock) -> None:
    """It names its key and its session, signed: another reader with the same key needs to know nothing else."""
    other = MemoryReader(clock)
    other.add_key(caller.key)
    elsewhere = Caller(other, clock, caller.key)
    elsewhere.token = caller.get_token().members["access_token"]
    assert elsewhere.ask().rows == []


# ---------------------------------------------------------------- the access token

EXPIRED = (42001, "access_token expired")
INVALID = (40014, "invalid access_token")
MISSING = (41001, "access_token missing")


def fault(caller: Caller) -> tuple[int, str]:
    answer = caller.ask()
    return answer.errcode, answer.errmsg


def test_a_token_ends_after_two_hours(caller: Caller, clock: MovableClock) -> None:
    assert caller.ask().rows == []
    clock.move(timedelta(seconds=7200) - MICROSECOND)
    assert caller.ask().rows == []
    clock.move(MICROSECOND)
    assert fault(caller) == EXPIRED
    caller.token = None
    assert caller.ask().rows == []


@pytest.mark.parametrize("query", ["", "access_token=", "token=x", "ACCESS_TOKEN=x"])
def test_a_token_that_is_missing(caller: Caller, query: str) -> None:
    answer = caller.post(b"{}", query=query)
    assert (answer.errcode, answer.errmsg) == MISSING


@pytest.mark.parametrize(
    "token",
    [
        "ACCESS_TOKEN",
        ".",
        "x.y",
        "W10.x",
        "WyJhIiwxXQ.x",
        "流水",
        "a" * 5_000,
        "WyJhIiwxXQ",
        "bnVsbA.x",
        "/w.x",
        "=",
        "_-_-.",
    ],
)
def test_what_is_not_a_token_of_ours(caller: Caller, token: str) -> None:
    caller.token = token
    assert fault(caller) == INVALID


def test_a_token_that_was_changed(caller: Caller) -> None:
    good = caller.get_token().members["access_token"]
    payload, _, signature = good.partition(".")
    for changed in (
        good[:-1],
        good + "A",
        good + "=",
        payload,
        f"{payload}.",
        f".{signature}",
        f"A{good}",
        f"{good}.A",
    ):
        caller.token = changed
        assert fault(caller) == INVALID
    caller.token = good
    assert caller.ask().rows == []


def test_a_token_of_another_secret(caller: Caller, clock: MovableClock) -> None:
    forger = MemoryReader(clock)
    forger.add_key(caller.key._replace(credentials={**caller.key.credentials, "corpsecret": "another"}))
    caller.token = Caller(forger, clock, caller.key).get_token(corpsecret="another").members["access_token"]
    assert fault(caller) == INVALID


def test_a_revoked_key(caller: Caller, reader: MemoryReader) -> None:
    assert caller.ask().rows == []
    reader.revoke(caller.key)
    assert fault(caller) == INVALID
    assert caller.get_token().errcode == 40013


def test_a_key_that_expires(reader: MemoryReader, clock: MovableClock) -> None:
    """Its token is told to end with it; afterwards there is none."""
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "shop-1", expires_at=clock() + timedelta(seconds=10)))
    assert caller.get_token().members["expires_in"] == 10
    clock.move(timedelta(seconds=10) - MICROSECOND)
    assert caller.ask().rows == []
    clock.move(MICROSECOND)
    assert fault(caller) == EXPIRED
    answer = caller.get_token()
    assert (answer.errcode, answer.errmsg) == (40001, "invalid credential: it has expired")


def test_a_key_of_another_dialect(caller: Caller, reader: MemoryReader) -> None:
    assert caller.ask().rows == []
    reader.revoke(caller.key)
    reader.add_key(caller.key._replace(dialect="another"))
    assert fault(caller) == INVALID


def test_nothing_is_said_to_somebody_without_a_token(caller: Caller) -> None:
    """A bad body is not told apart before the token is."""
    for body in (b"", b"{}", b"\xff"):
        assert caller.post(body, query="access_token=x").errcode == 40014


def test_a_permission_that_is_denied(reader: MemoryReader, clock: MovableClock) -> None:
    """document: 调用的应用需要满足如下的权限"""
    for permission, errcode in (("none", 48002), ("all", 0)):
        key = reader.create_key(PROVIDER, "shop-1", restrictions={"permission": permission})
        assert Caller(reader, clock, key).ask().errcode == errcode


# ---------------------------------------------------------------- rates

LIMITED = (45009, "api freq out of limit")


@pytest.fixture
def limits(clock: MovableClock) -> MemoryLimits:
    return MemoryLimits(clock)


@pytest.fixture
def limited(limits: MemoryLimits, clock: MovableClock) -> Caller:
    """Somebody whose calls are counted."""
    reader = MemoryReader(clock, admit=limits.admit)
    return Caller(reader, clock, reader.create_key(PROVIDER, "shop-1"))


def test_600_pages_in_a_minute(limited: Caller, clock: MovableClock) -> None:
    for _ in range(600):
        assert limited.ask().errcode == 0
    assert fault(limited) == LIMITED
    clock.move(timedelta(minutes=1) - MICROSECOND)
    assert fault(limited) == LIMITED
    clock.move(MICROSECOND)
    assert limited.ask().errcode == 0


def test_600_tokens_in_a_minute(limited: Caller, clock: MovableClock) -> None:
    assert limited.ask().errcode == 0
    for _ in range(599):
        assert limited.get_token().errcode == 0
    assert (limited.get_token().errcode, limited.ask().errcode) == (45009, 0)  # the two are counted apart
    clock.move(timedelta(minutes=1))
    assert limited.get_token().errcode == 0


def test_strangers_cost_a_key_nothing(limited: Caller, limits: MemoryLimits) -> None:
    for _ in range(10):
        assert limited.get_token(corpsecret="wrong").errcode == 40001
    limited.token = "WyJhIiwxXQ.x"
    assert limited.ask().errcode == 40014
    assert limits.names == []
