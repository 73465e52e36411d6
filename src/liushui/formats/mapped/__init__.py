"""Any CSV or workbook, read by a mapping file: see docs/files.md."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Final

import msgspec

from liushui.files.content import Content
from liushui.files.contract import NumberedRow, RowCodec, Statement, file_rules
from liushui.files.errors import FileError
from liushui.files.mapping import MAPPING, Mapping, read_mapped
from liushui.files.tables import Header, Lines, Table, find_table, lines_of, row_of
from liushui.rules import Paging, Rules

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class MappedFormat:
    """Tables that are read by a mapping. Without a mapping it can only read stored rows."""

    mapping: Mapping | None = None
    name: str = "mapped"
    title: str = "a table that a mapping describes"
    is_recognised: bool = False
    states_totals: bool = False
    provider: str = ""

    @cached_property
    def rules(self) -> Rules[Paging]:
        """Records have ids if the mapping names a column for them."""
        if self.mapping is None:
            return file_rules("UTC")
        id_columns = [self.mapping.columns.id] if self.mapping.columns.id else []
        return file_rules(self.mapping.zone, id_columns=id_columns)

    @cached_property
    def codec(self) -> RowCodec:
        """Reads rows. Each row carries its mapping."""
        return RowCodec(read_mapped)

    def with_mapping(self, mapping: Mapping) -> "MappedFormat":
        """The format for files of one mapping."""
        return replace(self, mapping=mapping)

    def recognise(self, content: Content) -> bool:
        """Whether the file has the columns of the mapping. Without a mapping no file is recognised."""
        return self.mapping is not None and bool(self._tables(content, self.mapping))

    def explain(self, content: Content) -> str:
        """Return the names of the columns that the file lacks."""
        if self.mapping is None:
            return ""
        header = Header(tuple(self.mapping.columns.named))
        lacking = list(header.required)
        for lines in self._lines(content, self.mapping):
            for number, cells in lines:
                lacking = min(lacking, header.missing(cells), key=len)
                if number > 100:
                    break
        return f"no line has the columns {', '.join(lacking)}" if lacking else ""

    def statements(self, content: Content, zone: str) -> Iterator[Statement]:  # noqa: ARG002 - the mapping has its own
        """The table of a file. Raises FileError."""
        tables = [] if self.mapping is None else self._tables(content, self.mapping)
        if self.mapping is None or not tables:
            raise FileError("expected a mapping: name one with --map, or write one with --propose")
        for table in tables:
            yield Statement(_rows(table, self.mapping))

    def _tables(self, content: Content, mapping: Mapping) -> Sequence[Table]:
        """Return the tables of a workbook, one per sheet, or the only table of a text."""
        header = Header(tuple(mapping.columns.named))
        tables = (find_table(lines, (header,)) for lines in self._lines(content, mapping))
        known = (table for table in tables if table is not None)
        return list(known if content.is_workbook else islice(known, 1))

    def _lines(self, content: Content, mapping: Mapping) -> Iterator[Lines]:
        if mapping.encoding and not content.is_workbook:
            content = replace(content, encoding=mapping.encoding)
        for lines in lines_of(content, mapping.delimiter or None):
            kept = (line for line in lines if line[0] > mapping.skip_lines)
            yield Lines(kept, lines.merged)


_TOTAL: Final = re.compile(
    r"(?:本页|本期|本月|累计)?(?:小计|小計|合计|合計|总计|總計)|(?:grand |sub-?)?totals?\b", re.IGNORECASE
)
"""Matches the beginning of a line that adds up the rows above it."""


def _rows(table: Table, mapping: Mapping) -> Iterator[NumberedRow]:
    """Return the rows of a table. Lines with totals are left out, because it is not known which rows they add up."""
    context = {MAPPING: _encode(mapping).decode()}
    time = table.columns.index(mapping.columns.times[0])
    for line in table.lines:
        row = row_of(table, line, context)
        if row is not None and not _is_total(line[1], time):
            yield row


def _is_total(cells: Sequence[str], time: int) -> bool:
    """Whether a line contains totals: its time cell begins with a word for a total. If that cell is empty, its first
    cell does."""
    at = cells[time] if time < len(cells) else ""
    return not at[:1].isdigit() and _TOTAL.match(at or cells[0]) is not None


FORMAT = MappedFormat()
