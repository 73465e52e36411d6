"""liushui import, as a user runs it."""

import gzip
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import LIUSHUI, environment, run
from tests.importing.inputs import envelope, row

WORDS = ("--provider", "longbridge", "--account", "a", "--format", "json")


def imported(ledger: Path, *files: str | Path, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    done = run(ledger, "import", *map(str, files), *WORDS)
    assert done.returncode in codes, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


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


def test_rows_from_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(envelope([row(1)]),))
    writer.start()
    assert imported(tmp_path / "ledger.db", pipe)["added"] == 1
    writer.join()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    done = run(tmp_path / "ledger.db", "import", str(tmp_path), *WORDS)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected a file, got a folder" in done.stderr
    assert not (tmp_path / "ledger.db").exists()
