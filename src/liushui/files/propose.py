"""A first mapping for a table, guessed from its header and its first rows. The user checks it."""

import re
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingType
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

from liushui.files.check_proposal import checked
from liushui.files.content import Content
from liushui.files.errors import FileError
from liushui.files.mapping import Columns, Mapping
from liushui.files.tables import DELIMITERS, PREFACE_MAX, Line, lines_of, normal

ROWS_LOOKED_AT: Final = 200
UNKNOWN_CURRENCY: Final = "?"

NAMES: Final[MappingType[str, Sequence[str]]] = {
    "time": (
        *("交易时间", "交易日期", "记账时间", "记账日期", "入账时间", "入账日期", "交易日", "记账日", "日期", "时间"),
        *("date", "time", "booking date", "transaction date", "buchungstag", "datum", "timestamp"),
    ),
    "money_in": (
        *("收入", "收入金额", "贷方发生额", "贷方金额", "贷记金额", "存入", "存入金额", "转入金额", "收款金额"),
        *("credit", "credits", "credit amount", "money in", "paid in", "deposit", "deposits", "haben"),
    ),
    "money_out": (
        *("支出", "支出金额", "借方发生额", "借方金额", "借记金额", "支取", "支取金额", "取出", "取出金额", "转出金额"),
        *("付款金额", "debit", "debits", "debit amount", "money out", "paid out", "withdrawal", "withdrawals", "soll"),
    ),
    "amount": (
        *("交易金额", "金额", "发生额", "发生金额", "收付金额", "清算金额", "收支金额"),
        *("amount", "billing amount", "betrag", "value", "change"),
    ),
    "side": (
        *("收/支", "收支类型", "收支", "借贷", "借贷标志", "借/贷", "收支标志"),
        *("direction", "in/out", "dr/cr", "cr/dr", "d/c", "credit/debit", "credit / debit", "debit/credit"),
    ),
    "balance": ("余额", "账户余额", "本次余额", "联机余额", "balance", "saldo", "running balance"),
    "currency": ("币种", "货币", "币别", "currency", "ccy", "billing currency", "währung", "asset", "coin"),
    "fee": ("手续费", "fee", "commission"),
    "id": ("流水号", "交易流水号", "交易号", "transaction id", "reference", "txid", "id", "referenz"),
    "label": (
        *("摘要", "交易类型", "交易摘要", "交易名称", "交易描述", "业务名称"),
        *("type", "transaction type", "buchungstext", "description"),
    ),
    "name": ("对方户名", "对方账户名", "对方名称", "交易对方", "对手信息", "counterparty", "payee", "name"),
    "note": ("备注", "附言", "用途", "memo", "note", "remarks", "verwendungszweck"),
}
"""The usual names of each column of a mapping in tables, the best name first."""

_NO_SIGNED_AMOUNT: Final = re.compile(
    r"收入|支出|存入|支取|取出|转入|转出|收款|付款|贷方|借方|贷记|借记|余额|手续费|日期|时间"
    r"|\b(?:credits?|debits?|in|out|deposits?|withdrawals?|balance|fee|date)\b"
)
"""Words in the names of columns that have no signed amount: the column has the amounts of one side, or something
else."""

_DAYS: Final = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
    "%Y年%m月%d日",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%Y.%m.%d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %B %Y",
    "%b %d, %Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%y-%m-%d",
)
_TIMES: Final = ("", " %H:%M:%S", " %H:%M", " %H%M%S", "%H%M%S", " %I:%M:%S %p", " %I:%M %p")
FORMATS: Final = tuple(day + time for day in _DAYS for time in _TIMES)

IN_WORDS: Final = ("收入", "收", "贷", "贷方", "入", "转入", "存入", "in", "credit", "cr", "c", "deposit", "+")
OUT_WORDS: Final = (
    "支出",
    "支",
    "借",
    "借方",
    "出",
    "转出",
    "支取",
    "取出",
    "out",
    "debit",
    "dr",
    "d",
    "withdrawal",
    "-",
)

_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
_SIGNS: Final = {"¥": "CNY", "￥": "CNY", "HK$": "HKD", "€": "EUR", "£": "GBP"}
_DECIMAL_COMMA: Final = re.compile(r"[^,]*,(?:[0-9]{1,2}|[0-9]{4,})")
_DECIMAL_POINT: Final = re.compile(r"[^.]*\.(?:[0-9]{1,2}|[0-9]{4,})")


class Proposal(NamedTuple):
    """A mapping, as it is read and as it is written to a file, with remarks. `doubt`: why it may be wrong, or empty."""

    mapping: Mapping
    text: str
    doubt: str = ""


