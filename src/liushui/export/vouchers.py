"""Vouchers (凭证) for 用友 and 金蝶: a voucher of two lines for each flow, with the debit line before the credit line.

Both programs keep their books in one currency with two decimals, so a file has the flows of one currency. Targets of
the account map are subject codes (科目编码) of the books. Flows of 0 are left out, because a line must have an amount.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from liushui.errors import ConfigError
from liushui.export.beancount import CHUNK_ENTRIES, text_of
from liushui.export.formats import ExportOptions
from liushui.export.journal import Entry, Journal, Names
from liushui.export.selection import Selection, coverage_lines
from liushui.export.statement import listed, unfit_flows
from liushui.export.xlsx import ROWS_MAX, workbook_parts
from liushui.money import to_plain_string

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

WORD: Final = "记"
"""The kind of all vouchers (凭证字): general ones."""
CODE_MAX: Final = 15
"""Characters of a subject code in 用友's layout."""
SUMMARY_BYTES: Final = 60
"""Bytes of a summary (摘要) in 用友's layout, in GB18030."""
WHOLE_DIGITS_MAX: Final = 13
DECIMALS: Final = 2
"""用友's layout gives an amount 16 characters, 2 of them after the point."""
HEADER: Final = "填制凭证,V800"
"""The first line of 用友's text file."""
ENCODING: Final = "gb18030"

KINGDEE_COLUMNS: Final = (
    *(
        "凭证日期",
        "会计年度",
        "会计期间",
        "凭证字",
        "凭证号",
        "科目代码",
        "科目名称",
        "币别代码",
        "币别名称",
        "原币金额",
    ),
    *("借方", "贷方", "制单", "审核", "核准", "出纳", "经办", "结算方式", "结算号", "凭证摘要", "数量", "数量单位"),
    *("单价", "参考信息", "业务日期", "往来业务编号", "附件数", "序号", "系统模块", "业务描述", "汇率类型", "汇率"),
    *("分录序号", "核算项目", "过账", "机制凭证", "现金流量"),
)
"""The columns of 金蝶's standard voucher format, in order."""

