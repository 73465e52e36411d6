"""Flows to review: each with every flow that it is about, explained on its page and in the drawer."""

import json
import re
from html import unescape

import pytest

from liushui.flow import Direction, Kind
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import Ledger
from liushui.ledger.read.cursors import flow_key
from liushui.ledger.read.finding_lists import Finding, list_findings
from liushui.ledger.write.commit import make_account
from liushui.provider import Slice
from liushui.server.web.review import SHOWN_MAX
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read
from tests.ledger.reading import model_of
from tests.web.ledgers import BEGIN, row
from tests.web.test_accounts import HOUR
from tests.web.test_overview import text_of
from tests.web.visitor import Visitor

EXPLANATION = {"by": "Li", "reason": "a reversal", "decision": "explained"}


@pytest.fixture
def review(ledger: Ledger, guest: Visitor) -> Visitor:
    """An account with a copy that differs, and a shop where one of two equal flows is there once too often."""
    twins = row("twin", HOUR, "1.00"), row("twin", HOUR, "7.00")
    commit_read(ledger, Slice(BEGIN, NOON), *twins, account="a", read_at=NOON)
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    rows = [
        row(name, HOUR * hour, amount, currency="CNY", kind=Kind.RECEIPT, balance=balance)
        for name, hour, amount, balance in (
            ("first", 1, "10.00", "10.00"),
            ("same", 2, "5.00", "15.00"),
            ("again", 2, "5.00", "15.00"),
            ("last", 3, "1.00", "16.00"),
        )
    ]
    commit_read(ledger, Slice(BEGIN, NOON), *rows, account="shop", read_at=NOON)
    return guest


def findings_in(ledger: Ledger) -> dict[str, Finding]:
    return {one.kind: one for one in list_findings(model_of(ledger))}


def test_each_finding_is_shown_with_every_flow_it_is_about(review: Visitor) -> None:
    text = text_of(review.get("/review").text)
    assert re.search(r"Trade \+[17]\.00 USD The first flow of this ID: .* Trade \+[17]\.00 USD Same ID", text)
    assert "Breaks" not in text_of(review.get("/review?account=a").text)
    broken = text_of(review.get("/review?finding=break").text)
    assert "This flow is there once too often. It may be any of these 2 flows: nothing tells which." in broken
    assert "It may be this flow:" in broken
    assert "There is nothing to review here." in text_of(review.get("/review?state=gone").text)
    assert review.get("/review?account=nobody").status_code == 404


def test_which_equal_flow_is_wrong_is_left_open_wherever_a_break_is_shown(review: Visitor) -> None:
    for path in ("/review", "/accounts/shop", "/reconcile/shop/2025-11"):
        assert "It may be any of these 2 flows: nothing tells which." in text_of(review.get(path).text), path


def test_findings_are_explained_together_and_leave_the_overview(review: Visitor, ledger: Ledger) -> None:
    overview = review.get("/").text
    assert 'href="/review?account=a&finding=same_id"' in unescape(overview)
    assert 'href="/accounts/shop#breaks"' in overview
    ids = [one.id for one in findings_in(ledger).values()]
    nothing = review.post("/review", EXPLANATION)
    assert (nothing.status_code, "Choose at least one." in text_of(nothing.text)) == (422, True)
    for missing in ("by", "reason"):
        answer = review.post("/review", {**EXPLANATION, missing: " ", "chosen": ids[0]})
        assert (answer.status_code, "Fill this in." in text_of(answer.text)) == (422, True)
    for id_ in ids:
        assert review.post("/review", {**EXPLANATION, "chosen": id_}).status_code == 303
    overview = review.get("/").text
    assert "finding=same_id" not in overview
    assert "/accounts/shop#breaks" not in overview
    explained = text_of(review.get("/review?state=explained").text)
    assert re.search(r"Same ID, different content .* Explained Explained · Li · .* · a reversal", explained)
    assert "Explained Li · a reversal" in text_of(review.get("/accounts/shop").text)
    again = review.post("/review", {**EXPLANATION, "chosen": ids[0]})
    assert (again.status_code, "was explained by Li" in text_of(again.text)) == (422, True)
    withdrawn = {**EXPLANATION, "decision": "withdrawn", "reason": "wrong", "chosen": ids[0]}
    assert review.post("/review?state=explained", withdrawn).status_code == 303
    assert "Explanation withdrawn · Li ·" in text_of(review.get("/review").text)


