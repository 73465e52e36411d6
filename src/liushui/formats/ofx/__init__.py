"""OFX and QFX, versions 1 (SGML) and 2 (XML): bank and credit card statements."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from liushui.errors import WireError, short_repr
from liushui.files.cells import ZONE, Cells, encode_cells, misfit, parse_amount, parse_time
from liushui.files.content import Content
from liushui.files.contract import Claims, NumberedRow, RowCodec, Statement, file_rules
from liushui.files.errors import FileError
from liushui.flow import Category, Flow, Kind
from liushui.rules import Paging, Rules
from liushui.wire.decoding import parse_currency

ELEMENT_MAX: Final = 64 * 1024
"""Most characters of an element."""
READ_SIZE: Final = 64 * 1024
MOST_HOURS: Final = 14
"""The largest offset of a time zone: Line Islands."""
_NAME: Final = re.compile(r"[A-Z0-9.]+")
_TIME: Final = re.compile(
    r"(?P<day>\d{8})(?:(?P<clock>\d{4}(?:\d\d)?)(?P<fraction>\.\d{1,6})?)?"
    r"(?:\[(?P<sign>[-+]?)(?P<hours>\d{1,2})(?:\.(?P<part>\d+))?(?::[^\]]*)?\])?",
    re.ASCII,
)
_MINUTES: Final = {"": 0, "15": 15, "25": 15, "3": 30, "5": 30, "45": 45, "75": 45}
"""The minutes of an offset by the digits after its point, without trailing zeros. The standard has decimals of an hour
(5.50), ofxtools writes minutes (5.30). Time zones differ by quarters of an hour, so the digits are never ambiguous."""
STATEMENTS: Final = ("STMTRS", "CCSTMTRS")
INVESTMENTS: Final = "INVSTMTRS"
INVESTMENT_TRANSACTIONS: Final = (
    *("INVBANKTRAN", "INCOME", "REINVEST", "INVEXPENSE", "MARGININTEREST", "TRANSFER", "RETOFCAP", "SPLIT"),
    *("CLOSUREOPT", "JRNLFUND", "JRNLSEC"),
)
"""Investment transactions whose names do not begin with BUY or SELL."""
KINDS: Final = {
    "INT": Kind.INTEREST,
    "DIV": Kind.DIVIDEND,
    "FEE": Kind.FEE,
    "SRVCHG": Kind.FEE,
    "DEP": Kind.DEPOSIT,
    "DIRECTDEP": Kind.DEPOSIT,
    "CASH": Kind.WITHDRAWAL,
    "ATM": Kind.WITHDRAWAL,
    "XFER": Kind.TRANSFER,
}


def read(cells: Cells) -> Flow:
    """The flow in a transaction. Its amount has a sign. FITID is unique within an account.

    CURSYM is in CURRENCY if the amount is in that currency. In ORIGCURRENCY, CURSYM is the original currency, and the
    amount is in the statement's currency.
    """
    account = cells.text("#account")
    currency = cells.text("CURSYM") or cells.required("#currency")
    type_ = cells.text("TRNTYPE")
    return Flow(
        identity=cells.record_id("#account", "FITID") if account else cells.record_id("FITID"),
        at=_time("DTPOSTED", cells.required("DTPOSTED"), cells.text(ZONE) or "UTC"),
        amount=parse_amount("TRNAMT", cells.required("TRNAMT"), "," if "," in cells.text("TRNAMT")[-3:] else "."),
        currency=parse_currency("CURSYM", currency),
        kind=KINDS.get(type_, Kind.OTHER),
        category=Category.CASH,
        label=type_,
        subaccount=account,
        ref=cells.text_or_none("FITID"),
        order_ref=cells.text_or_none("CHECKNUM") or cells.text_or_none("REFNUM"),
        name=cells.text_or_none("NAME"),
        note=cells.text_or_none("MEMO"),
    )


def _time(name: str, text: str, zone: str) -> datetime:
    """A time such as `20260102235959[8:HKT]`. A time without a zone is in the account's zone."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise WireError(name, f"expected a time such as 20260102235959[8:HKT], got {short_repr(text)}")
    clock = (match["clock"] or "").ljust(6, "0")
    moment, pattern = f"{match['day']}{clock}{match['fraction'] or ''}", "%Y%m%d%H%M%S"
    patterns = (f"{pattern}.%f" if match["fraction"] else pattern,)
    if match["hours"] is None:
        return parse_time(name, moment, zone, patterns)
    minutes = _MINUTES.get((match["part"] or "").rstrip("0"))
    if minutes is None or int(match["hours"]) > MOST_HOURS:
        raise WireError(name, f"expected an offset of a time zone such as [8:HKT] or [5.5:IST], got {short_repr(text)}")
    offset = timedelta(hours=int(match["hours"]), minutes=minutes)
    try:
        at = parse_time(name, moment, "UTC", patterns)
        return at + offset if match["sign"] == "-" else at - offset
    except OverflowError:
        raise WireError(name, f"expected a time of the calendar, got {short_repr(text)}") from None


