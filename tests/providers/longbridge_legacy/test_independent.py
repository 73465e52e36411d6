"""A client that an outsider could have written, over HTTP against a ledger that another process serves."""

import ast
import json
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from liushui.instant import UNIX_SECONDS_MAX, UNIX_SECONDS_MIN
from liushui.testing.processes import Running
from tests.providers.longbridge.rows import Row
from tests.providers.longbridge_legacy import independent
from tests.providers.longbridge_legacy.conftest import SYMBOLS, Shelf
from tests.providers.longbridge_legacy.independent import CashFlow, Client, Refusal

EVER = (UNIX_SECONDS_MIN, UNIX_SECONDS_MAX)
ASKED = {"start_time": 0, "end_time": UNIX_SECONDS_MAX, "page": 1, "size": 50}


def test_it_shares_nothing_with_what_it_tests() -> None:
    tree = ast.parse(Path(independent.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


def expected(rows: list[Row]) -> list[CashFlow]:
    """Rows as the client must give them."""
    return [
        CashFlow(
            name=row["transaction_flow_name"],
            direction=row["direction"],
            business_type=row["business_type"],
            amount=Decimal(row["balance"]),
            currency=row["currency"],
            seconds=row["business_time"],
            symbol=row["symbol"],
            description=row["description"],
        )
        for row in rows
    ]


@pytest.fixture(scope="module")
def client(shelf: Shelf, shop: Running) -> Client:
    return Client(shop.url, **shelf.key("early"))


@pytest.mark.parametrize("size", [50, 999, 10_000])
@pytest.mark.parametrize("account", ["early", "late"])
def test_every_row_arrives_through_either_generations_account(
    shelf: Shelf, shop: Running, account: str, size: int
) -> None:
    found = list(Client(shop.url, **shelf.key(account)).everything(*EVER, size))
    assert Counter(found) == Counter(expected(shelf.rows))
    assert [str(flow.amount) for flow in sorted(found, key=lambda flow: flow.description)] == [
        row["balance"] for row in sorted(shelf.rows, key=lambda row: str(row["description"]))
    ]
    seconds = [flow.seconds for flow in found]
    assert seconds == sorted(seconds, reverse=True)


def test_filters(client: Client, shelf: Shelf) -> None:
    for business_type in (None, 1, 2, 3):
        for symbol in (None, *SYMBOLS, "NONE.US"):
            filters: dict[str, Any] = {"business_type": business_type, "symbol": symbol}
            asked = {name: value for name, value in filters.items() if value is not None}
            found = client.everything(*EVER, 1_000, **asked)
            fitting = [
                row
                for row in shelf.rows
                if business_type in (None, row["business_type"]) and (not symbol or symbol == row["symbol"])
            ]
            assert Counter(found) == Counter(expected(fitting)), filters


def test_both_ends_of_a_range_belong_to_it(client: Client, shelf: Shelf) -> None:
    first, last = shelf.rows[1_500]["business_time"], shelf.rows[200]["business_time"]
    fitting = [row for row in shelf.rows if first <= row["business_time"] <= last]
    assert Counter(client.everything(first, last, 400)) == Counter(expected(fitting))


def test_numbers_as_their_text(client: Client) -> None:
    as_text = {name: str(value) for name, value in ASKED.items()}
    assert client.page(**as_text) == client.page(**ASKED)
    assert len(client.page(**ASKED)) == 50


@pytest.mark.parametrize(
    ("wrong", "msg"),
    [
        ({"size": "LO"}, "bad request: size: expected a whole number from 1 to 10000, got 'LO'"),
        ({"business_type": "AAPL.US"}, "bad request: business_type: expected 1 or 2 or 3, got 'AAPL.US'"),
        ({"symbol": 1}, "bad request: symbol: expected text or null, got 1"),
        ({"end_time": -1}, "bad request: end_time: expected start_time 0 or later, got -1"),
        ({"page": None}, "bad request: page: expected an integer or text, got null"),
    ],
)
def test_a_bad_request(client: Client, wrong: dict[str, object], msg: str) -> None:
    """document: 400 1470400 bad request"""
    with pytest.raises(Refusal) as caught:
        client.page(**ASKED | wrong)
    assert (caught.value.status, caught.value.code, caught.value.msg) == (400, 1470400, msg)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"a":' * 10_000])
def test_a_body_that_is_not_a_json_object(client: Client, body: bytes) -> None:
    status, answer = client.post(body)
    assert (status, answer["code"]) == (400, 1470400)
    assert answer["msg"] == answer["message"]


@pytest.mark.parametrize("wrong", ["app_key", "app_secret", "access_token"])
def test_a_forbidden_request(shelf: Shelf, shop: Running, wrong: str) -> None:
    """document: 403 1470403 request forbidden"""
    stranger = Client(shop.url, **shelf.key("early") | {wrong: "wrong"})
    with pytest.raises(Refusal) as caught:
        stranger.page(**ASKED)
    assert (caught.value.status, caught.value.code) == (403, 1470403)
    assert caught.value.msg.startswith("request forbidden: ")


def test_too_many_calls(shelf: Shelf, shop: Running) -> None:
    """The rate is one, however many workers there are."""
    client = Client(shop.url, **shelf.key("early", paced=True))
    answers = [client.post(json.dumps(ASKED).encode()) for _ in range(33)]
    assert Counter((status, answer["code"]) for status, answer in answers) == {(200, 0): 30, (429, 1470429): 3}
