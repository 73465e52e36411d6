"""The pages that reconcile months: a grid of verdicts, and the proof of cash with its details."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest

from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow, Slice
from liushui.testing.clock import NOON
from liushui.testing.empty_ledger import create_ledger
from tests.ledger.ledgers import commit_read
from tests.web.ledgers import BEGIN, row
from tests.web.test_overview import text_of
from tests.web.visitor import Visitor

SHOP_BEGIN = datetime(2025, 10, 1, tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)
HISTORY = datetime(2022, 12, 1, tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)
"""Before it the provider has nothing."""
DAY = timedelta(days=1)


def shop_row(number: int, days: int, amount: str, balance: str, kind: Kind = Kind.RECEIPT) -> DecodedRow:
    """A row of the shop, some days after the beginning of October."""
    after = SHOP_BEGIN - BEGIN + days * DAY
    return row(f"s{number}", after, amount, currency="CNY", kind=kind, label="", balance=balance)


SHOP_ROWS = [
    shop_row(1, 2, "1000.00", "1000.00"),
    shop_row(2, 4, "-100.00", "900.00", Kind.REFUND),
    shop_row(3, 9, "250.00", "1110.00"),
    shop_row(4, 40, "5.00", "1115.00"),
    shop_row(5, 70, "6.00", "1121.00"),
]


@pytest.fixture
def shop(ledger: Ledger, guest: Visitor) -> Visitor:
    """A shop whose October hides a refund of 40. The clock stands in January."""
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    commit_read(ledger, Slice(HISTORY, NOON), *SHOP_ROWS, account="shop", read_at=NOON)
    add_source(ledger, account="shop", base_url="http://x", credentials={}, since=HISTORY, paced=True)
    return guest


def cell(html: str, account: str, month: str) -> str:
    """The text of a cell of the grid."""
    found = re.search(rf'<a class="month-cell" href="/reconcile/{account}/{month}"[^>]*>(.*?)</a>', html, re.DOTALL)
    assert found is not None, (account, month)
    return text_of(found[1]).strip()


def test_the_grid_has_a_verdict_in_words_for_each_month(shop: Visitor) -> None:
    html = shop.get("/reconcile").text
    assert cell(html, "shop", "2025-10") == "Differs shop, Oct 2025"
    assert cell(html, "shop", "2025-09") == "Agrees shop, Sep 2025"
    assert cell(html, "shop", "2025-12") == "Differs shop, Dec 2025"
    assert 'title="The same difference was there at the beginning of the month."' in html
    assert cell(html, "a", "2025-12") == "Could not check a, Dec 2025"
    assert 'href="/reconcile?until=2025-06"' in html
    assert "Later" not in text_of(html)
    earlier = shop.get("/reconcile?until=2025-06").text
    assert cell(earlier, "shop", "2025-01") == "Agrees shop, Jan 2025"
    assert 'href="/reconcile?until=2025-12"' in earlier


def test_a_wrong_month_in_the_address_is_said(shop: Visitor) -> None:
    answer = shop.get("/reconcile?until=October")
    assert answer.status_code == 400
    assert "Expected a month such as 2026-10, got 'October'." in text_of(answer.text)
    assert cell(answer.text, "shop", "2025-12")
    assert shop.get("/reconcile?until=0001-02").status_code == 200
    assert shop.get("/reconcile?until=9999-12").status_code == 200


def test_the_proof_of_cash_leads_to_the_rows(shop: Visitor) -> None:
    html = shop.get("/reconcile/shop/2025-10").text
    text = text_of(html)
    assert "shop · Oct 2025" in text
    assert "Differs A stated figure differs from that of the flows." in text
    assert re.search(r"Opening balance 0(\.00)? .{0,20}0\.00", text)
    assert re.search(r"Payments −100\.00 −140\.00 −40\.00", text)
    assert re.search(r"Closing balance 1,150\.00 by the provider 1,110\.00 −40\.00", text)
    assert "−40.00 is missing before this flow" in text
    row_link = re.search(r'href="(/flows\?account=shop[^"]+row=[^"]+)"', html)
    assert row_link is not None
    assert shop.get(unescape(row_link[1])).status_code == 200
    payments = re.search(r'href="(/flows\?[^"]*amount_max=0[^"]*)"', html)
    assert payments is not None
    totals = shop.get(unescape(payments[1]).replace("/flows", "/page/flows/totals"))
    assert "CNY 1 0 −100.00 −100.00" in text_of(totals.text)


def test_a_difference_of_an_earlier_month_leads_there(shop: Visitor) -> None:
    html = shop.get("/reconcile/shop/2025-12").text
    assert "The same difference was there at the beginning of the month." in text_of(html)
    assert re.search(r'<a href="/reconcile/shop/2025-10">\s*Look at Oct 2025\s*</a>', html)


def test_the_overview_counts_the_last_month(shop: Visitor) -> None:
    html = shop.get("/").text
    assert 'data-loads="/page/reconcile/last"' in html and 'href="/reconcile"' in html
    text = text_of(shop.get("/page/reconcile/last").text)
    assert "Reconcile Dec 2025 1 account differs 2 accounts could not be checked" in text


def test_what_does_not_exist(shop: Visitor) -> None:
    for path in ("/reconcile/nobody/2025-10", "/reconcile/shop/2025-13", "/reconcile/shop/october"):
        assert shop.get(path).status_code == 404


@pytest.mark.parametrize(
    ("tag", "grid", "month"), [("zh-Hans", "不符", "余额调节表"), ("zh-Hant", "不符", "餘額調節表")]
)
def test_in_chinese(shop: Visitor, tag: str, grid: str, month: str) -> None:
    assert grid in text_of(shop.get("/reconcile", accept_language=tag).text)
    assert month in text_of(shop.get("/reconcile/shop/2025-10", accept_language=tag).text)


def test_a_ledger_without_accounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.web.visitor import visiting

    ledger = create_ledger(str(tmp_path_factory.mktemp("empty") / "ledger.db"))
    with visiting(ledger) as visitor:
        visitor.log_in()
        assert "Nothing has been collected yet." in text_of(visitor.get("/reconcile").text)
        assert text_of(visitor.get("/page/reconcile/last").text).strip() == ""
    ledger.close()
