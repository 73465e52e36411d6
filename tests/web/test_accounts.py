"""The page of an account: balances next to stated ones, breaks that lead to their rows, stated balances."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest

from liushui.flow import Kind
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.access.users import Role, add_user
from liushui.ledger.engine import Ledger
from liushui.ledger.write.commit import make_account
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read
from tests.web.ledgers import BEGIN, reading, row
from tests.web.test_overview import text_of
from tests.web.visitor import Visitor, visiting

HOUR = timedelta(hours=1)
STATED = {"day": "2025-11-30", "currency": "CNY", "amount": "1,100.00", "note": "statement of November"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A visitor who is logged in to a ledger with some flows. Tests only read it."""
    with reading(tmp_path_factory.mktemp("accounts")) as visitor:
        yield visitor


@pytest.fixture
def broken(ledger: Ledger, guest: Visitor) -> Visitor:
    """A shop whose rows state balances that do not follow: 40 is missing before the last one."""
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    rows = [
        row("first", HOUR, "1000.00", currency="CNY", kind=Kind.RECEIPT, balance="1000.00"),
        row("second", 2 * HOUR, "-100.00", currency="CNY", kind=Kind.REFUND, balance="900.00"),
        row("third", 3 * HOUR, "250.00", currency="CNY", kind=Kind.RECEIPT, balance="1110.00"),
    ]
    commit_read(ledger, Slice(BEGIN, NOON), *rows, account="shop", read_at=NOON)
    return guest


def test_balances_are_shown_beside_what_is_stated(reader: Visitor) -> None:
    text = text_of(reader.get("/accounts/a").text)
    assert re.search(r"USD 0\.00 3 649\.875 649\.9 by the provider · Nov 2, 2025.{1,30} \+0\.025 Differs", text)
    assert "HKD not known 1 5 Net change since Nov 1, 2025 – – Could not check No balance is stated." in text
    assert "Times are in Asia/Hong_Kong." in text
    assert 'href="/flows?account=a&currency=USD"' in unescape(reader.get("/accounts/a").text)
    assert re.search(r"Nov 4, 2025, 00:00:00 Nov 5, 2025, 00:00:00 Not complete not read yet", text), "its gap"


def test_a_break_leads_to_its_rows(broken: Visitor) -> None:
    overview = broken.get("/").text
    assert 'href="/accounts/shop#breaks"' in overview
    html = broken.get("/accounts/shop").text
    text = text_of(html)
    assert re.search(r"CNY 0\.00 1,110\.00 3 of 3 Breaks 1 break", text)
    explanation = "−40.00 is missing before this flow, in rows that the provider does not show"
    assert f"CNY 900.00 860.00 −40.00 {explanation}" in text
    link = re.search(r'<li><a href="(/flows\?account=shop[^"]+row=([^"&]+))">', html)
    assert link is not None
    flows = broken.get(unescape(link[1])).text
    assert f'data-opened="{link[2]}"' in flows
    first = re.search(r'id="first-rows">(.*?)</script>', flows, re.DOTALL)
    assert first is not None and link[2] in first[1], "the row is among the first ones"
    assert "off by" in text_of(broken.get(f"/page/flows/flow?key={link[2]}").text)


def test_of_very_many_breaks_the_first_are_shown(ledger: Ledger, guest: Visitor) -> None:
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    rows = [
        row(f"row{number:03}", HOUR * number, "1.00", currency="CNY", kind=Kind.RECEIPT, balance=f"{2 * number + 1}.00")
        for number in range(130)
    ]
    commit_read(ledger, Slice(BEGIN, NOON), *rows, account="shop", read_at=NOON)
    for path in ("/accounts/shop", "/reconcile/shop/2025-11"):
        html = guest.get(path).text
        assert html.count("is missing before this flow") == 100, path
        assert "These are the first. liushui breaks prints all of them." in text_of(html), path
    assert "129 breaks" in text_of(guest.get("/accounts/shop").text)


def test_a_row_that_does_not_exist_is_said_to(reader: Visitor) -> None:
    answer = reader.get("/flows?row=nonsense")
    assert answer.status_code == 200 and 'data-opened="nonsense"' in answer.text
    assert reader.get("/page/flows/flow?key=nonsense").status_code == 404


def test_a_balance_is_stated_and_withdrawn(broken: Visitor) -> None:
    answer = broken.post("/accounts/shop/balances", STATED)
    assert (answer.status_code, answer.headers["location"]) == (303, "/accounts/shop#stated")
    html = broken.get("/accounts/shop").text
    text = text_of(html)
    assert re.search(r"end of Nov 30, 2025 CNY 1,100\.00 1,150\.00 −50\.00 Differs .* statement of November", text)
    id_ = re.search(r'name="id" value="([^"]+)"', html)
    assert id_ is not None
    nothing = broken.post("/accounts/shop/balances/withdraw", {"id": id_[1], "reason": " "})
    assert nothing.status_code == 422 and "Fill this in." in text_of(nothing.text)
    assert broken.post("/accounts/shop/balances/withdraw", {"id": id_[1], "reason": "a typo"}).status_code == 303
    assert re.search(
        r"end of Nov 30, 2025 CNY 1,100\.00 – – Withdrawn .* a typo", text_of(broken.get("/accounts/shop").text)
    )
    again = broken.post("/accounts/shop/balances/withdraw", {"id": id_[1], "reason": "again"})
    assert again.status_code == 422 and "was withdrawn before" in text_of(again.text)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"day": "30.11."}, "Expected a date such as 2024-01-31; got '30.11.'."),
        ({"day": "2026-12-31"}, "This day is not over yet."),
        ({"day": "9999-12-31"}, "This day is not over yet."),
        ({"amount": "a lot"}, "Expected an amount such as 1,024.00; got 'a lot'."),
        ({"amount": ""}, "Expected an amount such as 1,024.00; the field is empty."),
        ({"currency": ""}, "Fill this in."),
        ({"currency": "US DOLLAR"}, "expected a code such as USD, got 'US DOLLAR'"),
        ({"subaccount": "savings"}, "account shop has flows of '', got 'savings'"),
    ],
)
def test_what_cannot_be_stated_is_said_beside_the_field(broken: Visitor, changed: dict[str, str], error: str) -> None:
    answer = broken.post("/accounts/shop/balances", STATED | changed)
    assert answer.status_code == 422
    assert error in text_of(answer.text)
    assert 'value="statement of November"' in answer.text, "what was typed stays"
    assert "end of Nov 30, 2025" not in text_of(answer.text), "nothing was recorded"


