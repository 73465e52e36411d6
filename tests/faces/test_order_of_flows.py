"""Every face shows the flows of one moment in the order of their balances."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.read.cursors import flow_key
from liushui.ledger.write.commit import make_account
from tests.engines import LedgerStore, store_of
from tests.faces.faces import Faces, open_faces
from tests.ledger.ledgers import commit_read, hour, hours, make_row, new_ledger

ORDER = ["deposit", "z receipt", "a fee", "y receipt", "x refund", "b fee"]
"""A receipt with its fee; and one that is refunded, which only the balance before it tells."""


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    yield from store_of(request, tmp_path)


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    ledger = new_ledger(ledger_store, "other")
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    rows = [
        ("deposit", 1, "100.00", "100.00"),
        ("z receipt", 2, "10.00", "110.00"),
        ("a fee", 2, "-0.60", "109.40"),
        ("y receipt", 3, "7.00", "116.40"),
        ("x refund", 3, "-7.00", "109.40"),
        ("b fee", 4, "-0.40", "109.00"),
    ]
    made = [make_row(name, at, amount, balance=balance, currency="CNY") for name, at, amount, balance in rows]
    commit_read(ledger, hours(0, 24), *made, account="shop")
    yield ledger
    ledger.close()


@pytest.fixture
def faces(ledger: Ledger) -> Iterator[Faces]:
    with open_faces(ledger) as faces:
        yield faces


def api_ids(faces: Faces, order: str, limit: int) -> list[str]:
    """The ids of all pages of the API."""
    ids: list[str] = []
    cursor = None
    while True:
        page = faces.caller.get("/flows", order=order, limit=limit, **({"cursor": cursor} if cursor else {}))
        ids += [flow["id"] for flow in page["flows"]]
        cursor = page["next"]
        if cursor is None:
            return ids


def test_the_command_line_and_the_api_have_the_order_of_the_balances(faces: Faces) -> None:
    _, rows = faces.run("flows", "shop")
    assert [row["id"] for row in rows] == ORDER
    _, rows = faces.run("flows", "shop", "--newest", "--limit", "3")
    assert [row["id"] for row in rows] == ORDER[:2:-1]
    _, rows = faces.run("flows", "shop", "--as-of", "2999-01-01")
    assert [row["id"] for row in rows] == ORDER
    for limit in (1, 2, 4):
        assert api_ids(faces, "oldest", limit) == ORDER
        assert api_ids(faces, "newest", limit) == ORDER[::-1]


def test_the_page_and_its_downloads_have_the_order_of_the_balances(faces: Faces) -> None:
    text = faces.visitor.get("/flows/download.jsonl").text
    assert [json.loads(line)["id"] for line in text.splitlines()] == ORDER[::-1]
    keys = [flow_key("shop", to_us(hour(at)), name) for name, at in zip(ORDER, (1, 2, 2, 3, 3, 4), strict=True)]
    rows = json.loads(faces.visitor.get("/page/flows/rows").text)["rows"]
    assert [row[0] for row in rows] == keys[::-1]
    older = json.loads(faces.visitor.get(f"/page/flows/rows?older={keys[3]}").text)["rows"]
    assert [row[0] for row in older] == keys[2::-1]
    newer = json.loads(faces.visitor.get(f"/page/flows/rows?newer={keys[1]}").text)["rows"]
    assert [row[0] for row in newer] == keys[:1:-1]
    drawer = unescape(re.sub(r"<[^>]*>", " ", faces.visitor.get(f"/page/flows/flow?key={keys[4]}").text))
    shown = re.findall(r"([−+][\d.]+)\s+[\d.]+\s+yes", drawer)
    assert shown == ["−0.40", "−7.00", "+7.00", "−0.60", "+10.00"], "the newest first"
    assert "off by" not in drawer
