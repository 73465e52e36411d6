"""Stripe's official clients for Python and Node, unmodified, against `liushui serve`: 3,000 rows over all pages."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from liushui.instant import system_clock
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import Slice
from liushui.providers.stripe import PROVIDER
from liushui.testing.processes import Running, serving
from tests.providers.installed import installed, installed_npm
from tests.providers.stripe.failing_proxy import failing_proxy
from tests.system import require

HERE: Final = Path(__file__).parent
NPM_VERSION: Final = "23.1.0"
ROWS: Final = 3_000
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN_S: Final = int(BEGIN.timestamp())
CROWD: Final = range(1_000, 1_250)
"""Rows of one second: more than two pages."""


def row(number: int) -> dict[str, Any]:
    """A row as the service has it. Rows stand in pairs of one second; some are of one."""
    amount, fee = (number - ROWS // 2) * 37, number % 7
    return {
        "id": f"txn_3Q{number * 7919 % 100_003:06}live",
        "object": "balance_transaction",
        "amount": amount,
        "available_on": BEGIN_S + 86_400,
        "balance_type": "payments",
        "created": BEGIN_S + (CROWD.start if number in CROWD else number) // 2 * 60,
        "currency": ("usd", "jpy", "kwd")[number % 3],
        "description": (None, "尾款 😀", 'a "b": {c}')[number % 3],
        "exchange_rate": None if number % 5 else 1.25,
        "fee": fee,
        "fee_details": [
            {"amount": fee, "application": None, "currency": "usd", "description": None, "type": "stripe_fee"}
        ]
        if fee
        else [],
        "net": amount - fee,
        "reporting_category": "charge",
        "source": f"ch_{number}",
        "status": "available",
        "type": ("charge", "refund", "payout")[number % 3],
    }


MADE: Final = [row(number) for number in range(ROWS)]


class Shop(NamedTuple):
    """A served ledger with the rows of one account, and keys to read it."""

    running: Running
    key: str
    paced_key: str
    foreign_key: str


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Rows as the service sends them, indented; and another account whose flows came from elsewhere."""
    path = tmp_path_factory.mktemp("stripe") / "ledger.db"
    ledger = open_ledger(str(path), create=True)
    received = [PROVIDER.codec.read(json.dumps(one, indent=2, ensure_ascii=False).encode()) for one in MADE]
    asked = Slice(BEGIN, BEGIN + timedelta(days=60))
    for account, provider in (("ours", PROVIDER.name), ("elsewhere", "no-such-provider")):
        make_account(ledger, account, provider, "UTC")
        commit_slice(ledger, account, asked, read_at=system_clock(), received=received)
    keys = [
        create_key(ledger, PROVIDER, [account], paced=paced)["api_key"]
        for account, paced in (("ours", False), ("ours", True), ("elsewhere", False))
    ]
    ledger.close()
    with serving(path, workers=2) as running:
        yield Shop(running, *keys)


