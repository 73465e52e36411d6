"""Public clients, unmodified, against `liushui serve`: every row, and every error as they report it.

`python-okx` returns the content of an error answer. `okx-api` for Node throws it. Neither repeats a call by itself.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from liushui.instant import to_us
from liushui.providers.okx import PROVIDER
from liushui.testing.processes import Running, serving
from tests.providers.exchange_account import ROWS, ExchangeAccount, ask_public, facts_of, open_account
from tests.providers.flaky_proxy import SILENCE, FlakyProxy, faults_at
from tests.providers.installed import installed, locked_npm

HERE: Final = Path(__file__).parent
PYTHON, NPM = "python-okx-0.4.4", "npm"
CLIENTS: Final = pytest.mark.parametrize("client", [PYTHON, NPM])
ARCHIVE, RECENT = "get_account_bills_archive", "get_account_bills"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> ExchangeAccount:
    return open_account(tmp_path_factory.mktemp("okx") / "ledger.db", PROVIDER)


@pytest.fixture(scope="module")
def served(account: ExchangeAccount) -> Iterator[Running]:
    with serving(account.path) as running:
        yield running


def ask(client: str, url: str, credentials: dict[str, str], *calls: dict[str, Any]) -> list[Any]:
    if client == NPM:
        program, folder = HERE / "public.js", locked_npm(HERE / "npm")
    else:
        program, folder = HERE / "public.py", installed(HERE / f"{client}.txt")
    results: list[Any] = ask_public(program, folder, url=url, credentials=credentials, calls=calls)
    return results


def test_what_is_tested_is_said() -> None:
    name, _, version = PYTHON.rpartition("-")
    npm_version = json.loads((HERE / "npm" / "package.json").read_text())["dependencies"]["okx-api"]
    assert PROVIDER.tested_with == f"`{name}` {version}, `okx-api` {npm_version} (npm)"


@CLIENTS
def test_every_row_arrives(served: Running, account: ExchangeAccount, client: str) -> None:
    """All pages twice: of the largest size, and of another one at a mounted server, within the range of the rows."""
    within = {"begin": str(to_us(account.begin) // 1000), "end": str(to_us(account.end) // 1000 - 1)}
    (whole,) = ask(client, served.url, account.key(), {"method": ARCHIVE, "drain": True})
    mounted = f"{served.url}/dialect/okx"
    again, few = ask(
        client,
        mounted,
        account.key(),
        {"method": ARCHIVE, "drain": True, "params": within | {"limit": "37"}},
        {"method": ARCHIVE, "params": {"limit": "3", "type": "8"}},
    )
    assert facts_of(whole["rows"]) == facts_of(again["rows"]) == account.facts
    assert (whole["pages"], again["pages"]) == (ROWS // 100 + 1, -(-ROWS // 37) + 1)
    assert whole["rows"] == again["rows"]
    assert [row["type"] for row in few["rows"]] == ["8"] * 3
    times = [int(row["ts"]) for row in whole["rows"]]
    assert times == sorted(times, reverse=True)


def test_every_row_arrives_over_failures(served: Running, account: ExchangeAccount) -> None:
    """An error page, a refusal and a call without an answer, each in the middle: the same call is made again."""
    with FlakyProxy(served.url, faults_at({2: 503, 9: 429, 20: SILENCE})) as proxy:
        call = {"method": ARCHIVE, "drain": True, "params": {"limit": 100}, "tries": 100, "timeout_ms": 2_000}
        (whole,) = ask(NPM, proxy.url, account.key(), call)
    assert facts_of(whole["rows"]) == account.facts
    assert proxy.failed == [503, 429, SILENCE]
    assert len(whole["failures"]) >= len(proxy.failed)


@CLIENTS
def test_recent_bills_and_those_before_one(served: Running, account: ExchangeAccount, client: str) -> None:
    recent, oldest = ask(
        client,
        served.url,
        account.key(),
        {"method": RECENT, "drain": True},
        {"method": ARCHIVE, "params": {"limit": "5"}},
    )
    assert 0 < len(recent["rows"]) < ROWS
    fourth = oldest["rows"][3]["billId"]
    (newer,) = ask(client, served.url, account.key(), {"method": ARCHIVE, "params": {"before": fourth, "limit": "50"}})
    assert newer["rows"] == oldest["rows"][:3]


@CLIENTS
def test_errors(served: Running, account: ExchangeAccount, client: str) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "50113": {"credentials": {"api_secret": "wrong"}},
        "50119": {"credentials": {"api_key": "nobody"}},
        "50105": {"credentials": {"passphrase": "wrong"}},
        "50102": {"clock_s": -31},
        "51000": {"params": {"limit": "101"}},
        "50024": {"params": {"after": "1", "before": "1"}},
    }
    *results, ahead, unknown, reversed_, inside = ask(
        client,
        served.url,
        account.key(),
        *({"method": ARCHIVE} | call for call in wrong.values()),
        {"method": ARCHIVE, "clock_s": 40},
        {"method": ARCHIVE, "params": {"after": "1"}},
        {"method": ARCHIVE, "params": {"begin": "1795996799999", "end": "1795910400000"}},
        {"method": ARCHIVE, "clock_s": 20, "params": {"limit": "1"}},
    )
    assert [result["error"] for result in results] == list(wrong)
    assert (ahead["error"], unknown["error"], reversed_["rows"], len(inside["rows"])) == ("50102", "51000", [], 1)
    assert unknown["msg"].startswith("Parameter after error: expected the id of a bill")


@CLIENTS
def test_too_many_calls(served: Running, account: ExchangeAccount, client: str) -> None:
    """The rate of the archive is its own: the recent bills are still given. A slow machine may make the calls in two
    periods of the rate, which allows one more: then they are made again."""
    calls = PROVIDER.rules.rate.calls
    archive, recent = ({"method": method, "params": {"limit": "1"}} for method in (ARCHIVE, RECENT))
    refused = [*[None] * calls, "50011", None]
    for _ in range(10):
        results = ask(client, served.url, account.key(paced=True), *[archive] * (calls + 1), recent)
        errors = [result.get("error") for result in results]
        if errors == refused:
            return
        assert errors == [None] * (calls + 2)
    raise AssertionError("every call was let in")
