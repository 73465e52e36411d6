"""Versions, findings, the quarantine, and deriving flows again from the received rows."""

import json
import subprocess
from pathlib import Path

import pytest

from liushui.flow import Kind
from liushui.provider import DecodedRow
from liushui.providers import get_provider
from tests.cli.commands import LIUSHUI, environment, result, run

FORMS = ("table", "json", "jsonl", "csv")
CODEC = get_provider("longbridge").codec


def row(at: int, amount: str = "-1.00", direction: int = 1, **fields: object) -> dict[str, object]:
    """A row of Longbridge, so many seconds after 2021-05-20 10:52:37 UTC."""
    return {
        "transaction_flow_name": "x", "direction": direction, "business_type": 1, "balance": amount, "currency": "USD",
        "business_time": str(1621507957 + at), "symbol": "", "description": "",
    } | fields  # fmt: skip


STRANGE = row(3, direction=3)


def import_rows(ledger: Path, *rows: object, returncode: int = 0) -> None:
    file = ledger.with_suffix(".json")
    file.write_text(json.dumps(rows))
    done = run(ledger, "import", str(file), "--provider", "longbridge", "--account", "a")
    assert done.returncode == returncode, done.stderr


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with a flow, a flow whose direction contradicts its sign, and a row that cannot be read."""
    path = tmp_path / "ledger.db"
    import_rows(path, row(0, "0.00"), row(1, "2.50"), STRANGE, returncode=3)
    return path


@pytest.fixture
def newer_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer version of Longbridge's codec: it reads direction 3 as 1, and knows that every row is a fee."""
    read_before = CODEC.read

    def read(wire: bytes) -> DecodedRow:
        row = read_before(wire.replace(b'"direction": 3', b'"direction": 1'))
        return DecodedRow(row.flow._replace(kind=Kind.FEE), wire, row.served)

    monkeypatch.setattr(CODEC, "read", read)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "words",
    [
        ("flows", "--versions"),
        ("flows", "--as-of", "2999-01-01"),
        ("balances", "--as-of", "2999-01-01"),
        ("summary", "--as-of", "2999-01-01"),
        ("findings",),
    ],
    ids=" ".join,
)
def test_every_format_of_every_command(ledger: Path, words: tuple[str, ...], form: str) -> None:
    done = run(ledger, *words, "--format", form)
    assert done.returncode == (0 if words == ("findings",) else 3), "a rejected row may be missing from it"
    assert "2.50" in done.stdout
    if form == "json":
        json.loads(done.stdout)


@pytest.mark.parametrize("view", ["flows", "balances", "summary"])
def test_as_of_the_future_is_the_present_and_as_of_the_past_is_empty(ledger: Path, view: str) -> None:
    assert result(ledger, view, "--as-of", "2999-01-01", returncode=3) == result(ledger, view, returncode=3)
    # Sums of an account without a source are never complete.
    assert result(ledger, view, "--as-of", "2020-01-01", returncode=0 if view == "flows" else 3) == []


def test_versions_of_flows(ledger: Path) -> None:
    first, _ = result(ledger, "flows", "--versions", returncode=3)
    assert (first["ended_at"], first["ended_as"], first["batch"]) == (None, None, 1)
    assert first["recorded_at"] > "2026"
    done = run(ledger, "flows", "--versions", "--as-of", "2999-01-01")
    assert (done.returncode, done.stdout) == (2, "")
    assert "as-of: expected without --versions" in done.stderr


def test_findings_are_listed_and_counted(ledger: Path) -> None:
    (found,) = result(ledger, "findings")
    assert (found["finding"], found["amount"], found["direction"]) == ("side", "2.50", "out")
    assert result(ledger, "findings", "--only", "same_id") == []
    assert json.loads(run(ledger, "status", "--format", "json").stdout)[0]["findings"] == 1
    assert run(ledger, "findings", "b").returncode == 2