@dataclass
class _Head:
    """The part of a statement before its transactions."""

    account: str = ""
    currency: str = ""
    claims: Claims = field(default_factory=Claims)


@dataclass(frozen=True)
class Ofx:
    """The format. A statement has one balance, at its end, so it proves nothing."""

    name: str = "ofx"
    title: str = "OFX or QFX bank statement"
    is_recognised: bool = True
    states_totals: bool = False
    provider: str = ""

    @cached_property
    def rules(self) -> Rules[Paging]:
        """FITID is the id of a record."""
        return file_rules("UTC", id_columns=("FITID", "#account"), balances=None)

    @cached_property
    def codec(self) -> RowCodec:
        """Reads transactions."""
        return RowCodec(read)

    def recognise(self, content: Content) -> bool:
        """Whether the text has the root element."""
        return re.search(r"<OFX>", content.head, re.IGNORECASE) is not None

    def explain(self, content: Content) -> str:
        """Say whether the file has only a header."""
        return "the element <OFX> is missing" if "OFXHEADER" in content.head and not self.recognise(content) else ""

    def statements(self, content: Content, zone: str) -> Iterator[Statement]:
        """The statements, one after another. Raises FileError if the end is missing."""
        walk, is_empty, reason = _elements(content), True, ""
        for _, closes, name, text in walk:
            if name in STATEMENTS and not closes:
                head, is_empty = _Head(), False
                yield Statement(_rows(walk, head, zone), head.claims)
            elif name == INVESTMENTS and not closes:
                is_empty = False
                yield Statement(_investments(walk))
            elif name in ("CODE", "MESSAGE") and text not in ("", "0"):
                reason = f"{reason} {text}"
        if is_empty:
            why = f": the bank says{reason}" if reason else ""
            raise FileError("expected a statement of a bank account or credit card, got none%(why)s", why=why)


Element = tuple[int, bool, str, str]
"""The number of a line, whether the tag closes an element, its name, and the text after it."""


def _elements(content: Content) -> Iterator[Element]:
    """The tags of the file, in their order. Raises FileError if the root element is not closed."""
    number, rest = 1, ""
    with content.open() as text:
        while part := text.read(READ_SIZE):
            *elements, rest = (rest + part).split("<")
            if len(rest) > ELEMENT_MAX:
                raise FileError(
                    "line %(line)s: expected elements of at most %(most)s characters", line=number, most=ELEMENT_MAX
                )
            for element in elements:
                tag, _, value = element.partition(">")
                name = tag.strip("/ ").upper()
                if _NAME.fullmatch(name):
                    yield number, tag.startswith("/"), name, html.unescape(value).strip()
                number += element.count("\n")
    if rest.strip().upper() != "/OFX>":
        raise FileError("the element </OFX> is missing: the file was cut off, so save it again")


def _investments(walk: Iterator[Element]) -> Iterator[NumberedRow]:
    """The transactions of an investment statement, each as a row that is rejected."""
    number, name, texts = 0, "", [""]
    for line, closes, tag, text in walk:
        if closes and tag == INVESTMENTS:
            return
        if name:
            if closes and tag == name:
                yield NumberedRow(number, misfit(f"transactions of investments ({name}) are not read", texts))
                name = ""
            elif text:
                texts.append(f"{tag} {text}")
        elif not closes and not text and (tag.startswith(("BUY", "SELL")) or tag in INVESTMENT_TRANSACTIONS):
            number, name, texts = line, tag, []


def _rows(walk: Iterator[Element], head: _Head, zone: str) -> Iterator[NumberedRow]:
    number = 0
    cells: dict[str, str] | None = None
    is_original = False
    for line, closes, name, text in walk:
        if closes and name in STATEMENTS:
            return
        if name == "STMTTRN":
            if closes and cells is not None:
                context = {"#account": head.account, "#currency": head.currency, ZONE: zone}
                cells |= {name: value for name, value in context.items() if value}
                yield NumberedRow(number, encode_cells(cells))
            number, cells = line, None if closes else {}
        elif name == "ORIGCURRENCY":
            is_original = not closes
        elif closes or not text:
            continue
        elif cells is not None:
            cells[f"ORIG{name}" if is_original else name] = text
        elif name == "CURDEF":
            head.currency = text
        elif name == "ACCTID":
            head.account = text


FORMAT = Ofx()
