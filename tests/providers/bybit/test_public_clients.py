"""Public clients, unmodified, against `liushui serve`: every row, and every error as they report it.

`pybit` raises errors, and repeats some calls by itself. `bybit-api` for Node returns the content of an error answer.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from liushui.instant import to_us
from liushui.providers.bybit import PROVIDER
from liushui.testing.processes import Running, serving
from tests.providers.exchange_account import ROWS, ExchangeAccount, ask_public, facts_of, open_account
from tests.providers.flaky_proxy import SILENCE, FlakyProxy, faults_at
from tests.providers.installed import installed, locked_npm

HERE: Final = Path(__file__).parent
PYTHON, NPM = "pybit-5.17.0", "npm"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> ExchangeAccount:
    return open_account(tmp_path_factory.mktemp("bybit") / "ledger.db", PROVIDER)


@pytest.fixture(scope="module")
def served(account: ExchangeAccount) -> Iterator[Running]:
    with serving(account.path) as running:
        yield running


def ask(url: str, credentials: dict[str, str], *calls: dict[str, Any]) -> list[Any]:
    folder = installed(HERE / f"{PYTHON}.txt")
    results: list[Any] = ask_public(HERE / "public.py", folder, url=url, credentials=credentials, calls=calls)
    return results


def ask_npm(url: str, credentials: dict[str, str], *calls: dict[str, Any]) -> list[Any]:
    folder = locked_npm(HERE / "npm")
    results: list[Any] = ask_public(HERE / "public.js", folder, url=url, credentials=credentials, calls=calls)
    return results


def windows_of(account: ExchangeAccount) -> list[tuple[int, int]]:
    """The account's range in windows as long as a request may ask for, newest first, in milliseconds."""
    windows, end = [], account.end
    length = PROVIDER.rules.slice_max or timedelta(days=1)
    while end > account.begin:
        begin = max(account.begin, end - length)
        windows.append((to_us(begin) // 1000, to_us(end) // 1000 - 1))
        end = begin
    return windows


def test_what_is_tested_is_said() -> None:
    name, _, version = PYTHON.rpartition("-")
    npm_version = json.loads((HERE / "npm" / "package.json").read_text())["dependencies"]["bybit-api"]
    assert PROVIDER.tested_with == f"`{name}` {version}, `bybit-api` {npm_version} (npm)"


def test_every_row_arrives(served: Running, account: ExchangeAccount) -> None:
    """All pages twice: then with a paced key, so that the client has to wait and try again by itself."""
    windows = windows_of(account)
    drain = {"drain": True, "windows": windows, "params": {"limit": 50}}
    (whole,) = ask(served.url, account.key(), drain)
    (again,) = ask(f"{served.url}/dialect/bybit", account.key(paced=True), drain)
    assert facts_of(whole["rows"]) == facts_of(again["rows"]) == account.facts
    assert whole["rows"] == again["rows"]
    assert ROWS // 50 <= whole["pages"] == again["pages"] <= ROWS // 50 + len(windows)
    times = [int(row["transactionTime"]) for row in whole["rows"]]
    assert times == sorted(times, reverse=True)


def test_legs_make_up_the_change(account: ExchangeAccount) -> None:
    flows = [PROVIDER.codec.read(row).flow for row in account.rows]
    assert not any("bybit:unexplained" in (flow.detail or {}) for flow in flows)
    assert any("bybit:fee" in (flow.detail or {}) for flow in flows)


def test_filters_and_default_ranges(served: Running, account: ExchangeAccount) -> None:
    begin, end = windows_of(account)[0]
    funding, spot, default = ask(
        served.url,
        account.key(),
        {"drain": True, "windows": [(begin, end)], "params": {"type": "SETTLEMENT", "category": "linear"}},
        {"windows": [(begin, end)], "params": {"category": "spot"}},
        {"drain": True, "windows": [(None, end)]},
    )
    assert {row["type"] for row in funding["rows"]} == {"SETTLEMENT"}
    assert spot["rows"] == []
    times = [int(row["transactionTime"]) for row in default["rows"]]
    assert end - 86_400_000 <= min(times) <= max(times) <= end


def test_errors(served: Running, account: ExchangeAccount) -> None:
    """A refused request raises at once. One with a wrong time is tried three times, with a wider window each time."""
    begin, end = windows_of(account)[0]
    wrong: dict[int, dict[str, Any]] = {
        10004: {"credentials": {"api_secret": "wrong"}},
        10003: {"credentials": {"api_key": "nobody"}},
        10001: {"params": {"limit": 51}},
    }
    *results, wide, cursor, stale, late = ask(
        served.url,
        account.key(),
        *wrong.values(),
        {"windows": [(begin - 1, end + 1)]},
        {"params": {"cursor": "21963%3A1%2C14954%3A1"}},
        {"clock_s": -60, "hasty": True},
        {"clock_s": -8, "hasty": True},
    )
    assert [(result["error"], result["kind"]) for result in results] == [
        (code, "InvalidRequestError") for code in wrong
    ]
    assert (wide["error"], cursor["error"]) == (10001, 10001)
    assert (stale["error"], stale["kind"]) == (400, "FailedRequestError")
    assert late["pages"] == 1, "the third try names a window that is wide enough"


def test_too_many_calls(served: Running, account: ExchangeAccount) -> None:
    """It waits until the time that the answer names, three times, and then gives up."""
    calls = 4 * PROVIDER.rules.rate.calls
    results = ask(served.url, account.key(paced=True), *[{"hasty": True, "params": {"limit": 1}}] * calls)
    refused = [result for result in results if "error" in result]
    assert all((result["error"], result["kind"]) == (400, "FailedRequestError") for result in refused)
    assert len(refused) < calls


# ---------------------------------------------------------------- the client for Node


def test_npm_every_row_arrives(served: Running, account: ExchangeAccount) -> None:
    """All pages twice. The client encodes cursors once more. It says how many calls are left."""
    windows = windows_of(account)
    drain = {"drain": True, "windows": windows, "params": {"limit": 50}, "options": {"parseAPIRateLimits": True}}
    small = {"drain": True, "windows": windows, "params": {"limit": 43}}
    whole, again = ask_npm(served.url, account.key(), drain, small)
    assert facts_of(whole["rows"]) == facts_of(again["rows"]) == account.facts
    assert whole["rows"] == again["rows"]
    assert whole["limits"]["maxRequests"] == PROVIDER.rules.rate.calls


def test_npm_every_row_arrives_over_failures(served: Running, account: ExchangeAccount) -> None:
    """An error page, a refusal and a call without an answer, each in the middle: the same call is made again."""
    call = {"drain": True, "windows": windows_of(account), "params": {"limit": 50}, "tries": 100, "timeout_ms": 2_000}
    with FlakyProxy(f"{served.url}", faults_at({2: 503, 9: 429, 20: SILENCE})) as proxy:
        (whole,) = ask_npm(proxy.url, account.key(), call)
    assert facts_of(whole["rows"]) == account.facts
    assert proxy.failed == [503, 429, SILENCE]
    assert set(whole["failures"]) == {503, 429, "ECONNABORTED"}


def test_npm_errors(served: Running, account: ExchangeAccount) -> None:
    """A cursor of other parameters, or of another key, is refused as one that nobody gave."""
    begin, end = windows_of(account)[0]
    page = {"windows": [(begin, end)], "params": {"limit": 1}}
    wrong: list[tuple[int, dict[str, Any]]] = [
        (10004, {"credentials": {"api_secret": "wrong"}}),
        (10003, {"credentials": {"api_key": "nobody"}}),
        (10002, {"clock_s": -60}),
        (10002, {"clock_s": 60}),
        (10001, {"params": {"limit": 51}}),
        (10001, {"params": {"cursor": "21963%3A1%2C14954%3A1"}}),
        (10001, {"windows": [(begin - 1, end + 1)]}),
        (10001, {"windows": [(end, begin)]}),
        (10001, {"params": {"accountType": "CONTRACT"}}),
    ]
    results = ask_npm(served.url, account.key(), *(page | call for _, call in wrong))
    assert [result["error"] for result in results] == [code for code, _ in wrong]


def test_npm_sets_its_clock_by_the_service(served: Running, account: ExchangeAccount) -> None:
    """Without that, a request that is a minute off is refused."""
    call = {"clock_s": -60, "options": {"syncTimeBeforePrivateRequests": True}, "params": {"limit": 1}}
    (result,) = ask_npm(served.url, account.key(), call)
    assert result["failures"] == []


def test_npm_too_many_calls(served: Running, account: ExchangeAccount) -> None:
    calls = 4 * PROVIDER.rules.rate.calls
    results = ask_npm(served.url, account.key(paced=True), *[{"params": {"limit": 1}}] * calls)
    assert {result.get("error") for result in results} <= {None, 10006}
