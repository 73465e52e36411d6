"""The router: providers at their documented paths and under /dialect/."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.http import Request, Response
from liushui.provider import FlowReader
from liushui.providers import load_providers
from liushui.server.context import AppContext
from liushui.server.litestar_app import make_site
from liushui.server.rsgi_app import DialectRouter
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits, MemoryReader
from tests.server.doubles import provider

BROKER = provider("broker", "/v1/asset/cashflow", "/v1/token")
EXCHANGE = provider("exchange", "/contract/transactions", made=lambda _: Response(201, [], b"exchange"))
DIALECTS = DialectRouter({"broker": BROKER, "exchange": EXCHANGE}, MemoryReader())


@pytest.mark.parametrize(
    ("path", "name", "route"),
    [
        ("/v1/asset/cashflow", "broker", "/v1/asset/cashflow"),
        ("/v1/token", "broker", "/v1/token"),
        ("/contract/transactions", "exchange", "/contract/transactions"),
        ("//v1/asset/cashflow", "broker", "/v1/asset/cashflow"),
        ("/v1///asset//cashflow", "broker", "/v1/asset/cashflow"),
        ("/dialect/broker/v1/asset/cashflow", "broker", "/v1/asset/cashflow"),
        ("/dialect/broker//v1/asset/cashflow", "broker", "/v1/asset/cashflow"),
        ("//dialect//exchange/contract/transactions", "exchange", "/contract/transactions"),
        ("/dialect/broker/contract/transactions", "broker", "/contract/transactions"),
        ("/dialect/broker/nothing", "broker", "/nothing"),
        ("/dialect/broker/", "broker", "/"),
        ("/dialect/broker", "broker", "/"),
        ("/dialect/broker/dialect/exchange/x", "broker", "/dialect/exchange/x"),
    ],
)
def test_a_path_is_routed_to_its_provider(path: str, name: str, route: str) -> None:
    found = DIALECTS.find(path)
    assert found is not None
    assert (found[0].name, found[1]) == (name, route)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "*",
        "/v",
        "/V1/asset/cashflow",
        "v1/asset/cashflow",
        "/dialect",
        "/dialect/",
        "/dialect/nobody/v1/token",
        "/dialects/broker/v1/token",
    ],
)
def test_a_path_of_no_provider_is_not_routed(path: str) -> None:
    assert DIALECTS.find(path) is None


@pytest.mark.parametrize("path", ["/v1", "/v1/asset/cashflow/", "/v1/asset/../token", "/v1/nothing", "//v1//nothing"])
def test_a_similar_path_is_refused_by_the_provider_it_resembles(path: str) -> None:
    """Its clients understand its errors only."""
    found = DIALECTS.find(path)
    assert found is not None
    assert (found[0].name, found[1]) == ("broker", path.replace("//", "/"))


def test_the_provider_with_the_longest_common_path_is_chosen() -> None:
    near, far = provider("near", "/v1/trade/flows"), provider("far", "/v1/asset/flows")
    dialects = DialectRouter({"far": far, "near": near}, MemoryReader())
    found = dialects.find("/v1/trade/nothing")
    assert found is not None
    assert found[0].name == "near"


@given(st.text(alphabet="/v1assetcashflowdialectbroker.", max_size=40))
def test_repeated_slashes_are_merged(path: str) -> None:
    found = DIALECTS.find(path)
    assert found is None or (found[1].startswith("/") and "//" not in found[1])


def test_the_provider_answers_the_unchanged_request() -> None:
    headers = {"x-api-key": "k"}
    request = DIALECTS.request("GET", "//contract/transactions", "a=%31", headers, b"body", "/contract/transactions")
    assert request == Request(
        "GET", "//contract/transactions", "a=%31", headers, b"body", "/contract/transactions", request.trace
    )
    assert DIALECTS.answer(EXCHANGE, request) == Response(201, [], b"exchange")


def test_every_request_has_its_own_trace_id() -> None:
    traces = {DIALECTS.request("GET", "/", "", {}, b"", "/").trace for _ in range(100)}
    assert len(traces) == 100
    assert all(len(trace) == 32 and int(trace, 16) >= 0 for trace in traces)


class SocketDouble:
    """Answers frames that begin with its letter."""

    def __init__(self, letter: bytes) -> None:
        self.letter = letter

    def reply(self, frame: bytes, reader: FlowReader) -> bytes | None:
        return self.letter * 2 if frame.startswith(self.letter) else None


def test_a_frame_is_answered_by_the_provider_that_knows_it() -> None:
    given_out = {name: provider(name, f"/{name}") for name in ("a", "b", "c")}
    for name in ("a", "b"):
        object.__setattr__(given_out[name], "socket", SocketDouble(name.encode()))
    dialects = DialectRouter(given_out, MemoryReader())
    assert [dialects.reply(frame) for frame in (b"a", b"b", b"c", b"")] == [b"aa", b"bb", None, None]


def test_no_installed_provider_takes_a_path_of_our_own() -> None:
    """One whose documented paths begin as ours do, as /api/v5 does, refuses only paths that are not ours."""
    providers = load_providers()
    router = DialectRouter(providers, MemoryReader())
    app_context = AppContext(
        None,  # type: ignore[arg-type] # nothing is answered
        providers,
        "http://test",
        "ws://test",
        MemoryLimits(MovableClock()),
    )
    paths = {route.path_format.replace("{", "").replace("}", "") for route in make_site(app_context).routes}
    assert len(paths) > 60
    assert {path for path in paths if router.find(path) is not None} == set()
    assert router.find("/api/v1") is router.find("/api/v1/nothing") is None
