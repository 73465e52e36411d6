"""The links of a flow in its drawer: the flows that belong to it, and the decisions of people."""

import re
from datetime import timedelta
from html import unescape

import pytest

from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read
from tests.web.ledgers import BEGIN, row
from tests.web.test_flows import flow
from tests.web.test_overview import text_of
from tests.web.visitor import Visitor

HOUR = timedelta(hours=1)


@pytest.fixture
def moved(ledger: Ledger, guest: Visitor) -> Visitor:
    """A round sum that left `a` and may have arrived in `b`."""
    left = row("left", HOUR, "-5000", kind=Kind.WITHDRAWAL)
    arrived = row("arrived", 2 * HOUR, "5000", kind=Kind.DEPOSIT)
    for account, moved_row in (("a", left), ("b", arrived)):
        commit_read(ledger, Slice(BEGIN, NOON), moved_row, account=account, read_at=NOON)
    return guest


def fields(html: str) -> dict[str, str]:
    """The hidden fields of the form that decides a link."""
    form = html[html.index("data-decides") :]
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)}


def test_a_flow_shows_its_links_and_where_they_lead(moved: Visitor) -> None:
    html = flow(moved, "account=a")
    assert "Candidate Own transfer Same amount · Suggested +5,000 USD · b ·" in text_of(html)
    other = re.search(r'href="(/page/flows/flow\?key=[^"]+)" data-key', html)
    assert other is not None
    assert "−5,000 USD · a ·" in text_of(moved.get(unescape(other[1])).text)


def test_a_link_is_confirmed_and_then_rejected_in_the_drawer(moved: Visitor) -> None:
    sent = {**fields(flow(moved, "account=a")), "by": "Li", "reason": "the slip", "decision": "confirmed"}
    answer = moved.post("/page/flows/link", sent)
    assert answer.status_code == 200
    text = text_of(answer.text)
    assert re.search(r"Confirmed Own transfer .* Confirmed · Li · .* · the slip", text)
    again = moved.post("/page/flows/link", sent)
    assert again.status_code == 422
    assert "was confirmed by Li" in text_of(again.text)
    sent = {**fields(answer.text), "by": "Wang", "decision": "rejected"}
    assert sent["replace"] == "yes"
    text = text_of(moved.post("/page/flows/link", sent).text)
    assert re.search(r"Rejected by a person Own transfer .* Li .* Wang ", text)


def test_what_is_missing_is_said_in_the_drawer(moved: Visitor) -> None:
    sent = {**fields(flow(moved, "account=a")), "decision": "confirmed", "by": " "}
    answer = moved.post("/page/flows/link", sent)
    assert (answer.status_code, "Fill this in." in text_of(answer.text)) == (422, True)
    unknown = moved.post("/page/flows/link", {**sent, "by": "Li", "link": "20240301T010000-0123456789ab"})
    assert (unknown.status_code, "there is none named" in text_of(unknown.text)) == (422, True)
    assert moved.post("/page/flows/link", {**sent, "key": "x"}).status_code == 404
    del sent["csrf_token"]
    assert moved.post("/page/flows/link", {**sent, "by": "Li"}, token=False).status_code == 403


@pytest.mark.parametrize(
    ("tag", "text"), [("zh-Hans", "待定 自有转账 金额相同 · 建议"), ("zh-Hant", "待定 自有轉帳 金額相同 · 建議")]
)
def test_links_are_in_the_readers_language(moved: Visitor, tag: str, text: str) -> None:
    key = re.search(r'name="key" value="([^"]+)"', flow(moved, "account=a"))
    assert key is not None
    answer = moved.get(f"/page/flows/flow?key={unescape(key[1])}", accept_language=tag)
    assert text in text_of(answer.text)
