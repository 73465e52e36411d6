"""Formats that are tables: CSV in any dialect, and sheets of workbooks. The header is found by its names."""

import csv
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from liushui.errors import WireError, short_repr
from liushui.files.cells import OFFSET, ZONE, Cells, cell_text, clean, encode_cells, misfit
from liushui.files.content import Content, Sheet
from liushui.files.contract import Claims, NumberedRow, RowCodec, Statement
from liushui.files.errors import FileError
from liushui.flow import Flow
from liushui.rules import Paging, Rules

DELIMITERS: Final = (",", "\t", ";", "|")
PREFACE_MAX: Final = 100
"""Most lines before the header."""
CELL_MAX: Final = 128 * 1024
"""Most characters of a cell. An unclosed quote would make the rest of the file one cell."""

_RULE_LINE: Final = re.compile(r"[-=*—]{3,}.*|#.*")
"""A ruled line, or a remark: not a row."""
_RULES: Final = frozenset("-=*—#")

Line = tuple[int, list[str]]
"""The number of a line, and its cells."""


class Lines:
    """The lines of a text or of a sheet, which can be read once. `merged` are the lines with merged cells."""

    def __init__(self, lines: Iterator[Line], merged: Sequence[int] = ()) -> None:
        self._lines, self.merged = lines, merged

    def __iter__(self) -> Iterator[Line]:
        return self._lines

    def check_merged(self, header_line: int) -> None:
        """Raise FileError if cells of the table are merged, because a merged cell has one value for several rows."""
        wrong = [line for line in self.merged if line >= header_line]
        if wrong:
            raise FileError(
                "line %(line)s: expected a table, got merged cells: unmerge them and save the sheet", line=wrong[0]
            )


