"""A commit that is killed at any point leaves the ledger in its state before or after it, never in between."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pytest

from liushui.ledger.engines.sqlite import PAGE_BYTES
from liushui.ledger.schema import FACT_TABLES, metadata
from tests.ledger.kills import KILLED, MARK, SCENARIOS, Judge, Left, copied, opened, prepare
from tests.system import leave_out, require

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = [sys.executable, "-B", "-m", "tests.ledger.kills"]

WRITES: Final = ("write", "writev", "pwrite64", "pwritev", "fsync", "fdatasync", "ftruncate", "fallocate", "unlink")
"""The system calls by which a commit can change a disk. Names that a machine does not know are skipped."""


WRITTEN: Final = {
    "slice": "UPDATE quarantine",
    "page": "INSERT OR FAIL INTO page_edges",
    "retry": "UPDATE quarantine",
    "rebuild": "INSERT OR FAIL INTO history",
}
"""The tables that only some of the commits write to."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with the ledger that every commit begins with."""
    folder = tmp_path / "base"
    folder.mkdir()
    prepare(folder)
    return folder


def assert_before_or_after(results: Sequence[Left]) -> None:
    wrong = [left for left in results if left.found not in ("before", "after") or left.damage or left.again != "after"]
    assert not wrong
    assert {left.found for left in results} == {"before", "after"}, (
        "the kills did not stand on both sides of the commit"
    )


def test_the_scenarios_write_to_every_table_of_facts(base: Path) -> None:
    written_elsewhere = {
        "account_names",
        "stated_balances",
        "link_decisions",
        "period_decisions",
        "finding_decisions",
        "reseals",
    }
    elsewhere = set(metadata.tables) - {table.name for table in FACT_TABLES} | written_elsewhere
    assert Judge(base, "slice").untouched() == elsewhere | {"page_edges"}
    assert Judge(base, "page").untouched() == elsewhere | {"coverage"}
    assert Judge(base, "retry").untouched() == elsewhere | {"coverage", "page_edges", "history"}
    assert Judge(base, "rebuild").untouched() == elsewhere | {"coverage", "page_edges", "findings"}


@pytest.mark.parametrize("scenario", KILLED)
def test_a_commit_killed_before_or_after_any_statement_is_complete_or_absent(base: Path, scenario: str) -> None:
    done = subprocess.run(
        [*PROGRAM, "statements", scenario, base], cwd=ROOT, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    results = msgspec.json.decode(done.stdout, type=list[Left])
    points = [left.point for left in results]
    assert len(points) > 20, "a commit that touches every table has more points than that"
    for statement in (
        ("INSERT OR FAIL INTO flows", "INSERT OR FAIL INTO batches", WRITTEN[scenario]) if scenario in WRITTEN else ()
    ):
        assert any(f"before {statement}" in point for point in points)
    assert_before_or_after(results)


def test_a_first_opening_killed_at_any_statement_can_be_repeated(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "opening", "-", tmp_path / "new"], cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    results = msgspec.json.decode(done.stdout, type=list[Left])
    assert len([left for left in results if "before CREATE TABLE" in " ".join(left.point.split())]) > 10
    assert [left for left in results if left.found != "before" or left.damage] == []


# ---------------------------------------------------------------- torn files


def test_a_commit_is_complete_or_absent_after_a_torn_write_ahead_log(base: Path, tmp_path: Path) -> None:
    """A power cut can leave any beginning of the write-ahead log."""
    judge = Judge(base, "slice")
    done = copied(base, tmp_path / "done")
    ledger = opened(done)
    SCENARIOS["slice"](ledger)
    whole = done / "ledger.db-wal"
    log = whole.read_bytes()
    frame = 24 + PAGE_BYTES
    ends = [end for begin in range(32, len(log) + 1, frame) for end in (begin, begin + 10, begin + frame // 2)]
    results = []
    for end in [0, 16, *(end for end in ends if end <= len(log))]:
        torn = copied(base, tmp_path / f"torn-{end}")
        (torn / whole.name).write_bytes(log[:end])
        results.append(judge.left(f"{end} of {len(log)} bytes", torn))
    ledger.close()
    assert len(results) > 20
    assert_before_or_after(results)
    assert [left.found for left in results].index("after") == len(results) - 1, "the last frame is the commit"


# ---------------------------------------------------------------- system calls


class Call(NamedTuple):
    """A system call: the process's call of that name with that number, counted from 1."""

    name: str
    ordinal: int


def test_a_commit_killed_at_any_disk_write_is_complete_or_absent(base: Path, tmp_path: Path) -> None:
    strace = require("strace", "strace")
    if subprocess.run([strace, "-f", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        leave_out("strace may not trace here: run the tests where ptrace is permitted (docker: --cap-add SYS_PTRACE)")
    judge = Judge(base, "slice")
    calls = writes_of_a_commit(strace, copied(base, tmp_path / "watched"), tmp_path / "trace")
    assert {"pwrite64", "fdatasync", "fsync"} & {call.name for call in calls}
    assert len(calls) > 8, "a commit that touches every table has more writes than that"

    def killed(call: Call) -> Path:
        folder = copied(base, tmp_path / f"{call.name}-{call.ordinal}")
        kill = f"inject={call.name}:signal=SIGKILL:when={call.ordinal}"
        done = traced(strace, tmp_path / f"{call.name}-{call.ordinal}.trace", [call.name], folder, "-e", kill)
        assert done.returncode == -9, f"{call} was not reached: {done.stderr.decode()}"
        return folder

    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(killed, calls))
    assert_before_or_after([judge.left(f"{call}", folder) for call, folder in zip(calls, folders, strict=True)])


def writes_of_a_commit(strace: str, folder: Path, trace: Path) -> list[Call]:
    """Every call that writes, from the beginning of the commit until the ledger is closed."""
    done = traced(strace, trace, WRITES, folder)
    assert done.returncode == 0, done.stderr.decode()
    counts: Counter[str] = Counter()
    calls = []
    begun = False
    for line in trace.read_text(errors="replace").splitlines():
        found = re.match(r"\d+ +(\w+)\(", line)
        if found is None:
            continue
        counts[found[1]] += 1
        if begun:
            calls.append(Call(found[1], counts[found[1]]))
        begun = begun or MARK.decode() in line
    return calls


def traced(
    strace: str, trace: Path, names: Sequence[str], folder: Path, *more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the commit under strace."""
    watched = ",".join(f"?{name}" for name in names)
    command = [strace, "-f", "-qq", "-o", str(trace), "-e", f"trace={watched}", *more]
    return subprocess.run(
        [*command, *PROGRAM, "commit", "slice", str(folder)], cwd=ROOT, capture_output=True, timeout=120, check=False
    )
