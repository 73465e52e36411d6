"""A finance person ends a month on the page, in a real browser: a shop whose balance is wrong by one hidden refund.

Each test has its own ledger and server, so it may run again. It waits for what the page shows.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from liushui.flow import Kind
from liushui.ledger.access.sessions import create_login_code
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.provider import Slice
from liushui.services.access import login_link
from liushui.testing.empty_ledger import create_ledger
from liushui.testing.processes import serving
from tests.certificate.certified import CHECKER
from tests.ledger.ledgers import commit_read
from tests.web.ledgers import BEGIN, row
from tests.web.watched_page import TIMEOUT_MS, Watched

ZONE: Final = ZoneInfo("Asia/Shanghai")
HISTORY: Final = datetime(2022, 12, 1, tzinfo=ZONE).astimezone(UTC)


def fill(ledger: Ledger) -> datetime:
    """A shop with a row every three hours of October 2025, and one refund that its provider hides. Returns its time.

    Its rows are long past, so that the test does not depend on the day on which it is run.
    """
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    begin, balance, rows = datetime(2025, 10, 1, tzinfo=ZONE).astimezone(UTC), 0, []
    hidden = begin + timedelta(hours=3 * 120)
    for number in range(248):
        at, amount = begin + timedelta(hours=3 * number), -12_50 if number % 8 == 0 and number else 100_00 + number
        balance += amount
        if at != hidden:
            whole, cents = divmod(abs(amount), 100)
            rows.append(
                row(
                    f"shop{number}",
                    at - BEGIN,
                    f"{'-' if amount < 0 else ''}{whole}.{cents:02}",
                    currency="CNY",
                    kind=Kind.REFUND if amount < 0 else Kind.RECEIPT,
                    label="",
                    balance=f"{balance // 100}.{balance % 100:02}",
                )
            )
    now = ledger.clock()
    commit_read(ledger, Slice(HISTORY, now), *rows, account="shop", read_at=now)
    add_source(ledger, account="shop", base_url="http://127.0.0.1:9", credentials={}, since=HISTORY, paced=True)
    return hidden


@pytest.fixture
def shop(tmp_path: Path, browser: Browser) -> Iterator[Page]:
    """The overview of the shop's ledger, in a browser that is logged in. Any error on a page fails the test."""
    ledger = create_ledger(str(tmp_path / "ledger.db"))
    fill(ledger)
    with serving(tmp_path / "ledger.db", workers=1) as running:
        context = browser.new_context(base_url=running.url, locale="en", accept_downloads=True)
        context.set_default_timeout(TIMEOUT_MS)
        watched = Watched(context.new_page(), running.url, may_fail=False)
        watched.page.goto(login_link(running.url, create_login_code(ledger)))
        yield watched.page
        problems = watched.found()
        context.close()
    ledger.close()
    assert not problems, problems


def check_opened(page: Page) -> None:
    """The row after the hidden refund is chosen in the list and open beside it, with the missing amount."""
    row = page.locator(".ledger-row[aria-selected=true]")
    expect(row).to_contain_text("2025-10-16 03:00:00")
    expect(row).to_be_in_viewport()
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("off by −12.50")
    expect(drawer.locator("tr[aria-current=true]")).to_contain_text("Oct 16, 2025, 03:00:00")


def test_the_row_is_three_clicks_from_the_alarm(shop: Page) -> None:
    alarms = shop.get_by_role("region", name="Needs attention")
    alarms.get_by_role("listitem").filter(has_text="Balance breaks").get_by_role("link").click()
    expect(shop).to_have_url(re.compile("/accounts/shop#breaks$"))
    breaks = shop.get_by_role("region", name="Balance breaks").first
    expect(breaks).to_contain_text("−12.50 is missing before this flow")
    breaks.get_by_role("link").first.click()
    check_opened(shop)


def test_the_row_is_three_clicks_from_the_month(shop: Page) -> None:
    shop.get_by_role("link", name=re.compile("^Reconcile")).last.click()
    expect(shop.get_by_role("heading", name="Reconcile", level=1)).to_be_visible()
    shop.goto("/reconcile?until=2025-12")
    shop.get_by_role("link", name=re.compile(r"Differs.*shop, Oct 2025")).click()
    proof = shop.get_by_role("region", name="CNY").first
    expect(proof).to_contain_text(re.compile(r"Payments\s*−362\.50\s*−375\.00\s*−12\.50"))
    proof.get_by_role("link", name=re.compile("Oct 16, 2025")).first.click()
    check_opened(shop)


FIRST_IN_SIGHT: Final = """
() => {
  const top = document.querySelector(".ledger-names").getBoundingClientRect().bottom;
  const rows = [...document.querySelectorAll(".ledger-rows .ledger-row:not([hidden])")];
  const seen = rows.map((row) => [row.getBoundingClientRect().top, row.textContent]).filter(([y]) => y >= top - 1);
  return document.getElementById("ledger").scrollTop > 0 && seen.length ? seen.sort((a, b) => a[0] - b[0])[0][1] : "";
}
"""
"""The text of the first row in sight, once the rows above it are there."""


@pytest.mark.parametrize("day", ["2025-10-04", "2025-10-10", "2025-10-25"])
def test_a_day_stays_in_sight_when_the_rows_above_it_come(shop: Page, day: str) -> None:
    shop.goto(f"/flows?account=shop&at={day}")
    end_s, first = monotonic() + TIMEOUT_MS / 1_000, ""
    while not first.startswith(f"{day} 21:00:00"):
        assert monotonic() < end_s, f"the first row in sight is {first!r}"
        shop.wait_for_timeout(100)
        first = shop.evaluate(FIRST_IN_SIGHT)


def test_october_is_closed_and_its_certificate_checked_by_the_checker_alone(shop: Page, tmp_path: Path) -> None:
    shop.goto("/reconcile?until=2025-12")
    shop.get_by_role("link", name=re.compile(r"Differs.*shop, Oct 2025")).click()
    shop.get_by_label("Name of the key").fill("example.com/shop")
    shop.get_by_role("button", name="Create a signing key").click()
    form = shop.get_by_role("form", name="Close this month")
    form.get_by_label("Why CNY is accepted although it does not agree").fill("the platform hides refunds of its staff")
    form.get_by_label("Your name").fill("Li Na")
    form.get_by_role("button", name="Close this month").click()
    expect(shop.get_by_role("heading", name="This month is closed")).to_be_visible()
    expect(shop.get_by_role("main")).to_contain_text("Explained by Li Na: the platform hides refunds of its staff")

    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(CHECKER, alone / "check.py")
    for name, link in (("certificate", "Certificate"), ("rows.csv", "Its rows (CSV)")):
        with shop.expect_download() as download:
            shop.get_by_role("link", name=link, exact=True).click()
        download.value.save_as(alone / name)
    key = shop.locator("code.verifier-key").inner_text()
    # The packages of this environment are not visible: -I ignores its variables, and -S its site-packages.
    command = [sys.executable, "-I", "-S", "check.py", "--key", key, "certificate", "--rows", "rows.csv"]
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, check=False)
    verdict = "complete, 1 closing balances differ from what is stated, the balance chain breaks"
    assert (done.stdout, done.stderr) == (f"valid: shop, 2025-10, 247 rows, {verdict}\n", "")

    shop.goto("/reconcile?until=2025-12")
    expect(shop.get_by_role("link", name=re.compile(r"Differs.*Closed.*shop, Oct 2025"))).to_be_visible()
