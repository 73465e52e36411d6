"""Longbridge's official clients, unmodified, against `liushui serve`: every row, every filter, every error."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from liushui.provider import Provider
from liushui.providers import get_provider
from liushui.testing.golden import cases, samples_of
from liushui.testing.processes import Running, run
from tests.conftest import Book
from tests.providers.longbridge.asking import ask

PROVIDER: Provider = get_provider("longbridge")
EVER = {"start_time": "1970-01-01T00:00:00", "end_time": "2100-01-01T00:00:00"}
CLIENTS = ("longbridge", "longbridge async", "longbridge http", "longport")
TRACE = re.compile(r"[0-9a-f]{32}")

Rows = Counter[tuple[object, ...]]


def told(rows: list[dict[str, Any]]) -> Rows:
    """Rows as a client gave them, as a multiset."""
    return Counter(tuple(row.values()) for row in rows)


def held(flows: list[dict[str, Any]]) -> Rows:
    """Flows of a ledger as a client must give them."""
    types = {"cash": "Cash", "stock": "Stock", "fund": "Fund"}
    return Counter(
        (
            flow["label"],
            flow["direction"].capitalize(),
            types.get(flow["category"], "Unknown"),
            unsigned_zero(flow["amount"]),
            flow["currency"],
            flow["at"].removesuffix("Z"),
            flow["symbol"] or None,
            flow["note"] or "",
        )
        for flow in flows
    )


def unsigned_zero(amount: str) -> str:
    """The clients' decimals know no negative zero."""
    return amount if amount.strip("-0.") else amount.removeprefix("-")


@pytest.fixture(scope="module")
def key(book: Book) -> dict[str, str]:
    """A key without a rate: the clients do not pace themselves."""
    return book.key()


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("client", "size"),
    [
        ("longbridge", 50),
        ("longbridge", 777),
        ("longbridge", 10_000),
        ("longbridge http", 1_000),
        ("longport", 2_500),
        ("longport", 10_000),
    ],
)
def test_every_row_arrives(book: Book, served: Running, key: dict[str, str], client: str, size: int) -> None:
    (result,) = ask(client, served, key, EVER | {"size": size, "drain": True})
    assert told(result["rows"]) == held(book.flows)


def test_every_row_arrives_when_all_pages_are_asked_for_at_once(
    book: Book, served: Running, key: dict[str, str]
) -> None:
    results = ask("longbridge async", served, key, *(EVER | {"size": 600, "page": number} for number in range(1, 19)))
    assert [len(result["rows"]) for result in results] == [600] * 16 + [400, 0]
    assert told([row for result in results for row in result["rows"]]) == held(book.flows)


def test_the_newest_come_first(book: Book, served: Running, key: dict[str, str]) -> None:
    for client in CLIENTS:
        (first,) = ask(client, served, key, EVER)
        times = [row["time"] for row in first["rows"]]
        assert times == sorted((flow["at"][:-1] for flow in book.flows), reverse=True)[:50]


def test_longport_connects_at_the_main_port_too(book: Book, served: Running, key: dict[str, str]) -> None:
    (result,) = ask("longport", served, key, EVER | {"size": 10_000}, ws_url=served.url.replace("http", "ws"))
    assert told(result["rows"]) == held(book.flows)


@pytest.mark.parametrize("prefix", ["/", "/dialect/longbridge", "/dialect/longbridge/"])
@pytest.mark.parametrize("client", ["longbridge", "longport"])
def test_base_urls(served: Running, key: dict[str, str], client: str, prefix: str) -> None:
    """A slash at the end is signed twice, and a mounted dialect with its prefix."""
    root, there = (ask(client, served, key, EVER, http_url=served.url + path) for path in ("", prefix))
    assert root == there
    assert len(there[0]["rows"]) == 50


@pytest.mark.parametrize("client", CLIENTS)
def test_filters(book: Book, served: Running, key: dict[str, str], client: str) -> None:
    categories = {1: "cash", 2: "stock", 3: "fund"}
    symbols = [symbol for symbol, _ in Counter(flow["symbol"] for flow in book.flows if flow["symbol"]).most_common(4)]
    asked: list[dict[str, Any]] = [{"business_type": code} for code in categories]
    asked += [{"symbol": symbol} for symbol in [*symbols, "NONE.US"]]
    asked += [{"symbol": symbol, "business_type": code} for symbol in symbols for code in categories]
    results = ask(client, served, key, *(EVER | {"size": 10_000} | filters for filters in asked))
    assert len(results) == len(asked) == 20
    for filters, result in zip(asked, results, strict=True):
        category, symbol = categories.get(filters.get("business_type", 0)), filters.get("symbol")
        fitting = [
            flow for flow in book.flows if category in (None, flow["category"]) and symbol in (None, flow["symbol"])
        ]
        assert told(result["rows"]) == held(fitting), filters