class _Table(NamedTuple):
    delimiter: str
    header_line: int
    header: list[str]
    rows: list[list[str]]
    columns: dict[str, str]
    """The column of the table for each of NAMES that exists."""

    def values(self, name: str) -> list[str]:
        """The texts in the column of a mapping's name."""
        return self.texts(self.columns[name])

    def texts(self, column: str) -> list[str]:
        """The texts in a column of the table."""
        index = self.header.index(column)
        return [row[index] for row in self.rows if row[index]]


def propose(content: Content) -> Proposal:
    """A first mapping. Raises FileError if no line looks like a header with a time and an amount."""
    table = _best_table(content)
    if table is None:
        raise FileError("no line looks like a header with a time and an amount: write a mapping as docs/files.md shows")
    columns = dict(table.columns)
    times, date_format, is_ambiguous = _times(table)
    mark = _decimal_mark(table)
    words = _words(table)
    if "amount" in columns:
        columns.pop("money_in", None)
        columns.pop("money_out", None)
    if words is None:
        columns.pop("side", None)
    is_chinese = any(_CHINESE.search(cell) for cell in table.header)
    currency = "" if "currency" in columns else _currency(table, is_chinese=is_chinese)
    texts = {name: column for name, column in columns.items() if name != "time"}
    mapping = Mapping(
        columns=Columns(time=times[0] if len(times) == 1 else times, **texts),
        date_format=date_format,
        zone="Asia/Shanghai" if is_chinese else "UTC",
        decimal_mark=mark,
        currency=currency,
        in_words=words[0] if words else [],
        out_words=words[1] if words else [],
        skip_lines=table.header_line - 1,
        delimiter=table.delimiter if table.delimiter != "," else "",
    )
    mapping, doubt = checked(mapping, table.header, table.rows)
    return Proposal(mapping, _to_toml(mapping, doubt, is_ambiguous=is_ambiguous), doubt)


# ---------------------------------------------------------------- the table


def _best_table(content: Content) -> _Table | None:
    """The table whose header has the most of the known columns."""
    best: _Table | None = None
    marks = [""] if content.is_workbook else [mark for mark in DELIMITERS if mark in content.head]
    for mark in marks:
        for lines in lines_of(content, mark or None):
            first = list(islice(lines, PREFACE_MAX + ROWS_LOOKED_AT))
            table = _table_in(first, mark)
            if table is not None and (best is None or len(table.columns) > len(best.columns)):
                best = table
    return best


def _table_in(lines: Sequence[Line], delimiter: str) -> _Table | None:
    best: _Table | None = None
    for index, (number, cells) in enumerate(lines[:PREFACE_MAX]):
        columns = _columns_of(cells)
        has_amount = "amount" in columns or {"money_in", "money_out"} <= columns.keys()
        if "time" in columns and has_amount and (best is None or len(columns) > len(best.columns)):
            width = len(cells)
            rows = [row[:width] for _, row in lines[index + 1 :] if len(row) >= width and not any(row[width:])]
            best = _Table(delimiter, number, cells, rows, columns)
    return best


def _columns_of(cells: Sequence[str]) -> dict[str, str]:
    """Return which of NAMES a header's cells contain. A cell is used once; equal names have priority over parts."""
    columns: dict[str, str] = {}
    for is_equal in (True, False):
        for name, spellings in NAMES.items():
            if name in columns:
                continue
            free = [cell for cell in cells if cell not in columns.values()]
            if name == "amount":
                free = [cell for cell in free if not _NO_SIGNED_AMOUNT.search(normal(cell))]
            cell = _cell_named(free, spellings, is_equal=is_equal)
            if cell is not None:
                columns[name] = cell
    return columns


def _cell_named(cells: Sequence[str], spellings: Sequence[str], *, is_equal: bool) -> str | None:
    for spelling in spellings:
        for cell in cells:
            text = normal(cell)
            bare = re.sub(r"[(\[].*", "", text).strip()
            if bare == spelling if is_equal else _has_word(text, spelling):
                return cell
    return None


def _has_word(text: str, word: str) -> bool:
    if _CHINESE.search(word):
        return word in text
    return re.search(rf"\b{re.escape(word)}\b", text) is not None


# ---------------------------------------------------------------- what its values look like


