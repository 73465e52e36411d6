"""Flows as rows: CSV and JSON Lines, and the description of such a file as a Frictionless data package.

Both are written directly from the ledger's rows, without making Flow objects, because exports of a million rows are
common.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, Final, cast

import msgspec

from liushui import __version__
from liushui.export.changes import CHANGE, RECORDED_US
from liushui.export.formats import ExportOptions, Format
from liushui.export.selection import Selection, StoredRow, coverage_lines, period_text
from liushui.instant import DAY_US, SECOND_US, to_iso, us_to_iso
from liushui.ledger.flow_row import COLUMNS as STORED
from liushui.ledger.read.completeness import end_instant
from liushui.ledger.read.flows import COLUMNS as FLOW_COLUMNS
from liushui.output_text import spreadsheet_text

COMPLETENESS: Final = "completeness"
COLUMNS: Final = (*FLOW_COLUMNS, COMPLETENESS)
"""The columns of every file with rows, in their order. The last one is the verdict on the range of the whole file."""
CHANGE_COLUMNS: Final = ("change", "recorded_at")
"""Two further columns of a file with changes: `added`, `reversed` or `corrected`; and when the ledger recorded it."""

CHUNK_ROWS: Final = 100
"""The number of rows that are written together. More of them leave the processor's cache before they are written."""
_BOM: Final = "\ufeff".encode()
_TIMES: Final = {"at": "at_us", "settled_at": "settled_at_us"}
_STORED_NAMES: Final = [_TIMES.get(name, name) for name in FLOW_COLUMNS]

PICKED: Final = [STORED.index(name) for name in _STORED_NAMES]
"""The indexes of FLOW_COLUMNS in a row of schema.flows."""
pick: Final[Callable[[Sequence[Any]], tuple[Any, ...]]] = itemgetter(*PICKED)
"""The values of FLOW_COLUMNS in a row of schema.flows. Times are microseconds since the epoch, amounts text."""

_AT: Final = FLOW_COLUMNS.index("at")
_SETTLED_AT: Final = FLOW_COLUMNS.index("settled_at")
_AMOUNT: Final = FLOW_COLUMNS.index("amount")
_DETAIL: Final = FLOW_COLUMNS.index("detail")
_EXACT: Final = ("amount", "balance_after", "price", "quantity", "fx_amount", "fx_rate")
_OURS: Final = ("direction", "kind", "category", "batch")
"""Columns whose texts are our own words or numbers. They never contain a formula."""
FOREIGN: Final = [
    index
    for index, name in enumerate(FLOW_COLUMNS)
    if name not in (*_TIMES, *_EXACT, *_OURS, "detail")  # detail is JSON, which begins with a brace
]
"""The columns with text from outside."""


class InstantTexts:
    """ISO 8601 texts of instants, from lookup tables. Formatting them would take a large part of the time of a big
    export."""

    def __init__(self) -> None:
        self._day: int | None = None
        self._text = ""

    def of(self, at_us: int) -> str:
        """Return the text of an instant in UTC, as `us_to_iso` does."""
        second, rest = divmod(at_us, SECOND_US)
        if rest:
            return us_to_iso(at_us)
        day, second = divmod(second, 86_400)
        if day != self._day:
            self._day, self._text = day, us_to_iso(day * DAY_US)[:_DATE_END]
        minute, second = divmod(second, 60)
        return f"{self._text}{_MINUTES[minute]}{_SECONDS[second]}"

    def of_many(self, instants: Sequence[int | None]) -> list[str | None]:
        """Return the texts of instants; None for None."""
        if None in instants:
            known: dict[int | None, str | None] = {
                at_us: self.of(at_us) for at_us in set(instants) if at_us is not None
            }
            return list(map(known.get, instants))
        found: list[str | None] = []
        begin = end = 0  # of the day, whose text is looked up once, because the instants nearly always ascend
        for at_us in cast("Sequence[int]", instants):
            if not begin <= at_us < end:
                begin = at_us // DAY_US * DAY_US
                end, text = begin + DAY_US, self.of(begin)[:_DATE_END]
            second, rest = divmod(at_us - begin, SECOND_US)
            if rest:
                found.append(us_to_iso(at_us))
            else:
                found.append(f"{text}{_MINUTES[second // 60]}{_SECONDS[second % 60]}")
        return found