@pytest.mark.parametrize("client", CLIENTS)
def test_both_ends_of_a_range_belong_to_it(book: Book, served: Running, key: dict[str, str], client: str) -> None:
    since, until = book.flows[4_000]["at"], book.flows[4_400]["at"]
    (result,) = ask(client, served, key, {"start_time": since[:-1], "end_time": until[:-1], "size": 10_000})
    assert told(result["rows"]) == held([flow for flow in book.flows if since <= flow["at"] <= until])


@pytest.mark.parametrize("client", CLIENTS)
def test_all_of_time_can_be_asked_for(book: Book, served: Running, key: dict[str, str], client: str) -> None:
    ever = {"start_time": "0001-01-01T00:00:00", "end_time": "9999-12-31T23:59:59", "size": 10_000}
    (result,) = ask(client, served, key, ever)
    assert told(result["rows"]) == held(book.flows)


def test_every_sample_is_accepted(book: Book, served: Running) -> None:
    """Whatever came from the provider and was kept, its official clients read: one bad row would cost a whole page."""
    files = [str(wire) for _, wire, _ in cases(samples_of(PROVIDER))]
    run("import", *files, "--provider", PROVIDER.name, "--account", "samples", ledger=book.path, codes=(0, 3))
    lines = run("flows", "samples", "--format", "jsonl", ledger=book.path, codes=(0, 3)).splitlines()
    expected = held([json.loads(line) for line in lines])
    ever = {"start_time": "0001-01-01T00:00:00", "end_time": "9999-12-31T23:59:59", "size": 10_000}
    for client in ("longbridge", "longport"):
        (result,) = ask(client, served, book.key("samples"), ever)
        assert told(result["rows"]) == expected
    assert expected.total() > 15


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ({"app_secret": "0" * 64}, 403201, "signature invalid"),
        ({"app_key": "nobody"}, 403203, "apikey illegal"),
        ({"access_token": "m_wrong"}, 401003, "token expired or invalid"),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_wrong_credentials(
    served: Running, key: dict[str, str], client: str, wrong: dict[str, str], code: int, message: str
) -> None:
    """`longport` connects first, and so fails there."""
    (result,) = ask(client, served, key | wrong, EVER)
    error = result["error"]
    assert (error["code"], error["message"], error["kind"]) == (code, message, "OpenApi")
    assert TRACE.fullmatch(error["trace_id"])
    assert error["trace_id"] in error["text"]


@pytest.mark.parametrize("client", CLIENTS)
def test_wrong_parameters(served: Running, key: dict[str, str], client: str) -> None:
    wrong: list[dict[str, Any]] = [
        {"size": 0},
        {"size": 10_001},
        {"page": 0},
        {"start_time": "2100-01-01T00:00:01"},
    ]
    results = ask(client, served, key, *(EVER | parameters for parameters in wrong), EVER)
    for parameters, result in zip(wrong, results, strict=False):
        error = result["error"]
        name = "end_time" if "start_time" in parameters else next(iter(parameters))
        assert (error["code"], error["kind"]) == (202202, "OpenApi")
        assert error["message"].startswith(f"parameter error: {name}: expected ")
        assert TRACE.fullmatch(error["trace_id"])
    assert len({result["error"]["trace_id"] for result in results[:-1]}) == len(wrong)
    assert len(results[-1]["rows"]) == 50


@pytest.mark.parametrize("client", CLIENTS)
def test_too_many_calls(book: Book, served: Running, client: str) -> None:
    """The rate is one, however many workers there are. `longport` spends one call of it on its connection."""
    results = ask(client, served, book.key(paced=True), *([EVER | {"size": 1}] * 35))
    refused = [result["error"] for result in results if "error" in result]
    assert len(results) - len(refused) == (29 if client == "longport" else 30)
    assert {(error["code"], error["kind"]) for error in refused} == {(429002, "OpenApi")}
    assert all(TRACE.fullmatch(error["trace_id"]) for error in refused)


# ---------------------------------------------------------------- what we print


def test_the_snippet_works_as_it_is_printed(book: Book, served: Running, key: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "snippet.py"
    program.write_text(PROVIDER.snippet.format(base_url=served.url, socket_url=served.socket_url, **key))
    done = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    newest = sorted((flow["at"] for flow in book.flows), reverse=True)[:5]
    assert [line.partition('business_time: "')[2][:20] for line in done.stdout.splitlines()] == newest
