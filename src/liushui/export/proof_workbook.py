"""The proof of cash and the bank reconciliation statement (银行存款余额调节表) of a month, as an Excel workbook.

Figures are text with all digits, each followed by a number, as in the workbook of flows.
"""

import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from liushui.export.xlsx import HINTS
from liushui.instant import to_iso
from liushui.ledger.read.model import Account, Reading
from liushui.ledger.read.open_items import (
    STATEMENT_ROWS,
    BankReconciliation,
    ItemSide,
    OpenItems,
    bank_reconciliations,
    list_open_items,
)
from liushui.ledger.read.proof_lines import FIGURES, AccountMonth, ProofLine
from liushui.money import to_plain_string
from liushui.rules import Paging, Rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xlsxwriter import Workbook
    from xlsxwriter.format import Format

Cell = str | int | Decimal | None
"""A Decimal takes two cells: its text, and its number."""

PROOF_TITLES: Final = ("subaccount", "currency", "figures", *(f"{name}*" for name in FIGURES), "check", "reason")
ITEM_TITLES: Final = ("subaccount", "currency", "item", "项目", "amount*", "at", "age (days)")
OPEN_TITLES: Final = ("kind", "flow", "at", "subaccount", "currency", "amount*", "age (days)")


def proof_workbook(
    reading: Reading, rules: "Mapping[str, Rules[Paging]]", account: Account, proof: AccountMonth
) -> bytes:
    """Write the workbook of an account's month, from the state of the ledger in `reading`."""
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    import xlsxwriter  # imported here because a server without exports should not load these 3 MB

    with xlsxwriter.Workbook(content, options) as book:
        bold = book.add_format({"bold": True})
        _sheet(book, bold, "About", (), [(line,) for line in about_lines(proof)])
        lines = [row for line in proof.lines for row in _proof_rows(line)]
        _sheet(book, bold, "Proof of cash 收支余额核对", PROOF_TITLES, lines)
        statements = bank_reconciliations(reading, account, proof)
        rows = [row for statement in statements for row in _statement_rows(statement)]
        _sheet(book, bold, "银行存款余额调节表", ITEM_TITLES, rows)
        open_items = list_open_items(reading, rules, account, proof.month)
        _sheet(book, bold, "Outstanding 未达账项", OPEN_TITLES, _open_rows(open_items))
    return content.getvalue()


def about_lines(proof: AccountMonth) -> list[str]:
    """Lines that describe the account's month, whether it is complete, and whether it passes."""
    verdict = proof.verdict
    lines = [
        f"account: {proof.account}",
        f"period: {proof.month.name}",
        f"completeness: {verdict.status.value}",
        *(f"gap: {gap.describe()}" for gap in verdict.gaps),
        f"check: {proof.status.value.replace('_', ' ')}",
    ]
    return [*lines, *([f"reason: {proof.reason}"] if proof.reason else []), HINTS[0].partition(" The exact")[0]]


def _proof_rows(line: ProofLine) -> Iterable[Sequence[Cell]]:
    check = line.status.value.replace("_", " ")
    yield line.subaccount, line.currency, "ledger", *line.ledger, check, line.reason
    yield line.subaccount, line.currency, "stated", *line.stated, "", ""
    yield line.subaccount, line.currency, "difference", *line.difference, "", ""


def _statement_rows(statement: BankReconciliation) -> Iterable[Sequence[Cell]]:
    line = statement.line
    amounts: dict[str, Decimal | None] = {
        "ledger_balance": line.ledger.closing,
        **{side.value: statement.total(side) for side in ItemSide},
        "ledger_adjusted": statement.ledger_adjusted,
        "stated_balance": line.stated.closing,
        "bank_adjusted": statement.bank_adjusted,
        "unexplained": statement.unexplained,
    }
    for name, english, chinese in STATEMENT_ROWS:
        yield line.subaccount, line.currency, english, chinese, amounts[name], "", None
        for item in statement.items:
            if item.side.value == name:
                yield "", "", f"flow {item.id}", "", item.amount, to_iso(item.at), item.age_days


def _open_rows(found: OpenItems) -> list[Sequence[Cell]]:
    rows: list[Sequence[Cell]] = [
        (item.kind, item.id, to_iso(item.at), item.subaccount, item.currency, item.amount, item.age_days)
        for item in found.items
    ]
    return rows if rows or not found.reason else [(f"not listed: {found.reason}",)]


def _sheet(book: "Workbook", bold: "Format", name: str, titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """A sheet. A title that ends in `*` has two columns: the exact text, and the number."""
    sheet = book.add_worksheet(name)
    sheet.set_column(0, max(0, 2 * len(titles)), 24)
    header = [
        part for title in titles for part in ((title[:-1], f"{title[:-1]} (number)") if title[-1] == "*" else (title,))
    ]
    for column, title in enumerate(header):
        sheet.write_string(0, column, title, bold)
    for number, row in enumerate(rows, 1 if titles else 0):
        column = 0
        for index, value in enumerate(row):
            if isinstance(value, Decimal):
                sheet.write_string(number, column, to_plain_string(value))
                sheet.write_number(number, column + 1, value)
            elif isinstance(value, int):
                sheet.write_number(number, column, value)
            elif value:
                sheet.write_string(number, column, value)
            column += 2 if titles and titles[index][-1] == "*" else 1
