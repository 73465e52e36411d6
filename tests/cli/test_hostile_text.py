"""Text from providers or payers in the output of commands: terminals and spreadsheets never act on it."""

import csv
import io
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import LIUSHUI, environment, run

TITLE = "\x1b]0;owned\x07"
NOTE = f"=1+1 {TITLE}\x9b31m\u202e00.1\nsecond line"
ROW = {
    "transaction_flow_name": f"@SUM(1){TITLE}",
    "direction": 2,
    "business_type": 1,
    "balance": "-10.00",
    "currency": "USD",
    "business_time": "1706750000",
    "symbol": "+7",
    "description": NOTE,
}
REJECTED = ROW | {"balance": TITLE}
FORMS = ("table", "json", "jsonl", "csv")
COLOURS = re.compile(r"\x1b\[[0-9;?]*[mhlKAG]")
"""What rich itself writes: colours, and moves within a line."""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    file = folder / "rows.json"
    file.write_text(json.dumps({"code": 0, "message": "success", "data": {"list": [ROW, REJECTED]}}))
    run(folder / "ledger.db", "import", str(file), "--provider", "longbridge", "--account", "a")
    return folder / "ledger.db"


def at_a_terminal(ledger: Path, *words: str) -> str:
    """Everything that the command writes to a terminal, without rich's own colours."""
    ours, terminal = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [*LIUSHUI, *words], env=environment(ledger), stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        written = b""
        while part := _read(screen.fileno()):
            written += part
        process.wait()
    return COLOURS.sub("", written.decode())


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says EIO where the other end is closed
        return b""


@pytest.mark.parametrize(
    "words",
    [
        *(["flows", "--limit", "0", "--format", form] for form in FORMS),
        *(["quarantine", "list", "a", "--format", form] for form in FORMS),
        ["status"],
        ["summary", "--by", "symbol"],
        ["flows", "--symbol", f"x{TITLE}"],
        ["flows", f"nobody{TITLE}"],
        ["balances", "--at", TITLE],
        ["import", f"missing{TITLE}", "--provider", "longbridge", "--account", "a"],
    ],
    ids=lambda words: " ".join(words).encode("unicode_escape").decode(),
)
def test_a_terminal_does_not_act_on_text(ledger: Path, words: list[str]) -> None:
    written = at_a_terminal(ledger, *words)
    assert written.strip()
    assert not [char for char in written if char not in "\r\n" and (ord(char) < 32 or 127 <= ord(char) < 160)]
    assert "\u202e" not in written
    assert "Traceback" not in written


def test_a_cell_of_csv_is_not_a_formula(ledger: Path) -> None:
    (row,) = csv.DictReader(io.StringIO(run(ledger, "flows", "--limit", "0", "--format", "csv").stdout))
    assert (row["note"], row["label"], row["symbol"]) == (f"'{NOTE}", f"'@SUM(1){TITLE}", "'+7")
    assert row["amount"] == "-10.00"


def test_json_has_the_text_as_it_came(ledger: Path) -> None:
    (row,) = map(json.loads, run(ledger, "flows", "--limit", "0", "--format", "jsonl").stdout.splitlines())
    assert (row["note"], row["label"], row["symbol"]) == (NOTE, f"@SUM(1){TITLE}", "+7")
