"""Three public clients of Alipay, unmodified, against `liushui serve`: 3,000 rows over all pages, and every error.

`python-alipay-sdk` and Alipay's own client for Python verify every answer; Alipay's client for Node does so on request.
Alipay's client for Python always connects to port 80, so its connection is redirected to the server's port.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from liushui.instant import system_clock
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import read_rows
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import Slice
from liushui.providers.alipay import PROVIDER
from liushui.providers.alipay.wire import METHOD, PATH, sign_request
from liushui.testing.conformance.sample_rows import golden_rows
from liushui.testing.processes import Running, serving
from liushui.wire.rsa import read_private_key
from tests.providers.exchange_account import ROWS, ExchangeAccount, facts_of, open_account
from tests.providers.flaky_proxy import SILENCE, FlakyProxy, faults_at
from tests.providers.installed import installed, locked_npm
from tests.system import require

HERE: Final = Path(__file__).parent
PUBLIC: Final = "python-alipay-sdk-3.4.0"
OFFICIAL: Final = "alipay-sdk-python-3.7.1411"
NPM: Final = "npm"
CLIENTS: Final = (PUBLIC, OFFICIAL, NPM)
PATIENCE_S: Final = 120
CHINA: Final = ZoneInfo("Asia/Shanghai")
ODD: Final = "odd"
"""The account with rows as the service may send them, with braces that have no partner."""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> ExchangeAccount:
    account = open_account(tmp_path_factory.mktemp("alipay") / "ledger.db", PROVIDER)
    received, rejected = read_rows(PROVIDER.codec, [decoded.row for decoded in golden_rows(PROVIDER)])
    assert rejected == []
    ledger = open_ledger(str(account.path))
    try:
        make_account(ledger, ODD, PROVIDER.name, PROVIDER.rules.zone)
        times = [decoded.flow.at for decoded in received]
        whole = Slice(min(times), max(times) + timedelta(seconds=1))
        commit_slice(ledger, ODD, whole, read_at=system_clock(), received=received)
    finally:
        ledger.close()
    return account


@pytest.fixture(scope="module")
def served(account: ExchangeAccount) -> Iterator[Running]:
    with serving(account.path) as running:
        yield running


def ask(client: str, url: str, credentials: dict[str, str], *calls: dict[str, Any]) -> list[Any]:
    """The results of calls that a client makes in a process of its own."""
    if client == OFFICIAL:
        credentials, calls = bare_keys(credentials), tuple(map(bare_keys_of_call, calls))
    if client == NPM:
        command = [require("node", "nodejs"), str(HERE / "official.js")]
        path = {"NODE_PATH": str(locked_npm(HERE / "npm") / "node_modules")}
    else:
        command = [sys.executable, str(HERE / ("public.py" if client == PUBLIC else "official.py"))]
        path = {"PYTHONPATH": str(installed(HERE / f"{client}.txt"))}
    done = subprocess.run(
        command,
        input=json.dumps({"url": url, "credentials": credentials, "calls": calls}),
        env=os.environ | {"TZ": "Asia/Shanghai"} | path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: list[Any] = json.loads(done.stdout)
    return results


def bare_keys(credentials: dict[str, str]) -> dict[str, str]:
    """Credentials as Alipay's own client for Python takes them: the base64 of PKCS #1, and of the public key."""
    changed = dict(credentials)
    if private := credentials.get("app_private_key"):
        key = read_private_key("app_private_key", private)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        changed["app_private_key"] = "".join(pem.decode().splitlines()[1:-1])
    if public := credentials.get("alipay_public_key"):
        changed["alipay_public_key"] = "".join(public.splitlines()[1:-1])
    return changed


def bare_keys_of_call(call: dict[str, Any]) -> dict[str, Any]:
    return call | {"credentials": bare_keys(call.get("credentials", {}))}


def times_of(account: ExchangeAccount) -> dict[str, str]:
    begin, end = (f"{at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}" for at in (account.begin, account.end))
    return {"start_time": begin, "end_time": end}


def rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a result, with the names of the wire: Node's client changes them."""
    return [{re.sub(r"([A-Z])", r"_\1", name).lower(): value for name, value in row.items()} for row in result["rows"]]


def test_what_is_tested_is_said() -> None:
    version = json.loads((HERE / "npm" / "package.json").read_text())["dependencies"]["alipay-sdk"]
    named = [f"`{name.rpartition('-')[0]}` {name.rpartition('-')[2]}" for name in (PUBLIC, OFFICIAL)]
    assert PROVIDER.tested_with == f"{', '.join(named)}, `alipay-sdk` {version} (npm)"


