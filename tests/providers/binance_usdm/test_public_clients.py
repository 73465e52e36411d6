"""Public clients, unmodified, against `liushui serve`: Binance's own, and python-binance, which can turn pages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from liushui.instant import to_us
from liushui.providers.binance_usdm import PROVIDER
from liushui.testing.processes import Running, serving
from tests.providers.exchange_account import ROWS, ExchangeAccount, ask_public, facts_of, open_account
from tests.providers.flaky_proxy import FlakyProxy
from tests.providers.installed import installed

CLIENTS: Final = {"binance-sdk": "binance-sdk-usds-futures-18.1.0", "python-binance": "python-binance-1.0.37"}
PROGRAM: Final = Path(__file__).with_name("public.py")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> ExchangeAccount:
    return open_account(tmp_path_factory.mktemp("binance") / "ledger.db", PROVIDER)


@pytest.fixture(scope="module")
def served(account: ExchangeAccount) -> Iterator[Running]:
    with serving(account.path) as running:
        yield running


class Client:
    """One of the public clients, and the account that it reads."""

    def __init__(self, name: str, account: ExchangeAccount) -> None:
        self.name, self.account = name, account
        self._folder = installed(Path(__file__).with_name(f"{CLIENTS[name]}.txt"))

    def ask(self, url: str, credentials: dict[str, str], *calls: dict[str, Any]) -> list[Any]:
        """The results of calls: each asks for the account's whole range, unless it says otherwise."""
        whole = {"start": to_us(self.account.begin) // 1000, "end": to_us(self.account.end) // 1000 - 1, "limit": 1000}
        made = [whole | call for call in calls]
        results: list[Any] = ask_public(
            PROGRAM, self._folder, client=self.name, url=url, credentials=credentials, calls=made
        )
        return results


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest, account: ExchangeAccount) -> Client:
    return Client(request.param, account)


def test_what_is_tested_is_said() -> None:
    assert PROVIDER.tested_with == "`binance-sdk-derivatives-trading-usds-futures` 18.1.0, `python-binance` 1.0.37"


def test_every_row_arrives(client: Client, served: Running, account: ExchangeAccount) -> None:
    """All rows twice, in pages of two sizes, integers beyond 2^53 included."""
    (whole,) = client.ask(served.url, account.key(), {"drain": True})
    (again,) = client.ask(f"{served.url}/dialect/binance_usdm", account.key(), {"drain": True, "limit": 700})
    assert facts_of(whole["rows"]) == facts_of(again["rows"]) == account.facts
    assert len(whole["rows"]) == ROWS
    assert max(row["tranId"] for row in whole["rows"]) > 2**53
    times = [row["time"] for row in whole["rows"]]
    assert times == sorted(times)


def test_the_official_client_tries_again_by_itself(served: Running, account: ExchangeAccount) -> None:
    """Every other call ends with HTTP 502. It tries each of them again, and gets every row."""
    client = Client("binance-sdk", account)
    with FlakyProxy(served.url) as proxy:
        (whole,) = client.ask(proxy.url, account.key(), {"drain": True})
        assert facts_of(whole["rows"]) == account.facts
        assert proxy.calls == 2 * whole["calls"]


def test_errors(client: Client, served: Running, account: ExchangeAccount) -> None:
    results = client.ask(
        served.url,
        account.key(),
        {"credentials": {"api_secret": "wrong"}},
        {"credentials": {"api_key": "nobody"}},
        {"clock_s": -61},
        {"clock_s": 40},
        {"start": 2, "end": 1},
        {"limit": 0},
    )
    codes = [-1022, -2015, -1021, -1021, -1023, -1130]
    assert [result["error"][0] for result in results] == codes
    kinds = {result["error"][1] for result in results}
    assert kinds == ({"BadRequestError", "UnauthorizedError"} if client.name == "binance-sdk" else {400, 401})


def test_filters_and_defaults(client: Client, served: Running, account: ExchangeAccount) -> None:
    funding, late = client.ask(served.url, account.key(), {"type": "FUNDING_FEE", "limit": 50}, {"clock_s": -4})
    assert {row["incomeType"] for row in funding["rows"]} == {"FUNDING_FEE"}
    assert len(late["rows"]) == 1000


def test_too_many_calls(client: Client, served: Running, account: ExchangeAccount) -> None:
    """At first it is told to wait, and then that its address is banned."""
    calls = PROVIDER.rules.rate.calls
    results = client.ask(served.url, account.key(paced=True), *[{"limit": 1}] * (calls + 32))
    errors = [result.get("error") for result in results]
    assert errors[:calls] == [None] * calls
    refused = errors[calls:]
    assert {error[0] for error in refused if error} == {-1003}
    if client.name == "binance-sdk":
        kinds = [(error[1], error[2]) for error in refused if error]
        assert kinds == [("TooManyRequestsError", 60)] * 30 + [("RateLimitBanError", 120)] * 2
    else:
        assert [error[1] for error in refused if error] == [429] * 30 + [418] * 2
