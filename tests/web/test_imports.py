"""Imports on the page: a file is uploaded, shown, confirmed, listed and undone; sample data is added and removed."""

import gzip
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.formats import kraken_csv
from liushui.ledger.access.audit import list_actions
from liushui.ledger.access.sessions import create_login_code
from liushui.ledger.access.users import Role, add_user
from liushui.ledger.read.imports import list_imports
from liushui.ledger.tombstones import list_tombstones
from liushui.providers import okx
from liushui.server import uploads
from liushui.services.accounts import list_accounts
from liushui.testing.clock import MovableClock
from liushui.testing.empty_ledger import create_ledger
from tests.web.visitor import Answer, Visitor, visiting

STATEMENT = (Path(kraken_csv.__file__).parent / "samples/ledgers.csv").read_bytes()
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def upload_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Uploads wait in a folder of the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Visitor]:
    """A logged-in visitor to a ledger without accounts."""
    ledger = create_ledger(str(tmp_path / "new.db"), clock=MovableClock())
    with visiting(ledger) as visitor:
        visitor.log_in()
        yield visitor
    ledger.close()


def upload(visitor: Visitor, content: bytes = STATEMENT, name: str = "ledgers.csv", **form: str) -> Answer:
    return visitor.upload("/imports/~new", name, content, {"account": "exchange", **form})


def check_address(answer: Answer) -> str:
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_a_statement_is_shown_then_imported_listed_and_undone(owner: Visitor) -> None:
    address = check_address(upload(owner))
    shown = owner.get(address)
    assert shown.status_code == 200 and "Kraken ledgers.csv" in shown.text
    assert re.search(r"<dt>New flows</dt><dd>[1-9]", shown.text)
    assert "Nothing is changed yet" in shown.text and "The first flows" in shown.text
    assert list_accounts(owner.ledger) == [], "a rehearsal leaves nothing behind"

    done = owner.post(f"{address}/import")
    assert done.status_code == 303
    (known,) = list_imports(owner.ledger)
    assert (known.account, known.files, known.error) == ("exchange", ("ledgers.csv",), "")
    assert done.headers["location"] == f"/imports/{known.id}"
    assert known.added and "ledgers.csv" in owner.get("/imports").text
    assert owner.get(address).status_code == 404, "the file is gone"

    assert owner.post(f"/imports/{known.id}/undo").status_code == 303
    assert list_imports(owner.ledger)[0].undone_at is not None
    assert list_accounts(owner.ledger)[0].flows == 0
    assert "Undone" in owner.get(f"/imports/{known.id}").text
    actions = {(one.action, one.subject, one.outcome) for one in list_actions(owner.ledger) if one.action != "log in"}
    assert actions == {
        ("import check", "/imports/~new", "done"),
        ("import", f"{address}/import", "done"),
        ("import undo", f"/imports/{known.id}/undo", "done"),
    }


def test_what_is_imported_again_changes_nothing_and_says_so(owner: Visitor) -> None:
    owner.post(f"{check_address(upload(owner))}/import")
    text = owner.get(check_address(upload(owner))).text
    assert "All rows are in the ledger already." in text


def test_rejected_rows_are_shown_with_line_field_and_reason(owner: Visitor) -> None:
    lines = STATEMENT.decode().splitlines(keepends=True)
    broken = re.sub(r"\d\d:\d\d:\d\d", "noon", lines[1])
    text = owner.get(check_address(upload(owner, "".join([lines[0], broken, *lines[2:]]).encode()))).text
    assert re.search(r'<th scope="row" class="nowrap">Line 2</th>\s*<td[^>]*><code>time</code>', text)
    assert "<dt>Rejected rows</dt><dd>1</dd>" in text


@pytest.mark.parametrize(
    ("language", "cut_off", "pdf"),
    [
        ("en", "the gzip file ends too early: it was cut off, so save it again", "this is a PDF, whose tables cannot"),
        ("zh-CN", "gzip 文件过早结束：文件不完整，请重新保存", "这是 PDF，其中的表格无法准确读取"),
        ("zh-TW", "gzip 檔案過早結束：檔案不完整，請重新儲存", "這是 PDF，其中的表格無法準確讀取"),
    ],
)
def test_why_a_file_cannot_be_read_is_said_in_the_readers_language(
    owner: Visitor, language: str, cut_off: str, pdf: str
) -> None:
    cut = check_address(upload(owner, gzip.compress(STATEMENT)[:-20], "ledgers.csv.gz"))
    assert cut_off in owner.get(cut, accept_language=language).text
    printed = check_address(upload(owner, b"%PDF-1.7 ...", "ledgers.pdf"))
    assert pdf in owner.get(printed, accept_language=language).text
    kraken_cut = STATEMENT.rstrip().rpartition(b"\n")[0] + b"\n" + STATEMENT.splitlines()[0] + b"\n"
    doubled = owner.get(check_address(upload(owner, kraken_cut)), accept_language=language).text
    assert {"en": "got a second header", "zh-CN": "出现了第二个表头", "zh-TW": "出現了第二個表頭"}[language] in doubled


