"""The requirements for every format of statement files, in this package or outside.

`check_format(FORMAT, folder)` runs all checks on the samples in a folder. The flows of each sample are next to it:
`<sample>.flows.json`. `python -m liushui.testing.file_formats FORMAT...` writes them again.
"""

import csv
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from liushui.errors import WireError
from liushui.files.content import Content, unpack
from liushui.files.contract import FileFormat
from liushui.files.errors import FileError
from liushui.files.tables import TableFormat, lines_of
from liushui.formats import get_format, load_formats
from liushui.testing.conformance.assertions import ensure, ensure_equal
from liushui.testing.golden import FLOWS, flow_record

BYTES_CUT: Final = int(os.environ.get("LIUSHUI_CUTS", "40"))
"""The number of evenly spread positions at which a sample is cut off. LIUSHUI_CUTS sets it. A large number means every
byte."""
FORMULAS: Final = ("=1+1", '=HYPERLINK("http://example.com","x")', "+1-1", "@SUM(A1)", "-2+3")


def samples(folder: Path) -> list[Path]:
    """The statement files of a folder."""
    return [path for path in sorted(folder.iterdir()) if not path.name.endswith(FLOWS)]


def flows_of(format_: FileFormat, path: Path, zone: str = "UTC") -> list[dict[str, object]]:
    """Return the flows of a file, or the reason why a row is rejected, each with its line. Raises FileError."""
    with TemporaryDirectory() as folder:
        contents = list(unpack(path, path.name, Path(folder), lambda _name: None))
        statements = chain.from_iterable(format_.statements(content, zone) for content in contents)
        return [_record(format_, row.number, row.row) for statement in statements for row in statement.rows]


def golden(format_: FileFormat, path: Path) -> str:
    """The flows of a file, as JSON."""
    return msgspec.json.format(msgspec.json.encode(flows_of(format_, path)), indent=2).decode() + "\n"


def _record(format_: FileFormat, number: int, row: bytes) -> dict[str, object]:
    try:
        return {"line": number, "flow": flow_record(format_.codec.read(row).flow)}
    except WireError as error:
        return {"line": number, "rejected": str(error)}


# ---------------------------------------------------------------- the checks


def check_format(format_: FileFormat, folder: Path) -> None:
    """Run all checks on the samples of a format. Raises AssertionError."""
    found = samples(folder)
    ensure(bool(found), f"{format_.name}: expected a sample in {folder}")
    for path in found:
        check_golden(format_, path)
        check_recognised(format_, path)
        check_cut_off(format_, path)
        if isinstance(format_, TableFormat):
            rows_only = replace(format_, has_totals=False)  # the checks write tables without the totals below them
            check_columns(rows_only, path)
            check_parts(rows_only, path)
            check_formulas(rows_only, path)


def check_golden(format_: FileFormat, path: Path) -> None:
    """The flows of a sample equal those in the file next to it."""
    expected = path.with_name(path.name + FLOWS)
    ensure(expected.exists(), f"{path}: write its flows with python -m liushui.testing.file_formats {format_.name}")
    ensure_equal(str(path), golden(format_, path), expected.read_text("utf-8"))


def check_recognised(format_: FileFormat, path: Path) -> None:
    """A sample is recognised only by its own format. Its file name does not matter."""
    formats: Mapping[str, FileFormat] = {**load_formats(), format_.name: format_}
    with _contents(path.read_bytes()) as contents:
        for content in contents:
            names = [name for name, known in formats.items() if known.recognise(content)]
            ensure_equal(f"{path} is recognised as", names, [format_.name])