@pytest.mark.parametrize("form", FORMS)
def test_the_quarantine_is_listed(ledger: Path, form: str) -> None:
    done = run(ledger, "quarantine", "list", "--format", form)
    assert done.returncode == 3
    assert "expected 1 or 2, got 3" in done.stdout


def test_a_row_is_shown_byte_for_byte(ledger: Path) -> None:
    (entry,) = json.loads(run(ledger, "quarantine", "list", "--format", "json").stdout)
    shown = result(ledger, "quarantine", "show", "a", entry["id"])
    assert (shown["row"], shown["seen"], shown["field"]) == (json.dumps(STRANGE), None, "direction")
    words = [*LIUSHUI, "quarantine", "show", "a", entry["id"], "--raw"]
    raw = subprocess.run(words, env=environment(ledger), capture_output=True, check=True)
    assert raw.stdout == json.dumps(STRANGE).encode()
    assert run(ledger, "quarantine", "show", "a", "x").returncode == 2
    assert result(ledger, "quarantine", "show", entry["id"]) == shown, "the form of `quarantine discard`"
    assert result(ledger, "quarantine", "show", entry["id"], "--account", "a") == shown
    for words, message in [
        (["x"], "id: no rejected row has the id 'x'"),
        ([entry["id"], "--account", "b"], "account: "),
        (["a", "b", "c"], "id: expected one, got a b c"),
        (["a", entry["id"], "--account", "a"], f"id: expected one, got a {entry['id']}"),
    ]:
        refused = run(ledger, "quarantine", "show", *words)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


