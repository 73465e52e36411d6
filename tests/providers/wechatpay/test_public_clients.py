"""Public clients of WeChat Pay for Python and Node, unmodified, against `liushui serve`: 3,000 rows over all days."""

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest

from liushui.instant import system_clock, to_utc
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import Slice
from liushui.providers.wechatpay import PROVIDER
from liushui.testing.processes import Running, serving
from tests.providers.flaky_proxy import SILENCE, FlakyProxy, faults_at
from tests.providers.installed import installed, installed_npm
from tests.providers.wechatpay.rows import row
from tests.system import require

HERE: Final = Path(__file__).parent
NPM_VERSION: Final = "0.9.6"
DAYS: Final = 30
ROWS: Final = 3_000
TODAY: Final = datetime.now(ZoneInfo("Asia/Shanghai")).date()
FIRST: Final = TODAY - timedelta(days=DAYS + 10)
QUIET: Final = FIRST + timedelta(days=DAYS)
"""A day without flows."""
UNREAD: Final = QUIET + timedelta(days=1)
"""A day that no sync has read."""


def made(number: int) -> bytes:
    """A row of one of the days. Every hundredth is of the operation account."""
    day = FIRST + timedelta(days=number % DAYS)
    at = f"{day} {number // DAYS % 24:02}:{number % 60:02}:{number * 7 % 60:02}"
    amount = Decimal(number * 37 + 1).scaleb(-2)
    account_type = "OPERATION" if number % 100 == 0 else "BASIC"
    return row(at=at, amount=str(amount), side=("收入", "支出")[number % 3 == 0], number=str(number), of=account_type)


MADE: Final = [made(number) for number in range(ROWS)]
BILLS: Final = [(str(FIRST + timedelta(days=day)), of) for day in range(DAYS + 1) for of in ("BASIC", "OPERATION")]


class Shop(NamedTuple):
    """A served ledger with the rows of one account, and keys to read it."""

    running: Running
    key: dict[str, str]
    paced_key: dict[str, str]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    path = tmp_path_factory.mktemp("wechatpay") / "ledger.db"
    ledger = open_ledger(str(path), create=True)
    begin, end = (to_utc(datetime.combine(day, time.min, ZoneInfo("Asia/Shanghai"))) for day in (FIRST, UNREAD))
    make_account(ledger, "shop", PROVIDER.name, PROVIDER.rules.zone)
    received = [PROVIDER.codec.read(one) for one in MADE]
    commit_slice(ledger, "shop", Slice(begin, end), read_at=system_clock(), received=received)
    keys = [create_key(ledger, PROVIDER, ["shop"], paced=paced) for paced in (False, True)]
    ledger.close()
    with serving(path, workers=2) as running:
        yield Shop(running, *keys)


