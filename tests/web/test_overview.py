"""The overview: exact amounts with their completeness, alarms with a link, charts with a table, errors in filters."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import msgspec
import pytest

from liushui.ledger.engine import Ledger
from tests.web.ledgers import BEGIN, reading
from tests.web.visitor import Visitor

PARTS = ("/", "/page/overview/moved", "/page/overview/streams")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A visitor who is logged in. The ledger has some flows, and tests only read it."""
    with reading(tmp_path_factory.mktemp("reader")) as visitor:
        yield visitor


def text_of(html: str) -> str:
    """The text of a page, without its tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<script.*?</script>|<[^>]*>", " ", html, flags=re.DOTALL)))


def chart(html: str, name: str) -> dict[str, Any]:
    """The data of a chart."""
    found = re.search(rf'<script type="application/json" data-for="{name}">(.*?)</script>', html, re.DOTALL)
    assert found, name
    return msgspec.json.decode(found[1], type=dict[str, Any])


def test_balances_are_exact_and_have_their_completeness(reader: Visitor) -> None:
    text = text_of(reader.get("/").text)
    assert "USD 749.875 ◆" not in text, "marks are drawn by the style, not by the text"
    assert re.search(r"USD 749\.875 Not complete : a: 1 rejected row, from Nov 1, 2025", text)
    assert re.search(r"a 649\.875 3 Not complete : .{1,300} 649\.9 .{1,30} \+0\.025 Differs", text), (
        "its rows state balances"
    )
    assert re.search(r"b 100\.00 1 Complete : All flows up to Jan 2, 2026.{1,50} are included", text)
    assert re.search(r"b 100\.00 1 .{1,300} 100\.00 .{1,60} – Could not check Only one balance is stated", text)
    assert re.search(r"HKD 5 Not complete", text)


def test_alarms_link_to_a_page_that_helps(reader: Visitor) -> None:
    html = reader.get("/").text
    text = text_of(html)
    assert "1 day from Nov 4, 2025 on is not complete: flows may be missing." in text
    assert "1 row was rejected because it could not be read. It is in no total." in text
    assert "1 flow has a direction that contradicts the sign of its amount." in text
    for link in ("/accounts/a#coverage", "/flows/quarantine?account=a", "/review?account=a&finding=side"):
        assert f'href="{link}"' in unescape(html)
        if link.startswith("/flows"):
            assert reader.get(link).status_code == 200, link


def test_money_in_and_out_by_kind(reader: Visitor) -> None:
    html = reader.get("/?currency=USD&unit=month&since=2025-11-01&until=2025-12-01").text
    text = text_of(html)
    assert "Deposit 1,000.00 0 +1,000.00" in text
    assert "Total Not complete" in text
    assert re.search(r"Total Not complete [^+]*1,000\.00 −250\.125 \+749\.875", text)
    assert "Not counted: transfers between your own accounts 100.00 −100.0" in text
    data = chart(html, "bars")
    assert data["gaps"] == [0]
    assert data["net"] == [{"exact": "749.875", "text": "749.875"}]
    assert [one["name"] for one in data["series"]] == ["Deposit", "Trade"]
    (address,) = data["addresses"]
    assert "4" in text_of(reader.get(str(address).replace("/flows", "/page/flows/totals")).text)


def test_a_total_says_in_words_why_it_is_incomplete(reader: Visitor) -> None:
    """The gap of November alone is no longer that of the total of a span that ends before it."""
    html = reader.get("/?currency=USD&unit=month&since=2025-11-04&until=2025-12-02&account=a").text
    (words,) = re.findall(r'<p class="total-why">(.*?)</p>', html, re.DOTALL)
    assert "a: not read yet, from Nov 4, 2025, 00:00:00 to Nov 5, 2025, 00:00:00." in text_of(words)
    assert 'href="/accounts/a#coverage"' in words
    assert "total-why" not in reader.get("/?currency=USD&since=2025-11-06&until=2025-12-02&account=a").text
    whole = reader.get("/?currency=USD&unit=month&since=2025-11-01&until=2026-01-01&account=a").text
    (words,) = re.findall(r'<p class="total-why">(.*?)</p>', whole, re.DOTALL)
    assert "1 rejected row, from Nov 1, 2025" in text_of(words)
    assert "And 1 more gap." in text_of(words), "a gap is counted once, however many months the span has"


def test_money_that_went_out_has_the_colour_of_money_out(reader: Visitor) -> None:
    html = reader.get("/page/overview/streams?currency=USD").text
    assert re.search(r'<td class="figure"[^>]*><span class="amount out">250.125</span></td>', html)


def test_a_ledger_without_a_source_is_not_called_well(guest: Visitor) -> None:
    text = text_of(guest.get("/").text)
    assert "All is well" not in text
    assert "Nothing to check against There is no source, so nothing says whether flows are missing." in text


def test_the_calendars_of_an_account_cover_its_whole_history(reader: Visitor, ledger: Ledger) -> None:
    html = reader.get("/page/accounts/a/calendar").text
    years = re.findall(r"<h3>(\d{4}) ", html)
    assert years == ["2026", "2025"]
    squares = re.findall(r'<path class="day-\w+" d="([^"]*)"', html)
    assert sum(path.count("M") for path in squares) == (ledger.clock() - BEGIN).days + 1
    assert 'data-loads="/page/accounts/a/calendar"' in reader.get("/accounts/a").text
    assert reader.get("/page/accounts/nobody/calendar").status_code == 404


def test_tables_have_the_data_of_the_charts(reader: Visitor) -> None:
    moved = text_of(reader.get("/page/overview/moved?currency=USD&since=2025-11-01&until=2025-12-01").text)
    assert re.search(r"Nov 2025 Total 2 1,000\.00 −250\.125 \+749\.875 Not complete", moved)
    assert "Not counted: transfers between your own accounts 2 100.00 −100.0 0.00" in moved
    alone = text_of(reader.get("/page/overview/moved?currency=USD&since=2025-11-01&until=2025-12-01&account=a").text)
    assert "Withdrawal 1 0 −100.0 −100.0" in alone, "of one account it is money that left"
    answer = reader.get("/page/overview/streams?currency=USD").text
    streams = text_of(answer)
    assert "a Deposit 1,000.00 0" in streams
    assert "a b 1 100.00" in streams, "the own transfer"
    assert "Withdrawal" not in streams, "it is no stream to outside"
    assert "no other flow could take the place of either" in streams
    links = chart(answer, "sankey")["links"]
    assert [(one["source"], one["target"], one["exact"]) for one in links] == [
        ("from:deposit", "account:a", "1000.00"),
        ("account:a", "to:trade", "250.125"),
    ]
    columns = {one["name"]: (one["column"], one["colour"]) for one in chart(answer, "sankey")["nodes"]}
    assert columns == {"from:deposit": (0, 1), "account:a": (1, 0), "to:trade": (2, 2)}
    assert "Not drawn: 1 transfer between your own accounts, 100.00 USD." in streams


@pytest.mark.parametrize("path", PARTS)
def test_pages_have_no_inline_script_or_style(reader: Visitor, path: str) -> None:
    """The content security policy would block them."""
    html = reader.get(path).text
    assert not re.search(r"<[^>]* (style|on[a-z]+)=", html)
    assert all("src=" in tag or "application/json" in tag for tag in re.findall(r"<script[^>]*>", html))


BAD = [
    ("unit=year", "Expected day, week, month, got 'year'.", "unit"),
    ("since=2025-11-31", "Expected a date such as 2024-01-31, got '2025-11-31'.", "since"),
    ("since=20251101", "Expected a date such as 2024-01-31, got '20251101'.", "since"),
    ("since=0001-01-01", "Expected a date in the years 1900 to 2200", "since"),
    ("since=2025-11-02&until=2025-11-02", "The end must be after the beginning.", "until"),
    ("sinse=2025-11-02", "There is no filter named 'sinse'.", "unknown"),
    ("unit=day&since=2020-01-01&until=2025-11-02", "Expected at most 400 periods, got 2132", "until"),
    ("currency=XYZ", "There are no flows in 'XYZ'.", "currency"),
    ("account=nobody", "There is no account named 'nobody'.", "account"),
    ("account=a&account=%3Cscript%3E", "There is no account named '<script>'.", "account"),
]


@pytest.mark.parametrize("path", PARTS)
@pytest.mark.parametrize(("query", "message", "field"), BAD)
def test_errors_are_shown_beside_the_input(reader: Visitor, path: str, query: str, message: str, field: str) -> None:
    answer = reader.get(f"{path}?{query}")
    assert answer.status_code == 400
    if path == "/":
        assert message in text_of(answer.text)
        if field in ("since", "until"):
            typed = dict(part.split("=") for part in query.split("&"))[field]
            assert f'value="{typed}"' in answer.text
    assert "<script>" not in answer.text.replace("<script defer", "")


def test_one_account(reader: Visitor) -> None:
    text = text_of(reader.get("/?account=b&since=2025-11-01&until=2025-12-01").text)
    assert "Deposit 100.00 0 +100.00" in text
    assert "Total Complete so far" not in text
    assert re.search(r"Total Complete", text)


def test_an_empty_ledger(guest: Visitor) -> None:
    assert guest.get("/").status_code == 200
    text = text_of(guest.get("/").text)
    assert "No flows yet." in text, "there are accounts, and nothing in them"
    assert guest.get("/page/overview/streams").status_code == 200


def test_in_chinese(reader: Visitor) -> None:
    for tag, expected in (
        ("zh-Hans", "自 2025年11月4日 起有 1 天不完整"),
        ("zh-Hant", "自 2025年11月4日 起有 1 天不完整"),
    ):
        assert expected in text_of(reader.get("/", accept_language=tag).text)


def test_the_calendar_has_every_day(reader: Visitor, ledger: Ledger) -> None:
    html = reader.get("/").text
    squares = re.findall(r'<path class="day-(\w+)" d="([^"]*)"', html)
    days = (ledger.clock() - BEGIN).days + 1
    assert sum(path.count("M") for _, path in squares) == 2 * days
    assert [path.count("M") for look, path in squares if look == "warn"] == [4], (
        "a gap of a day, and three days that a rejected row may be of"
    )
    assert "Complete: " in text_of(html)
