"""Importing ten times the rows takes the same memory, in any order of rows, in each form that can be streamed."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from liushui.ledger.engines.sqlite import CACHE_PAGES, PAGE_BYTES
from tests.importing.inputs import row

ROOT: Final = Path(__file__).parents[2]
MB: Final = 1_000_000
CACHE: Final = CACHE_PAGES * PAGE_BYTES
FEW, MANY = 30_000, 300_000


class Took(NamedTuple):
    """What an import took: see `tests.importing.measuring`."""

    rows: int
    in_all: int
    its_own: int


def test_memory_is_flat_in_the_number_of_rows(tmp_path: Path) -> None:
    files = [written(tmp_path, form, count) for count in (MANY, FEW) for form in ("lines", "array")]
    with ThreadPoolExecutor(2) as pool:
        many_lines, many_array, lines, array = pool.map(import_measured, files)
    assert [took.rows for took in (lines, many_lines, array, many_array)] == [FEW, MANY, FEW, MANY]
    for few, many in ((lines, many_lines), (array, many_array)):
        assert many.in_all - few.in_all < 150 * MB, "the file and the ledger are mapped, and that is all"
        assert many.its_own - few.its_own < CACHE + 8 * MB, "the ledger's cache is full, and that is all"


def written(folder: Path, form: str, count: int) -> Path:
    """A file of so many rows, each at a second of its own, in no order."""
    between = b"\n" if form == "lines" else b","
    path = folder / f"{form}-{count}.json"
    with path.open("wb") as file:
        file.write(b"" if form == "lines" else b"[")
        for number, one in enumerate(rows(count)):
            file.write(between + one if number else one)
        file.write(b"" if form == "lines" else b"]")
    return path


def rows(count: int) -> Iterator[bytes]:
    before, after = row(0, note="two words").split(b'"1700000000"')
    for number in range(count):
        yield before + b'"%d"' % (1_700_000_000 + number * 7_919 % count) + after


def import_measured(file: Path) -> Took:
    """Import a file in a process of its own."""
    ledger = file.with_suffix(".db")
    command = [sys.executable, "-m", "tests.importing.measuring", str(ledger), str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    ledger.unlink()
    return Took(*map(int, done.stdout.split()))
