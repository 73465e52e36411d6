"""The jobs of a finance person, done by clicks in a real browser.

Each job runs in one combination of width, language and theme, and with `make jobs` in all of them. It waits for what
the page shows. At its end the page has to be accessible, and no page may have had an error or have requested anything
from another server.
"""

import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from liushui.flow import Flow, Kind
from liushui.instant import to_iso
from liushui.ledger.engine import Ledger, open_ledger
from liushui.testing.clock import MovableClock
from tests.cli.test_statement import pdf_text
from tests.web.bridge import browsing_as
from tests.web.jobs.books import HIDDEN, KEPT, ZONE, add_late_row, local_month, make_books, total
from tests.web.jobs.combination import LANGUAGES, Combination, check_page, combinations_of
from tests.web.visitor import visiting

PASSWORD: Final = "correct horse battery"


class Desk:
    """A browser with the page, the ledger behind it, and the language that both speak."""

    def __init__(self, page: Page, ledger: Ledger, combination: Combination, folder: Path) -> None:
        self.page, self.ledger, self.combination, self.folder = page, ledger, combination, folder
        self.say = combination.say

    def region(self, name: str) -> Locator:
        """The part of the page with that English name."""
        return self.page.get_by_role("region", name=self.say(name), exact=True)

    def link(self, name: str) -> Locator:
        """The first link in the main part with that English name."""
        return self.page.get_by_role("main").get_by_role("link", name=self.say(name), exact=True).first

    def button(self, name: str) -> Locator:
        """The button with that English name."""
        return self.page.get_by_role("main").get_by_role("button", name=self.say(name), exact=True)

    def menu(self, name: str) -> None:
        """Click an item of the main menu."""
        self.page.get_by_role("navigation", name=self.say("Main menu")).get_by_role("link", name=self.say(name)).click()

    def field(self, name: str) -> Locator:
        """The field with that English label."""
        return self.page.get_by_label(self.say(name), exact=True).first

    def money(self, amount: Decimal, *, signed: bool = False) -> str:
        """An amount as the page shows it."""
        return LANGUAGES[self.combination.tag].short_amount(amount, "CNY", signed=signed)

    def alarm(self, name: str) -> Locator:
        """The alarm of a kind on the overview."""
        alarms = self.region("Needs attention").get_by_role("listitem")
        return alarms.filter(has_text=self.say(name)).first

    def account(self, name: str) -> None:
        """Open the page of an account from the overview."""
        self.menu("Overview")
        self.region("Coverage").get_by_role("link", name=name, exact=True).click()
        expect(self.page.get_by_role("heading", level=1, name=name)).to_be_visible()

    def check(self) -> None:
        """What the page in sight has to be."""
        check_page(self.page, self.combination)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the ledger that jobs get copies of."""
    path = tmp_path_factory.mktemp("books") / "ledger.db"
    make_books(path)
    return path


@pytest.fixture
def desk(books: Path, browser: Browser, tmp_path: Path, combination: Combination) -> Iterator[Desk]:
    """The overview of a copy of the ledger, for the owner. At the end the last page is checked."""
    for file in books.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    ledger = open_ledger(str(tmp_path / books.name), clock=MovableClock())
    with visiting(ledger) as visitor:
        visitor.log_in()
        with browsing_as(visitor, browser, **combination.options) as page:
            page.goto("/")
            desk = Desk(page, ledger, combination, tmp_path)
            yield desk
            desk.check()
    ledger.close()


def of_month(flows: list[Flow], month: str, kind: Kind) -> Decimal:
    return total([flow for flow in flows if local_month(flow) == month and flow.kind is kind])


@pytest.mark.parametrize("combination", combinations_of(0))
def test_fees_and_income_of_last_month_are_on_one_screen(desk: Desk) -> None:
    desk.field("From").fill("2025-12-01")
    desk.field("Before").fill("2026-01-01")
    desk.button("Show").click()
    moved = desk.region("Money in and out")
    for kind, label in ((Kind.RECEIPT, "Receipt"), (Kind.FEE, "Fee")):
        row = moved.get_by_role("row").filter(has=desk.page.get_by_role("link", name=desk.say(label), exact=True))
        expect(row).to_contain_text(desk.money(of_month(KEPT, "2025-12", kind)))


@pytest.mark.parametrize("combination", combinations_of(1))
def test_the_refund_of_a_receipt_is_one_click_away(desk: Desk) -> None:
    refund = next(flow for flow in KEPT if flow.kind is Kind.REFUND and local_month(flow) == "2025-12")
    receipt = next(flow for flow in KEPT if flow.kind is Kind.RECEIPT and flow.order_ref == refund.order_ref)
    desk.menu("Flows")
    desk.field("Text").fill(str(refund.order_ref))
    desk.field("Kind").select_option("receipt")
    desk.button("Filter").click()
    row = desk.page.locator("#ledger .ledger-row[data-key]").filter(has_text=desk.money(receipt.amount, signed=True))
    row.click()
    drawer = desk.page.locator("#drawer")
    expect(drawer.locator("h2")).to_contain_text(desk.money(receipt.amount, signed=True))
    drawer.locator(".plain a[data-key]").filter(has_text=desk.money(refund.amount)).click()
    expect(drawer.locator("h2")).to_contain_text(desk.money(refund.amount))


@pytest.mark.parametrize("combination", combinations_of(3))
def test_what_is_missing_and_where_is_said(desk: Desk) -> None:
    alarm = desk.alarm("Gap")
    expect(alarm).to_contain_text("broker")
    alarm.get_by_role("link").click()
    expect(desk.page.get_by_role("main")).to_contain_text(desk.say("Not complete"))
    coverage = desk.region("Coverage").first
    gap = coverage.get_by_role("row").filter(has_text=desk.say("Not complete"))
    for day in ("2025-11-04", "2025-11-06"):
        expect(gap.locator(f'time[datetime^="{to_iso(local_midnight(day))[:10]}"]').first).to_be_visible()


@pytest.mark.parametrize("combination", combinations_of(4))
def test_the_first_row_that_differs_is_three_clicks_away(desk: Desk) -> None:
    desk.alarm("Balance breaks").get_by_role("link").click()
    breaks = desk.region("Balance breaks").first
    expect(breaks).to_contain_text(desk.money(HIDDEN.amount))
    breaks.get_by_role("link").first.click()
    chosen = desk.page.locator(".ledger-row[aria-selected=true]")
    expect(chosen).to_be_in_viewport()
    expect(desk.page.locator("#drawer")).to_contain_text(desk.money(HIDDEN.amount))


@pytest.mark.parametrize("combination", combinations_of(5))
def test_what_moved_between_own_accounts_is_shown_in_pairs(desk: Desk) -> None:
    expect(desk.page.get_by_role("main")).to_contain_text(desk.say("Not counted: transfers between your own accounts"))
    streams = desk.page.locator("details.numbers").filter(has_text=desk.say("Transfers between your own accounts"))
    streams.locator("summary").click()
    pair = streams.get_by_role("row").filter(has_text="shop").filter(has_text="bank")
    expect(pair).to_be_visible()
    payout = next(flow for flow in reversed(KEPT) if flow.kind is Kind.WITHDRAWAL)
    desk.menu("Flows")
    desk.field("Kind").select_option("withdrawal")
    desk.field("Text").fill(str(payout.order_ref))
    desk.button("Filter").click()
    desk.page.locator("#ledger .ledger-row[data-key]").filter(has_text="shop").first.click()
    drawer = desk.page.locator("#drawer")
    expect(drawer).to_contain_text(desk.say("Payout to own account"))
    drawer.locator(".plain a[data-key]").first.click()
    expect(drawer.locator("h2")).to_contain_text(desk.money(-payout.amount, signed=True))
    expect(drawer).to_contain_text("bank")


@pytest.mark.parametrize("combination", combinations_of(6))
def test_the_day_is_found_on_which_the_balance_went_wrong(desk: Desk) -> None:
    desk.menu("Reconcile")
    month = desk.page.locator('.month-cell[href$="/reconcile/shop/2025-10"]')
    while not month.count():
        desk.link("Earlier").click()
        desk.page.wait_for_load_state()
    month.click()
    proof = desk.region("CNY").first
    expect(proof).to_contain_text(desk.money(HIDDEN.amount))
    day = LANGUAGES[desk.combination.tag].day(following_row().at.astimezone(ZONE).date())
    proof.get_by_role("link", name=re.compile(re.escape(day))).first.click()
    expect(desk.page.locator(".ledger-row[aria-selected=true]")).to_be_in_viewport()


def local_midnight(day: str) -> datetime:
    """The beginning of a day in the zone of the accounts."""
    return datetime.fromisoformat(day).replace(tzinfo=ZONE)


def following_row() -> Flow:
    """The row after the hidden refund, whose balance does not follow from the one before it."""
    return next(flow for flow in KEPT if flow.at > HIDDEN.at)


@pytest.mark.parametrize("combination", combinations_of(7))
def test_a_month_is_closed_and_a_change_behind_it_raises_the_alarm(desk: Desk) -> None:
    desk.menu("Reconcile")
    desk.page.locator('.month-cell[href$="/reconcile/bank/2025-11"]').click()
    desk.field("Name of the key").fill("example.com/bank")
    desk.button("Create a signing key").click()
    form = desk.page.get_by_role("form", name=desk.say("Close this month"))
    form.get_by_label(desk.say("Your name")).fill("Li Na")
    form.get_by_role("button", name=desk.say("Close this month")).click()
    expect(desk.page.get_by_role("heading", name=desk.say("This month is closed"))).to_be_visible()
    desk.check()
    add_late_row(desk.ledger)
    desk.menu("Overview")
    desk.alarm("Changed after close").get_by_role("link").click()
    expect(desk.page.get_by_role("main")).to_contain_text(desk.money(Decimal("-88.00")))


@pytest.mark.parametrize("combination", combinations_of(8))
def test_the_accountant_gets_an_account_that_only_reads(desk: Desk) -> None:
    desk.menu("Users")
    desk.link("Add a user").click()
    desk.field("User name").fill("auditor")
    desk.field("Password").fill(PASSWORD)
    desk.page.get_by_role("radio").first.check()
    desk.page.get_by_label(desk.say("All accounts, including future ones")).check()
    desk.button("Add the user").click()
    expect(desk.page.get_by_role("main")).to_contain_text("auditor")
    desk.check()
    desk.page.locator(".bar details[data-menu] summary").click()
    desk.page.get_by_role("button", name=desk.say("Log out")).click()
    desk.field("User name").fill("auditor")
    desk.page.locator("input[type=password]").fill(PASSWORD)
    desk.page.locator("form").filter(has=desk.page.locator("input[type=password]")).locator("button.main").click()
    expect(desk.region("Balances")).to_be_visible()
    desk.menu("Sources")
    expect(desk.page.get_by_role("link", name="shop", exact=True)).to_be_visible()
    assert desk.page.get_by_role("main").get_by_role("button").count() == 0, "nothing that would be refused"
    desk.account("shop")
    assert desk.page.locator("main form[method=post]").count() == 0


@pytest.mark.parametrize("combination", combinations_of(9))
def test_october_is_printed_with_all_its_rows(desk: Desk) -> None:
    desk.account("shop")
    desk.link("Statement").click()
    for month in ("2025-11", "2025-10"):
        earlier = desk.page.locator(f'a[href$="/statement/{month}"]')
        earlier.click()
    expect(desk.page.locator('a[href$="/statement/2025-09"]')).to_be_visible()
    desk.check()
    desk.page.evaluate("window.print = () => { window.printed = true; }")
    desk.button("Print").click()
    assert desk.page.evaluate("window.printed") is True
    desk.page.pdf(path=desk.folder / "october.pdf", prefer_css_page_size=True)
    printed = pdf_text(desk.folder / "october.pdf")
    october = [flow for flow in KEPT if local_month(flow) == "2025-10"]
    assert len(re.findall(r"2025-10-\d\d \d\d:\d\d:\d\d", printed)) == len(october)
    for flow in october:
        assert desk.money(flow.amount.copy_abs()) in printed
    desk.account("shop")
    desk.link("View the flows").click()
    desk.link("Print").click()
    expect(desk.page.locator("table").first).to_be_visible()
