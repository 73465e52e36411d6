"""The page of flows: pages that leave nothing out, totals and downloads of exactly this view, one flow in full."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import msgspec
import pytest

from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.read.cursors import flow_key, parse_flow_key
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.money import to_plain_string
from liushui.provider import Slice
from liushui.server.web.flows.page import pretty_json
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read, rejected_row
from tests.web.ledgers import BEGIN, fill, fill_many, reading, row
from tests.web.test_overview import words
from tests.web.visitor import Visitor

ROWS = "/page/flows/rows"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Somebody who has logged in, before a ledger with something to see. It is only read."""
    with reading(tmp_path_factory.mktemp("reader")) as visitor:
        yield visitor


def fetched(reader: Visitor, path: str) -> dict[str, Any]:
    """An answer of JSON."""
    answer = reader.get(path)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=dict[str, Any])


def keys(ledger: Ledger, wanted: FlowFilter) -> list[str]:
    """The keys of flows, the newest first over all accounts."""
    found = sorted(list_flows(ledger, wanted), key=lambda one: (one.flow.at, one.account, one.id), reverse=True)
    return [flow_key(one.account, to_us(one.flow.at), one.id) for one in found]


# ---------------------------------------------------------------- rows


def test_pages_leave_nothing_out_and_show_nothing_twice(ledger: Ledger, guest: Visitor) -> None:
    fill_many(ledger, "a", 700)
    fill_many(ledger, "b", 350, minutes=20)
    everything = keys(ledger, FlowFilter())
    page = fetched(guest, ROWS)
    found = [line[0] for line in page["rows"]]
    while page["older"]:
        page = fetched(guest, f"{ROWS}?older={page['older']}")
        found += [line[0] for line in page["rows"]]
    assert found == everything
    assert page["searched"] is None
    back = fetched(guest, f"{ROWS}?newer={everything[600]}")
    assert [line[0] for line in back["rows"]] == everything[300:600]
    back = fetched(guest, f"{ROWS}?newer={back['newer']}")
    assert [line[0] for line in back["rows"]] == everything[:300]


def test_a_day_is_gone_to(ledger: Ledger, guest: Visitor) -> None:
    fill_many(ledger, "a", 700)
    page = fetched(guest, f"{ROWS}?at=2025-11-02")
    assert page["rows"][0][1] == "2025-11-02 23:50:00"
    newer = fetched(guest, f"{ROWS}?newer={page['newer']}")
    assert newer["rows"][-1][1] == "2025-11-03 00:00:00"
    html = guest.get("/flows?at=2025-11-02").text
    assert "2025-11-02 23:50:00" in html
    assert "2025-11-03 00:00:00" not in html


def test_a_row_is_written_as_it_is(reader: Visitor) -> None:
    (line,) = fetched(reader, f"{ROWS}?symbol=AAPL.US")["rows"]
    assert line[1:] == ["2025-11-01 02:00:00", "a", "Trade", "Buy", "AAPL.US", "−250.125", "out", "USD", "749.875"]


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
def test_rows_totals_and_downloads_are_of_one_filter(reader: Visitor, query: str, many: int) -> None:
    lines = fetched(reader, f"{ROWS}?{query}")["rows"]
    assert len(lines) == many
    totals = reader.get(f"/page/flows/totals?{query}").text
    counted = re.findall(r'<th scope="row">\w+</th>\s*<td class="figure">(\d+)</td>', totals)
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
    ("finding=x", "Expected side, same_id, got 'x'."),
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
    ("amount_min=2&amount_max=1", "The maximum amount is less than the minimum."),
]


@pytest.mark.parametrize(("query", "message"), BAD)
def test_bad_input_is_told_and_kept(reader: Visitor, query: str, message: str) -> None:
    answer = reader.get(f"/flows?{query}")
    assert answer.status_code == 400
    assert message in words(answer.text)
    name, _, typed = query.split("&")[-1].partition("=")
    if name not in ("kind", "category", "direction", "finding", "currency", "account", "sinse"):
        assert f'value="{typed}"' in answer.text
    for path in (ROWS, "/flows/download.csv", "/flows/download.jsonl"):
        refused = reader.get(f"{path}?{query}")
        assert refused.status_code == 400
        assert message in refused.json()["detail"]


@pytest.mark.parametrize("query", ["older=x", "newer=", "older=" + "A" * 3000, "at=never", "older=WzFd"])
def test_a_place_that_is_none_is_refused(reader: Visitor, query: str) -> None:
    answer = reader.get(f"{ROWS}?{query}")
    assert answer.status_code == 400
    assert "expected" in answer.json()["detail"].lower()


@pytest.mark.parametrize("key", [("", 0, ""), ("a", -5, "b/c+d~1"), ("账户", 1, "é")])
def test_the_key_of_a_flow_is_read_back(key: tuple[str, int, str]) -> None:
    assert parse_flow_key(flow_key(*key)) == key
    assert parse_flow_key(flow_key(*key)[:-2]) is None


# ---------------------------------------------------------------- totals