def check_cut_off(format_: FileFormat, path: Path) -> None:
    """A file that was cut off gives only flows of the whole file, or the format reports that it may have been cut
    off."""
    whole = path.read_bytes()
    flows = [_without_line(record) for record in flows_of(format_, path)]
    for end in sorted({len(whole) * number // BYTES_CUT for number in range(BYTES_CUT)}):
        with _contents(whole[:end], may_fail=True) as contents:
            for content in contents:
                _check_part(format_, content, flows, f"{path}, cut off after {end} bytes")


def _check_part(format_: FileFormat, content: Content, flows: Sequence[object], where: str) -> None:
    try:
        if not format_.recognise(content):
            return
        records = [
            _record(format_, row.number, row.row)
            for statement in format_.statements(content, "UTC")
            for row in statement.rows
        ]
    except FileError:
        return
    wrong = [record for record in records if "flow" in record and _without_line(record) not in flows]
    ensure(len(wrong) <= (not content.ends_with_line), f"{where}: {wrong}")


def check_columns(format_: TableFormat, path: Path) -> None:
    """Columns in another order, and additional columns, change nothing. A file without one of the required columns is
    not recognised."""
    flows, (before, header, after) = list(map(_without_line, flows_of(format_, path))), _parts(format_, path)
    turned = [*before, header[::-1], *(row[::-1] for row in after)]
    widened = [*before, ["x y z", *header], *(["", *row] for row in after)]
    for rows in (turned, widened):
        with _written(rows) as changed:
            ensure_equal(str(path), list(map(_without_line, flows_of(format_, changed))), flows)
    (known,) = (known for known in format_.headers if not known.missing(header))
    for name in known.required:
        renamed = ["renamed" if known.name_of(cell) == name else cell for cell in header]
        if renamed == header:
            continue
        with _written([*before, renamed, *after]) as changed, _contents(changed.read_bytes()) as contents:
            ensure(not any(map(format_.recognise, contents)), f"{path}: it is recognised without {name}")
            ensure(name in format_.explain(contents[0]), f"{path}: nobody is told that {name} is missing")


def check_parts(format_: TableFormat, path: Path) -> None:
    """Rows that are split over files in any way, in any order, give the same flows."""
    (before, header, after), key = _parts(format_, path), msgspec.json.encode
    flows = sorted(key(_without_line(record)) for record in flows_of(format_, path))
    for cut in range(len(after) + 1):
        records: list[object] = []
        for rows in (after[cut:], after[:cut]):
            with _written([*before, header, *rows]) as part:
                records += map(_without_line, flows_of(format_, part))
        ensure_equal(f"{path}, cut after {cut} rows", sorted(map(key, records)), flows)


def check_formulas(format_: TableFormat, path: Path) -> None:
    """A formula in a cell is a text or a reason to reject its row, and is never computed."""
    before, header, after = _parts(format_, path)
    for index in range(len(header)):
        for formula in FORMULAS:
            row = [*after[0][:index], formula, *after[0][index + 1 :]]
            with _written([*before, header, row]) as changed:
                (record,) = flows_of(format_, changed)
                flow = record.get("flow")
                is_computed = isinstance(flow, dict) and flow["amount"] in ("0", "1", "2")
                ensure(not is_computed, f"{path}: {formula} was computed: {record}")


def _without_line(record: Mapping[str, object]) -> object:
    return record.get("flow", record)


def _parts(format_: TableFormat, path: Path) -> tuple[list[list[str]], list[str], list[list[str]]]:
    """Return the lines before a table, its header and its rows, without the lines after them."""
    with _contents(path.read_bytes()) as (content,):
        for lines in lines_of(content):
            listed = [cells for _, cells in lines]
            for index, cells in enumerate(listed):
                if any(not header.missing(cells) for header in format_.headers):
                    return listed[:index], cells, [row for row in listed[index + 1 :] if len(row) == len(cells)]
    raise AssertionError(f"{path}: no header of {format_.name}")


@contextmanager
def _contents(data: bytes, *, may_fail: bool = False) -> Iterator[list[Content]]:
    """Yield the files in some bytes. With `may_fail`, yield none if reading fails."""
    with TemporaryDirectory() as folder:
        path, unpacked = Path(folder).joinpath("statement"), Path(folder).joinpath("unpacked")
        path.write_bytes(data)
        unpacked.mkdir()
        try:
            contents = list(unpack(path, "statement", unpacked, lambda _name: None))
        except FileError:
            if not may_fail:
                raise
            contents = []
        yield contents


@contextmanager
def _written(rows: Sequence[Sequence[str]]) -> Iterator[Path]:
    """A CSV file with some rows, for a block."""
    with TemporaryDirectory() as folder:
        path = Path(folder).joinpath("statement.csv")
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        yield path


def main(names: Sequence[str]) -> None:
    """Write the flows of every sample of the named formats."""
    for name in names:
        for path in samples(samples_of(name)):
            path.with_name(path.name + FLOWS).write_text(golden(get_format(name), path), encoding="utf-8")


def samples_of(name: str) -> Path:
    """The folder with the samples of a format of this package."""
    return Path(str(import_module(f"liushui.formats.{name}").__file__)).with_name("samples")


if __name__ == "__main__":
    main(sys.argv[1:])
