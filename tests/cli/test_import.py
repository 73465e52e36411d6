"""liushui import, as a user runs it."""

import gzip
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import LIUSHUI, environment, result, run
from tests.importing.inputs import envelope, row
from tests.importing.test_same_record import answer, hkus, wecom, wooxpro

WORDS = ("--provider", "longbridge", "--account", "a", "--format", "json")


def imported(ledger: Path, *files: str | Path, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    done = run(ledger, "import", *map(str, files), *WORDS)
    assert done.returncode in codes, done.stderr
    counts: dict[str, Any] = json.loads(done.stdout)
    return counts


def test_a_packed_file_and_a_plain_one(tmp_path: Path) -> None:
    (tmp_path / "one.json.gz").write_bytes(gzip.compress(envelope([row(1), row(2)])))
    (tmp_path / "two.json").write_bytes(envelope([row(3)]))
    result = imported(tmp_path / "ledger.db", tmp_path / "one.json.gz", tmp_path / "two.json")
    assert (result["files"], result["rows"], result["added"]) == (2, 3, 3)


@pytest.mark.parametrize("packed", [False, True])
def test_rows_from_standard_input(tmp_path: Path, packed: bool) -> None:
    text = envelope([row(1), row(2)])
    done = subprocess.run(
        [*LIUSHUI, "import", "-", *WORDS],
        input=gzip.compress(text) if packed else text,
        env=environment(tmp_path / "ledger.db"),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["added"] == 2


def from_standard_input(ledger: Path, text: bytes) -> tuple[int, str]:
    """The exit code and the messages of an import of standard input."""
    done = subprocess.run(
        [*LIUSHUI, "import", "-", *WORDS], input=text, env=environment(ledger), capture_output=True, check=False
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\0\0\0", "error: standard input: expected JSON, got a file with zero bytes in it"),
        (b"hello", "error: standard input: expected answers or rows of longbridge, got 'hello'"),
        (gzip.compress(b"[]", mtime=0)[:-9], "error: standard input: the gzip file ends too early"),
        (b'{"code":401003,"message":"no"}', "error: standard input: this is an error answer of the provider"),
        (answer("hkus", [hkus(1)]), "error: standard input: expected answers or rows of longbridge, got hkus's"),
    ],
)
def test_errors_say_standard_input(tmp_path: Path, text: bytes, message: str) -> None:
    code, said = from_standard_input(tmp_path / "ledger.db", text)
    assert (code, said.startswith(message), said.count("\n")) == (2, True, 1), said


@pytest.mark.parametrize("text", [b"", b" \n", envelope([])])
def test_an_input_without_rows_is_told(tmp_path: Path, text: bytes) -> None:
    code, said = from_standard_input(tmp_path / "ledger.db", text)
    assert (code, "standard input has no rows" in said) == (0, True)
    (tmp_path / "empty.json").write_bytes(text)
    done = run(tmp_path / "ledger.db", "import", str(tmp_path / "empty.json"), *WORDS)
    assert f"{tmp_path / 'empty.json'} has no rows" in done.stderr


@pytest.fixture
def shell_pipe() -> Iterator[Callable[[bytes], Path]]:
    """Makes pipes as the shell does for `<(command)`: open, with some bytes in it."""
    readers = []

    def make(content: bytes) -> Path:
        reader, writer = os.pipe()
        readers.append(reader)
        os.write(writer, content)
        os.close(writer)
        return Path(f"/dev/fd/{reader}")

    yield make
    for reader in readers:
        os.close(reader)


def test_a_pipe_keeps_its_name_in_errors(tmp_path: Path, shell_pipe: Callable[[bytes], Path]) -> None:
    pipe = shell_pipe(b"hello")
    done = run(tmp_path / "ledger.db", "import", str(pipe), *WORDS)
    assert (done.returncode, done.stderr.startswith(f"error: {pipe}: expected answers")) == (2, True)


def test_the_zone_of_an_account_does_not_change(tmp_path: Path) -> None:
    ledger, file = tmp_path / "ledger.db", tmp_path / "rows.json"
    file.write_bytes(envelope([row(1)]))
    first = run(ledger, "import", str(file), *WORDS, "--zone", "Europe/Berlin")
    assert first.returncode == 0, first.stderr
    assert run(ledger, "import", str(file), *WORDS, "--zone", "Europe/Berlin").returncode == 0
    assert run(ledger, "import", str(file), *WORDS).returncode == 0, "the account's own, which is not the provider's"
    error = "zone: the days of account a are those of Europe/Berlin, which cannot change, got 'Asia/Tokyo'"
    source = ["source", "add", "longbridge", "a", "--base-url", "http://127.0.0.1:1", "--credentials", "-"]
    for words in (["import", str(file), *WORDS], ["import", str(file), *WORDS, "--dry-run"], source):
        refused = run(ledger, *words, "--zone", "Asia/Tokyo")
        assert (refused.returncode, error in refused.stderr) == (2, True), refused.stderr


def test_bytes_that_were_discarded_are_not_shown_again(tmp_path: Path) -> None:
    ledger, file = tmp_path / "ledger.db", tmp_path / "rows.jsonl"
    file.write_bytes(row(1) + b'\n{"password": "hunter2"}\n')
    first = run(ledger, "import", str(file), *WORDS)
    assert (first.returncode, "in quarantine:" in first.stderr) == (3, True)
    (entry,) = result(ledger, "quarantine", "list", returncode=3)
    assert run(ledger, "quarantine", "discard", entry["id"], "--reason", "a secret").returncode == 0
    again = run(ledger, "import", str(file), *WORDS)
    assert again.returncode == 3
    assert "hunter2" not in again.stdout + again.stderr
    assert "in quarantine" not in again.stderr
    assert "rejected, and not kept, because the same bytes were discarded at " in again.stderr
    assert ": a secret\n" in again.stderr


def test_standard_input_is_read_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [*LIUSHUI, "import", "-", "-", *WORDS],
        input=envelope([row(1)]),
        env=environment(tmp_path / "ledger.db"),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, b"files: expected - once" in done.stderr) == (2, True)
    assert not (tmp_path / "ledger.db").exists()