_CODE: Final = re.compile(r"[0-9A-Za-z]+(?:[.-][0-9A-Za-z]+)*", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_UNSAFE: Final = re.compile(r"[,\s\x00-\x1f\x7f\u3000]+")
"""A comma ends a field, because 用友's lines have no quotes."""


class Line(NamedTuple):
    """A line of a voucher (分录). One of `debit` and `credit` is 0."""

    code: str
    debit: str
    credit: str


class Voucher(NamedTuple):
    """A voucher. `number` counts the vouchers of a month, from 1. `month` is that of `day`."""

    day: date
    number: int
    summary: str
    id: str
    lines: tuple[Line, Line]


def yonyou_parts(selection: Selection, options: ExportOptions) -> Iterator[bytes]:
    """The text file of 用友 U8's 总账工具. Raises ConfigError if a voucher cannot be written.

    Its lines have the date, the kind, the number, the number of attachments, the summary, the subject code, debit and
    credit. The summary ends with the id of the flow, because the layout has no field for it.
    """
    journal = _journal(selection, options)
    yield f"{HEADER}\r\n".encode(ENCODING)
    vouchers = _vouchers(journal)
    while chunk := list(islice(vouchers, CHUNK_ENTRIES)):
        yield "".join(map(_yonyou_lines, chunk)).encode(ENCODING)


def _yonyou_lines(voucher: Voucher) -> str:
    begin = f"{voucher.day},{WORD},{voucher.number},0,{_summary(voucher)}"
    return "".join(f"{begin},{line.code},{line.debit},{line.credit}\r\n" for line in voucher.lines)


def _summary(voucher: Voucher) -> str:
    """Return the summary and the id, cut to the bytes of the field."""
    left = SUMMARY_BYTES - len(voucher.id) - 1
    text = _UNSAFE.sub(" ", voucher.summary).strip().encode(ENCODING)[:left].decode(ENCODING, "ignore")
    return f"{text.rstrip()} {voucher.id}".lstrip()


def kingdee_parts(selection: Selection, options: ExportOptions) -> Iterator[bytes]:
    """The workbook of 金蝶's standard voucher format. Raises ConfigError if a voucher cannot be written.

    The id of the flow is the reference (参考信息). Amounts are numbers of two decimals: 13 digits before the point are
    exact in a spreadsheet.
    """
    journal = _journal(selection, options)
    currency = _currency_of(selection)

    def write(book: "Workbook") -> None:
        day_format, sheet, row = book.add_format({"num_format": "yyyy-mm-dd"}), _kingdee_sheet(book, 1), 0
        for voucher in _vouchers(journal):
            if row + len(voucher.lines) >= ROWS_MAX:
                sheet, row = _kingdee_sheet(book, len(book.worksheets()) + 1), 0
            for number, line in enumerate(voucher.lines):
                row += 1
                amount = Decimal(line.debit) or Decimal(line.credit)
                values = {
                    "会计年度": voucher.day.year,
                    "会计期间": voucher.day.month,
                    "凭证字": WORD,
                    "凭证号": voucher.number,
                    "科目代码": line.code,
                    "币别代码": currency,
                    "原币金额": amount,
                    "借方": Decimal(line.debit),
                    "贷方": Decimal(line.credit),
                    "凭证摘要": voucher.summary,
                    "参考信息": voucher.id,
                    "附件数": 0,
                    "汇率": 1,
                    "分录序号": number,
                }
                sheet.write_datetime(row, 0, voucher.day, day_format)
                for name, value in values.items():
                    column = _KINGDEE_PLACES[name]
                    if isinstance(value, str):
                        sheet.write_string(row, column, value)
                    else:
                        sheet.write_number(row, column, value)
        about = book.add_worksheet("About")
        for number, fact in enumerate(coverage_lines(selection)):
            about.write_string(number, 0, fact)

    yield from workbook_parts(write)


_KINGDEE_PLACES: Final = {name: column for column, name in enumerate(KINGDEE_COLUMNS)}


def _kingdee_sheet(book: "Workbook", number: int) -> "Worksheet":
    sheet = book.add_worksheet(f"Page{number}")
    for column, title in enumerate(KINGDEE_COLUMNS):
        sheet.write_string(0, column, title)
    return sheet


# ---------------------------------------------------------------- vouchers


def _vouchers(journal: Journal) -> Iterator[Voucher]:
    """The vouchers, by account and time, numbered within their months."""
    numbers: dict[str, int] = defaultdict(int)
    for entry in journal.entries():
        amount = Decimal(entry.amount)
        if not amount:
            continue
        numbers[entry.day[:7]] += 1
        text = _fixed(amount.copy_abs())
        debit, credit = (entry.asset, entry.counter) if amount > 0 else (entry.counter, entry.asset)
        lines = Line(debit, text, "0.00"), Line(credit, "0.00", text)
        yield Voucher(date.fromisoformat(entry.day), numbers[entry.day[:7]], _text(entry), entry.id, lines)


def _text(entry: Entry) -> str:
    return _UNSAFE.sub(" ", text_of(entry.row)).strip()


def _fixed(amount: Decimal) -> str:
    """An amount with two decimals. Further decimals are zero."""
    whole, _, fraction = to_plain_string(amount).partition(".")
    return f"{whole}.{fraction[:DECIMALS].ljust(DECIMALS, '0')}"


# ---------------------------------------------------------------- checks


def _journal(selection: Selection, options: ExportOptions) -> Journal:
    """Return the selection in double entry, without opening balances: they are not vouchers. Raises ConfigError."""
    _currency_of(selection)
    journal = Journal(selection, options._replace(opening=False), Names(code_error, commodity))
    faults = unfit_flows(selection, longer_than=DECIMALS + 1, fits=fits_voucher)
    if faults:
        raise ConfigError(
            f"amount: expected at most {WHOLE_DIGITS_MAX} digits before the point and {DECIMALS} after it, got others "
            f"in {listed(faults)}"
        )
    return journal


def _currency_of(selection: Selection) -> str:
    """The one currency of the flows. Raises ConfigError if there are several."""
    currencies = {key[1] for part in selection.parts for key in selection.sums(part)}
    if len(currencies) > 1:
        raise ConfigError(
            f"currency: expected flows of one currency, that of the books, got {', '.join(sorted(currencies))}: choose "
            "one with --currency"
        )
    return next(iter(currencies), "")


def code_error(name: str) -> str:
    """Return the fault of a subject code; empty if it is valid."""
    if not _CODE.fullmatch(name) or len(name) > CODE_MAX:
        return f"expected a subject code of at most {CODE_MAX} characters, such as 1002 or 1002.01"
    return ""


def commodity(currency: str) -> str:
    """Return the currency's code in the books. Empty if the code is not three capitals."""
    return currency if _CURRENCY.fullmatch(currency) else ""


def fits_voucher(amount: str) -> bool:
    """Whether an amount's text fits."""
    whole, _, fraction = amount.removeprefix("-").partition(".")
    return len(whole) <= WHOLE_DIGITS_MAX and len(fraction.rstrip("0")) <= DECIMALS
