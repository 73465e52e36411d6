"""Downloads of the page: every format of exactly the listed flows, or the reason why there is none."""

import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from html import unescape
from io import BytesIO
from re import DOTALL, search
from unittest.mock import patch

import pytest

from liushui.export.formats import FORMATS
from liushui.ledger.read.filters import FlowFilter
from liushui.server.downloads import attachment
from liushui.server.web.download_choices import download_name, pack_address, period_name
from liushui.testing.clock import MovableClock
from liushui.testing.empty_ledger import create_ledger
from tests.web.visitor import Answer, Visitor, visiting

SHOP, OCTOBER = "account=sample-shop", "since=2025-10-01&until=2025-11-01"
HTML = "text/html"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A logged-in visitor to the sample data."""
    ledger = create_ledger(str(tmp_path_factory.mktemp("downloads") / "shop.db"), clock=MovableClock())
    with visiting(ledger) as visitor:
        visitor.log_in()
        visitor.post("/welcome/sample")
        yield visitor
    ledger.close()


def name_of(answer: Answer) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.headers["content-disposition"])


PLAIN = [name for name, form in FORMATS.items() if not form.needs_map and name not in ("parquet", "arrow")]
"""The formats that need neither an account map nor a further package."""


@pytest.mark.parametrize("name", PLAIN)
def test_every_format_is_downloaded_under_the_account_and_the_month(shop: Visitor, name: str) -> None:
    form = FORMATS[name]
    answer = shop.get(f"/flows/download.{form.extension}?{SHOP}&{OCTOBER}", accept=HTML)
    assert name_of(answer) == f'attachment; filename="sample-shop-2025-10.{form.extension}"'
    assert answer.headers["content-type"].startswith(form.media_type)
    assert len(answer.content) > 500


def proposed_map(shop: Visitor, address: str, target: str) -> str:
    """The account map that the page proposes, with this target wherever that of a counter-account is empty."""
    answer = shop.get(address, accept=HTML)
    assert answer.status_code == 200 and "needs an account map" in answer.text
    found = search(r"<textarea[^>]*>(.*?)</textarea>", answer.text, DOTALL)
    assert found is not None
    proposed, separator, counters = unescape(found[1]).partition("[[counter]]")
    filled = proposed.replace('target = ""', 'target = "1002"')  # where codes are wanted; otherwise none is empty
    return filled + separator + counters.replace('target = ""', f'target = "{target}"')


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.needs_map])
def test_a_journal_asks_for_an_account_map_first(shop: Visitor, name: str) -> None:
    form = FORMATS[name]
    address, code = f"/flows/download.{form.address}?{SHOP}&{OCTOBER}", "6001" if form.has_codes else "Income:Open"
    answer = shop.post(address, {"map": proposed_map(shop, address, code), "opening": "yes"})
    assert name_of(answer) == f'attachment; filename="sample-shop-2025-10.{form.extension}"'
    if form.is_text:
        expected = (b"6001",) if form.has_codes else (b"Sample-Shop", b"sample-shop")
        assert any(text in answer.content for text in expected)
    opening = 'opening = "1002"' if form.has_codes else 'opening = "Equity:Opening-Balances"'
    lacking = shop.post(address, {"map": opening})
    assert lacking.status_code == 422 and "lacks a target for some flows" in lacking.text
    broken = shop.post(address, {"map": "opening = 3"})
    assert broken.status_code == 422 and "opening" in broken.text


@pytest.mark.parametrize(
    ("query", "extension", "text"),
    [
        (f"{SHOP}&kind=fee", "ofx", "Remove the filters other than accounts, days and currency."),
        (f"{SHOP}&since=2019-01-01&until=2019-02-01", "xml", "There are no flows and no balance in this range."),
        (f"{SHOP}&since=never", "ofx", "never"),
    ],
)
def test_what_a_format_cannot_hold_is_said_on_a_page(shop: Visitor, query: str, extension: str, text: str) -> None:
    answer = shop.get(f"/flows/download.{extension}?{query}", accept=HTML)
    assert answer.status_code in (400, 422) and text in answer.text
    assert "<h1>This cannot be downloaded as" in answer.text and "content-disposition" not in answer.headers
    assert shop.get(f"/flows/download.{extension}?{query}").json()["detail"], "programs get JSON"


def test_a_format_whose_package_is_missing_says_so(shop: Visitor) -> None:
    with patch.dict(sys.modules, {"pyarrow": None}):
        answer = shop.get(f"/flows/download.parquet?{SHOP}", accept=HTML)
    assert answer.status_code == 422 and "The server lacks a package for this format." in answer.text


def test_a_filter_is_in_the_file_and_in_its_name(shop: Visitor) -> None:
    answer = shop.get(f"/flows/download.csv?{SHOP}&{OCTOBER}&kind=fee")
    assert name_of(answer) == 'attachment; filename="sample-shop-2025-10-filtered.csv"'
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert len(lines) > 20 and all(",fee," in line for line in lines[1:])


def test_the_page_of_an_account_leads_to_each_download(shop: Visitor) -> None:
    page = shop.get("/accounts/sample-shop").text
    assert '<option value="2025-10">' in page and '<option value="2025">' in page and 'value="camt053"' in page
    base = "/accounts/sample-shop/download"
    to = shop.get(f"{base}?period=2025-10&format=csv").headers["location"]
    assert to == f"/flows/download.csv?{SHOP}&{OCTOBER}"
    assert shop.get(f"{base}?format=ofx").headers["location"] == f"/flows/download.ofx?{SHOP}"
    assert shop.get(f"{base}?period=2025&format=pack").status_code == 422
    pack = shop.get(shop.get(f"{base}?period=2025-10&format=pack").headers["location"])
    assert name_of(pack) == 'attachment; filename="sample-shop-2025-10.zip"'
    with zipfile.ZipFile(BytesIO(pack.content)) as archive:
        assert "sample-shop/flows.csv" in archive.namelist()
    for query in ("period=never&format=csv", "format=svg"):
        assert shop.get(f"{base}?{query}").status_code == 404
    assert shop.get("/accounts/nobody/download?format=csv").status_code == 404


def test_the_page_of_flows_offers_the_pack_of_one_month(shop: Visitor) -> None:
    assert "/reconcile/sample-shop/2025-10/pack.zip" in shop.get(f"/flows?{SHOP}&{OCTOBER}").text
    assert "pack.zip" not in shop.get(f"/flows?{OCTOBER}").text


@pytest.mark.parametrize(
    ("since", "until", "name"),
    [
        (None, None, "all"),
        (date(2025, 10, 1), date(2025, 11, 1), "2025-10"),
        (date(2025, 12, 1), date(2026, 1, 1), "2025-12"),
        (date(2025, 1, 1), date(2026, 1, 1), "2025"),
        (date(2025, 10, 5), date(2025, 10, 21), "2025-10-05..2025-10-20"),
        (date(2025, 10, 5), None, "from-2025-10-05"),
        (None, datetime(2025, 11, 1, tzinfo=UTC), "until-2025-10-31"),
    ],
)
def test_the_name_of_a_period(since: date | None, until: date | None, name: str) -> None:
    assert period_name(since, until) == name


def test_the_name_of_a_file() -> None:
    assert download_name(FlowFilter(), ["a", "b"]) == "a+b-all"
    assert download_name(FlowFilter(), ["a", "b", "c", "d"]) == "4-accounts-all"
    assert download_name(FlowFilter(accounts=("a/b",), kind="fee"), []) == "a_b-all-filtered"
    assert attachment("店-2025-10.csv") == (
        "attachment; filename=\"_-2025-10.csv\"; filename*=UTF-8''%E5%BA%97-2025-10.csv"
    )
    assert pack_address(FlowFilter(accounts=("a",), since=date(2025, 10, 1), until=date(2025, 10, 9))) == ""