@dataclass(frozen=True)
class Header:
    """A set of columns by which a format is recognised, in any order.

    A column is its name, or its name and a regular expression that matches other spellings. `optional` columns may be
    missing; further columns of a file are kept in the row, but not used.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)

    def name_of(self, cell: str) -> str | None:
        """The column that a cell of the header names."""
        return self._names.get(normal(cell)) or next(
            (name for name, pattern in self._patterns.items() if pattern.fullmatch(normal(cell))), None
        )

    @cached_property
    def _names(self) -> dict[str, str]:
        return {normal(name): name for name in (*self.required, *self.optional)}

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return {name: re.compile(pattern) for name, pattern in self.spellings.items()}

    def missing(self, cells: Sequence[str]) -> list[str]:
        """The required columns that cells do not name."""
        named = {self.name_of(cell) for cell in cells}
        return [name for name in self.required if name not in named]


class Table(NamedTuple):
    """A table whose header was found. `preface` are the lines before it, `lines` those after it."""

    header: Header
    columns: list[str]
    """The name of each column."""
    header_cells: list[str]
    header_line: int
    preface: list[Line]
    lines: Iterator[Line]


Preface = Mapping[str, str]
"""The facts that a file states before its header, as cells of each row whose names begin with `#`."""
ReadPreface = Callable[[Sequence[Line]], tuple[Preface, Claims]]


def no_preface(lines: Sequence[Line]) -> tuple[Preface, Claims]:  # noqa: ARG001 - the signature of ReadPreface
    """For formats whose preface contains no facts."""
    return {}, Claims()


@dataclass(frozen=True)
class TableFormat:
    """A format whose files are tables."""

    name: str
    title: str
    rules: Rules[Paging]
    headers: tuple[Header, ...]
    read: Callable[[Cells], Flow]
    read_preface: ReadPreface = no_preface
    read_trailer: Callable[[list[str], Claims], bool] | None = None
    """Called with each line. True: the line is not a row, but part of the trailer."""
    has_totals: bool = False
    """Whether every file ends with control totals. If so, a file without them was cut off."""
    zone_column: str = ""
    """The column of the time, if its header or the name of the file states the zone. Binance has names such as
    `Binance-Transaction-History-202604201017(UTC+7).csv`. Empty: the format has its own zone."""
    is_recognised: bool = True
    provider: str = ""

    @property
    def states_totals(self) -> bool:
        """Whether there is something to compare rows with, before the header or after the rows."""
        return self.read_trailer is not None or self.read_preface is not no_preface

    @cached_property
    def codec(self) -> RowCodec:
        """Reads rows as they are kept in the ledger."""
        return RowCodec(self.read)

    def recognise(self, content: Content) -> bool:
        """Whether a file has a table with one of the headers."""
        return next(self._tables(content), None) is not None

    def explain(self, content: Content) -> str:
        """Return the columns that are missing in a table that has most of them."""
        best: tuple[int, str] = (0, "")
        for lines in lines_of(content):
            for number, cells in islice(lines, PREFACE_MAX):
                for header in self.headers:
                    lacking = header.missing(cells)
                    has = len(header.required) - len(lacking)
                    if lacking and has * 2 > len(header.required) and has > best[0]:
                        best = has, f"line {number} lacks the columns {', '.join(lacking)}"
        return best[1]

    def statements(self, content: Content, zone: str) -> Iterator[Statement]:  # noqa: ARG002 - the format has its own
        """The tables of a file. Raises FileError."""
        for table in self._tables(content):
            preface, claims = self.read_preface(table.preface)
            offset = next((found[0] for cell in table.header_cells if (found := OFFSET.search(cell))), None)
            if offset is None and self.zone_column:
                offset = _zone_in_name(content, table.header_cells[table.columns.index(self.zone_column)])
            if offset is not None:
                preface = {**preface, ZONE: offset.upper()}
            yield Statement(self.rows(table, preface, claims), claims)

    def _tables(self, content: Content) -> Iterator[Table]:
        for lines in lines_of(content):
            table = find_table(lines, self.headers)
            if table is not None:
                yield table

    def _is_trailer(self, line: Line, claims: Claims) -> bool:
        try:
            return self.read_trailer is not None and self.read_trailer(line[1], claims)
        except WireError as error:
            raise FileError("line %(line)s: %(error)s", line=line[0], error=error) from error

    def rows(self, table: Table, preface: Preface, claims: Claims) -> Iterator[NumberedRow]:
        """The rows of a table. The trailer is added to the claims. Raises FileError."""
        is_over = False
        for line in table.lines:
            if self._is_trailer(line, claims):
                continue
            is_over = is_over or is_drawn(line[1])
            if is_over and sum(map(bool, line[1])) < 2:
                continue  # remarks below a ruled line
            row = row_of(table, line, preface)
            if row is not None:
                yield row
        if self.has_totals and not claims.totals:
            raise FileError("the control totals at the end are missing: the file was cut off, so save it again")


_ZONE_IN_NAME: Final = re.compile(r"\(UTC(?:(?P<sign>[-+])-?(?P<time>\d{1,2}(?::\d{2})?))?\)", re.ASCII)
"""The zone in the name of a file. Binance writes a negative offset as `(UTC--6)`."""


def _zone_in_name(content: Content, column: str) -> str:
    """The zone of times whose column states none. Raises FileError if the name of the file does not state it."""
    matches = list(_ZONE_IN_NAME.finditer(content.name))
    if not matches:
        raise FileError(
            "expected the zone of the column %(column)s in the name of the file, such as (UTC+8) in "
            "transactions(UTC+8).csv, got %(name)s: give the file the name that it was downloaded with",
            column=short_repr(column),
            name=short_repr(Path(content.name).name),
        )
    match = matches[-1]  # that of a file in an archive counts before that of the archive
    return f"UTC{match['sign'] or ''}{match['time'] or ''}"


def find_table(lines: Lines, headers: Sequence[Header]) -> Table | None:
    """The table with one of the headers. None: the beginning of the file has no such header."""
    walk = iter(lines)
    preface: list[Line] = []
    for line in islice(walk, PREFACE_MAX):
        for header in headers:
            if len(line[1]) >= len(header.required) and not header.missing(line[1]):
                lines.check_merged(line[0])
                return Table(header, _columns(header, line), line[1], line[0], preface, walk)
        preface.append(line)
    return None


def _columns(header: Header, line: Line) -> list[str]:
    """The name of each column: the format's name, or the file's own name if the format has none. Raises FileError for
    two columns of one name, if the format uses it."""
    names: list[str] = []
    for number, cell in enumerate(line[1], 1):
        known = header.name_of(cell)
        if known is not None and known in names:
            raise FileError(
                "line %(line)s: expected each column once, got %(column)s twice", line=line[0], column=short_repr(known)
            )
        name = known or cell or f"column {number}"
        names.append(name if name not in names else f"{name} (column {number})")
    return names


def row_of(table: Table, line: Line, context: Mapping[str, str]) -> NumberedRow | None:
    """A line as a row. None: it is blank, or a ruled line. Raises FileError for a second header."""
    number, cells = line
    while len(cells) > len(table.columns) and not cells[-1]:
        cells = cells[:-1]
    if not any(cells) or is_drawn(cells):
        return None
    if len(cells) != len(table.columns):
        if _is_header(table, cells):
            raise second_header(number)
        has = f"{len(cells)}: {short_repr(', '.join(cells))}"
        expected = f"expected {len(table.columns)} cells as line {table.header_line} has, got {has}"
        return NumberedRow(number, misfit(expected, cells))
    if cells[0] in table.header_cells and _is_header(table, cells):
        raise second_header(number)
    values = {name: cell for name, cell in zip(table.columns, cells, strict=True) if cell}
    return NumberedRow(number, encode_cells({**values, **context}))


def second_header(line: int) -> FileError:
    """The error for a table that has a second header, at that line."""
    return FileError(
        "line %(line)s: expected one table, got a second header: split the file before this line", line=line
    )


def _is_header(table: Table, cells: Sequence[str]) -> bool:
    """Whether cells are a header, of this table or of another one: most of them are names of columns of this table."""
    named = [cell for cell in cells if cell]
    return len(named) > 1 and 2 * sum(cell in table.header_cells for cell in named) > len(named)


def is_drawn(cells: Sequence[str]) -> bool:
    """Whether cells are a ruled line such as `-----`, or a remark in one cell."""
    return bool(cells) and cells[0][:1] in _RULES and not any(cells[1:]) and _RULE_LINE.fullmatch(cells[0]) is not None


@lru_cache(4_096)
def normal(cell: str) -> str:
    """Normalise a header's cell, so that spellings of one column are equal: width, case and blanks do not count."""
    text = unicodedata.normalize("NFKC", clean(cell)).casefold()
    return " ".join(text.split())


