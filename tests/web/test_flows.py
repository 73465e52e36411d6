"""The flows page: rows in parts, totals and downloads of the same filter, one flow in full, rejected rows."""

import codecs
import csv
import io
import re
import sys
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from liushui.export.formats import FORMATS
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.read.cursors import flow_key, parse_flow_key
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.money import to_plain_string
from liushui.provider import Slice
from liushui.server.web.flow_downloads import DOWNLOADS
from liushui.server.web.flows import pretty_json
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read, rejected_row
from tests.web.ledgers import BEGIN, fill, fill_many, reading, row
from tests.web.test_overview import text_of
from tests.web.visitor import Visitor

ROWS = "/page/flows/rows"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A visitor who is logged in. The ledger has some flows, and tests only read it."""
    with reading(tmp_path_factory.mktemp("reader")) as visitor:
        yield visitor


def fetch(reader: Visitor, path: str) -> dict[str, Any]:
    """An answer as JSON."""
    answer = reader.get(path)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=dict[str, Any])


def keys(ledger: Ledger, wanted: FlowFilter) -> list[str]:
    """The keys of flows, newest first over all accounts."""
    found = sorted(list_flows(ledger, wanted), key=lambda one: (one.flow.at, one.account, one.id), reverse=True)
    return [flow_key(one.account, to_us(one.flow.at), one.id) for one in found]


# ---------------------------------------------------------------- rows


def test_parts_have_every_row_once(ledger: Ledger, guest: Visitor) -> None:
    fill_many(ledger, "a", 700)
    fill_many(ledger, "b", 350, minutes=20)
    everything = keys(ledger, FlowFilter())
    page = fetch(guest, ROWS)
    found = [line[0] for line in page["rows"]]
    while page["older"]:
        page = fetch(guest, f"{ROWS}?older={page['older']}")
        found += [line[0] for line in page["rows"]]
    assert found == everything
    assert page["searched"] is None
    back = fetch(guest, f"{ROWS}?newer={everything[600]}")
    assert [line[0] for line in back["rows"]] == everything[300:600]
    back = fetch(guest, f"{ROWS}?newer={back['newer']}")
    assert [line[0] for line in back["rows"]] == everything[:300]


def test_jump_to_a_day(ledger: Ledger, guest: Visitor) -> None:
    fill_many(ledger, "a", 700)
    page = fetch(guest, f"{ROWS}?at=2025-11-02")
    assert page["rows"][0][1] == "2025-11-02 23:50:00"
    newer = fetch(guest, f"{ROWS}?newer={page['newer']}")
    assert newer["rows"][-1][1] == "2025-11-03 00:00:00"
    html = guest.get("/flows?at=2025-11-02").text
    assert "2025-11-02 23:50:00" in html
    assert "2025-11-03 00:00:00" not in html


def test_the_cells_of_a_row(reader: Visitor) -> None:
    (line,) = fetch(reader, f"{ROWS}?symbol=AAPL.US")["rows"]
    assert line[1:] == ["2025-11-01 02:00:00", "a", "Trade", "Buy", "AAPL.US", "−250.125", "out", "USD", "749.875", 2]


FILTERS = [
    ("account=b", 1),
    ("kind=withdrawal", 1),
    ("currency=HKD", 1),
    ("direction=out", 1),
    ("category=other", 5),
    ("symbol=AAPL.US", 1),
    ("ref=none", 0),
    ("text=wIRe", 1),
    ("amount_min=100&amount_max=100.0", 1),
    ("amount_max=-100", 2),
    ("text=%E2%89%88+100", 2),
    ("text=~250", 1),
    ("amount_near=-100", 1),
    ("amount_near=1,000", 1),
    ("amount_near=%E2%89%88 102", 0),
    ("symbol=aapl.us", 1),
    ("currency=hkd", 1),
    ("since=2025-11-02", 3),
    ("until=2025-11-02", 2),
    ("since=1000-01-01&until=9999-12-31", 5),
    ("since=2025-11-01T02:00&until=2025-11-01T02:00:01", 1),
    ("from=2025-11-01&to=2025-11-02", 2),
    ("finding=side", 1),
    ("finding=same_id", 0),
    ("kind=", 5),
]


@pytest.mark.parametrize(("query", "many"), FILTERS)
def test_rows_totals_and_downloads_have_the_same_filter(reader: Visitor, query: str, many: int) -> None:
    lines = fetch(reader, f"{ROWS}?{query}")["rows"]
    assert len(lines) == many
    totals = reader.get(f"/page/flows/totals?{query}").text
    counted = re.findall(r'<th scope="row">\w+</th>\s*<td class="figure"[^>]*>(\d+)</td>', totals)
    assert sum(map(int, counted)) == many
    rows = reader.get(f"/flows/download.jsonl?{query}").text.splitlines()
    exported = [msgspec.json.decode(text, type=dict[str, Any]) for text in rows]
    assert [line[8] for line in lines] == [one["currency"] for one in exported]
    assert [line[6].replace("−", "-").replace("+", "").replace(",", "") for line in lines] == [
        one["amount"] for one in exported
    ]


BAD = [
    ("kind=gift", "Expected deposit, withdrawal"),
    ("category=art", "Expected cash, stock, fund, futures, other, got 'art'."),
    ("direction=up", "Expected in, out, none, got 'up'."),
    ("finding=x", "Expected side, same_id, break, or the id of a finding, got 'x'."),
    ("currency=XYZ", "There are no flows in 'XYZ'."),
    ("account=nobody", "There is no account named 'nobody'."),
    ("since=yesterday", "Expected a date or a time such as"),
    ("since=2025-11-02&until=2025-11-01", "The end must be after the beginning."),
    ("since=2025-11-02&until=2025-11-02", "The end must be after the beginning."),
    ("from=2025-11-02&to=2025-11-01", "The end must be after the beginning."),
    ("sinse=2025-11-02", "There is no filter named 'sinse'."),
    ("kind=fee&kind=trade", "Expected one value, got 2 values."),
    ("amount_min=1e5", "Expected an amount such as -248.60, got '1e5'."),
    ("amount_max=NaN", "Expected an amount such as -248.60, got 'NaN'."),
    ("text=≈x", "Expected an amount such as -248.60, got '≈x'."),
    ("text=~1&amount_near=1", "Expected one amount to look near, got '~1' beside amount_near."),
    ("amount_min=2&amount_max=1", "The maximum amount is less than the minimum."),
]


@pytest.mark.parametrize(("query", "message"), BAD)
def test_errors_are_shown_beside_the_input(reader: Visitor, query: str, message: str) -> None:
    answer = reader.get(f"/flows?{query}")
    assert answer.status_code == 400
    assert message in text_of(answer.text)
    name, _, typed = query.split("&")[-1].partition("=")
    if name not in ("kind", "category", "direction", "finding", "currency", "account", "sinse"):
        assert f'value="{typed}"' in answer.text
    for path in (ROWS, "/flows/download.csv", "/flows/download.jsonl"):
        refused = reader.get(f"{path}?{query}")
        assert refused.status_code == 400
        assert message in refused.json()["detail"]


@pytest.mark.parametrize("query", ["older=x", "newer=", "older=" + "A" * 3000, "at=never", "older=WzFd"])
def test_invalid_cursors_are_refused(reader: Visitor, query: str) -> None:
    answer = reader.get(f"{ROWS}?{query}")
    assert answer.status_code == 400
    assert "expected" in answer.json()["detail"].lower()


@pytest.mark.parametrize("key", [("", 0, ""), ("a", -5, "b/c+d~1"), ("账户", 1, "é")])
def test_keys_are_parsed(key: tuple[str, int, str]) -> None:
    assert parse_flow_key(flow_key(*key)) == key
    assert parse_flow_key(flow_key(*key)[:-2]) is None


# ---------------------------------------------------------------- totals


def test_totals_are_exact_and_have_their_completeness(reader: Visitor) -> None:
    text = text_of(reader.get("/page/flows/totals").text)
    assert re.search(r"USD 4 1,100\.00 −350\.125 \+749\.875 Not complete", text)
    assert re.search(r"HKD 1 5 0 \+5 Not complete", text)
    text = text_of(reader.get("/page/flows/totals?account=b").text)
    assert re.search(r"USD 1 100\.00 0 \+100\.00 Complete", text)
    text = text_of(reader.get("/page/flows/totals?until=2025-11-03").text)
    assert re.search(r"USD 4 1,100\.00 −350\.125 \+749\.875 Not complete : a: 1 rejected row", text)


# ---------------------------------------------------------------- one flow


def flow(reader: Visitor, query: str) -> str:
    """The panel of the first flow of a filter."""
    key = fetch(reader, f"{ROWS}?{query}")["rows"][0][0]
    answer = reader.get(f"/page/flows/flow?key={key}")
    assert answer.status_code == 200
    return str(answer.text)


def test_one_flow_in_full(reader: Visitor) -> None:
    text = text_of(flow(reader, "symbol=AAPL.US"))
    assert "−250.125 USD" in text
    assert "Asia/Hong_Kong" in text
    assert "Flow ID a2" in text
    around = text[text.index("Flows before and after") : text.index("A balance adds up")]
    neighbours = re.findall(r"(Withdrawal|Trade|Deposit) ([−+][\d,.]+) ([\d,.]+) (yes|off by|–)( [−+][\d.]+)?", around)
    assert neighbours == [
        ("Withdrawal", "−100.0", "649.9", "off by", " +0.025"),
        ("Trade", "−250.125", "749.875", "yes", ""),
        ("Deposit", "+1,000.00", "1,000.00", "–", ""),
    ]


def test_versions_of_a_flow(ledger: Ledger, guest: Visitor) -> None:
    fill(ledger)
    hour = timedelta(hours=1)
    restated = row("b1", 30 * hour, "101.00", label="From a, corrected", balance="101.00")
    commit_read(ledger, Slice(BEGIN, NOON), restated, account="b", read_at=NOON + hour)
    text = text_of(flow(guest, "account=b"))
    assert re.search(r"current \+101\.00 From a, corrected", text)
    assert re.search(r"restated \+100\.00 From a ", text)


WIRE = (
    '{"amount": 1.2300, "big":12345678901234567890.1234567890, "e":1E5,"text":"</script><b>&\\u00e9 é",'
    ' "amount": "twice"}  '
)


def test_the_row_as_received_is_exact(ledger: Ledger, guest: Visitor) -> None:
    """Its numbers are not parsed, and its texts are no HTML."""
    received = row("w1", timedelta(hours=1), "1.23", label="</script><b>", wire=WIRE.encode())
    commit_read(ledger, Slice(BEGIN, NOON), received, account="a", read_at=NOON)
    html = flow(guest, "account=a")
    assert WIRE in unescape(html)
    nice = unescape(html)
    assert all(part in nice for part in ('"amount": 1.2300', "12345678901234567890.1234567890", "1E5", '"twice"'))
    assert "<b>" not in html
    key = fetch(guest, ROWS)["rows"][0][0]
    answer = guest.get(f"/page/flows/wire?key={key}")
    assert answer.content == WIRE.encode()
    assert answer.headers["content-disposition"].startswith("attachment")
    assert guest.get(f"/page/flows/wire?key={key}&row=served").status_code == 404
    page = guest.get("/flows").text
    assert "</script><b>" not in page
    assert fetch(guest, ROWS)["rows"][0][4] == "</script><b>"


def test_text_that_is_not_json_stays_as_it_is() -> None:
    assert pretty_json("no json {") == "no json {"
    assert pretty_json('{"a":1.0}') == '{\n  "a": 1.0\n}'


@pytest.mark.parametrize("key", ["", "x", flow_key("a", 0, "nothing")])
def test_a_flow_that_does_not_exist(reader: Visitor, key: str) -> None:
    assert reader.get(f"/page/flows/flow?key={key}").status_code == 404
    assert reader.get(f"/page/flows/wire?key={key}").status_code == 404


# ---------------------------------------------------------------- downloads


def test_downloads_have_every_flow_of_the_filter(ledger: Ledger, guest: Visitor) -> None:
    fill_many(ledger, "a", 1_200)
    fill_many(ledger, "b", 600)
    answer = guest.get("/flows/download.csv?since=2025-11-03")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="a+b-from-2025-11-03.csv"'
    assert answer.content.startswith(codecs.BOM_UTF8), "so that Excel reads it as UTF-8"
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    wanted = FlowFilter(since=BEGIN + timedelta(days=2))
    expected = sorted(list_flows(ledger, wanted), key=lambda one: (one.flow.at, one.account, one.id), reverse=True)
    assert [(one["account"], one["id"], one["amount"]) for one in rows] == [
        (one.account, one.id, to_plain_string(one.flow.amount)) for one in expected
    ]
    lines = [
        msgspec.json.decode(line) for line in guest.get("/flows/download.jsonl?since=2025-11-03").text.splitlines()
    ]
    assert [{name: "" if value is None else str(value) for name, value in line.items()} for line in lines] == rows
    assert all(isinstance(line["amount"], str) for line in lines)


def test_a_cell_of_a_download_is_not_a_formula(ledger: Ledger, guest: Visitor) -> None:
    commit_read(ledger, Slice(BEGIN, NOON), row("a1", timedelta(0), "-1.00", label="=HYPERLINK(1)"), read_at=NOON)
    (cells,) = csv.DictReader(io.StringIO(guest.get("/flows/download.csv").content.decode("utf-8-sig")))
    assert (cells["label"], cells["amount"]) == ("'=HYPERLINK(1)", "-1.00")
    (line,) = guest.get("/flows/download.jsonl").text.splitlines()
    assert msgspec.json.decode(line)["label"] == "=HYPERLINK(1)"


def test_a_download_in_another_format_does_not_exist(reader: Visitor) -> None:
    assert reader.get("/flows/download.svg").status_code == 404


def test_a_workbook_has_the_flows_of_the_filter(reader: Visitor) -> None:
    answer = reader.get("/flows/download.xlsx?currency=HKD")
    assert answer.headers["content-disposition"] == 'attachment; filename="a+b-all-filtered.xlsx"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        flows = book.read("xl/worksheets/sheet2.xml").decode()
    assert flows.count("<row ") == 2
    assert "<t>HKD</t>" in flows


def test_a_download_that_cannot_be_written_says_why(reader: Visitor) -> None:
    with patch.dict(sys.modules, {"pyarrow": None}):
        answer = reader.get("/flows/download.parquet")
    assert answer.status_code == 422
    assert "expected the package pyarrow" in answer.json()["detail"]


# ---------------------------------------------------------------- rejected rows


def test_rejected_rows_are_shown_with_their_bytes(ledger: Ledger, guest: Visitor) -> None:
    fill(ledger)
    later = Slice(NOON, NOON + timedelta(hours=1))
    commit_read(
        ledger,
        later,
        rejected=[rejected_row("<b>\\"), rejected_row("ÿ")],
        account="b",
        read_at=NOON + timedelta(hours=2),
    )
    html = guest.get("/flows/quarantine").text
    text = text_of(html)
    assert '"x": 1' in text
    assert "expected a row" in text
    assert "<b>" not in html
    assert "<b>\\" in text
    assert "ÿ" not in text_of(guest.get("/flows/quarantine?account=a").text)
    assert guest.get("/flows/quarantine?account=nobody").status_code == 400


def test_each_format_has_an_address_of_its_own() -> None:
    assert len(DOWNLOADS) == len(FORMATS)
