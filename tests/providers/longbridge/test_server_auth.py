"""Authentication: exact signatures, clocks with an offset, and invalid keys and tokens."""

from datetime import UTC, datetime, timedelta

import pytest

from liushui.http import Request
from liushui.provider import Key
from liushui.providers._longbridge.wire import SIGNED_HEADERS, sign
from liushui.providers.longbridge import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.longbridge.caller import CASH_FLOW, EVER, Caller, answered, seconds

NOT_SIGNED = (403, 403201)
NO_SUCH_KEY = (403, 403203)
NOT_THE_TOKEN = (401, 401003)

# ---------------------------------------------------------------- the signature

CAPTURED = Request(
    "GET",
    CASH_FLOW,
    "start_time=1619827200&end_time=1622419200&business_type=1&symbol=AAPL.US&page=1&size=50",
    {
        "x-api-key": "ak",
        "authorization": "at",
        "x-timestamp": "1795218888",
        "x-api-signature": "HMAC-SHA256 SignedHeaders=authorization;x-api-key;x-timestamp, "
        "Signature=e269ee27bdd5ef58aafc513e1107e60e84e061172f45348055ecb3cca9278564",
        "accept-language": "en",
        "content-type": "application/json; charset=utf-8",
    },
    route=CASH_FLOW,
)
"""The headers of an official client with the key ak, the secret as and the token at."""


def test_an_official_clients_signature_is_accepted() -> None:
    reader = MemoryReader(lambda: datetime.fromtimestamp(1795218888, UTC))
    credentials = {"app_key": "ak", "app_secret": "as", "access_token": "at"}
    reader.add_key(Key("ak", PROVIDER.name, ("trader-1",), credentials))
    assert answered(CAPTURED, reader).rows == []
    assert answered(CAPTURED, reader).rows == []  # two equal calls in one second carry one signature
    for signed in ("method", "path", "query"):
        other = CAPTURED._replace(**{signed: getattr(CAPTURED, signed) + "x"})
        assert answered(other, reader).code in (403201, 404001)


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "signature"),
    [
        (
            "POST",
            "/v1/trade/asset/GetCashFlowHistory",
            "x=1",
            b'{"start_time":1,"symbol":"AAPL.US"}',
            "73b98afe2cf2e4a928d9b27c4a7b107a60ad10fda962c00a473b7a614c678ecb",
        ),
        (
            "GET",
            CASH_FLOW,
            "a=%E6%B5%81&b=c+d",
            b"",
            "894f4ed76081c6a51215b825eea68c648e787fd3fec29d70053253efef4d7bcf",
        ),
    ],
)
def test_signatures_that_official_clients_sent(method: str, path: str, query: str, body: bytes, signature: str) -> None:
    """Captured from the generic HTTP client of `longbridge` 5.3.0; that of `longport` 3.0.18 sends the same."""
    headers = {"authorization": "at", "x-api-key": "ak", "x-timestamp": "1795228104"}
    assert sign(secret="as", method=method, path=path, query=query, headers=headers, body=body) == signature


@pytest.mark.parametrize(
    "change",
    [
        {"x-api-signature": ""},
        {"x-api-signature": "HMAC-SHA256 SignedHeaders=authorization;x-api-key;x-timestamp, Signature="},
        {"x-api-signature": "é"},
        {"x-timestamp": "1767355199"},
        {"x-timestamp": "1767355200.0"},
    ],
)
def test_a_signature_of_something_else(caller: Caller, change: dict[str, str]) -> None:
    request = caller.signed()
    assert caller.send(request).rows == []
    assert caller.send(request._replace(headers={**request.headers, **change})).fault == NOT_SIGNED


def test_a_signature_with_another_secret(caller: Caller) -> None:
    other = caller.key._replace(credentials={**caller.key.credentials, "app_secret": "0" * 64})
    assert Caller(caller.reader, caller.clock, other).get().fault == NOT_SIGNED


@pytest.mark.parametrize("name", [*SIGNED_HEADERS, "x-api-signature"])
def test_a_header_that_is_missing(caller: Caller, name: str) -> None:
    request = caller.signed()
    headers = {known: value for known, value in request.headers.items() if known != name}
    expected = {"x-api-key": NO_SUCH_KEY, "authorization": NOT_THE_TOKEN}.get(name, NOT_SIGNED)
    assert caller.send(request._replace(headers=headers)).fault == expected