# ---------------------------------------------------------------- lines


def lines_of(content: Content, delimiter: str | None = None) -> Iterator[Lines]:
    """Yield the lines of each sheet, or of a text once for each possible delimiter."""
    if content.is_workbook:
        for sheet in content.sheets:
            yield Lines(_sheet_lines(sheet), sheet.merged)
    else:
        for mark in [delimiter] if delimiter else DELIMITERS:
            if mark in content.head:
                yield Lines(_text_lines(content, mark))


_END_OF_FILE: Final = ["\x1a"]
"""The last character of a file of DOS."""


def _text_lines(content: Content, delimiter: str) -> Iterator[Line]:
    csv.field_size_limit(CELL_MAX)
    with content.open() as text:
        reader = csv.reader(text, delimiter=delimiter)
        number = 1
        try:
            for cells in reader:
                if cells != _END_OF_FILE:
                    yield number, list(map(clean, cells))
                number = reader.line_num + 1
        except csv.Error as error:
            raise FileError(
                "line %(line)s: this is not CSV: %(error)s: a quote may not be closed", line=number, error=error
            ) from error
        except UnicodeDecodeError as error:
            raise FileError(
                "line %(line)s: the text is not in %(encoding)s", line=number, encoding=content.encoding
            ) from error


def _sheet_lines(sheet: Sheet) -> Iterator[Line]:
    for number, row in enumerate(sheet.rows, 1):
        yield number, list(map(cell_text, row))
