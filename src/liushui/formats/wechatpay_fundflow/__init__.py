"""WeChat Pay's 资金账单 of a merchant: rows in the order of the balance, and control totals at the end.

A file that a merchant saves and the document of the API are the same. The provider `wechatpay` therefore reads and
writes its documents here. A row is kept as a JSON object of its cells' texts, as the rows of all statement files are.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from io import StringIO
from typing import Final, NamedTuple

from liushui.errors import WireError, short_repr
from liushui.files.cells import CONTEXT, Cells, clean, parse_amount
from liushui.files.contract import Claims, ControlTotal, NumberedRow, file_rules
from liushui.files.errors import FileError
from liushui.files.tables import CELL_MAX, Header, Line, Lines, TableFormat, find_table
from liushui.flow import Category, Direction, Flow, Kind
from liushui.formats._wallets import CURRENCY, SIDES, ZONE, kind_of, signed
from liushui.money import EXACT, to_plain_string
from liushui.wire.decoding import parse_choice

AT, ORDER, NUMBER, BUSINESS, TYPE, SIDE, AMOUNT, BALANCE = (
    "记账时间",
    "微信支付业务单号",
    "资金流水单号",
    "业务名称",
    "业务类型",
    "收支类型",
    "收支金额(元)",
    "账户结余(元)",
)
APPLICANT, NOTE, VOUCHER = "资金变更提交申请人", "备注", "业务凭证号"
COLUMNS: Final = (AT, ORDER, NUMBER, BUSINESS, TYPE, SIDE, AMOUNT, BALANCE, APPLICANT, NOTE, VOUCHER)
DETAIL_COLUMNS: Final = (BUSINESS, VOUCHER, APPLICANT)
"""The columns that Flow.detail keeps."""
IDENTITY: Final = (*COLUMNS[:7], VOUCHER)
"""All columns but the balance, the applicant and the note. A refund has the order's number, so no number is an id."""
CONTROL: Final = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")
ACCOUNT_TYPE: Final = f"{CONTEXT}account_type"
"""The account that a document of the API is about. No column states it, and a file that was saved by hand does not say
it."""
BASIC: Final = "BASIC"
"""The account type whose flows have no subaccount. Nearly all merchants have only this one."""

KINDS: Final = {
    "交易": Kind.RECEIPT,
    "扣除交易手续费": Kind.FEE,
    "退还交易手续费": Kind.REBATE,
    "退款": Kind.REFUND,
    "退款关闭": Kind.REFUND,
}
"""Kinds by 业务类型."""
BUSINESS_KINDS: Final = {"企业付款": Kind.TRANSFER, "分账": Kind.TRANSFER}
"""Kinds by 业务名称, for types that decide nothing. The side decides for 充值/提现."""
BOTH_WAYS: Final = "充值/提现"


def read(cells: Cells, owner: str = "wechatpay_fundflow") -> Flow:
    """The flow in a row. `owner` is the prefix of the names in Flow.detail. Raises WireError naming the column."""
    side = parse_choice(SIDE, cells.required(SIDE), SIDES)
    type_, account_type = cells.text(TYPE), cells.text(ACCOUNT_TYPE)
    subaccount = "" if account_type == BASIC else account_type
    named = (ACCOUNT_TYPE, *IDENTITY) if subaccount else IDENTITY
    return Flow(
        identity=cells.identity(*named, amounts=(AMOUNT,)),
        at=cells.time(AT, ZONE),
        amount=signed(cells.amount(AMOUNT), side, AMOUNT),
        currency=CURRENCY,
        direction=side,
        kind=KINDS.get(type_) or _kind_of(cells.text(BUSINESS), side),
        category=Category.CASH,
        label=type_,
        subaccount=subaccount,
        balance_after=cells.amount_or_none(BALANCE),
        ref=cells.text_or_none(NUMBER),
        order_ref=cells.text_or_none(ORDER),
        note=cells.text_or_none(NOTE),
        detail=cells.detail(owner, *DETAIL_COLUMNS),
    )


def _kind_of(business: str, side: Direction) -> Kind:
    if business == BOTH_WAYS:
        return Kind.DEPOSIT if side is Direction.IN else Kind.WITHDRAWAL
    return BUSINESS_KINDS.get(business) or kind_of(business)


def read_texts(texts: Mapping[str, str], owner: str) -> Flow:
    """`read` of the texts of a row's cells, by column."""
    return read(Cells(texts), owner)


def read_trailer(cells: Sequence[str], claims: Claims) -> bool:
    """The control header and the control row. Raises WireError."""
    if claims.trailer:
        values = dict(zip(claims.trailer, cells, strict=False))
        for side, rows, amount in ((Direction.IN, *CONTROL[1:3]), (Direction.OUT, *CONTROL[3:])):
            total = parse_amount(amount, values.get(amount, ""))
            claims.totals.append(ControlTotal(_count(rows, values), total, side, CURRENCY))
        claims.totals.append(ControlTotal(_count(CONTROL[0], values), None))
        claims.trailer = []
        return True
    if {*CONTROL} <= {*cells}:
        claims.trailer = list(cells)
        return True
    return False