@pytest.mark.parametrize("client", CLIENTS)
def test_every_row_arrives(served: Running, account: ExchangeAccount, client: str) -> None:
    """All pages twice: of the least size, and with a paced key of the largest."""
    content = times_of(account)
    small = {"drain": True, "content": {**content, "page_size": "1000"}}
    (whole,) = ask(client, served.url, account.key(), small)
    (again,) = ask(client, served.url, account.key(paced=True), {"drain": True, "content": content})
    assert facts_of(rows_of(whole)) == facts_of(rows_of(again)) == account.facts
    assert (whole["pages"], again["pages"]) == (ROWS // 1_000 + 1, 3)
    times = [row["trans_dt"] for row in rows_of(whole)]
    assert times == sorted(times)


@pytest.mark.parametrize("client", CLIENTS)
def test_every_row_arrives_over_failures(served: Running, account: ExchangeAccount, client: str) -> None:
    """An error page, a refusal and a call without an answer, each in the middle: the same page is asked for again."""
    call = {"drain": True, "content": {**times_of(account), "page_size": "1000"}, "tries": 100, "timeout_ms": 2_000}
    with FlakyProxy(served.url, faults_at({2: 503, 4: 429, 6: SILENCE})) as proxy:
        (result,) = ask(client, proxy.url, account.key(), call)
    assert facts_of(rows_of(result)) == account.facts
    assert proxy.failed == [503, 429, SILENCE]
    assert result["tries"] <= 100 - len(proxy.failed)


@pytest.mark.parametrize("client", CLIENTS)
def test_rows_with_odd_braces_are_verified(served: Running, account: ExchangeAccount, client: str) -> None:
    ledger = open_ledger(str(account.path))
    key = create_key(ledger, PROVIDER, [ODD], paced=False)
    ledger.close()
    content = {"start_time": "2026-11-01 00:00:00", "end_time": "2026-11-30 00:00:00"}
    (result,) = ask(client, served.url, key, {"content": content})
    memos = {row.get("trans_memo") for row in rows_of(result)}
    assert {"一个 } 括号", '{"a":"}}{{"}'} <= memos
    assert len(result["rows"]) == len(golden_rows(PROVIDER))


@pytest.mark.parametrize("client", CLIENTS)
def test_errors(served: Running, account: ExchangeAccount, client: str) -> None:
    """A wrong signature, an unknown app, a bad parameter, and the public key of another app."""
    key, other, content = account.key(), account.key(), times_of(account)
    forged, unknown, small, long, foreign = ask(
        client,
        served.url,
        key,
        {"content": content, "credentials": {"app_private_key": other["app_private_key"]}},
        {"content": content, "credentials": {"app_id": "2021000000000000"}},
        {"content": {**content, "page_size": "999"}},
        {"content": {**content, "start_time": "2026-01-01 00:00:00"}},
        {"content": content, "credentials": {"alipay_public_key": other["alipay_public_key"]}},
    )
    assert reason(client, forged) == "isv.invalid-signature"
    assert reason(client, small) == reason(client, long) == "INVALID_PARAMETER"
    # Nobody can sign an answer to an unknown app. Alipay's own clients report it as an error of their own.
    assert reason(client, unknown) == UNSIGNED[client]
    assert reason(client, foreign) == FOREIGN[client]


UNSIGNED: Final = {PUBLIC: "isv.invalid-app-id", OFFICIAL: "response shape maybe illegal", NPM: "TypeError"}
FOREIGN: Final = {PUBLIC: "AliPayValidationError", OFFICIAL: "response sign verify failed", NPM: "验签失败"}


def reason(client: str, result: dict[str, Any]) -> str:
    """The sub_code of an error that a client hands on, or what it says itself."""
    if result["error"] is not None and result["kind"] == "answer":
        return str(result["error"])
    said = f"{result['kind']} {result['msg']}"
    return next((text for text in (UNSIGNED[client], FOREIGN[client]) if text in said), said)


def test_a_clock_that_is_off(served: Running, account: ExchangeAccount) -> None:
    """Nothing says how old a request may be, so only the form of its time is checked."""
    stale, ahead = ask(
        PUBLIC, served.url, account.key(), *({"content": times_of(account), "clock_s": at} for at in (-86_400, 86_400))
    )
    assert len(stale["rows"]) == len(ahead["rows"]) == 2_000


@pytest.mark.parametrize("client", CLIENTS)
def test_too_many_calls(served: Running, account: ExchangeAccount, client: str) -> None:
    """Others make calls with the same key, as many as they can, so that the rate is used up all the time."""
    key = account.key(paced=True)
    refused: list[str] = []
    with calling_without_end(served.url, key):
        for _ in range(5):  # a machine under load may be slower than the rate for a while
            results = ask(client, served.url, key, *[{"content": EMPTY}] * 10)
            refused = [reason(client, result) for result in results if "error" in result]
            if refused:
                break
    assert set(refused) == {"isv.app-call-limited"}


EMPTY: Final = {"start_time": "2026-11-29 00:00:00", "end_time": "2026-11-29 00:00:01"}
CALLERS: Final = 3


@contextmanager
def calling_without_end(url: str, credentials: dict[str, str]) -> Iterator[None]:
    """Inside, threads send one signed request again and again."""
    params = {
        "app_id": credentials["app_id"],
        "method": METHOD,
        "sign_type": "RSA2",
        "timestamp": "2026-11-29 00:00:00",
        "version": "1.0",
        "biz_content": json.dumps(EMPTY),
    }
    key = read_private_key("app_private_key", credentials["app_private_key"])
    target = f"{url}{PATH}?{urlencode(params | {'sign': sign_request(params, key)})}"
    ended = Event()

    def call() -> None:
        while not ended.is_set():
            with urlopen(target) as answer:  # noqa: S310 - a server of this test
                answer.read()

    threads = [Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
