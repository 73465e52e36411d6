"""A bare loop from the ledger's table to a file: sqlite3 into csv.writer, or into xlsxwriter in constant memory.

It writes the columns of `liushui export` as they are stored. It checks nothing, orders nothing within an instant, and
knows neither coverage nor formulas nor time zones nor totals. It prints the number of rows.
"""

import csv
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import xlsxwriter

TIMES: Final = {"at": "at_us", "settled_at": "settled_at_us"}
COLUMNS: Final = (
    *("account", "at", "amount", "currency", "direction", "kind", "category", "label", "symbol", "note", "subaccount"),
    *("balance_after", "settled_at", "ref", "order_ref", "name", "price", "quantity", "fx_currency", "fx_amount"),
    *("fx_rate", "detail", "id", "batch"),
)
"""The columns of our exports. A test holds them equal. Importing ours would cost the start of the ledger."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
NUMBERS: Final = ("amount", "balance_after")


def main() -> None:
    """Arguments: csv or xlsx, the ledger, the output."""
    form, ledger, output = sys.argv[1:]
    database = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    names = ", ".join(TIMES.get(name, name) for name in COLUMNS)
    rows = database.execute(f"SELECT {names} FROM flows ORDER BY account, at_us, id")
    write = write_csv if form == "csv" else write_xlsx
    print(write(rows, Path(output)))


def write_csv(rows: Iterable[Sequence[Any]], output: Path) -> int:
    """Write all rows. Returns their number."""
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "completeness"])
        count = 0
        for row in rows:
            writer.writerow((*row, "unknown"))
            count += 1
    return count


def write_xlsx(rows: Iterable[Sequence[Any]], output: Path) -> int:
    """Write the cells of our workbook. Returns the number of rows."""
    count, at = 0, COLUMNS.index("at")
    with xlsxwriter.Workbook(str(output), {"constant_memory": True, "tmpdir": str(output.parent)}) as book:
        when = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet = book.add_worksheet()
        for column, title in enumerate(titles()):
            sheet.write_string(0, column, title)
        for count, row in enumerate(rows, 1):
            column = 0
            for name, value in zip(COLUMNS, row, strict=True):
                if value is None or value == "":
                    column += 1 + (name in NUMBERS)
                    continue
                if name in TIMES:
                    time = EPOCH + timedelta(microseconds=value)
                    sheet.write_string(count, column, f"{time.isoformat()}Z")
                elif name == "batch":
                    sheet.write_number(count, column, value)
                else:
                    sheet.write_string(count, column, value)
                column += 1
                if name in NUMBERS:
                    sheet.write_number(count, column, float(value))
                    column += 1
            sheet.write_string(count, column, "unknown")
            sheet.write_datetime(count, column + 1, EPOCH + timedelta(microseconds=row[at]), when)
    return count


def titles() -> Iterator[str]:
    """The titles of the workbook's columns."""
    for name in COLUMNS:
        yield name
        if name in NUMBERS:
            yield f"{name} (number)"
    yield from ("completeness", "local_time")


if __name__ == "__main__":
    main()