def _count(column: str, values: Mapping[str, str]) -> int:
    """A number of rows, which may be printed as 20.0. Raises WireError."""
    number = parse_amount(column, values.get(column, ""))
    if number != int(number):
        raise WireError(column, f"expected a whole number of rows, got {number}")
    return int(number)


FORMAT = TableFormat(
    name="wechatpay_fundflow",
    title="微信支付 资金账单",
    rules=file_rules(ZONE, currencies=[CURRENCY]),
    headers=(Header(COLUMNS[:8], COLUMNS[8:]),),
    read=read,
    read_trailer=read_trailer,
    has_totals=True,
    provider="wechatpay",
)


# ---------------------------------------------------------------- documents of the API


def time_of(row: bytes) -> datetime | None:
    """Return the time of a row in the ledger's form, or None if it cannot be read."""
    try:
        return Cells.decode(row).time(AT, ZONE)
    except WireError:
        return None


def read_document(text: str, account_type: str) -> list[bytes]:
    """Return the rows of a document in the ledger's form.

    Raises WireError if the document is not a bill, was cut off, or has control totals that differ from the sums of its
    rows.
    """
    claims = Claims()
    try:
        table = find_table(Lines(_lines_of(text)), FORMAT.headers)
        if table is None:
            raise WireError("document", f"expected the columns {', '.join(COLUMNS[:8])}, got {short_repr(text[:200])}")
        rows = list(FORMAT.rows(table, {ACCOUNT_TYPE: account_type}, claims))
    except FileError as error:
        raise WireError("document", str(error)) from error
    if len(claims.totals) != len(CONTROL) - 2:
        raise WireError("document", f"expected one control row, got {len(claims.totals)} control totals")
    _check_totals(rows, claims.totals)
    return [row for _, row in rows]


def _lines_of(text: str) -> Iterator[Line]:
    csv.field_size_limit(CELL_MAX)
    lines = csv.reader(StringIO(text, newline=""))
    number = 1
    try:
        for cells in lines:
            yield number, list(map(clean, cells))
            number = lines.line_num + 1
    except csv.Error as error:
        raise WireError("document", f"expected CSV, got line {number}: {error}") from error


def _check_totals(rows: Sequence[NumberedRow], totals: Sequence[ControlTotal]) -> None:
    """Raise WireError if a control total differs from the total of the rows."""
    sums = _sums_of(Cells.decode_or_empty(row) for _, row in rows)
    for total in totals:
        if total.direction is Direction.NONE:
            name, got = CONTROL[0], _Sum(len(rows), None)
        else:
            name, got = CONTROL[1 if total.direction is Direction.IN else 3], sums[total.direction]
        if (got.rows, got.amount) != (total.rows, total.amount):
            raise WireError(name, f"the control totals state {_Sum(total.rows, total.amount)}, and the rows have {got}")


class _Sum(NamedTuple):
    """The number of some rows and the sum of their amounts. None: not stated."""

    rows: int | None = 0
    amount: Decimal | None = Decimal(0)

    def __str__(self) -> str:
        rows = f"{self.rows} rows"
        return rows if self.amount is None else f"{rows} of {to_plain_string(self.amount)} {CURRENCY}"


def _sums_of(rows: Iterable[Cells]) -> dict[Direction, _Sum]:
    """Return the sums of both sides. A row counts on neither side if its side or amount cannot be read."""
    counts: defaultdict[Direction, int] = defaultdict(int)
    amounts: defaultdict[Direction, Decimal] = defaultdict(Decimal)
    for cells in rows:
        try:
            side, amount = parse_choice(SIDE, cells.text(SIDE), SIDES), cells.amount(AMOUNT)
        except WireError:
            continue
        counts[side] += 1
        amounts[side] = EXACT.add(amounts[side], amount)
    return {side: _Sum(counts[side], amounts[side]) for side in (Direction.IN, Direction.OUT)}


def write_document(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Write the document with these rows and their control totals. A row maps columns to the texts of its cells."""
    further = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS and name[:1] != CONTEXT)
    columns = (*COLUMNS, *further)
    sums = _sums_of(map(Cells, rows))
    totals = [str(len(rows))]
    for side in (Direction.IN, Direction.OUT):
        totals += [str(sums[side].rows), f"{sums[side].amount:.2f}"]
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"`{row.get(name, '')}" for name in columns] for row in rows)
    writer.writerow(CONTROL)
    writer.writerow([f"`{total}" for total in totals])
    return text.getvalue().encode()


def cell_of(text: str) -> str:
    """Return a text in the form that a cell can hold: in one line, without blanks at its ends."""
    if text.isalnum():  # most cells
        return text
    line = text.replace("\r", "\\r").replace("\n", "\\n").replace("\x01", " ")
    return clean(f"`{line}")
