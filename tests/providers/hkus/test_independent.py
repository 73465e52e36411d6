"""A client that an outsider could have written, in a separate process, against a ledger that another process serves."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from liushui.providers import get_provider
from liushui.providers.hkus import PROVIDER
from liushui.testing.golden import cases, samples_of
from liushui.testing.processes import run, serving
from tests.providers.hkus.rows import Literal, Row, row, wire

PROGRAM: Final = Path(__file__).with_name("independent.py")
OWN, ELSEWHERE, MIXED = "broker", "longport", "mixed"
SECONDS: Final = 250
"""Seconds with one row each, and every tenth of them with a second row."""


def own_rows() -> list[Row]:
    """Three types of business, both sides, in no order."""
    types = ("us_stock", "hk_stock", "other")
    rows = [
        row(
            id=1_000_000 + number,
            account_id=88001,
            date=1746775317 + number % SECONDS,
            amt=Literal(f"{number}.{number % 100:02}0"),
            io_type="in" if number % 4 else "out",
            business_type=types[number % 3],
        )
        for number in range(SECONDS + SECONDS // 10)
    ]
    return rows[::2] + rows[1::2]


class Served(NamedTuple):
    """A ledger with accounts of two providers, and where it is served."""

    url: str
    keys: dict[str, dict[str, str]]
    """The credentials of a key of each account."""

    def call(self, account: str, *calls: dict[str, Any], path: str = "", **wrong: str) -> list[Any]:
        """What the client gets for each call."""
        job = {"base_url": self.url + path, **self.keys[account], **wrong, "calls": calls}
        done = subprocess.run(
            [sys.executable, str(PROGRAM)],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            env={"TZ": "UTC"},
        )
        results: list[Any] = json.loads(done.stdout)
        return results


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Rows imported and keys made as a user does it."""
    folder = tmp_path_factory.mktemp("hkus")
    ledger, saved = folder / "ledger.db", folder / "rows.jsonl"
    saved.write_bytes(b"\n".join(map(wire, own_rows())))
    run("import", str(saved), "--provider", "hkus", "--account", OWN, ledger=ledger)
    samples = {name: str(path) for name, path, _ in cases(samples_of(get_provider("longbridge")))}
    run("import", samples["document"], "--provider", "longbridge", "--account", ELSEWHERE, ledger=ledger)
    del samples["rejected"]
    run("import", *samples.values(), "--provider", "longbridge", "--account", MIXED, ledger=ledger)
    make = ("key", "create", "--dialect", "hkus", "--unpaced", "--format", "json", "--account")
    keys = {account: json.loads(run(*make, account, ledger=ledger)) for account in (OWN, ELSEWHERE, MIXED)}
    with serving(ledger) as running:
        yield Served(running.url, keys)


def as_read(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as the client has them, newest first, then by falling id."""
    read: list[dict[str, Any]] = [json.loads(wire(one), parse_float=str) for one in rows]
    return sorted(read, key=lambda one: (one["date"], one["id"]), reverse=True)


@pytest.mark.parametrize("path", ["", "/dialect/hkus"])
def test_every_row_on_every_page(served: Served, path: str) -> None:
    """document: page, page_size, total_records."""
    expected = as_read(own_rows())
    results = served.call(OWN, *({"query": {"page_size": size}, "drain": True} for size in (100, 20, 7)), path=path)
    for result, pages in zip(results, (3, 14, 40), strict=True):
        assert (result["total"], result["pages"]) == (len(expected), pages)
        assert result["rows"] == expected


def test_filters_alone_and_together(served: Served) -> None:
    """document: business_type, io_type, from_date, to_date."""
    expected = as_read(own_rows())
    asked: list[dict[str, Any]] = [
        {"business_type": "us_stock"},
        {"business_types": "hk_stock"},
        {"io_type": "in"},
        {"io_type": "out", "business_type": "other", "from_date": 1746775400, "to_date": 1746775500},
        {"business_type": "fund"},
    ]
    results = served.call(OWN, *({"query": {"page_size": 100, **query}, "drain": True} for query in asked))
    for query, result in zip(asked, results, strict=True):
        business_type = query.get("business_type", query.get("business_types"))
        rows = [
            one
            for one in expected
            if business_type in (None, one["business_type"])
            and query.get("io_type") in (None, one["io_type"])
            and query.get("from_date", 0) <= one["date"] <= query.get("to_date", one["date"])
        ]
        assert (result["rows"], result["total"]) == (rows, len(rows))


def test_the_documents_example(served: Served) -> None:
    """document: the cURL example, its reversed range included, and the range the right way round."""
    query: dict[str, Any] = {"page": 1, "page_size": 20, "from_date": 1746775317, "to_date": 1746775257}
    query |= {"io_type": "in", "business_types": "us_stock"}
    turned = {**query, "from_date": 1746775257, "to_date": 1746775317}
    reversed_, forward = served.call(OWN, {"query": query}, {"query": turned})
    assert reversed_ == {
        "status": 400,
        "body": {
            "code": 40001,
            "message": "invalid parameter",
            "details": "to_date: expected from_date 1746775317 or later, got 1746775257",
        },
    }
    assert (forward["status"], list(forward["body"])) == (200, ["code", "data"])
    assert list(forward["body"]["data"]) == ["total_records", "page", "page_size", "transactions"]


@pytest.mark.parametrize(("field", "code"), [("api_key", 40101), ("api_secret", 40102)])
def test_wrong_credentials(served: Served, field: str, code: int) -> None:
    (result,) = served.call(OWN, {"query": {}}, **{field: "wrong"})
    assert (result["status"], result["body"]["code"]) == (401, code)
    assert set(result["body"]) == {"code", "message", "details"}


def test_the_snippet_that_users_are_shown(served: Served) -> None:
    """It is a whole program: it prints the newest five rows."""
    program = PROVIDER.snippet.format(base_url=served.url, **served.keys[OWN])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    data = json.loads(done.stdout, parse_float=str)["data"]
    assert data["transactions"] == as_read(own_rows())[:5]


def test_flows_of_another_provider(served: Served) -> None:
    """Longbridge's document sample, read by a program that was written for this dialect."""
    every, outgoing, incoming = served.call(
        ELSEWHERE, {"query": {}}, {"query": {"io_type": "out"}}, {"query": {"io_type": "in"}}
    )
    rows = every["body"]["data"]["transactions"]
    assert [(one["amt"], one["base_currency"], one["io_type"], one["date"]) for one in rows] == [
        ("248.60", "USD", "out", 1621507957),
        ("125.16", "USD", "out", 1621504824),
    ]
    assert len({one["id"] for one in rows}) == 2
    assert outgoing["body"]["data"]["transactions"] == rows
    assert incoming["body"]["data"] == {"total_records": 0, "page": 1, "page_size": 20, "transactions": []}


def test_filters_of_another_providers_flows(served: Served) -> None:
    """A ledger finds the rows that say so, and no others."""
    (every,) = served.call(MIXED, {"query": {}, "drain": True})
    asked = [
        {"business_type": business_type, "io_type": side}
        for business_type in ("us_stock", "hk_stock", "other", "fund")
        for side in ("in", "out")
    ]
    results = served.call(MIXED, *({"query": query, "drain": True} for query in asked))
    for query, result in zip(asked, results, strict=True):
        rows = [one for one in every["rows"] if all(one.get(name) == value for name, value in query.items())]
        assert (result["rows"], result["total"]) == (rows, len(rows))
    assert len({one.get("business_type") for one in every["rows"]}) > 1