_DATE_END: Final = len("2024-01-31T")
_MINUTES: Final = [f"{minute // 60:02}:{minute % 60:02}:" for minute in range(24 * 60)]
_SECONDS: Final = [f"{second:02}Z" for second in range(60)]


def columns_of(selection: Selection) -> tuple[str, ...]:
    """The columns of a selection's file."""
    return COLUMNS if selection.query.after is None else (*COLUMNS, *CHANGE_COLUMNS)


def csv_parts(selection: Selection, options: ExportOptions) -> Iterator[bytes]:
    """Write CSV with a header: exact amounts, times as ISO 8601 in UTC, and no text that a spreadsheet takes for a
    formula."""
    yield (_BOM if options.bom else b"") + f"{','.join(columns_of(selection))}\r\n".encode()
    verdict, texts = selection.verdict.status.value, InstantTexts()
    for chunk in selection.chunks(CHUNK_ROWS):
        # by column, because most columns have few distinct values, or no values
        stored = list(zip(*chunk, strict=True))
        columns: list[Sequence[Any]] = [stored[index] for index in PICKED]
        for index in (_AT, _SETTLED_AT):
            columns[index] = texts.of_many(columns[index])
        for index in FOREIGN:
            columns[index] = without_formulas(columns[index])
        columns.append([verdict] * len(chunk))
        if selection.query.after is not None:
            columns += [stored[CHANGE], texts.of_many(stored[RECORDED_US])]
        yield csv_text(columns).encode()


def csv_text(columns: Sequence[Sequence[Any]]) -> str:
    """Return columns of texts, numbers or None as lines of CSV, character for character as csv.writer writes them.

    csv.writer looks at every character of every cell. This function looks for special characters in a whole column at
    once, and writes adjacent columns that have one value as one text. It takes a third of the time.
    """
    rows = len(columns[0])
    pieces: list[Iterable[str]] = []
    constant = ""
    for column in columns:
        first = column[0]
        if column[-1] == first and column.count(first) == rows:
            constant += f"{_csv_cell(first)},"
            continue
        if constant:
            pieces.append(repeat(constant))
        pieces.append(_csv_cells(column))
        constant = ","
    pieces.append(repeat(f"{constant[:-1]}\r\n", rows))  # without the comma after the last cell
    return "".join(chain.from_iterable(zip(*pieces)))  # noqa: B905 - repeated texts have no end


def _csv_cell(value: str | int | None) -> str:
    text = "" if value is None else str(value)
    return _quoted(text) if _HARD(text) else text


def _csv_cells(column: Sequence[Any]) -> Iterable[str]:
    if type(column[0]) is int:
        return map(str, column)
    texts: Sequence[str] = ["" if text is None else text for text in column] if None in column else column
    together = "".join(texts)
    if any(char in together for char in _QUOTED):  # each is searched in the whole column at once
        return [_quoted(text) if _HARD(text) else text for text in texts]
    return texts


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_QUOTED: Final = (",", '"', "\r", "\n")
"""A cell with one of these characters is quoted."""
_HARD: Final = re.compile(f"[{''.join(_QUOTED)}]").search


def without_formulas(texts: Sequence[str | None]) -> Sequence[str | None]:
    """Change texts of providers and files so that no spreadsheet takes them for formulas."""
    if not texts:
        return texts
    first = texts[0]
    if texts[-1] == first and texts.count(first) == len(texts):  # most columns have one text, or none
        if first is None or spreadsheet_text(first) == first:
            return texts
        return [spreadsheet_text(first)] * len(texts)
    together = "".join(filter(None, texts))
    if not any(char in together for char in _SUSPICIOUS):  # each is searched in the whole column at once
        return texts
    if _SUSPICIOUS.isdisjoint({text[0] for text in texts if text}):
        return texts
    return [text if text is None else spreadsheet_text(text) for text in texts]


