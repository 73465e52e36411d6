"""Values as text: in JSON and CSV, and on a terminal.

Providers' text is data. It is escaped if a terminal or a spreadsheet would act on it; JSON has it unchanged.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from liushui.instant import to_iso
from liushui.money import to_plain_string

_CONTROL: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f"  # C0 and C1: escape sequences that move the cursor, set titles, fill the clipboard
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks: an amount could be shown backwards
    "\u2028\u2029]"  # separators of lines and paragraphs
)
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The characters that begin a formula in Excel, LibreOffice or WPS. Japanese and Chinese versions accept the full-width
forms."""


def export_value(value: object) -> object:
    """Return the value for JSON: an amount as plain text, a time as ISO 8601 in UTC, any other value unchanged."""
    if isinstance(value, datetime):
        return to_iso(value)
    return to_plain_string(value) if isinstance(value, Decimal) else value


def csv_cell(value: object) -> str | int:
    """Return the value for CSV: None as an empty cell, a list or mapping as JSON, text so that it cannot be a
    formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return spreadsheet_text(value)
    exported = export_value(value)
    return exported if isinstance(exported, (str, int)) else msgspec.json.encode(exported).decode()


def terminal_text(text: str, *, lines: bool = False) -> str:
    """The text with control characters and direction marks as escapes: ESC is shown as the four characters `\\x1b`.

    Line feeds are escaped as well, unless `lines` says that the text may have several lines.
    """
    shown = _CONTROL.sub(_escape, text)
    return shown if lines else shown.replace("\n", "\\n")


def terminal_json(text: str) -> str:
    """JSON with control characters and direction marks as JSON's own escapes. It decodes to the same value."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def spreadsheet_text(text: str) -> str:
    """Return the text, with an apostrophe in front if a spreadsheet would read it as a formula.

    Source: OWASP, "CSV Injection". Only for text from outside: an amount of -1.00 has to stay a number.
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
