"""Closing a month on the page: refused with the lines named, closed with a certificate, reopened, changed later."""

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

from liushui.certificate.keys import create_signing_key, list_signing_keys
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import Ledger
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.remove import remove_account
from liushui.provider import Slice
from liushui.testing.clock import NOON
from tests.certificate.certified import CHECKER
from tests.ledger.ledgers import commit_read
from tests.web.test_overview import text_of
from tests.web.test_reconcile import HISTORY, SHOP_ROWS, shop, shop_row
from tests.web.visitor import Visitor

__all__ = ["shop"]

MONTH = "/reconcile/shop/2025-10"
EXPLAINED = {"by": "Li Na", "explain-shop:CNY": "a refund that our key may not see"}


@pytest.fixture
def ready(shop: Visitor, ledger: Ledger) -> Visitor:
    """The shop, whose ledger has a key to sign with."""
    create_signing_key(ledger, "example.com/ledger")
    return shop


def test_a_month_is_closed_with_an_explanation(ready: Visitor) -> None:
    text = text_of(ready.get(MONTH).text)
    assert "Why CNY is accepted although it does not agree Your name Close this month" in text
    answer = ready.post(f"{MONTH}/close", EXPLAINED)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{MONTH}#closed")
    text = text_of(ready.get(MONTH).text)
    assert "Closed by Li Na ·" in text
    assert "Explained by Li Na: a refund that our key may not see" in text
    assert re.search(r"Closed · Li Na · .{10,60} · a refund that our key may not see", text)
    assert re.search(r"Differs Closed shop, Oct 2025", text_of(ready.get("/reconcile").text))


def test_a_difference_that_an_earlier_month_explains_needs_no_further_explanation(ready: Visitor) -> None:
    later = "/reconcile/shop/2025-11"
    assert "May stay empty if an earlier closed month explains the same difference." in text_of(ready.get(later).text)
    assert ready.post(f"{later}/close", {"by": "Li Na"}).status_code == 422
    ready.post(f"{MONTH}/close", EXPLAINED)
    assert ready.post(f"{later}/close", {"by": "Li Na"}).status_code == 303


def test_a_close_is_refused_with_the_lines_named(ready: Visitor) -> None:
    answer = ready.post(f"{MONTH}/close", {"by": "Li Na", "explain-shop:CNY": " "})
    assert answer.status_code == 422
    text = text_of(answer.text)
    assert "Why CNY is accepted although it does not agree Explain this, or put it right first." in text
    assert 'value="Li Na"' in answer.text, "what was typed stays"
    nobody = ready.post(f"{MONTH}/close", EXPLAINED | {"by": ""})
    assert (nobody.status_code, "Fill this in." in text_of(nobody.text)) == (422, True)
    assert 'value="a refund that our key may not see"' in nobody.text
    assert "Close this month" in text_of(ready.get(MONTH).text), "nothing was closed"
    assert "Certificates" not in text_of(ready.get(MONTH).text)


def test_a_month_that_cannot_be_checked_needs_an_explanation_too(ready: Visitor) -> None:
    month = "/reconcile/a/2025-10"
    assert ready.post(f"{month}/close", {"by": "Li"}).status_code == 422
    assert ready.post(f"{month}/close", {"by": "Li", "explain-a": "it is not ours any more"}).status_code == 303


def test_it_is_closed_once_and_opened_again_with_a_reason(ready: Visitor) -> None:
    ready.post(f"{MONTH}/close", EXPLAINED)
    again = ready.post(f"{MONTH}/close", EXPLAINED)
    assert again.status_code == 422
    assert "Somebody has closed this month already." in text_of(again.text)
    nothing = ready.post(f"{MONTH}/reopen", {"reopen-by": "Wang", "reopen-reason": ""})
    assert (nothing.status_code, "Fill this in." in text_of(nothing.text)) == (422, True)
    assert ready.post(f"{MONTH}/reopen", {"reopen-by": "Wang", "reopen-reason": "too early"}).status_code == 303
    text = text_of(ready.get(MONTH).text)
    assert re.search(r"Opened again · Wang · .{10,60} · too early Closed · Li Na", text)
    assert "Close this month" in text
    open_one = ready.post(f"{MONTH}/reopen", {"reopen-by": "Wang", "reopen-reason": "again"})
    assert (open_one.status_code, "This month is not closed." in text_of(open_one.text)) == (422, True)


def test_what_changes_after_the_close_is_shown(ready: Visitor, ledger: Ledger) -> None:
    ready.post(f"{MONTH}/close", EXPLAINED)
    late = shop_row(9, 20, "3.00", "1113.00")
    commit_read(ledger, Slice(HISTORY, NOON), *SHOP_ROWS, late, account="shop", read_at=NOON + timedelta(hours=1))
    html = ready.get(MONTH).text
    assert re.search(r"Changed after close .{0,200}Oct 21, 2025.{1,40}Receipt Added – \+3\.00 CNY", text_of(html))
    assert "Differs Changed after close shop, Oct 2025" in text_of(ready.get("/reconcile").text)
    overview = ready.get("/").text
    assert "Changed after close" in text_of(overview)
    assert f'href="{MONTH}#changes"' in overview