def test_a_finding_is_explained_in_the_drawer_of_its_flow(review: Visitor, ledger: Ledger) -> None:
    finding = findings_in(ledger)["same_id"]
    key = flow_key("a", finding.at_us, finding.flow_id)
    html = review.get(f"/page/flows/flow?key={key}").text
    assert "Open Same ID, different content" in text_of(html)
    sent = {"key": key, "finding": finding.id, **EXPLANATION}
    refused = review.post("/page/flows/finding", {**sent, "reason": ""})
    assert (refused.status_code, "Fill this in." in text_of(refused.text)) == (422, True)
    answer = review.post("/page/flows/finding", sent)
    assert answer.status_code == 200
    assert re.search(r"Explained Same ID, .* Explained · Li · .* · a reversal Withdraw", text_of(answer.text))
    first = flow_key("a", finding.at_us, finding.others[0].id)
    assert f'data-key="{first}"' in html
    assert "Same ID, different content" not in text_of(review.get(f"/page/flows/flow?key={first}").text)


def test_the_flows_of_a_finding_are_a_filter(review: Visitor, ledger: Ledger) -> None:
    found = findings_in(ledger)
    for finding, rows in ((found["same_id"].id, 2), ("break", 2), (found["break"].id, 2)):
        html = review.get(f"/flows?finding={finding}").text
        first = re.search(r'id="first-rows">(.*?)</script>', html, re.DOTALL)
        assert first is not None
        assert len(json.loads(first[1])["rows"]) == rows, finding
    unknown = review.get("/flows?finding=20240301T010000-000000000000")
    assert "there is none with the id" in text_of(unknown.text)


def test_who_may_not_record_sees_no_form(ledger: Ledger, visitor: Visitor) -> None:
    twins = row("twin", HOUR, "1.00"), row("twin", HOUR, "7.00")
    commit_read(ledger, Slice(BEGIN, NOON), *twins, account="a", read_at=NOON)
    token = create_token(ledger, names=None, scopes=[Scope.READ, Scope.MANAGE])
    assert visitor.post("/login", {"secret": token.text}, token=False).status_code == 303
    html = visitor.get("/review").text
    assert "Same ID, different content" in text_of(html)
    assert 'name="chosen"' not in html
    for path in ("/review", "/page/flows/finding"):
        assert visitor.post(path, {**EXPLANATION, "chosen": "x"}).status_code == 403


@pytest.mark.parametrize(("tag", "text"), [("zh-Hans", "待处理"), ("zh-Hant", "待處理")])
def test_findings_are_in_the_readers_language(review: Visitor, tag: str, text: str) -> None:
    assert text in text_of(review.get("/review", accept_language=tag).text)


def test_many_findings_are_shown_page_by_page(ledger: Ledger, guest: Visitor) -> None:
    rows = [
        row(f"r{number:03}", HOUR * number, f"{number}.00", direction=Direction.OUT)
        for number in range(1, SHOWN_MAX + 4)
    ]
    commit_read(ledger, Slice(BEGIN, NOON), *rows, account="a", read_at=NOON)
    first = guest.get("/review").text
    (address,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = guest.get(unescape(address)).text
    ids = [re.findall(r'name="chosen" value="([^"]+)"', html) for html in (first, second)]
    assert [len(page) for page in ids] == [SHOWN_MAX, 3]
    assert sorted(ids[0] + ids[1]) == sorted(one.id for one in list_findings(model_of(ledger)))
    assert 'rel="next"' not in second
    stale = guest.get("/review?after=nonsense").text
    assert re.findall(r'name="chosen" value="([^"]+)"', stale) == ids[0], "a wrong cursor leads to the first page"
    answer = guest.post(unescape(address), {**EXPLANATION, "chosen": ids[1][0]})
    assert answer.headers["location"] == unescape(address), "the reader stays on the page"