def call(client: str, shop: Shop, *jobs: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """What a client gives for each job. It runs in a process of its own."""
    if client == "npm":
        command = [require("node", "nodejs"), str(HERE / "public.js")]
        path = {"NODE_PATH": str(installed_npm("wechatpay-axios-plugin", NPM_VERSION) / "node_modules")}
    else:
        command = [sys.executable, str(HERE / "public.py")]
        path = {"PYTHONPATH": str(installed(HERE / "wechatpayv3-2.0.4.txt"))}
    done = subprocess.run(
        command,
        input=json.dumps([{"url": shop.running.url, "credentials": shop.key, **job} for job in jobs]),
        env=os.environ | path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows_in(bills: list[tuple[str, str]], documents: list[str | None]) -> list[bytes]:
    """The rows of documents, as the codec reads them; each with the account type that was asked for."""
    rows: list[bytes] = []
    for (_, account_type), document in zip(bills, documents, strict=True):
        if document is not None:
            read = PROVIDER.codec.extract_rows(document.encode())
            rows += [one.replace(b'"BASIC"', f'"{account_type}"'.encode()) for one in read]
    return rows


CLIENTS: Final = pytest.mark.parametrize("client", ["python", "npm"])


def test_what_is_tested_is_said() -> None:
    assert PROVIDER.tested_with == f"`wechatpayv3` 2.0.4 (Python), `wechatpay-axios-plugin` {NPM_VERSION} (npm)"


ERRORS: Final[list[tuple[dict[str, Any], tuple[str, str], list[object]]]] = [
    ({"wrong": "private_key"}, BILLS[0], [401, "SIGN_ERROR"]),
    ({"wrong": "mchid"}, BILLS[0], [401, "SIGN_ERROR"]),
    ({"wrong": "serial_no"}, BILLS[0], [401, "SIGN_ERROR"]),
    ({"ahead_s": -3_000}, BILLS[0], [401, "SIGN_ERROR"]),
    ({}, ("2026-02-30", "BASIC"), [400, "PARAM_ERROR"]),
    ({}, (str(FIRST), "SAVINGS"), [400, "PARAM_ERROR"]),
    ({"tar_type": "None"}, BILLS[0], [400, "PARAM_ERROR"]),
    ({}, (str(TODAY), "BASIC"), [400, "PARAM_ERROR"]),
    ({}, (str(FIRST - timedelta(days=100)), "BASIC"), [400, "PARAM_ERROR"]),
    ({}, (str(UNREAD), "BASIC"), [400, "STATEMENT_CREATING"]),
]
"""What is wrong, the bill that is asked for, and what the client tells its user."""


@CLIENTS
def test_every_row_arrives_once_and_once_more(shop: Shop, client: str) -> None:
    """Over all days and both accounts, packed and plain. A day without flows has no bill."""
    for result in call(client, shop, {"bills": BILLS}, {"bills": BILLS, "tar_type": ""}):
        assert Counter(rows_in(BILLS, result["documents"])) == Counter(MADE)
        assert {tuple(error) for error in result["errors"]} == {(400, "NO_STATEMENT_EXIST")}


@CLIENTS
def test_every_row_arrives_over_failures(shop: Shop, client: str) -> None:
    """An error page, a refusal and a call without an answer, of either call: the same call is made again."""
    job = {"bills": BILLS, "tries": 100, "timeout_ms": 2_000}
    with FlakyProxy(shop.running.url, faults_at({2: 503, 5: 429, 7: 429, 20: SILENCE, 30: 503})) as proxy:
        (result,) = call(client, shop, {**job, "url": proxy.url})
    assert Counter(rows_in(BILLS, result["documents"])) == Counter(MADE)
    assert proxy.failed == [503, 429, 429, SILENCE, 503]
    assert result["tries"] <= 100 - len(proxy.failed)


@CLIENTS
def test_a_client_has_its_own_errors(shop: Shop, client: str) -> None:
    """For a wrong signature, an unknown merchant or certificate, a stale clock, and parameters."""
    jobs = []
    for given, bill, _ in ERRORS:
        job = {name: value for name, value in given.items() if name != "wrong"}
        if wrong := given.get("wrong"):
            job["credentials"] = {**shop.key, wrong: shop.paced_key[wrong]}
        jobs.append({"bills": [bill], **job})
    results = call(client, shop, *jobs)
    assert [result["errors"] for result in results] == [[error] for _, _, error in ERRORS]


@CLIENTS
def test_too_many_calls(shop: Shop, client: str) -> None:
    for _ in range(5):  # a machine under load may be slower than the rate for a while
        (result,) = call(client, shop, {"bills": BILLS[:1], "credentials": shop.paced_key, "repeat": True})
        if result["errors"]:
            break
    assert result["errors"] == [[429, "FREQUENCY_LIMITED"]]


# ---------------------------------------------------------------- an independent signer


def openssl(arguments: list[str], given: bytes) -> bytes:
    return subprocess.run(
        [require("openssl", "openssl"), *arguments], input=given, capture_output=True, check=True
    ).stdout


def test_openssl_signs_requests_and_verifies_answers(shop: Shop, tmp_path: Path) -> None:
    """With nothing of ours, and nothing of a client's, in between."""
    key, platform = tmp_path / "key.pem", tmp_path / "platform.pem"
    key.write_text(shop.key["private_key"] + "\n")
    platform.write_text(shop.key["platform_public_key"] + "\n")

    def get(target: str) -> tuple[int, Mapping[str, str], bytes]:
        timestamp = str(int(datetime.now(UTC).timestamp()))
        message = f"GET\n{target}\n{timestamp}\nnonce\n\n".encode()
        signature = base64.b64encode(openssl(["dgst", "-sha256", "-sign", str(key)], message)).decode()
        parts = {
            "timestamp": timestamp,
            "serial_no": shop.key["serial_no"],
            "signature": signature,
            "nonce_str": "nonce",
            "mchid": shop.key["mchid"],
        }
        header = "WECHATPAY2-SHA256-RSA2048 " + ",".join(f'{name}="{value}"' for name, value in parts.items())
        with closing(HTTPConnection(urlsplit(shop.running.url).netloc)) as connection:
            connection.request("GET", target, headers={"authorization": header})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    status, headers, body = get(f"/v3/bill/fundflowbill?bill_date={FIRST}")
    assert status == 200
    message = f"{headers['wechatpay-timestamp']}\n{headers['wechatpay-nonce']}\n".encode() + body + b"\n"
    (tmp_path / "signature").write_bytes(base64.b64decode(headers["wechatpay-signature"]))
    said = openssl(["dgst", "-sha256", "-verify", str(platform), "-signature", str(tmp_path / "signature")], message)
    assert said.strip() == b"Verified OK"
    assert headers["wechatpay-serial"] == shop.key["platform_key_id"]
    link = json.loads(body)
    parts = urlsplit(link["download_url"])
    assert f"{parts.scheme}://{parts.netloc}" == shop.running.url
    status, headers, document = get(f"{parts.path}?{parts.query}")
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    assert openssl(["dgst", "-sha1", "-r"], document).split()[0].decode() == link["hash_value"]
    expected = [one for one in MADE if str(FIRST).encode() in one and b"BASIC" in one]
    assert Counter(PROVIDER.codec.extract_rows(document)) == Counter(expected)
