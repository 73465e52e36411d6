"""The pages in a real browser: login, sources, keys, languages, themes, keyboard and accessibility."""

import re
from datetime import UTC, datetime
from typing import Final

import pytest
from longbridge.openapi import Config, TradeContext
from playwright.sync_api import Browser, Page, expect

from liushui.ledger.engine import open_ledger
from liushui.ledger.jobs.sources import Source, list_sources
from tests.demo import Demo
from tests.web.page_checks import CUT, serious_problems
from tests.web.watched_page import Open

SINCE, UNTIL = datetime(2018, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)

PAGES: Final = (
    "/",
    "/flows",
    "/accounts/shop-1",
    "/reconcile",
    "/reconcile/shop-1/2025-10",
    "/sources",
    "/sources/~new",
    "/sources/~new?provider=longbridge",
    "/sources/trader-1",
    "/sources/trader-1/credentials",
    "/keys",
    "/notifications",
    "/notifications/new",
    "/keys/new",
    "/keys/tokens/new",
    "/providers",
    "/providers/wecom",
    "/welcome",
    "/nothing",
)


def source_named(demo: Demo, name: str) -> Source:
    """A source of the demo, with its credentials."""
    ledger = open_ledger(str(demo.ledger))
    try:
        return next(source for source in list_sources(ledger) if source.account == name)
    finally:
        ledger.close()


def test_the_printed_link_opens_the_overview(demo: Demo, browser: Browser, opened: Open) -> None:
    assert demo.said.rstrip().splitlines()[-1] == demo.link, "the link is what is printed last"
    page = opened(demo.link, logged_in=False)
    assert page.url == f"{demo.url}/"
    main = page.get_by_role("main")
    for source in ("trader-1", "shop-1", "trader-1-wooxpro"):
        expect(main.get_by_text(source, exact=True).first).to_be_attached()
    assert re.search(r"\d{1,3},\d{3}\.\d\d", main.inner_text()), "there are amounts on it"
    other = browser.new_context()
    second = other.new_page()
    second.goto(demo.link)
    expect(second.get_by_role("alert")).to_contain_text("This link has already been used or has expired.")
    other.close()


def test_a_source_is_added_tested_and_synced(demo: Demo, opened: Open) -> None:
    known = source_named(demo, "shop-1")
    page = opened("/sources", may_fail=True)
    page.get_by_role("link", name="Add a source").click()
    page.get_by_role("link", name=re.compile("^WeCom external payments")).click()
    expect(page.get_by_label("Start date")).to_have_value("2022-12-01")
    page.get_by_label("Name").fill("what is this?")
    page.get_by_label("Corp ID").fill(known.credentials["corpid"])
    page.get_by_label("Secret", exact=True).fill("kept to myself")
    page.get_by_label("Start date").fill("yesterday")
    page.get_by_label("API address").fill("ftp://nowhere")
    page.get_by_role("button", name="Add the source").click()

    expect(page.locator("#wrong-name")).to_contain_text("Use 1 to 64 letters, digits or - _ . @; got 'what is this?'.")
    expect(page.locator("#wrong-base_url")).to_contain_text("got 'ftp://nowhere'.")
    expect(page.locator("#wrong-since")).to_contain_text("Expected a date or a time such as 2024-01-31")
    expect(page.get_by_label("Name")).to_have_value("what is this?")
    expect(page.get_by_label("Corp ID")).to_have_value(known.credentials["corpid"])
    expect(page.get_by_label("Secret", exact=True)).to_have_value("")
    assert "kept to myself" not in page.content(), "a secret is never sent back"

    page.get_by_label("Name").fill("by-hand")
    page.get_by_label("API address").fill(known.base_url)
    page.get_by_label("Start date").fill("2024-01-01")
    page.get_by_label("Secret", exact=True).fill("a wrong one")
    page.get_by_role("button", name="Test first").click()
    expect(page.locator("#tested")).to_contain_text("The provider refuses these credentials.")
    page.get_by_label("Secret", exact=True).fill(known.credentials["corpsecret"])
    page.get_by_role("button", name="Test first").click()
    expect(page.locator("#tested")).to_contain_text("The provider answered")
    page.get_by_role("button", name="Add the source").click()

    state = page.locator("#progress [role=status]")
    expect(state).to_contain_text(re.compile("Waiting to sync|Syncing"))
    expect(state).to_contain_text("Up to date", timeout=60_000)
    expect(page.locator("#progress")).to_contain_text(re.compile(r"New flows\s*[1-9]"))
    expect(page.locator("#live")).to_contain_text(re.compile(r"In the ledger.*Flows\s*[1-9]", re.DOTALL))
    expect(page.get_by_role("button", name="Sync now")).to_be_enabled()
    page.get_by_role("button", name="Pause").click()
    expect(state).to_contain_text("Paused")
    page.get_by_role("button", name="Resume").click()
    expect(state).to_contain_text("Up to date")
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Remove the source").click()
    expect(page).to_have_url(f"{demo.url}/sources")
    expect(page.get_by_role("link", name="by-hand")).to_have_count(0)