def test_bytes_that_do_not_print_are_escaped(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    file = tmp_path / "rows.jsonl"
    good = json.dumps(STRANGE | {"direction": 1}).encode()
    file.write_bytes('{"a": "流\\n水"'.encode() + b'\x1b[2J\xff"}\n' + good)
    assert run(ledger, "import", str(file), "--provider", "longbridge", "--account", "a").returncode == 3
    (entry,) = json.loads(run(ledger, "quarantine", "list", "--format", "json").stdout)
    assert result(ledger, "quarantine", "show", "a", entry["id"])["row"] == r'{"a": "流\\n水"\x1b[2J\xff"}'


def test_a_retry_reads_rows_that_a_newer_codec_can_read(ledger: Path, request: pytest.FixtureRequest) -> None:
    done = run(ledger, "quarantine", "retry", "--format", "json")
    assert (done.returncode, json.loads(done.stdout)[0]["unreadable"]) == (3, 1)
    request.getfixturevalue("newer_codec")
    (retried,) = result(ledger, "quarantine", "retry", "a")
    assert (retried["tried"], retried["read"], retried["unreadable"]) == (1, 1, 0)
    assert len(result(ledger, "flows")) == 3
    assert result(ledger, "quarantine", "list") == []
    (entry,) = result(ledger, "quarantine", "list", "--all")
    assert (entry["resolved_as"], entry["resolved_batch"]) == ("read", 3)
    assert run(ledger, "verify").returncode == 0


def test_a_rebuild_is_printed_and_then_committed(ledger: Path, request: pytest.FixtureRequest) -> None:
    (same,) = result(ledger, "rebuild")
    assert (same["flows"], same["changed"]) == (2, 0)
    request.getfixturevalue("newer_codec")
    before = result(ledger, "flows", returncode=3)
    for words in (["rebuild"], ["rebuild", "--dry-run"], ["rebuild", "--dry-run", "--yes"]):
        done = run(ledger, *words, "--format", "json")
        assert done.returncode == 3
        (found,) = json.loads(done.stdout)
        assert (found["changed"], found["identities"], found["fields"]) == (2, 0, ["kind 2"])
        assert [(one["old"], one["new"]) for one in found["examples"]] == [("other", "fee")] * 2
        assert result(ledger, "flows", returncode=3) == before
    done = run(ledger, "rebuild", "a", "--yes")
    assert done.returncode == 0, done.stderr
    assert "kind: 'other' -> 'fee'" in done.stderr
    assert "rebuilt 2 flows" in done.stderr
    assert {flow["kind"] for flow in result(ledger, "flows", returncode=3)} == {"fee"}
    versions = result(ledger, "flows", "--versions", returncode=3)
    assert [one["ended_as"] for one in versions] == ["rederived", None] * 2
    assert run(ledger, "verify").returncode == 0


@pytest.mark.parametrize(("answer", "kind", "code"), [("y", "fee", 0), ("n", "other", 3), ("", "other", 3)])
def test_a_user_at_a_terminal_is_asked(ledger: Path, newer_codec: None, answer: str, kind: str, code: int) -> None:
    done = run(ledger, "rebuild", stdin=f"{answer}\n", terminal=True)
    assert (done.returncode, "Commit this? [y/N]" in done.stderr) == (code, True)
    assert {flow["kind"] for flow in result(ledger, "flows", returncode=3)} == {kind}


@pytest.mark.parametrize("form", FORMS)
def test_a_rebuild_in_every_format(ledger: Path, newer_codec: None, form: str) -> None:
    done = run(ledger, "rebuild", "--format", form)
    assert done.returncode == 3
    assert "kind 2" in done.stdout


def test_a_rebuild_reports_rows_that_can_no_longer_be_read(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = CODEC.read
    monkeypatch.setattr(CODEC, "read", lambda came: old(came.replace(b"USD", b"")))
    done = run(ledger, "rebuild", "--yes", "--format", "json")
    assert done.returncode == 3
    assert json.loads(done.stdout)[0]["unreadable"] == 2
    assert len(json.loads(run(ledger, "quarantine", "list", "--format", "json").stdout)) == 3
    assert run(ledger, "verify").returncode == 0


def test_an_upgrade_prints_the_schema_before_and_after(ledger: Path) -> None:
    found = result(ledger, "db", "upgrade")
    assert found["path"] == str(ledger)
    assert found["before"] == found["after"]
    assert run(ledger.with_name("none.db"), "db", "upgrade").returncode == 2


def test_a_rejected_row_is_erased(ledger: Path) -> None:
    (entry,) = result(ledger, "quarantine", "list", returncode=3)
    words = ("quarantine", "discard", entry["id"], "--reason", "the wrong file")
    erased = result(ledger, *words)
    assert erased == {"account": "a", "id": entry["id"], "digest": entry["id"], "copies": 1, "open": 0}
    for path in ledger.parent.glob("ledger.db*"):
        assert b'"direction": 3' not in path.read_bytes()
    assert result(ledger, "quarantine", "list") == []
    (left,) = result(ledger, "quarantine", "list", "--all")
    assert left["resolved_as"] == "discarded"
    assert left["reason"].endswith(": the wrong file")
    assert result(ledger, "quarantine", "show", "a", entry["id"])["row"] == ""
    assert run(ledger, "verify").returncode == 0
    again = run(ledger, *words)
    assert (again.returncode, "its bytes were erased before" in again.stderr) == (0, True)
    assert run(ledger, "import", str(ledger.with_suffix(".json")), "--provider", "longbridge", "--account", "a")
    assert result(ledger, "quarantine", "list") == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing", "--reason", "x"), "id: no rejected row has the id 'nothing'"),
        (("nothing", "--reason", "x", "--account", "nobody"), "account: there is none named 'nobody'"),
        (("nothing",), "Missing option '--reason'"),
    ],
)
def test_a_row_that_cannot_be_erased_is_named(ledger: Path, words: tuple[str, ...], message: str) -> None:
    done = run(ledger, "quarantine", "discard", *words)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_a_ledger_is_compacted(ledger: Path) -> None:
    assert result(ledger, "db", "compact") == {"ledger": str(ledger), "remains": None}
    assert run(ledger, "verify").returncode == 0