def test_saved_answers_of_a_provider_are_recognised(owner: Visitor) -> None:
    answer = (Path(okx.__file__).parent / "samples/document.wire.json").read_bytes()
    text = owner.get(check_address(upload(owner, answer, "answer.json", account="broker"))).text
    assert ">OKX" in text and re.search(r"<dt>New flows</dt><dd>[1-9]", text), text
    unsure = owner.get(check_address(upload(owner, b'{"what": "is this"}', "x.json", account="broker")))
    assert unsure.status_code == 422 and "No format recognises this file. Choose what it is." in unsure.text


def test_a_table_that_no_format_knows_is_read_by_a_mapping(owner: Visitor) -> None:
    table = "日期,金额,余额,摘要\n2025-10-01,100.00,100.00,甲\n2025-10-02,-30.00,70.00,乙\n".encode()
    address = check_address(upload(owner, table, "银行.csv", account="bank"))
    first = owner.get(address)
    assert first.status_code == 422 and "it is a table" in first.text
    mapping = re.search(r"<textarea[^>]*>(.*?)</textarea>", first.text, re.DOTALL)
    assert mapping is not None and "[columns]" in mapping[1]
    text = mapping[1].replace("&#34;", '"')
    assert owner.post(address, {"account": "bank", "mapping": text}).status_code == 303
    shown = owner.get(address)
    assert shown.status_code == 200 and "<dt>New flows</dt><dd>2</dd>" in shown.text and "银行.csv" in shown.text
    assert owner.post(address, {"account": "bank", "mapping": "columns = 3"}).status_code == 303
    assert owner.get(address).status_code == 422


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"account": "no name"}, "Use 1 to 64 letters, digits or - _ . @"),
        ({"zone": "Mars/Base"}, "Expected a time zone such as Asia/Hong_Kong"),
    ],
)
def test_what_is_typed_wrongly_is_said_beside_its_field(owner: Visitor, form: dict[str, str], error: str) -> None:
    answer = upload(owner, STATEMENT, "a.csv", **form)
    assert answer.status_code == 422 and error in answer.text


def test_without_a_file_the_form_says_so(owner: Visitor) -> None:
    sent = {"csrf_token": owner.token(), "account": "a", "file": ""}
    answer = owner.client.post(
        "/imports/~new",
        files={name: (None, text) for name, text in sent.items()},
        headers={"origin": "http://127.0.0.1:8700"},
    )
    assert answer.status_code == 422 and "Choose a file." in answer.text


def test_an_upload_needs_its_session_its_token_and_its_role(owner: Visitor, upload_folder: Path) -> None:
    assert owner.upload("/imports/~new", "a.csv", STATEMENT, {"account": "a"}, token="").status_code == 403
    add_user(owner.ledger, "wang", Role.VIEWER, password=PASSWORD)
    with visiting(owner.ledger) as other:
        assert upload(other).headers["location"] == "/login", "strangers store nothing"
        assert other.post("/login", {"user": "wang", "secret": PASSWORD}, token=False).status_code == 303
        assert upload(other).status_code == 403
        assert other.get("/imports/~new").status_code == 403
    assert not list(upload_folder.glob("liushui-uploads-*/*"))
    address = check_address(upload(owner))
    with visiting(owner.ledger) as other:
        other.get(f"/login?code={create_login_code(owner.ledger)}")
        assert other.get(address).status_code == 404, "it is another session's"


