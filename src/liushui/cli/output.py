"""Printing results: tables for people; JSON, JSON lines and CSV for programs. Amounts are text, times ISO 8601."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from liushui.cli.options import Format
from liushui.output_text import csv_cell, export_value, terminal_json, terminal_text

if TYPE_CHECKING:
    from rich.console import Console

Record = Mapping[str, object]


def terminal_console(*, stderr: bool = False, soft_wrap: bool = False) -> "Console":
    """A rich console that shows control characters in any text as escapes, so that none reaches the terminal."""
    from rich.console import Console
    from rich.text import Text

    class TerminalConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - as rich declares them
            return super().render_str(terminal_text(text, lines=True), **options)

    return TerminalConsole(stderr=stderr, soft_wrap=soft_wrap, highlight=False)


class Messages:
    """Messages for people, on standard error. rich is imported with the first one: JSON output needs none."""

    @cached_property
    def console(self) -> "Console":
        """Standard error."""
        return terminal_console(stderr=True, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        """Whether standard error is a terminal."""
        return self.console.is_terminal

    def print(self, text: str) -> None:
        """Print a line of rich's markup. Long lines are not cut."""
        self.console.print(text)

    def warn(self, text: str) -> None:
        """Print a line of plain text as a warning."""
        from rich.markup import escape

        self.print(f"[yellow]{escape(text)}[/]")

    def plain(self, text: str) -> None:
        """Print a line of plain text without rich, for messages that accompany JSON at every call."""
        sys.stderr.write(terminal_text(text) + "\n")


messages = Messages()


def emit(records: Iterable[Record], columns: Sequence[str], form: Format, *, title: str | None = None) -> None:
    """Print the columns of records. A table is printed at the end; the other formats are streamed."""
    if form is Format.TABLE:
        _table(records, columns, title)
    elif form is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_csv_cell(record[name]) for name in columns] for record in records)
    elif form is Format.JSONL:
        for record in records:
            sys.stdout.write(_json(record, columns) + "\n")
    else:
        sys.stdout.write("[")
        for number, record in enumerate(records):
            sys.stdout.write((",\n" if number else "\n") + _json(record, columns))
        sys.stdout.write("\n]\n")
    sys.stdout.flush()


def emit_one(record: Record, form: Format, *, title: str | None = None) -> None:
    """Print one record: as an object in JSON, as lines of a name and a value in a table."""
    if form is Format.TABLE:
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=title, show_header=False, box=None, pad_edge=False, title_justify="left")
        table.add_column()
        table.add_column(overflow="fold")  # a key or a link is useless if it is cut
        for name, value in record.items():
            table.add_row(f"[bold]{escape(name)}[/]", escape(_cell(value)))
        terminal_console(soft_wrap=True).print(table)
    elif form is Format.JSON:
        sys.stdout.write(msgspec.json.format(_json(record, list(record))) + "\n")
        sys.stdout.flush()
    else:
        emit([record], list(record), form)


def _table(records: Iterable[Record], columns: Sequence[str], title: str | None) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, header_style="bold", title_justify="left", box=None, pad_edge=False)
    rows = list(records)
    for name in columns:
        number = any(isinstance(row[name], (Decimal, int)) and not isinstance(row[name], bool) for row in rows)
        table.add_column(escape(name.replace("_", " ")), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(row[name])) for name in columns))
    console = terminal_console()
    if not console.is_terminal:
        console.width = max(console.width, 200)
    console.print(table if rows else "[dim]nothing to show[/]")


def _json(record: Record, columns: Sequence[str]) -> str:
    text = msgspec.json.encode({name: export_value(record[name]) for name in columns}).decode()
    return terminal_json(text) if sys.stdout.isatty() else text


def _csv_cell(value: object) -> str | int:
    cell = csv_cell(value)
    return terminal_text(cell) if isinstance(cell, str) and sys.stdout.isatty() else cell


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value:,f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return terminal_text(", ".join(map(str, value)))
    return terminal_text(str(export_value(value)))