def test_two_balances_for_one_moment_are_refused(broken: Visitor) -> None:
    assert broken.post("/accounts/shop/balances", STATED).status_code == 303
    assert broken.post("/accounts/shop/balances", STATED).status_code == 303, "the same one may be stated again"
    answer = broken.post("/accounts/shop/balances", STATED | {"amount": "−3"})
    assert answer.status_code == 422
    assert "states 1,100.00 for the same moment. Withdraw it first if it is wrong." in text_of(answer.text)


def test_a_balance_of_another_account_is_not_withdrawn(broken: Visitor) -> None:
    broken.post("/accounts/shop/balances", STATED)
    id_ = re.search(r'name="id" value="([^"]+)"', broken.get("/accounts/shop").text)
    assert id_ is not None
    answer = broken.post("/accounts/b/balances/withdraw", {"id": id_[1], "reason": "x"})
    assert answer.status_code == 422 and "This balance does not exist." in text_of(answer.text)


def test_who_may_not_record_sees_no_form(ledger: Ledger, visitor: Visitor) -> None:
    token = create_token(ledger, names=None, scopes=[Scope.READ, Scope.MANAGE])
    assert visitor.post("/login", {"secret": token.text}, token=False).status_code == 303
    assert 'action="/accounts/a/balances"' not in visitor.get("/accounts/a").text
    for path in ("/accounts/a/balances", "/accounts/a/balances/withdraw"):
        answer = visitor.post(path, STATED)
        assert answer.status_code == 403
        assert "record" in answer.text


def test_an_unknown_account(reader: Visitor) -> None:
    assert reader.get("/accounts/nobody").status_code == 404
    assert reader.post("/accounts/nobody/balances", STATED).status_code == 404


@pytest.mark.parametrize(
    ("tag", "texts"),
    [
        ("zh-Hans", ("余额链", "不连续", "这笔流水之前缺少 −40.00", "录入余额")),
        ("zh-Hant", ("餘額鏈", "不連續", "這筆流水之前缺少 −40.00", "輸入餘額")),
    ],
)
def test_in_chinese(broken: Visitor, tag: str, texts: tuple[str, ...]) -> None:
    text = text_of(broken.get("/accounts/shop", accept_language=tag).text)
    for expected in texts:
        assert expected in text


def test_the_page_has_no_inline_script_or_style(broken: Visitor) -> None:
    html = broken.get("/accounts/shop").text
    assert not re.search(r"<[^>]* (style|on[a-z]+)=", html)


def test_an_account_without_flows(guest: Visitor) -> None:
    text = text_of(guest.get("/accounts/b").text)
    assert "No flows yet." in text and "This account has no source, so its flows cannot be checked." in text


def test_an_account_is_renamed(broken: Visitor, ledger: Ledger) -> None:
    assert "Rename the account" in text_of(broken.get("/accounts/shop").text)
    make_account(ledger, "other", "wecom", "Asia/Shanghai")
    for name, confirm, message in (
        ("store", "", "Type shop."),
        ("", "shop", "Use 1 to 64 letters"),
        ("shop", "shop", "The account has this name already."),
        ("other", "shop", "This name is taken, or belonged to another account before."),
    ):
        answer = broken.post("/accounts/shop/rename", {"new_name": name, "confirm": confirm})
        assert answer.status_code == 422
        assert message in text_of(answer.text)
    answer = broken.post("/accounts/shop/rename", {"new_name": "store", "confirm": "shop"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/accounts/store")
    assert "1,110.00" in text_of(broken.get("/accounts/store").text)
    assert broken.get("/accounts/shop").status_code == 404


def test_only_those_with_all_accounts_may_rename(broken: Visitor, ledger: Ledger) -> None:
    assert broken.get("/accounts/shop").status_code == 200
    add_user(ledger, "wang", Role.OPERATOR, ["shop"], password="correct horse battery")
    with visiting(ledger) as visitor:
        visitor.post("/login", {"user": "wang", "secret": "correct horse battery"}, token=False)
        assert "Rename the account" not in text_of(visitor.get("/accounts/shop").text)
        answer = visitor.post("/accounts/shop/rename", {"new_name": "store", "confirm": "shop"})
        assert answer.status_code == 403
        assert "rights for all accounts" in text_of(answer.text)
    assert broken.get("/accounts/shop").status_code == 200