def test_a_user_of_some_accounts_imports_into_those_only(owner: Visitor) -> None:
    owner.post(f"{check_address(upload(owner))}/import")
    owner.post(f"{check_address(upload(owner, account='hidden'))}/import")
    add_user(owner.ledger, "li", Role.ACCOUNTANT, accounts=["exchange"], password=PASSWORD)
    with visiting(owner.ledger) as other:
        other.post("/login", {"user": "li", "secret": PASSWORD}, token=False)
        assert 'value="exchange"' in other.get("/imports/~new").text
        for account in ("hidden", "new"):
            answer = upload(other, account=account)
            assert answer.status_code == 422 and "Choose one of your accounts." in answer.text
        assert upload(other).status_code == 303
        listed = other.get("/imports").text
        assert "/accounts/exchange" in listed and "/accounts/hidden" not in listed
        hidden = next(one for one in list_imports(owner.ledger) if one.account == "hidden")
        assert other.get(f"/imports/{hidden.id}").status_code == 404
        assert other.post(f"/imports/{hidden.id}/undo").status_code == 404


def test_an_account_of_something_else_is_refused(owner: Visitor) -> None:
    owner.post("/welcome/sample")
    shown = owner.get(check_address(upload(owner, account="sample-bank")))
    assert shown.status_code == 422 and "holds flows of something else" in shown.text
    owner.post(f"{shown.url.path}/import")
    assert len(list_imports(owner.ledger)) == 2, "only the sample data"


def test_a_file_that_is_too_large_is_refused(owner: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liushui.server.web.guard.UPLOAD_MAX", 10)
    monkeypatch.setattr("liushui.server.web.guard.FIELDS_MAX", 10)
    answer = upload(owner)
    assert answer.status_code == 413


def test_files_that_wait_are_private_and_removed(owner: Visitor, upload_folder: Path) -> None:
    first = check_address(upload(owner))
    (folder,) = upload_folder.glob("liushui-uploads-*")
    (waiting,) = folder.iterdir()
    for path in (folder, waiting, *waiting.iterdir()):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    second = check_address(upload(owner, name="../../étrange .csv", account="other"))
    assert [path.name for path in folder.iterdir()] == [second.rpartition("/")[2]], "one waits for each session"
    assert "étrange .csv" in owner.get(second).text
    assert owner.get(first).status_code == 404
    assert owner.post(f"{second}/drop").headers["location"] == "/imports"
    assert not list(folder.iterdir())
    third = check_address(upload(owner))
    clock = owner.ledger.clock
    assert isinstance(clock, MovableClock)
    clock.move(uploads.LIFETIME * 2)
    assert owner.get(third).status_code == 404, "it is too old"


def test_a_folder_of_somebody_else_is_not_used(owner: Visitor, upload_folder: Path) -> None:
    (upload_folder / f"liushui-uploads-{os.getuid()}").mkdir(mode=0o777)
    (upload_folder / f"liushui-uploads-{os.getuid()}").chmod(0o777)
    assert upload(owner).status_code == 409


# ---------------------------------------------------------------- sample data


@pytest.mark.parametrize(
    ("language", "mark"), [("en", "Sample data"), ("zh-Hans", "示例数据"), ("zh-Hant", "範例資料")]
)
def test_sample_data_is_marked_on_every_page_and_removed_by_one_click(owner: Visitor, language: str, mark: str) -> None:
    assert "/welcome/sample" in owner.get("/welcome").text
    assert owner.post("/welcome/sample").headers["location"] == "/"
    accounts = list_accounts(owner.ledger)
    assert [(one.account, one.provider) for one in accounts] == [("sample-bank", "sample"), ("sample-shop", "sample")]
    for path in ("/", "/flows", "/accounts/sample-shop", "/reconcile", "/sources", "/imports"):
        text = owner.get(path, accept_language=language).text
        assert f"<strong>{mark}</strong>" in text and "sample-shop" in text, path
    assert owner.post("/welcome/sample").status_code == 409, "only in an empty ledger"
    assert owner.post("/welcome/sample/remove").headers["location"] == "/welcome"
    assert list_accounts(owner.ledger) == []
    with owner.ledger.reading() as connection:
        assert {one.account for one in list_tombstones(connection)} == {"sample-bank", "sample-shop"}
    assert mark not in owner.get("/", accept_language=language).text
    assert owner.post("/welcome/sample").status_code == 303, "it can be added again"


def test_the_sample_data_adds_up(owner: Visitor) -> None:
    owner.post("/welcome/sample")
    text = owner.get("/accounts/sample-shop").text
    assert "Agrees" in text and "Follows" in text and "Balance breaks" not in text
    assert "sample data (simulated)" in text