def test_totals_are_exact_and_marked(reader: Visitor) -> None:
    said = words(reader.get("/page/flows/totals").text)
    assert re.search(r"USD 4 1,100\.00 −350\.125 \+749\.875 Not complete", said)
    assert re.search(r"HKD 1 5 0 \+5 Not complete", said)
    said = words(reader.get("/page/flows/totals?account=b").text)
    assert re.search(r"USD 1 100\.00 0 \+100\.00 Complete", said)
    said = words(reader.get("/page/flows/totals?until=2025-11-03").text)
    assert re.search(r"USD 4 1,100\.00 −350\.125 \+749\.875 Not complete : a: 1 rejected row", said)


# ---------------------------------------------------------------- one flow


def flow(reader: Visitor, query: str) -> str:
    """One flow in full: that of the first row of a filter."""
    key = fetched(reader, f"{ROWS}?{query}")["rows"][0][0]
    answer = reader.get(f"/page/flows/flow?key={key}")
    assert answer.status_code == 200
    return str(answer.text)


def test_one_flow_in_full(reader: Visitor) -> None:
    said = words(flow(reader, "symbol=AAPL.US"))
    assert "−250.125 USD" in said
    assert "Asia/Hong_Kong" in said
    assert "Flow ID a2" in said
    around = said[said.index("Flows before and after") : said.index("A balance adds up")]
    told = re.findall(r"(Withdrawal|Trade|Deposit) ([−+][\d,.]+) ([\d,.]+) (yes|off by|–)( [−+][\d.]+)?", around)
    assert told == [
        ("Withdrawal", "−100.0", "649.9", "off by", " +0.025"),
        ("Trade", "−250.125", "749.875", "yes", ""),
        ("Deposit", "+1,000.00", "1,000.00", "–", ""),
    ]


def test_versions_are_shown(ledger: Ledger, guest: Visitor) -> None:
    fill(ledger)
    hour = timedelta(hours=1)
    restated = row("b1", 30 * hour, "101.00", label="From a, corrected", balance="101.00")
    commit_read(ledger, Slice(BEGIN, NOON), restated, account="b", read_at=NOON + hour)
    said = words(flow(guest, "account=b"))
    assert re.search(r"current \+101\.00 From a, corrected", said)
    assert re.search(r"restated \+100\.00 From a ", said)


WIRE = (
    '{"amount": 1.2300, "big":12345678901234567890.1234567890, "e":1E5,"text":"</script><b>&\\u00e9 é",'
    ' "amount": "twice"}  '
)


def test_the_row_as_received_is_exact(ledger: Ledger, guest: Visitor) -> None:
    """Nothing of it is read as a number, and nothing of it as a page."""
    received = row("w1", timedelta(hours=1), "1.23", label="</script><b>", wire=WIRE.encode())
    commit_read(ledger, Slice(BEGIN, NOON), received, account="a", read_at=NOON)
    html = flow(guest, "account=a")
    assert WIRE in unescape(html)
    nice = unescape(html)
    assert all(part in nice for part in ('"amount": 1.2300', "12345678901234567890.1234567890", "1E5", '"twice"'))
    assert "<b>" not in html
    key = fetched(guest, ROWS)["rows"][0][0]
    answer = guest.get(f"/page/flows/wire?key={key}")
    assert answer.content == WIRE.encode()
    assert answer.headers["content-disposition"].startswith("attachment")
    assert guest.get(f"/page/flows/wire?key={key}&row=served").status_code == 404
    page = guest.get("/flows").text
    assert "</script><b>" not in page
    assert fetched(guest, ROWS)["rows"][0][4] == "</script><b>"


def test_what_is_no_json_is_shown_as_it_is() -> None:
    assert pretty_json("no json {") == "no json {"
    assert pretty_json('{"a":1.0}') == '{\n  "a": 1.0\n}'


@pytest.mark.parametrize("key", ["", "x", flow_key("a", 0, "nothing")])
def test_a_flow_that_is_not_there(reader: Visitor, key: str) -> None:
    assert reader.get(f"/page/flows/flow?key={key}").status_code == 404
    assert reader.get(f"/page/flows/wire?key={key}").status_code == 404


# ---------------------------------------------------------------- downloads


def test_a_download_has_every_flow_of_the_view(ledger: Ledger, guest: Visitor) -> None:
    fill_many(ledger, "a", 1_200)
    fill_many(ledger, "b", 600)
    answer = guest.get("/flows/download.csv?since=2025-11-03")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="flows.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
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


def test_other_forms_are_none(reader: Visitor) -> None:
    assert reader.get("/flows/download.xlsx").status_code == 404


# ---------------------------------------------------------------- rows set aside


def test_rows_set_aside_are_shown_with_their_bytes(ledger: Ledger, guest: Visitor) -> None:
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
    said = words(html)
    assert '"x": 1' in said
    assert "expected a row" in said
    assert "<b>" not in html
    assert "<b>\\" in said
    assert "ÿ" not in words(guest.get("/flows/quarantine?account=a").text)
    assert guest.get("/flows/quarantine?account=nobody").status_code == 400