_SUSPICIOUS: Final = frozenset(
    char for char in map(chr, (*range(0x2000), *range(0xFF00, 0xFFF0))) if spreadsheet_text(char) != char
)
"""The characters with which a formula may begin."""


def jsonl_parts(selection: Selection, _options: ExportOptions) -> Iterator[bytes]:
    """JSON Lines, an object for each flow: amounts as text, times as ISO 8601 in UTC, text as it is."""
    encode, texts, verdict = msgspec.json.Encoder().encode, InstantTexts(), selection.verdict.status.value
    for chunk in selection.chunks(CHUNK_ROWS):
        yield b"".join(encode(_json_record(row, texts, verdict)) + b"\n" for row in chunk)


def _json_record(row: StoredRow, texts: InstantTexts, verdict: str) -> dict[str, Any]:
    cells = [*pick(row), verdict]
    cells[_AT] = texts.of(cells[_AT])
    if cells[_SETTLED_AT] is not None:
        cells[_SETTLED_AT] = us_to_iso(cells[_SETTLED_AT])
    if cells[_DETAIL] is not None:
        cells[_DETAIL] = msgspec.Raw(cells[_DETAIL].encode())
    record = dict(zip(COLUMNS, cells, strict=True))
    if len(row) > CHANGE:
        record |= zip(CHANGE_COLUMNS, (row[CHANGE], us_to_iso(row[RECORDED_US])), strict=True)
    return record


# ---------------------------------------------------------------- the data package


class PackageBuilder:
    """Describes a file of rows while it is written: its size, digest and number of rows."""

    def __init__(self) -> None:
        self._digest = sha256()
        self._bytes = 0
        self._lines = 0

    def add(self, part: bytes) -> None:
        """Count a piece of the file."""
        self._digest.update(part)
        self._bytes += len(part)

    def package(self, selection: Selection, form: Format, path: str) -> bytes:
        """Return the file's `datapackage.json` (Data Package v2), with the coverage of the file. `path`: the file's
        name."""
        resource = {
            "name": "flows",
            "path": path,
            "format": form.extension,
            "mediatype": form.media_type,
            "encoding": "utf-8",
            "bytes": self._bytes,
            "hash": f"sha256:{self._digest.hexdigest()}",
            "schema": {"fields": [_field(name) for name in columns_of(selection)], "missingValues": [""]},
        }
        verdict, now = selection.verdict, to_iso(selection.reading.now)
        gaps = [
            {
                "account": gap.account,
                "since": _iso(gap.since_us),
                "until": _iso(gap.until_us),
                "cause": gap.cause.value,
                "reason": gap.reason,
            }
            for gap in verdict.gaps
        ]
        coverage = {
            "accounts": [part.account.name.account for part in selection.parts],
            "period": period_text(selection.query.filter),
            "recorded_until": now if selection.query.as_of is None else str(selection.query.as_of),
            "completeness": verdict.status.value,
            "complete": verdict.is_complete,
            "complete_until": None if verdict.until_us is None else _iso(verdict.until_us),
            "gaps": gaps,
        }
        package = {
            "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
            "name": "liushui-flows",
            "title": "Fund flows",
            "description": "\n".join(coverage_lines(selection)),
            "created": now,
            "version": __version__,
            "resources": [resource],
            "liushui:coverage": coverage,
        }
        return msgspec.json.format(msgspec.json.encode(package)) + b"\n"


def _iso(at_us: int) -> str | None:
    at = end_instant(at_us)
    return None if at is None else to_iso(at)


def _field(name: str) -> dict[str, Any]:
    """The description of a column."""
    if name in (*_TIMES, "recorded_at"):
        return {"name": name, "type": "datetime", "format": "any"}
    if name == "batch":
        return {"name": name, "type": "integer"}
    if name == "detail":
        return {"name": name, "type": "object"}
    if name in _EXACT:
        return {"name": name, "type": "number", "description": "Exact: read it as a decimal, not as a binary float."}
    return {"name": name, "type": "string"}
