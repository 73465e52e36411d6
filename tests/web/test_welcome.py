"""The first steps in an empty ledger, and the password that they set."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from liushui.ledger.access.sessions import has_password, list_sessions, verify_password
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.access.users import Role, add_user
from liushui.ledger.engine import Ledger
from liushui.testing.clock import MovableClock
from liushui.testing.empty_ledger import create_ledger
from tests.web.bridge import browsing_as
from tests.web.visitor import Visitor, visiting

PASSWORD = "correct horse battery "


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Visitor]:
    """A logged-in visitor to a ledger without accounts."""
    ledger = create_ledger(str(tmp_path / "new.db"), clock=MovableClock())
    with visiting(ledger) as visitor:
        visitor.log_in()
        yield visitor
    ledger.close()


def set_password(visitor: Visitor, password: str = PASSWORD, again: str | None = None) -> int:
    form = {"password": password, "again": password if again is None else again}
    return int(visitor.post("/welcome/password", form).status_code)


def test_the_steps_of_an_empty_ledger(new: Visitor) -> None:
    text = new.get("/welcome").text
    assert new.ledger.name in text
    assert text.count('href="/sources/~new?provider=') == len(new.get("/sources/~new").text.split("<li>")) - 1
    assert "Done" not in text
    assert f"liushui --ledger {new.ledger.name} db backup" in text
    assert 'href="/users/new"' in text and 'href="/keys/tokens/new"' in text
    assert "/welcome" in new.get("/").text, "the empty overview leads to the steps"


@pytest.mark.parametrize(("tag", "title"), [("zh-Hans", "开始使用"), ("zh-Hant", "開始使用")])
def test_the_steps_in_chinese(new: Visitor, tag: str, title: str) -> None:
    assert f"<h1>{title}</h1>" in new.get("/welcome", accept_language=tag).text


def test_steps_that_are_done_say_so(guest: Visitor) -> None:
    """`guest` has accounts."""
    assert guest.get("/welcome").text.count(">Done<") == 1
    set_password(guest)
    assert guest.get("/welcome").text.count(">Done<") == 2


def test_a_user_can_get_back_in_too(guest: Visitor) -> None:
    add_user(guest.ledger, "wang", Role.OWNER, password=PASSWORD)
    assert guest.get("/welcome").text.count(">Done<") == 2


def test_the_password_is_set_and_this_browser_stays_logged_in(new: Visitor) -> None:
    assert set_password(new) == 303
    assert verify_password(new.ledger, PASSWORD)
    assert new.get("/welcome").status_code == 200
    assert [session.method for session in list_sessions(new.ledger)] == ["password"], "other browsers are logged out"


@pytest.mark.parametrize(
    ("password", "again", "error"),
    [
        ("2 short", "2 short", "Use 10 to 1000 characters."),
        ("long enough", "long enouhg", "This differs from the first."),
        ("", "", "Use 10 to 1000 characters."),
    ],
)
def test_a_password_that_cannot_be_set(new: Visitor, password: str, again: str, error: str) -> None:
    answer = new.post("/welcome/password", {"password": password, "again": again})
    assert answer.status_code == 422
    assert error in answer.text
    assert not password or password not in answer.text, "a secret is not sent back"
    assert not has_password(new.ledger)


def test_a_password_is_not_replaced(new: Visitor) -> None:
    set_password(new)
    assert set_password(new, "another password") == 422
    assert verify_password(new.ledger, PASSWORD)


def test_a_token_cannot_set_a_password_that_outlives_it(ledger: Ledger) -> None:
    token = create_token(ledger, names=None, scopes=[Scope.READ, Scope.MANAGE])
    with visiting(ledger) as visitor:
        assert visitor.post("/login", {"secret": token.text}).status_code == 303
        assert 'name="again"' not in visitor.get("/welcome").text
        assert set_password(visitor) == 403
    assert not has_password(ledger)


@pytest.mark.parametrize("width", [390, 1440])
def test_an_empty_ledger_gets_its_first_source_by_clicks(new: Visitor, browser: Browser, width: int) -> None:
    with browsing_as(new, browser, viewport={"width": width, "height": 900}) as page:
        page.goto("/")
        page.get_by_role("link", name="First steps").click()
        page.get_by_role("link", name="WeCom external payments").click()
        expect(page.get_by_label("Name", exact=True)).to_have_value("wecom-1")
        page.get_by_label("Corp ID").fill("ww1234567890abcdef")
        page.get_by_label("Secret", exact=True).fill("a secret")
        page.get_by_role("button", name="Add the source").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("wecom-1")
        expect(page.locator("#progress [role=status]")).to_contain_text("Waiting to sync")
        expect(page.get_by_role("button", name="Sync now")).to_be_disabled()
        page.get_by_role("link", name="Overview").click()
        expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()
