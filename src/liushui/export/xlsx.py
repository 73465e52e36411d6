"""Excel: the exact amount as text, with a number for sums in the next column.

Written in constant memory, split into sheets.

A number of a spreadsheet holds 15 to 17 digits, so only the text is exact. Nothing in the file is a formula.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Final

from liushui.export.formats import ExportOptions
from liushui.export.rows import CHUNK_ROWS, COLUMNS, InstantTexts, pick
from liushui.export.selection import Selection, coverage_lines
from liushui.instant import from_us, load_zone, to_local, us_to_iso
from liushui.ledger.read.flows import COLUMNS as FLOW_COLUMNS
from liushui.money import EXACT, ZERO, to_plain_string
from liushui.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

ROWS_MAX: Final = 1_048_576
"""Rows of a sheet, including its header."""
TEXT_MAX: Final = 32_767
"""Characters of a cell."""
PIECE: Final = 256 * 1024
LOCAL_TIME: Final = "local_time"
NUMBERS: Final = ("amount", "balance_after")
"""Columns that are followed by a column with a number."""

_FIRST_YEAR: Final = 1901
"""The first year whose days are within a spreadsheet's calendar in every time zone."""
_AT, _SETTLED_AT = FLOW_COLUMNS.index("at"), FLOW_COLUMNS.index("settled_at")
_ACCOUNT, _BATCH = FLOW_COLUMNS.index("account"), FLOW_COLUMNS.index("batch")
_TOTALLED: Final = tuple(FLOW_COLUMNS.index(name) for name in ("account", "subaccount", "currency"))
_AMOUNT: Final = FLOW_COLUMNS.index("amount")

HINTS: Final = (
    "Amounts are text, with all their digits. The columns that end in (number) are for sums and charts: a spreadsheet "
    "keeps 15 to 17 digits of a number. The exact sums are on the sheet Totals.",
    "local_time is in the account's own zone; at and settled_at are in UTC.",
)


def xlsx_parts(selection: Selection, _options: ExportOptions) -> Iterator[bytes]:
    """Write a workbook with its coverage, the flows, and their exact totals."""

    def write(book: "Workbook") -> None:
        bold = book.add_format({"bold": True})
        about = book.add_worksheet("About")
        about.set_column(0, 0, 120)
        for number, line in enumerate((*coverage_lines(selection), *HINTS)):
            about.write_string(number, 0, line[:TEXT_MAX])
        _write_totals(book, bold, _write_flows(selection, book, bold))

    return workbook_parts(write)


def workbook_parts(write: Callable[["Workbook"], None]) -> Iterator[bytes]:
    """A workbook, in pieces. `write` fills it, each sheet row by row, in constant memory."""
    with temporary_folder("export") as folder:
        path = folder / "flows.xlsx"
        options = {
            "constant_memory": True,
            "tmpdir": str(folder),
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        }
        import xlsxwriter  # imported here because a server without exports should not load these 3 MB

        with xlsxwriter.Workbook(str(path), options) as book:
            write(book)
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


Totals = dict[tuple[str, ...], tuple[int, Decimal]]
"""The number of flows and their sum, by account, subaccount and currency."""


def _write_flows(selection: Selection, book: "Workbook", bold: "Format") -> Totals:
    when = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    zones = {part.account.name.account: load_zone(part.account.name.zone) for part in selection.parts}
    verdict, texts = selection.verdict.status.value, InstantTexts()
    counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
    sums: defaultdict[tuple[str, ...], Decimal] = defaultdict(lambda: ZERO)
    sheet, row_number, sheets = _flow_sheet(book, bold, 1), 0, 1
    for row in chain.from_iterable(selection.chunks(CHUNK_ROWS)):
        row_number += 1
        if row_number == ROWS_MAX:
            sheets += 1
            sheet, row_number = _flow_sheet(book, bold, sheets), 1
        cells = pick(row)
        at_us = cells[_AT]
        sheet.write_string(row_number, 0, cells[_ACCOUNT])
        local = to_local(from_us(at_us), zones[cells[_ACCOUNT]]).replace(tzinfo=None)
        _write_time(sheet, row_number, local, when)
        for column, index, is_number in _PLAN:
            value = cells[index]
            if value is None or value == "":
                continue
            if is_number:
                sheet.write_number(row_number, column, Decimal(value))
            elif index == _AT:
                sheet.write_string(row_number, column, texts.of(value))
            elif index == _SETTLED_AT:
                sheet.write_string(row_number, column, us_to_iso(value))
            elif index == _BATCH:
                sheet.write_number(row_number, column, value)
            else:
                sheet.write_string(row_number, column, value if len(value) <= TEXT_MAX else _cut(value))
        sheet.write_string(row_number, _LAST, verdict)
        key = tuple(cells[index] for index in _TOTALLED)
        counts[key] += 1
        sums[key] = EXACT.add(sums[key], Decimal(cells[_AMOUNT]))
    return {key: (counts[key], sums[key]) for key in sorted(counts)}


def _write_time(sheet: "Worksheet", row: int, local: datetime, when: "Format") -> None:
    if local.year >= _FIRST_YEAR:
        sheet.write_datetime(row, 1, local, when)


def _plan() -> tuple[list[str], list[tuple[int, int, bool]]]:
    """Return the titles of the columns. For each column from the third on, also return its number, its field, and
    whether it is a number."""
    titles, plan = ["account", LOCAL_TIME], []
    for index, name in enumerate(FLOW_COLUMNS):
        if index != _ACCOUNT:
            plan.append((len(titles), index, False))
            titles.append(name)
            if name in NUMBERS:
                plan.append((len(titles), index, True))
                titles.append(f"{name} (number)")
    return [*titles, COLUMNS[-1]], plan


TITLES, _PLAN = _plan()
_LAST: Final = len(TITLES) - 1


def _flow_sheet(book: "Workbook", bold: "Format", number: int) -> "Worksheet":
    sheet = book.add_worksheet("Flows" if number == 1 else f"Flows {number}")
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, _LAST, 18)
    for column, title in enumerate(TITLES):
        sheet.write_string(0, column, title, bold)
    return sheet


def _write_totals(book: "Workbook", bold: "Format", totals: Totals) -> None:
    sheet = book.add_worksheet("Totals")
    sheet.set_column(0, 5, 24)
    for column, title in enumerate(("account", "subaccount", "currency", "flows", "sum", "sum (number)")):
        sheet.write_string(0, column, title, bold)
    for row, (key, (count, amount)) in enumerate(totals.items(), 1):
        for column, text in enumerate(key):
            sheet.write_string(row, column, text)
        sheet.write_number(row, 3, count)
        sheet.write_string(row, 4, to_plain_string(amount))
        sheet.write_number(row, 5, amount)


def _cut(text: str) -> str:
    """Return a text that is too long for a cell, cut, with a note of its length."""
    note = f"… (cut: {len(text)} characters)"
    return f"{text[: TEXT_MAX - len(note)]}{note}"
