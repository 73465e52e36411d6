"""Stripe's server: keys, ranges, pages by the ids of rows, and the status of a row by the clock."""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from liushui.flow import Flow, Kind
from liushui.http import Request, Response
from liushui.provider import Key
from liushui.providers.stripe import PROVIDER
from liushui.providers.stripe.wire import PATH
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN_S: Final = int(BEGIN.timestamp())


class Account:
    """An account of rows received and one of flows from elsewhere, and a key that reads both."""

    def __init__(self) -> None:
        self.clock = MovableClock(BEGIN + timedelta(days=30))
        self.reader = MemoryReader(self.clock)
        self.key: Key = self.reader.create_key(PROVIDER, "ours", "elsewhere")
        flows = [
            Flow(f"f{number}", BEGIN + timedelta(seconds=number // 3), Decimal(number), "EUR", kind=Kind.RECEIPT)
            for number in range(30)
        ]
        self.reader.add_flows("elsewhere", flows)

    def add(self, **fields: object) -> None:
        """Add a row as the service sends it."""
        row = json.loads(PROVIDER.codec.write(Flow("f", BEGIN, Decimal(1), "EUR"))) | fields
        self.reader.add_rows("ours", PROVIDER, [json.dumps(row, indent=1).encode()])

    def send(self, query: str = "", headers: Mapping[str, str] | None = None, path: str = PATH) -> Response:
        secret = self.key.credentials["api_key"]
        headers = {"authorization": f"Bearer {secret}"} if headers is None else headers
        return PROVIDER.server.answer(Request("GET", path, query, headers, route=path, trace="0" * 32), self.reader)

    def list(self, query: str = "") -> dict[str, Any]:
        answer = self.send(query)
        assert answer.status == 200, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        assert found.keys() == {"object", "url", "has_more", "data"}
        return found


@pytest.fixture
def account() -> Account:
    return Account()


def error_of(answer: Response) -> tuple[int, str, str | None, str | None]:
    error = json.loads(answer.body)["error"]
    assert error["message"]
    assert ("doc_url" in error) == ("code" in error)
    return answer.status, error["type"], error.get("code"), error.get("param")


@pytest.mark.parametrize("size", [1, 2, 7, 29, 30, 100])
@pytest.mark.parametrize("filter_", ["", "&type=charge", "&currency=eur"])
def test_pages_by_ids(account: Account, size: int, filter_: str) -> None:
    account.add(id="txn_real", created=BEGIN_S + 4, type="charge", reporting_category="charge")
    everything = account.list(f"limit=100{filter_}")["data"]
    ids: list[str] = []
    after = ""
    while True:
        page = account.list(f"limit={size}{filter_}{after}")
        ids += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        after = f"&starting_after={ids[-1]}"
    assert ids == [row["id"] for row in everything]
    assert len(set(ids)) == 31


@pytest.mark.parametrize("size", [1, 4, 100])
def test_pages_before_an_id(account: Account, size: int) -> None:
    ids = [row["id"] for row in account.list("limit=100")["data"]]
    anchor = ids[20]
    newer: list[str] = []
    while True:
        page = account.list(f"limit={size}&ending_before={anchor}")
        newer = [row["id"] for row in page["data"]] + newer
        if not page["has_more"]:
            break
        anchor = newer[0]
    assert newer == ids[:20]


def test_nothing_follows_the_oldest_row(account: Account) -> None:
    oldest = account.list("limit=100")["data"][-1]["id"]
    assert (account.list(f"starting_after={oldest}")["data"], account.list(f"starting_after={oldest}")["has_more"]) == (
        [],
        False,
    )


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("created=3", [3]),
        ("created[gte]=3&created[lte]=4", [3, 4]),
        ("created[gt]=3&created[lt]=6", [4, 5]),
        ("created%5Bgte%5D=8", [8, 9]),
        ("created[lt]=1", [0]),
        ("created[gte]=5&created[lt]=5", []),
    ],
)
def test_ranges_are_as_their_names_say(account: Account, query: str, seconds: list[int]) -> None:
    shifted = "&".join(f"{part.partition('=')[0]}={BEGIN_S + int(part.partition('=')[2])}" for part in query.split("&"))
    rows = account.list(f"limit=100&{shifted}")["data"]
    assert sorted({row["created"] - BEGIN_S for row in rows}) == seconds


def test_a_row_becomes_available_with_time(account: Account) -> None:
    account.add(id="txn_wait", created=BEGIN_S + 60, available_on=BEGIN_S + 60 * 86_400, status="pending")
    assert account.list("limit=1")["data"][0]["status"] == "pending"
    account.clock.at = BEGIN + timedelta(days=60)
    assert account.list("limit=1")["data"][0]["status"] == "available"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=0", (400, "invalid_request_error", None, "limit")),
        ("limit=-1", (400, "invalid_request_error", None, "limit")),
        ("limit=101", (400, "invalid_request_error", None, "limit")),
        ("limit=ten", (400, "invalid_request_error", "parameter_invalid_integer", "limit")),
        ("limit=10.0", (400, "invalid_request_error", "parameter_invalid_integer", "limit")),
        ("limit=", (400, "invalid_request_error", "parameter_invalid_empty", "limit")),
        ("created[gte]=yesterday", (400, "invalid_request_error", "parameter_invalid_integer", "created[gte]")),
        ("created[from]=1", (400, "invalid_request_error", "parameter_unknown", "created[from]")),
        ("available_on[gte]=1", (400, "invalid_request_error", "parameter_unknown", "available_on[gte]")),
        ("type=", (400, "invalid_request_error", "parameter_invalid_empty", "type")),
        ("payout=po_1", (400, "invalid_request_error", None, "payout")),
        ("expand[]=data.source", (400, "invalid_request_error", None, "expand[]")),
        ("starting_after=txn_no", (400, "invalid_request_error", "resource_missing", "starting_after")),
        ("starting_after=txn_" + "0" * 48, (400, "invalid_request_error", "resource_missing", "starting_after")),
        ("ending_before=x", (400, "invalid_request_error", "resource_missing", "ending_before")),
    ],
)
def test_requests_that_are_refused(account: Account, query: str, error: tuple[object, ...]) -> None:
    assert error_of(account.send(query)) == error


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic !!!", "Basic d3Jvbmc6", "Token x"])
def test_keys_that_are_refused(account: Account, authorization: str) -> None:
    assert error_of(account.send(headers={"authorization": authorization}))[:2] == (401, "invalid_request_error")


def test_a_key_as_the_user_name_of_basic_authentication(account: Account) -> None:
    basic = b64encode(f"{account.key.credentials['api_key']}:".encode()).decode()
    assert account.send(headers={"authorization": f"Basic {basic}"}).status == 200


def test_another_account_of_a_platform_is_refused(account: Account) -> None:
    headers = {"authorization": f"Bearer {account.key.credentials['api_key']}", "stripe-account": "acct_1"}
    assert error_of(account.send(headers=headers))[::2] == (403, "account_invalid")


def test_another_path_is_refused(account: Account) -> None:
    assert error_of(account.send(path="/v1/charges"))[:2] == (404, "invalid_request_error")


def test_a_sum_that_cannot_be_stated_is_refused(account: Account) -> None:
    account.reader.add_flows("elsewhere", [Flow("x", BEGIN, Decimal("0.001"), "USDT")])
    answer = account.send("limit=100")
    assert error_of(answer)[0] == 400
    assert b"USDT" in answer.body