def call(client: str, url: str, key: str, params: Mapping[str, object], **job: object) -> Any:  # noqa: ANN401 - JSON
    """What a client gives for all pages, or its error. It runs in a process of its own."""
    if client == "npm":
        command = [_node(), str(HERE / "official.js")]
        path = {"NODE_PATH": str(installed_npm("stripe", NPM_VERSION) / "node_modules")}
    else:
        command = [sys.executable, str(HERE / "official.py")]
        path = {"PYTHONPATH": str(installed(HERE / "stripe-16.1.0.txt"))}
    done = subprocess.run(
        command,
        input=json.dumps({"url": url, "key": key, "params": params, **job}),
        env=os.environ | path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _node() -> str:
    return require("node", "nodejs")


def by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({one["id"] for one in rows}) == len(rows), "a row came twice"
    return {one["id"]: one for one in rows}


def test_what_is_tested_is_said() -> None:
    assert PROVIDER.tested_with == f"`stripe` 16.1.0 (Python), `stripe` {NPM_VERSION} (npm)"


@pytest.mark.parametrize("client", ["python", "npm"])
def test_every_row_arrives_once(shop: Shop, client: str) -> None:
    """Newest first, as the service wrote it, over all pages."""
    result = call(client, shop.running.url, shop.key, {"limit": 100})
    assert result["error"] is None
    times = [one["created"] for one in result["rows"]]
    assert times == sorted(times, reverse=True)
    assert by_id(result["rows"]) == by_id(MADE)


@pytest.mark.parametrize(("client", "job"), [("python", {"legacy": True}), ("npm", {})])
def test_every_row_arrives_once_over_retries(shop: Shop, client: str, job: dict[str, object]) -> None:
    """Some calls fail at first, and the client makes them again."""
    with failing_proxy(shop.running.url, every=15) as proxy:
        result = call(client, proxy.url, shop.key, {"limit": 100}, **job)
    assert result["error"] is None
    assert by_id(result["rows"]) == by_id(MADE)
    assert proxy.failed == 2


def test_rows_that_came_from_elsewhere_have_ids_to_page_by(shop: Shop) -> None:
    result = call("python", shop.running.url, shop.foreign_key, {"limit": 100})
    assert result["error"] is None
    assert sorted(one["net"] for one in result["rows"]) == sorted(one["net"] for one in MADE)
    assert len(by_id(result["rows"])) == ROWS


@pytest.mark.parametrize("client", ["npm"])
def test_a_range_and_a_filter(shop: Shop, client: str) -> None:
    first, last = BEGIN_S + 600 * 60, BEGIN_S + 700 * 60
    params = {"limit": 7, "created": {"gte": first, "lt": last}, "type": "refund", "currency": "jpy"}
    result = call(client, shop.running.url, shop.key, params)
    expected = [one for one in MADE if first <= one["created"] < last and one["type"] == "refund"]
    assert by_id(result["rows"]) == by_id([one for one in expected if one["currency"] == "jpy"]) != {}


@pytest.mark.parametrize("client", ["python"])
def test_rows_before_another_one(shop: Shop, client: str) -> None:
    """`ending_before` walks towards the newest rows. Python's client asks for the next page with both ids."""
    anchor = MADE[CROWD.start + 100]
    result = call(client, shop.running.url, shop.key, {"limit": 100, "ending_before": anchor["id"]})
    assert result["error"] is None
    newer = [one for one in MADE if one["created"] > anchor["created"]]
    assert by_id(newer).keys() <= by_id(result["rows"]).keys()
    assert anchor["id"] not in by_id(result["rows"])


@pytest.mark.parametrize(
    ("client", "key", "params", "error"),
    [
        ("python", "sk_live_wrong", {}, ["AuthenticationError", 401, None, None]),
        ("npm", "sk_live_wrong", {}, ["StripeAuthenticationError", 401, None, None]),
        ("python", "", {"limit": 0}, ["InvalidRequestError", 400, None, "limit"]),
        ("npm", "", {"limit": 101}, ["StripeInvalidRequestError", 400, None, "limit"]),
        (
            "python",
            "",
            {"starting_after": "txn_no"},
            ["InvalidRequestError", 400, "resource_missing", "starting_after"],
        ),
        ("npm", "", {"payout": "po_1"}, ["StripeInvalidRequestError", 400, None, "payout"]),
    ],
)
def test_a_client_has_its_own_error(
    shop: Shop, client: str, key: str, params: dict[str, object], error: list[object]
) -> None:
    assert call(client, shop.running.url, key or shop.key, params) == {"rows": [], "error": error}


@pytest.mark.parametrize(("client", "name"), [("python", "RateLimitError"), ("npm", "StripeRateLimitError")])
def test_too_many_calls(shop: Shop, client: str, name: str) -> None:
    """One row a page: the rate of the key is used up in a fraction of a second."""
    for _ in range(5):  # a machine under load may be slower than the rate for a while
        result = call(client, shop.running.url, shop.paced_key, {"limit": 1, "created": {"lt": BEGIN_S + 2_000 * 60}})
        if result["error"] is not None:
            break
    assert result["error"][:2] == [name, 429]