def _times(table: _Table) -> tuple[list[str], str, bool]:
    """The columns of the time, its format, and whether another format would fit as well."""
    named = [cell for cell in table.header if any(_has_word(normal(cell), name) for name in NAMES["time"])]
    clocks = [cell for cell in table.header if _are_most(table.texts(cell), _is_clock)]
    days = [cell for cell in named if cell not in clocks]
    first = table.columns["time"] if table.columns["time"] in days else next(iter(days), table.columns["time"])
    columns, texts = [first], table.texts(first)
    if clocks and first not in clocks and not any(":" in text for text in texts):
        columns.append(clocks[0])
        day, clock = table.header.index(first), table.header.index(clocks[0])
        texts = [f"{row[day]} {row[clock]}" for row in table.rows if row[day] and row[clock]]
    fitting = [known for known in FORMATS if _are_most(texts, partial(_fits, known))]
    if not fitting or (_are_most(texts, _is_iso) and "%Y%m%d" not in fitting):
        return columns, "", False
    return columns, fitting[0], {"%d/%m/%Y", "%m/%d/%Y"} <= {known.split(" ")[0] for known in fitting}


def _are_most(texts: Sequence[str], check: Callable[[str], bool]) -> bool:
    """Whether nearly all texts pass a check. A table may have lines that are not rows."""
    return bool(texts) and 10 * sum(map(check, texts)) >= 6 * len(texts)


def _is_clock(text: str) -> bool:
    return re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?|([01]\d|2[0-3])[0-5]\d[0-5]\d", text) is not None


def _fits(pattern: str, text: str) -> bool:
    try:
        datetime.strptime(text, pattern)  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True


def _is_iso(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _amount_texts(table: _Table) -> list[str]:
    return [
        text for name in ("amount", "money_in", "money_out") if name in table.columns for text in table.values(name)
    ]


def _decimal_mark(table: _Table) -> str:
    texts = _amount_texts(table)
    commas = sum(_DECIMAL_COMMA.fullmatch(text) is not None for text in texts)
    points = sum(_DECIMAL_POINT.fullmatch(text) is not None for text in texts)
    return "," if commas > points else "."


def _words(table: _Table) -> tuple[list[str], list[str]] | None:
    """The words for money in and money out. None: no such column, or the amounts have signs."""
    if "side" not in table.columns or "amount" not in table.columns:
        return None
    words = list(dict.fromkeys(table.values("side")))
    coming = [word for word in words if normal(word) in IN_WORDS]
    going = [word for word in words if normal(word) in OUT_WORDS]
    if not coming and not going:
        return None
    return coming or ["收入"], going or ["支出"]


def _currency(table: _Table, *, is_chinese: bool) -> str:
    for text in (*table.header, *_amount_texts(table)):
        for sign, currency in _SIGNS.items():
            if sign in text:
                return currency
        if code := re.search(r"\b(USD|EUR|GBP|HKD|CNY|JPY|SGD|USDT|AUD|CHF)\b", text):
            return code[1]
    return "CNY" if is_chinese else UNKNOWN_CURRENCY


# ---------------------------------------------------------------- as a file


def _to_toml(mapping: Mapping, doubt: str, *, is_ambiguous: bool) -> str:
    """The mapping with remarks on what to check."""
    columns = mapping.columns
    lines = [
        "# How liushui reads this table. Check each line: `liushui import FILE --map THIS --dry-run` shows the result."
    ]
    if doubt:
        lines.append(f"# In doubt: {doubt}.")
    lines += [f"skip_lines = {mapping.skip_lines}  # lines before the header"]
    if mapping.delimiter:
        lines.append(f"delimiter = {_quoted(mapping.delimiter)}")
    format_ = (
        f"date_format = {_quoted(str(mapping.date_format))}" if mapping.date_format else '# date_format = "%d/%m/%Y"'
    )
    remark = "check the order of day and month: both would fit" if is_ambiguous else "as strptime; without it: ISO 8601"
    lines.append(f"{format_}  # {remark}")
    lines.append(f"zone = {_quoted(mapping.zone)}  # of times that have none")
    lines.append(f"decimal_mark = {_quoted(mapping.decimal_mark)}")
    if not columns.currency:
        unknown = mapping.currency == UNKNOWN_CURRENCY
        lines.append(
            f"currency = {_quoted(mapping.currency)}  # the table does not say it{': write it here' if unknown else ''}"
        )
    if columns.side:
        lines.append(f"in_words = [{', '.join(map(_quoted, mapping.in_words))}]  # in the column `side`: money in")
        lines.append(f"out_words = [{', '.join(map(_quoted, mapping.out_words))}]")
    elif columns.amount:
        lines.append(f"negate = {str(mapping.negate).lower()}  # true: amounts above zero are money out")
    lines += ["", "[columns]  # NAME = the column of the table"]
    times = columns.times
    listed = ", ".join(map(_quoted, times))
    lines.append(f"time = {listed}" if len(times) == 1 else f"time = [{listed}]")
    for name in Columns.__struct_fields__[1:]:
        if column := getattr(columns, name):
            lines.append(f"{name} = {_quoted(column)}")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'
