"""A year as an Excel file for the accountant, by clicks: its amounts add up to the sum of the ledger."""

from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from python_calamine import CalamineWorkbook

from tests.web.jobs.books import KEPT, local_month, make_books, total
from tests.web.jobs.combination import Combination, combinations_of
from tests.web.jobs.test_begin import browsing_ledger


@pytest.mark.parametrize("combination", combinations_of(2))
def test_the_year_is_an_excel_for_the_accountant_with_equal_sums(
    tmp_path: Path, browser: Browser, combination: Combination
) -> None:
    say = combination.say
    make_books(tmp_path / "ledger.db")
    with browsing_ledger(tmp_path / "ledger.db", browser, combination) as page:
        page.get_by_role("region", name=say("Coverage")).get_by_role("link", name="shop", exact=True).click()
        page.get_by_role("main").locator("summary").filter(has_text=say("Download")).click()
        page.locator("#download-period").select_option("2025")
        page.locator("#download-format").select_option("xlsx")
        with page.expect_download() as download:
            page.get_by_role("main").get_by_role("button", name=say("Download"), exact=True).click()
        assert download.value.suggested_filename == "shop-2025.xlsx"
        download.value.save_as(tmp_path / "shop-2025.xlsx")
    with (tmp_path / "shop-2025.xlsx").open("rb") as file:
        book = CalamineWorkbook.from_filelike(file)
        names, *rows = book.get_sheet_by_name(book.sheet_names[1]).to_python()
    column = names.index("amount_exact") if "amount_exact" in names else names.index("amount")
    amounts = [Decimal(str(row[column])) for row in rows]
    of_year = [flow for flow in KEPT if local_month(flow).startswith("2025-")]
    assert (len(amounts), sum(amounts)) == (len(of_year), total(of_year))