def test_the_ledger_tells_the_page_of_a_sync(demo: Demo, opened: Open) -> None:
    page = opened("/")
    with page.expect_request(lambda request: "/api/v1/events?account=shop-1" in request.url):
        page.goto("/sources/shop-1")
    before = page.locator("#live tbody tr").count()
    # Before a sync runs, the page does not poll: only an event can make it do so.
    with page.expect_request(lambda request: request.url.endswith("/sources/shop-1") and request.method == "GET"):
        page.evaluate(
            """() => fetch("/sources/shop-1/sync", {
              method: "POST",
              headers: {"hx-request": "true"},
              body: new URLSearchParams({csrf_token: document.querySelector("[name=csrf_token]").value}),
            })"""
        )
    expect(page.locator("#live tbody tr")).to_have_count(min(before + 1, 10))
    expect(page.get_by_role("button", name="Sync now")).to_be_enabled()


def test_a_key_is_created_used_by_the_official_sdk_and_revoked(demo: Demo, opened: Open) -> None:
    page = opened("/keys", may_fail=True)
    page.get_by_role("link", name="Create a key").click()
    page.get_by_label("Provider API").select_option("longbridge")
    page.get_by_role("button", name="Create the key").click()
    expect(page.locator("#wrong-accounts")).to_have_text("Choose at least one.")
    page.get_by_label("shop-1", exact=True).check()
    page.get_by_role("button", name="Create the key").click()
    expect(page.get_by_role("heading", name="Key created")).to_be_visible()
    expect(page.locator("#snippet")).to_contain_text(demo.url)
    given = {name: page.locator(f"#secret-{name}").inner_text() for name in ("app_key", "app_secret", "access_token")}
    config = Config.from_apikey(given["app_key"], given["app_secret"], given["access_token"], http_url=demo.url)
    read = TradeContext(config).cash_flow(start_at=SINCE, end_at=UNTIL, size=10_000)
    assert len(read) > 50
    page.get_by_role("link", name="Done").click()
    for secret in (given["app_secret"], given["access_token"]):
        assert secret not in page.content(), "it is shown once"
    row = page.get_by_role("row").filter(has_text=given["app_key"])
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke it").click()
    expect(row).to_contain_text("Revoked")
    with pytest.raises(Exception, match=r"40\d"):
        TradeContext(config).cash_flow(start_at=SINCE, end_at=UNTIL)


def test_a_token_is_created_and_shown_once(demo: Demo, opened: Open) -> None:
    page = opened("/keys/tokens/new")
    page.get_by_label("Name").fill("reports")
    page.get_by_label("trader-1", exact=True).check()
    page.get_by_role("button", name="Create the token").click()
    text = page.locator("#token").inner_text()
    answer = page.request.get("/api/v1/accounts", headers={"authorization": f"Bearer {text}", "cookie": ""})
    assert answer.status == 200 and "trader-1" in answer.text() and "shop-1" not in answer.text()
    page.goto("/keys")
    expect(page.get_by_role("row").filter(has_text="reports")).to_contain_text("Valid")
    assert text not in page.content()


@pytest.mark.parametrize(
    ("locale", "heading", "tag"), [("zh-CN", "数据源", "zh-Hans"), ("zh-HK", "資料來源", "zh-Hant")]
)
def test_the_page_has_the_language_of_the_browser(opened: Open, locale: str, heading: str, tag: str) -> None:
    page = opened("/sources", locale=locale)
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    html = page.locator("html")
    expect(html).to_have_attribute("lang", tag)
    expect(html).to_have_attribute("data-rise", "red")
    page.locator("details[data-menu] summary").click()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sources")
    expect(html).to_have_attribute("data-rise", "green")
    page.locator("details[data-menu] summary").click()
    page.get_by_role("button", name="Red").click()
    expect(html).to_have_attribute("data-rise", "red")


def test_the_theme_follows_the_system_and_can_be_chosen(opened: Open) -> None:
    page = opened("/sources", color_scheme="dark")

    def lightness() -> int:
        """Of the page's ground, 0 to 255."""
        found = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return max(int(part) for part in re.findall(r"\d+", found)[:3])

    assert lightness() < 60
    page.locator("details[data-menu] summary").click()
    page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.wait_for_load_state()
    assert lightness() > 200


def test_the_keyboard_alone_is_enough(opened: Open) -> None:
    page = opened("/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page).to_have_url(re.compile("/sources$"))
    page.wait_for_load_state()
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile("/sources/~new$"))
    page.wait_for_load_state()
    page.get_by_role("link", name=re.compile("WeCom")).focus()
    page.keyboard.press("Enter")
    page.get_by_label("Name").focus()
    page.wait_for_load_state()
    page.keyboard.type("g s ?")  # is typed, and goes nowhere
    expect(page.get_by_label("Name")).to_have_value(re.compile("g s \\?"))
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid", "the focus is seen"


def test_every_page_is_accessible(opened: Open) -> None:
    """axe finds no serious problem on any page, in either theme."""
    found = problems_of(opened("/login", logged_in=False))
    page = opened("/", may_fail=True)
    for path in PAGES:
        page.goto(path)
        found += problems_of(page)
    assert not found, "\n".join(found)


def problems_of(page: Page) -> list[str]:
    """The serious problems that axe finds: rule and place. In the dark theme only the contrast can differ."""
    problems = serious_problems(page)
    page.emulate_media(color_scheme="dark")
    problems += serious_problems(page, "color-contrast")
    page.emulate_media(color_scheme="light")
    return problems


def test_no_page_is_wider_than_a_narrow_window(opened: Open) -> None:
    page = opened("/", may_fail=True, viewport={"width": 390, "height": 800})
    for path in PAGES:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert page.evaluate(CUT) == [], f"{path}: what is cut at the edge"