def test_the_query_is_signed_as_it_arrived(caller: Caller) -> None:
    query = "end_time=1700000000&start_time=%31&symbol=A%42&symbol=&more=%E6%B5%81+%20"
    request = caller.signed(query)
    assert caller.send(request).rows == []
    for same in (query.replace("%31", "1"), query.replace("+", "%20"), query + "&"):
        assert caller.send(request._replace(query=same)).fault == NOT_SIGNED


@pytest.mark.parametrize(
    "path", [f"/{CASH_FLOW}", f"/dialect/longbridge{CASH_FLOW}", f"/dialect/longbridge/{CASH_FLOW}"]
)
def test_the_whole_path_is_signed(caller: Caller, path: str) -> None:
    """A base URL with a slash at its end signs two, a mounted one its prefix."""
    assert caller.send(caller.signed(path=path)).rows == []
    assert caller.send(caller.signed(path=path)._replace(path=CASH_FLOW)).fault == NOT_SIGNED


# ---------------------------------------------------------------- the time


@pytest.mark.parametrize(("off_s", "good"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_clock_that_is_off(caller: Caller, off_s: int, good: bool) -> None:
    answer = caller.send(caller.signed(timestamp=seconds(caller.clock() + timedelta(seconds=off_s))))
    assert answer.code == (0 if good else 403201)
    assert good or answer.message == "signature invalid: x-timestamp is 301 s off"


def test_a_request_grows_stale(caller: Caller, clock: MovableClock) -> None:
    request = caller.signed()
    clock.move(timedelta(seconds=300, microseconds=999_999))
    assert caller.send(request).rows == []
    clock.move(timedelta(microseconds=1))
    assert caller.send(request).fault == NOT_SIGNED


@pytest.mark.parametrize("decimals", [".0", ".25", ".999999999"])
def test_a_timestamp_may_have_decimals(caller: Caller, decimals: str) -> None:
    assert caller.send(caller.signed(timestamp=seconds(caller.clock()) + decimals)).rows == []


@pytest.mark.parametrize(
    "timestamp", ["", "now", "-1767355200", "1767355200000", " 1767355200", "1767355200.", "1e9", "１"]
)
def test_what_is_not_a_timestamp(caller: Caller, timestamp: str) -> None:
    assert caller.send(caller.signed(timestamp=timestamp)).fault == NOT_SIGNED


# ---------------------------------------------------------------- the key


def test_a_key_that_was_not_issued(caller: Caller) -> None:
    assert Caller(caller.reader, caller.clock, caller.key._replace(public="nobody")).get().fault == NO_SUCH_KEY


def test_a_key_of_another_dialect(caller: Caller, reader: MemoryReader) -> None:
    reader.revoke(caller.key)
    reader.add_key(caller.key._replace(dialect="another"))
    assert caller.get().fault == NO_SUCH_KEY


def test_a_revoked_key(caller: Caller, reader: MemoryReader) -> None:
    assert caller.get().rows == []
    reader.revoke(caller.key)
    assert caller.get().fault == NO_SUCH_KEY


@pytest.mark.parametrize("token", ["", "m_", "Bearer m_", "é"])
def test_a_wrong_token(caller: Caller, token: str) -> None:
    answer = caller.send(caller.signed(headers={"authorization": token}))
    assert (answer.fault, answer.message) == (NOT_THE_TOKEN, "token expired or invalid")


def test_a_token_ends_when_its_key_does(reader: MemoryReader, clock: MovableClock) -> None:
    key = reader.create_key(PROVIDER, "trader-1", expires_at=clock() + timedelta(seconds=10))
    caller = Caller(reader, clock, key)
    clock.move(timedelta(seconds=9, microseconds=999_999))
    assert caller.get().rows == []
    clock.move(timedelta(microseconds=1))
    answer = caller.get()
    assert (answer.fault, answer.message) == (NOT_THE_TOKEN, "token expired")


def test_nothing_is_said_to_somebody_without_a_key(reader: MemoryReader) -> None:
    """A bad parameter is not told apart before the signature is."""
    for query in ("", "size=0", "%ff"):
        bare = Request("GET", CASH_FLOW, query, {}, route=CASH_FLOW, trace="t")
        assert answered(bare, reader).fault == NO_SUCH_KEY


def test_a_key_reads_its_own_accounts(caller: Caller, reader: MemoryReader) -> None:
    row = b'{"transaction_flow_name":"x","direction":1,"balance":"1","currency":"USD","business_time":"1"}'
    reader.add_rows("trader-2", PROVIDER, [row])
    assert caller.get(**EVER).rows == []
    both = Caller(reader, caller.clock, reader.create_key(PROVIDER, "trader-1", "trader-2"))
    assert len(both.get().rows) == 1
