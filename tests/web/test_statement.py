"""The statement of a month on the page: all rows, to print and as PDF."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from liushui.ledger.jobs.sources import add_source
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.cli.test_statement import pdf_text
from tests.ledger.ledgers import commit_read, new_ledger
from tests.web.bridge import browsing_as
from tests.web.ledgers import BEGIN, CREDENTIALS, row
from tests.web.test_overview import text_of
from tests.web.visitor import Visitor, visiting

ROWS = 300
OCTOBER = BEGIN - timedelta(days=31)
ADDRESS = "/accounts/a/statement/2025-10"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A visitor to a ledger with an October of many rows."""
    ledger = new_ledger(tmp_path_factory.mktemp("october"), "a", "b")
    rows = [
        row(
            f"r{number}",
            number * timedelta(hours=1) - timedelta(days=31),
            f"-{number}.500000",
            label=f"Order {number}.",
        )
        for number in range(ROWS)
    ]
    commit_read(ledger, Slice(OCTOBER, NOON), *rows, account="a", read_at=NOON)
    add_source(ledger, account="a", base_url="http://x", credentials=CREDENTIALS, since=OCTOBER, paced=True)
    with visiting(ledger) as visitor:
        visitor.log_in()
        yield visitor
    ledger.close()


def test_the_page_has_every_row(reader: Visitor) -> None:
    html = reader.get(ADDRESS).text
    text = text_of(html)
    assert len(re.findall(r"Order \d+\.", text)) == ROWS
    assert "2025-10-01 01:00:00 Trade Order 1. −1.50" in text
    assert "Complete. All flows up to Nov 1, 2025, 00:00:00 are included." in text
    assert f'href="{ADDRESS}.pdf"' in html
    assert not re.search(r"<[^>]* (style|on[a-z]+)=|<style", html), "the content security policy would block them"


def test_the_pdf_is_a_download_with_every_row(reader: Visitor, tmp_path: Path) -> None:
    answer = reader.get(f"{ADDRESS}.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert "a-2025-10.pdf" in answer.headers["content-disposition"]
    (tmp_path / "a.pdf").write_bytes(answer.content)
    assert len(re.findall(r"Order \d+\.", pdf_text(tmp_path / "a.pdf"))) == ROWS


def test_addresses_of_no_month_are_not_found(reader: Visitor) -> None:
    for path in ("/accounts/nobody/statement/2025-10", "/accounts/a/statement/2025-13", "/accounts/a/statement/x.pdf"):
        assert reader.get(path).status_code == 404, path
    assert reader.get("/accounts/a/statement").headers["location"] == "/accounts/a/statement/2025-12"


def test_october_is_printed_by_clicks(reader: Visitor, browser: Browser, tmp_path: Path) -> None:
    with browsing_as(reader, browser) as page:
        page.goto("/accounts/a")
        page.get_by_role("link", name="Statement").click()
        page.goto(ADDRESS)  # the browser does not see where a redirect led
        page.evaluate("window.print = () => { window.printed = true; }")
        page.get_by_role("button", name="Print").click()
        assert page.evaluate("window.printed") is True
        page.pdf(path=tmp_path / "printed.pdf", prefer_css_page_size=True)
        printed = pdf_text(tmp_path / "printed.pdf")
        assert len(re.findall(r"Order \d+\.", printed)) == ROWS
        assert len(re.findall(r"−\d+\.50\b", printed)) >= ROWS, "with their amounts"
        pages = printed.count("\f")
        assert pages > 1 and re.search(rf"\b{pages} ?/ ?{pages}\b", printed)
        assert "Overview" not in printed


def test_all_flows_of_a_filter_are_printed_with_their_amounts(
    reader: Visitor, browser: Browser, tmp_path: Path
) -> None:
    with browsing_as(reader, browser) as page:
        page.goto("/flows?account=a&until=2025-11-01")
        page.get_by_role("link", name="Print").click()
        page.get_by_role("heading", name="Flows").wait_for()
        page.pdf(path=tmp_path / "flows.pdf", prefer_css_page_size=True)
    printed = pdf_text(tmp_path / "flows.pdf")
    assert len(re.findall(r"2025-10-\d\d \d\d:\d\d:\d\d", printed)) == ROWS
    assert len(re.findall(r"−\d+\.50 +USD", printed)) == ROWS
    assert "Order 299." in printed and "until" in printed
    assert reader.get("/flows/print?currency=XYZ").headers["location"] == "/flows?currency=XYZ"
