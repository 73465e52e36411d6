"""Saved views on the page: saved by clicks, opened from the menu, renamed, shared, removed, and first in the list."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from liushui.flow import Kind
from liushui.ledger.access.users import Role, add_user
from liushui.provider import Slice
from liushui.services.access import owner
from liushui.services.views import visible_views
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read
from tests.web.bridge import browsing_as
from tests.web.ledgers import BEGIN, row
from tests.web.page_checks import CUT, serious_problems
from tests.web.test_flows import ROWS, fetch
from tests.web.test_users import logged_in
from tests.web.visitor import Visitor

HOUR = timedelta(hours=1)


@pytest.fixture
def guest(guest: Visitor) -> Visitor:
    """A visitor who is logged in as the owner, to a ledger with three flows."""
    rows = [
        row("r0", 0 * HOUR, "-1.00", kind=Kind.FEE, order_ref="ORDER-7"),
        row("r1", 1 * HOUR, "2.00"),
        row("r2", 2 * HOUR, "-3.00", kind=Kind.FEE),
    ]
    commit_read(guest.ledger, Slice(BEGIN, NOON), *rows, account="a", read_at=NOON)
    return guest


def save(visitor: Visitor, name: str, query: str, **more: str) -> str:
    """Save a view by its form. Returns the address that it leads to."""
    answer = visitor.post("/flows/views", {"name": name, "query": query, **more})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_a_view_is_saved_opened_overwritten_and_removed(guest: Visitor) -> None:
    address = save(guest, "Fees & more", "kind=fee&columns=time,amount&order=oldest&zone=UTC")
    assert address == "/flows?kind=fee&columns=time%2Camount&order=oldest&zone=UTC&base_view=Fees+%26+more"
    text = guest.get(address).text
    assert "View: Fees &amp; more" in text
    assert 'data-columns="time amount"' in text
    assert "(changed)" not in text
    assert guest.get("/flows?view=" + quote("Fees & more")).headers["location"] == address
    changed = guest.get(address.replace("kind=fee", "kind=trade"))
    assert "(changed)" in changed.text
    assert "Save the changes to Fees &amp; more" in changed.text
    form = {"name": "Fees & more", "query": "kind=trade"}
    assert guest.post("/flows/views/overwrite", form).headers["location"] == "/flows?kind=trade&base_view=Fees+%26+more"
    assert guest.post("/flows/views/remove", {"view": "Fees & more"}).status_code == 303
    assert visible_views(guest.ledger, owner("tests")).views == []
    gone = guest.get("/flows?view=Fees")
    assert "There is no view named &#39;Fees&#39;." in gone.text


def test_a_name_that_is_taken_is_overwritten_only_when_that_is_ticked(guest: Visitor) -> None:
    save(guest, "x", "kind=fee")
    again = guest.post("/flows/views", {"name": "x", "query": "kind=trade"})
    assert again.status_code == 422
    assert "There is a view with this name already." in again.text
    assert "Overwrite the view of this name" in again.text
    assert save(guest, "x", "kind=trade", replace="yes") == "/flows?kind=trade&base_view=x"
    for name, error in (("", "Fill this in."), ("a/b", "Use 1 to 80 characters, without / and \\.")):
        answer = guest.post("/flows/views", {"name": name, "query": "kind=trade"})
        assert (answer.status_code, error in answer.text) == (422, True), answer.text
    wrong = guest.post("/flows/views", {"name": "y", "query": "kind=nope"})
    assert wrong.headers["location"] == "/flows?kind=nope"


def test_the_list_begins_with_the_default_view_until_all_flows_are_asked_for(guest: Visitor) -> None:
    address = save(guest, "Fees", "kind=fee", default="yes")
    assert guest.get("/flows").headers["location"] == address
    assert guest.get("/flows?all=1").status_code == 200
    assert guest.get("/flows?account=a").status_code == 200
    assert guest.post("/flows/views/default", {"view": ""}).status_code == 303
    assert guest.get("/flows").status_code == 200


def test_a_viewer_keeps_views_and_shares_none(visitor: Visitor) -> None:
    add_user(visitor.ledger, "li", Role.ACCOUNTANT, password="correct horse battery")
    viewer = logged_in(visitor, Role.VIEWER)
    save(viewer, "mine", "kind=fee")
    assert "Share it with everyone" not in viewer.get("/flows/views/new?kind=fee").text
    refused = viewer.post("/flows/views", {"name": "ours", "query": "kind=fee", "shared": "yes"})
    assert refused.status_code == 422
    assert "Share it" not in viewer.get("/flows/views").text
    refused = viewer.post("/flows/views/change", {"view": "mine", "name": "mine", "shared": "yes"})
    assert refused.status_code == 422
    assert visible_views(visitor.ledger, owner("tests")).views == [], "a private view is its user's alone"


def test_rows_come_in_the_order_of_the_view_with_its_columns_and_zone(guest: Visitor) -> None:
    rows = fetch(guest, f"{ROWS}?order=oldest&zone=UTC&columns=time,order_reference,direction")["rows"]
    assert [line[1] for line in rows] == ["2025-10-31 16:00:00", "2025-10-31 17:00:00", "2025-10-31 18:00:00"]
    assert rows[0][11:] == ["Not stated", "Other", "", "ORDER-7"]
    later = fetch(guest, f"{ROWS}?order=oldest&older={rows[0][0]}")["rows"]
    assert [line[0] for line in later] == [rows[1][0], rows[2][0]]
    before = fetch(guest, f"{ROWS}?order=oldest&newer={rows[2][0]}")["rows"]
    assert [line[0] for line in before] == [rows[0][0], rows[1][0]]
    assert fetch(guest, f"{ROWS}?order=oldest&at=2025-11-02")["rows"] == []
    assert len(fetch(guest, f"{ROWS}?order=oldest&at=2025-11-01")["rows"]) == 3
    for query, error in (("order=up", "Expected newest, oldest, got"), ("zone=Mars", "Expected a time zone")):
        assert error in guest.get(f"/flows?{query}").text
    assert "There is no column named &#39;x&#39;." in guest.get("/flows?columns=time,x").text


# ---------------------------------------------------------------- in a browser


@pytest.fixture(params=[(1440, "en"), (390, "zh-CN")], ids=["wide", "phone"])
def page(request: pytest.FixtureRequest, guest: Visitor, browser: Browser) -> Iterator[Page]:
    """The browser of the owner: on a desk in English, and on a phone in Chinese."""
    width, locale = request.param
    with browsing_as(guest, browser, viewport={"width": width, "height": 900}, locale=locale) as page:
        yield page


def test_a_view_is_kept_by_clicks(page: Page) -> None:
    is_wide = page.evaluate("innerWidth") > 1000

    def say(english: str, chinese: str) -> str:
        return english if is_wide else chinese

    page.goto("/flows")
    page.get_by_label(say("Kind", "类型"), exact=True).select_option("fee")
    page.get_by_text(say("Columns, order and time zone", "列、顺序和时区")).click()
    page.get_by_label(say("Column Symbol", "列：代码"), exact=True).uncheck()
    page.get_by_label(say("Column Order reference", "列：订单号"), exact=True).check()
    page.get_by_label(say("Order", "顺序"), exact=True).select_option("oldest")
    page.get_by_role("button", name=say("Filter", "筛选"), exact=True).click()
    headers = page.locator(".ledger-names [role=columnheader]")
    expect(headers).to_have_count(9)
    first = page.locator(".ledger-rows .ledger-row:not([hidden])").first
    expect(first.locator(".amount-cell")).to_contain_text("1.00")
    if is_wide:
        expect(first.locator(".order-reference")).to_have_text("ORDER-7")
    page.locator("#ledger").focus()
    page.keyboard.press("v")
    menu = page.locator(".views-menu")
    expect(menu).to_be_visible()
    assert serious_problems(page) == []
    menu.get_by_role("link", name=say("Save as a view…", "另存为视图…")).click()
    page.get_by_label(say("Name", "名称")).fill("Fees")
    assert serious_problems(page) == []
    page.get_by_role("button", name=say("Save the view", "保存视图")).click()
    expect(page.locator("summary", has_text="Fees")).to_be_visible()
    expect(headers).to_have_count(9)
    page.goto("/flows/views")
    assert serious_problems(page) == []
    assert page.evaluate(CUT) == []
    page.get_by_role("button", name=say("Rename or share", "改名或共享")).click()
    page.locator("dialog[open] input[name=name]").fill("Fees of a")
    page.locator("dialog[open] input[name=shared]").check()
    page.get_by_role("button", name=say("Save the changes", "保存更改")).click()
    expect(page.get_by_role("cell", name=say("everyone", "所有人"))).to_be_visible()
    page.goto("/flows?all=1")
    page.locator(".page-head summary").first.click()
    page.get_by_role("link", name="Fees of a").click()
    expect(first.locator(".amount-cell")).to_contain_text("1.00")
    expect(headers).to_have_count(9)
    page.goto("/flows/views")
    page.get_by_role("button", name=say("Remove", "移除")).click()
    page.get_by_role("button", name=say("Remove the view", "移除视图")).click()
    expect(page.get_by_text(say("No views yet", "还没有视图"))).to_be_visible()
