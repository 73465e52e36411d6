"""A program that reads an Excel file with calamine and prints its sheets as JSON: a list of rows for each name.

The type distinguishes whole numbers from text. Other numbers are printed with the digits of their shortest spelling.
"""

import json
import sys
from datetime import date
from importlib import import_module
from typing import Any


def cell(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


book: Any = import_module("python_calamine").CalamineWorkbook.from_path(sys.argv[1])
sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}
json.dump({name: [[cell(value) for value in row] for row in rows] for name, rows in sheets.items()}, sys.stdout)