def test_rows_from_a_pipe_of_the_shell(tmp_path: Path, shell_pipe: Callable[[bytes], Path]) -> None:
    assert imported(tmp_path / "ledger.db", shell_pipe(envelope([row(1)])))["added"] == 1


def test_a_named_pipe_and_a_device_are_not_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), Path("/dev/tty")):
        done = run(tmp_path / "ledger.db", "import", str(path), *WORDS)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{path}: expected a file, got a pipe or device" in done.stderr
    assert not (tmp_path / "ledger.db").exists()


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    done = run(tmp_path / "ledger.db", "import", str(tmp_path), *WORDS)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected a file, got a folder" in done.stderr
    assert not (tmp_path / "ledger.db").exists()


# ---------------------------------------------------------------- files of something else


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\n".join([hkus(1), hkus(2)]), "got hkus's: import it with --provider hkus, into another account"),
        (answer("hkus", [hkus(1)]), "got hkus's: import it with --provider hkus"),
        (answer("wecom", [wecom(1)]), "got wecom's: import it with --provider wecom"),
        (answer("wooxpro", [wooxpro(1)]), "got wooxpro's: import it with --provider wooxpro"),
        (b"[" + wooxpro(1) + b"]", "got wooxpro's: import it with --provider wooxpro"),
        (b'{"name": "liushui", "version": 1}', "expected answers or rows of longbridge, got"),
        (b"<html><body>Bad Gateway</body></html>", "expected answers or rows of longbridge, got"),
        (b"date,amount\n2024-01-01,1.00\n", "expected answers or rows of longbridge, got"),
        (b'{"code": 401003, "message": "token expired"}', "error answer of the provider: token expired"),
        (b"PK\3\4\0\0", "expected JSON, got a file with zero bytes"),
        (gzip.compress(envelope([row(1)]), mtime=0)[:-9], "the gzip file ends too early"),
    ],
)
@pytest.mark.parametrize("after_a_good_file", [False, True])
def test_a_file_of_something_else_leaves_no_ledger_behind(
    tmp_path: Path, text: bytes, said: str, after_a_good_file: bool
) -> None:
    (tmp_path / "good.json").write_bytes(envelope([row(1)]))
    (tmp_path / "other.json").write_bytes(text)
    files = [*(["good.json"] if after_a_good_file else []), "other.json"]
    done = run(tmp_path / "ledger.db", "import", *(str(tmp_path / name) for name in files), *WORDS)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "other.json" in done.stderr
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize("text", [b"", b"\n", b"[]", envelope([]), gzip.compress(b"", mtime=0)])
def test_a_file_without_rows_is_imported(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "empty.json").write_bytes(text)
    assert imported(tmp_path / "ledger.db", tmp_path / "empty.json")["rows"] == 0