def test_the_first_key_is_created_on_the_page(shop: Visitor, ledger: Ledger) -> None:
    html = shop.get(MONTH).text
    assert "The ledger has no key to sign with yet." in text_of(html)
    assert 'value="127.0.0.1/ledger"' in html
    wrong = shop.post(f"{MONTH}/key", {"signing_key": "two words"})
    assert (wrong.status_code, "Expected a name without spaces" in text_of(wrong.text)) == (422, True)
    assert shop.post(f"{MONTH}/close", EXPLAINED).status_code == 422
    assert shop.post(f"{MONTH}/key", {"signing_key": "example.com/ledger"}).status_code == 303
    assert shop.post(f"{MONTH}/key", {"signing_key": "example.com/second"}).status_code == 303, "there is one already"
    assert [key.verifier.name for key in list_signing_keys(ledger)] == ["example.com/ledger"]
    assert shop.post(f"{MONTH}/close", EXPLAINED).status_code == 303


def test_the_certificate_is_checked_without_liushui(ready: Visitor, tmp_path: Path) -> None:
    ready.post(f"{MONTH}/close", EXPLAINED)
    html = ready.get(MONTH).text
    key = re.search(r'<code class="verifier-key">([^<]+)</code>', html)
    address = re.search(rf'href="({MONTH}/certificates/\d+)"', html)
    assert key is not None and address is not None
    certificate, rows = ready.get(address[1]), ready.get(f"{address[1]}/rows.csv")
    assert certificate.headers["content-disposition"] == 'attachment; filename="shop-2025-10.certificate"'
    (tmp_path / "certificate").write_bytes(certificate.content)
    (tmp_path / "rows.csv").write_bytes(rows.content)
    command = [sys.executable, "-I", str(CHECKER), "--key", unquote(key[1]), "certificate", "--rows", "rows.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    verdict = "complete, 1 closing balances differ from what is stated, the balance chain breaks"
    assert (done.stdout, done.stderr) == (f"valid: shop, 2025-10, 3 rows, {verdict}\n", "")


def test_certificates_of_a_removed_account_are_not_those_of_another_of_its_name(ready: Visitor, ledger: Ledger) -> None:
    ready.post(f"{MONTH}/close", EXPLAINED)
    assert "Certificates" in text_of(ready.get(MONTH).text)
    remove_account(ledger, "shop")
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    commit_read(ledger, Slice(HISTORY, NOON), *SHOP_ROWS, account="shop", read_at=NOON)
    assert "Certificates" not in text_of(ready.get(MONTH).text)
    for path in (f"{MONTH}/certificates/1", f"{MONTH}/certificates/1/rows.csv"):
        assert ready.get(path).status_code == 404
    ready.post(f"{MONTH}/close", EXPLAINED)
    assert ready.get(f"{MONTH}/certificates/2").status_code == 200, "numbers of a name are not used again"


def test_certificates_that_do_not_exist(ready: Visitor) -> None:
    ready.post(f"{MONTH}/close", EXPLAINED)
    for path in (f"{MONTH}/certificates/2", f"{MONTH}/certificates/x", "/reconcile/shop/2025-09/certificates/1"):
        assert ready.get(path).status_code == 404
        assert ready.get(f"{path}/rows.csv").status_code == 404
    assert ready.get(f"{MONTH}/certificates/{'9' * 5_000}").status_code == 404
    assert ready.get("/reconcile/nobody/2025-10/certificates/1").status_code == 404
    for form in ("close", "reopen", "key"):
        assert ready.post(f"/reconcile/nobody/2025-10/{form}", EXPLAINED).status_code == 404


def test_a_month_that_is_not_over_has_no_form(ready: Visitor) -> None:
    html = ready.get("/reconcile/shop/2026-01").text
    assert "The month is not over." in text_of(html) and "/close" not in html
    answer = ready.post("/reconcile/shop/2026-01/close", EXPLAINED)
    assert answer.status_code == 422


def test_who_may_not_record_sees_no_form(ready: Visitor, ledger: Ledger) -> None:
    token = create_token(ledger, names=None, scopes=[Scope.READ, Scope.MANAGE])
    ready.client.cookies.clear()
    assert ready.post("/login", {"secret": token.text}, token=False).status_code == 303
    assert f'action="{MONTH}/close"' not in ready.get(MONTH).text
    for form in ("close", "reopen"):
        assert ready.post(f"{MONTH}/{form}", EXPLAINED).status_code == 403


@pytest.mark.parametrize(("tag", "words"), [("zh-Hans", "本月结账"), ("zh-Hant", "本月結帳")])
def test_in_chinese(ready: Visitor, tag: str, words: str) -> None:
    assert words in text_of(ready.get(MONTH, accept_language=tag).text)
    ready.post(f"{MONTH}/close", EXPLAINED)
    assert words[2:] in text_of(ready.get(MONTH, accept_language=tag).text)