def test_rows_of_the_provider_that_cannot_be_read_are_its_own(tmp_path: Path) -> None:
    """Rows that are kept in quarantine, though none of the file's rows can be read."""
    (tmp_path / "rows.jsonl").write_bytes(row(1).replace(b'"direction":1', b'"direction":9'))
    (tmp_path / "answer.json").write_bytes(envelope([b'{"direction": 1}']))
    result = imported(tmp_path / "ledger.db", tmp_path / "rows.jsonl", tmp_path / "answer.json", codes=(3,))
    assert (result["rejected"], result["quarantined"]) == (2, 2)


# ---------------------------------------------------------------- records that differ

HKUS: list[str] = ["--provider", "hkus", "--account", "a"]


@pytest.fixture
def corrected(tmp_path: Path) -> tuple[Path, Path]:
    """A ledger with three rows, and a file in which one of them has another amount, beside a new row."""
    (tmp_path / "first.json").write_bytes(answer("hkus", [hkus(1), hkus(2), hkus(3)]))
    (tmp_path / "corrected.json").write_bytes(answer("hkus", [hkus(2, "15.00"), hkus(4)]))
    assert run(tmp_path / "ledger.db", "import", str(tmp_path / "first.json"), *HKUS).returncode == 0
    return tmp_path / "ledger.db", tmp_path / "corrected.json"


def test_a_restated_row_is_told_with_both_values(corrected: tuple[Path, Path]) -> None:
    ledger, file = corrected
    done = run(ledger, "import", str(file), *HKUS)
    assert done.returncode == 3
    assert f"{file}, row 1 (id 2) differs: amount '10.00' in the ledger, '15.00' in the file" in done.stderr
    (sums,) = result(ledger, "balances", returncode=3)
    assert (sums["amount"], sums["flows"]) == ("45.00", 4)
    (version,) = [one for one in result(ledger, "flows", "--versions") if one["ended_as"]]
    assert (version["amount"], version["ended_as"]) == ("10.00", "restated")
    assert run(ledger, "import", str(file), *HKUS).returncode == 0, "nothing differs any more"
    assert run(ledger, "verify").returncode == 0


def test_a_restated_row_in_json(corrected: tuple[Path, Path]) -> None:
    ledger, file = corrected
    printed = json.loads(run(ledger, "import", str(file), *HKUS, "--format", "json").stdout)
    assert {name: printed[name] for name in ("rows", "added", "known", "differs", "restated")} == {
        "rows": 2, "added": 1, "known": 0, "differs": 1, "restated": 1,
    }  # fmt: skip
    assert printed["differences"] == [
        {
            "file": str(file), "row": 1, "id": "2", "at": "2025-05-09T07:24:40Z", "field": "amount",
            "held": "10.00", "in_file": "15.00", "restated": True,
        }
    ]  # fmt: skip


def test_a_restatement_that_was_asked_for_is_complete(corrected: tuple[Path, Path]) -> None:
    ledger, file = corrected
    assert run(ledger, "import", str(file), *HKUS, "--restate").returncode == 0


@pytest.mark.parametrize("exists", [True, False])
def test_a_dry_run_shows_what_would_change_and_changes_nothing(corrected: tuple[Path, Path], exists: bool) -> None:
    ledger, file = corrected
    ledger = ledger if exists else ledger.with_name("none.db")
    before = result(ledger, "flows") if exists else None
    shown = run(ledger, "import", str(file), str(file), *HKUS, "--format", "json", "--dry-run")
    assert shown.returncode == (3 if exists else 0)
    assert "nothing was changed" in shown.stderr
    if exists:
        assert result(ledger, "flows") == before
    else:
        assert not ledger.exists()
    done = run(ledger, "import", str(file), str(file), *HKUS, "--format", "json")
    imported = json.loads(done.stdout)
    expected = json.loads(shown.stdout) | {"id": imported["id"], "dry_run": False}
    assert expected == imported, "an import does what it showed"


def test_a_dry_run_makes_no_account(corrected: tuple[Path, Path]) -> None:
    ledger, file = corrected
    assert run(ledger, "import", str(file), "--provider", "hkus", "--account", "b", "--dry-run").returncode == 0
    assert [one["account"] for one in result(ledger, "status")] == ["a"]
