"""CAMT.053, the bank statement of ISO 20022, in versions .02 to .14. Streamed; entities are not expanded."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from liushui.errors import WireError, short_repr
from liushui.files.cells import ZONE, Cells, encode_cells, parse_amount, parse_time
from liushui.files.content import Content
from liushui.files.contract import Claims, NumberedRow, RowCodec, StatedAmount, Statement, file_rules
from liushui.files.errors import FileError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.rules import Paging, Rules
from liushui.wire.decoding import parse_choice, parse_currency

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001."
DAY: Final = timedelta(days=1)
SIDES: Final = {"CRDT": Direction.IN, "DBIT": Direction.OUT}
IDENTITY: Final = (
    *("#account", "AcctSvcrRef", "NtryRef", "Amt", "Ccy", "CdtDbtInd", "RvslInd", "BookgDt", "ValDt"),
    *("EndToEndId", "TxId", "Ustrd", "AddtlNtryInf"),
)
PATHS: Final = {
    "NtryRef": ("NtryRef",),
    "AcctSvcrRef": ("AcctSvcrRef",),
    "Amt": ("Amt",),
    "CdtDbtInd": ("CdtDbtInd",),
    "RvslInd": ("RvslInd",),
    "Sts": ("Sts",),
    "BookgDt": ("BookgDt",),
    "ValDt": ("ValDt",),
    "BkTxCd": ("BkTxCd",),
    "AddtlNtryInf": ("AddtlNtryInf",),
    "EndToEndId": ("NtryDtls", "TxDtls", "Refs", "EndToEndId"),
    "TxId": ("NtryDtls", "TxDtls", "Refs", "TxId"),
    "Dbtr": ("NtryDtls", "TxDtls", "RltdPties", "Dbtr"),
    "Cdtr": ("NtryDtls", "TxDtls", "RltdPties", "Cdtr"),
    "Ustrd": ("NtryDtls", "TxDtls", "RmtInf", "Ustrd"),
}
"""The XML path of each cell of an entry."""
FAMILIES: Final = (
    ("CHRG", Kind.FEE),
    ("COMM", Kind.FEE),
    ("FEES", Kind.FEE),
    ("INTR", Kind.INTEREST),
    ("TAXE", Kind.TAX),
    ("DVCA", Kind.DIVIDEND),
    ("RCDT", Kind.TRANSFER),
    ("ICDT", Kind.TRANSFER),
    ("RRCT", Kind.TRANSFER),
    ("IRCT", Kind.TRANSFER),
)
"""Codes of a bank transaction's family or subfamily, and kinds."""
OPENING, CLOSING = ("OPBD", "PRCD"), ("CLBD",)


def read(cells: Cells) -> Flow:
    """Return the flow in an entry. The amount has no sign. CdtDbtInd states its side, also for reversals."""
    status = cells.text("Sts") or "BOOK"
    if status != "BOOK":
        raise WireError("Sts", f"expected BOOK, got {short_repr(status)}: an entry that is not booked moves no balance")
    side = parse_choice("CdtDbtInd", cells.required("CdtDbtInd"), SIDES)
    amount = cells.amount("Amt")
    if amount < 0:
        raise WireError("Amt", f"expected 0 or more, got {amount}")
    party = cells.text_or_none("Dbtr" if side is Direction.IN else "Cdtr")
    code = cells.text("BkTxCd")
    return Flow(
        identity=cells.identity(*IDENTITY),
        at=cells.time("BookgDt" if cells.text("BookgDt") else "ValDt", "UTC"),
        amount=-amount if side is Direction.OUT and amount else amount,
        currency=parse_currency("Ccy", cells.required("Ccy")),
        direction=side,
        kind=next((kind for word, kind in FAMILIES if word in code.split()), Kind.OTHER),
        category=Category.CASH,
        label=code,
        subaccount=cells.text("#account"),
        settled_at=cells.time("ValDt", "UTC") if cells.text("ValDt") else None,
        ref=cells.text_or_none("AcctSvcrRef") or cells.text_or_none("NtryRef"),
        order_ref=cells.text_or_none("EndToEndId"),
        name=party,
        note=cells.text_or_none("Ustrd") or cells.text_or_none("AddtlNtryInf"),
        detail=cells.detail("camt053", "RvslInd", "TxId", "NtryRef"),
    )


@dataclass(frozen=True)
class Camt053:
    """The format. A statement names its account and its period, and states the balances at both ends."""

    name: str = "camt053"
    title: str = "CAMT.053 bank statement"
    is_recognised: bool = True
    states_totals: bool = True
    provider: str = ""

    @cached_property
    def rules(self) -> Rules[Paging]:
        """CAMT.053 has no entry id that is unique at every bank."""
        return file_rules("UTC", resolution=DAY, balances=None)

    @cached_property
    def codec(self) -> RowCodec:
        """Reads entries."""
        return RowCodec(read)

    def recognise(self, content: Content) -> bool:
        """Whether the file is XML of one of the namespaces, with any prefix."""
        return content.head.lstrip().startswith("<") and NAMESPACE in content.head

    def explain(self, content: Content) -> str:
        """Return the name of the other ISO 20022 message that the file is. Empty if it is none."""
        for other, what in (
            ("camt.052", "an intraday report"),
            ("camt.054", "a notification"),
            ("camt.056", "a request"),
        ):
            if f"xsd:{other}" in content.head:
                return f"it is {other}, {what}: export the end-of-day statement, camt.053"
        return ""

    def statements(self, content: Content, zone: str) -> Iterator[Statement]:
        """The statements, one after another. Raises FileError if the file is not XML, or was cut off."""
        walk, claims, is_empty = _elements(content), Claims(), True
        for tag, element in walk:
            if tag == "FrToDt":
                claims = _period(element, zone)
            elif tag == "Acct":
                account, is_empty = _first(element, "Id"), False
                yield Statement(_entries(walk, account, zone, claims), claims, account)
                claims = Claims()
        if is_empty:
            raise FileError("expected a statement (Stmt) with an account, got none")


def _elements(content: Content) -> Iterator[tuple[str, Element]]:
    """The balances and entries of all statements, and the account and the end of each."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    path: list[str] = []
    try:
        with content.path.open("rb") as file:
            for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
                tag = element.tag.rpartition("}")[2]
                if event == "start":
                    path.append(tag)
                    continue
                path.pop()
                if (path[-1:] == ["Stmt"] and tag in ("Acct", "Bal", "Ntry", "FrToDt")) or tag == "Stmt":
                    yield tag, element
                    element.clear()
    except ParseError as error:
        raise FileError("the XML is damaged or was cut off: %(error)s", error=error) from error
    except DefusedXmlException as error:
        raise FileError("the XML declares entities, as no bank's does: it is not read") from error


def _entries(walk: Iterator[tuple[str, Element]], account: str, zone: str, claims: Claims) -> Iterator[NumberedRow]:
    """The entries of one statement. Its balances are added to the claims."""
    number = 0
    for tag, element in walk:
        if tag == "Stmt":
            return
        if tag == "Bal":
            _add_balance(element, account, zone, claims)
        elif tag == "Ntry":
            number += 1
            yield NumberedRow(number, encode_cells(_cells_of(element) | {"#account": account, ZONE: zone}))


def _period(period: Element, zone: str) -> Claims:
    """The claims of a statement that states its period."""
    try:
        since, until = (parse_time("FrToDt", _first(period, name), zone) for name in ("FrDtTm", "ToDtTm"))
    except WireError as error:
        raise FileError(str(error)) from error
    return Claims(since, until)


def _cells_of(entry: Element) -> dict[str, str]:
    cells = {name: _at(entry, path) for name, path in PATHS.items()}
    amount = next((child for child in entry if _local(child) == "Amt"), None)
    cells["Ccy"] = "" if amount is None else amount.get("Ccy", "")
    return {name: text for name, text in cells.items() if text}


def _add_balance(balance: Element, account: str, zone: str, claims: Claims) -> None:
    code, amount = _first(balance, "Cd"), next((part for part in balance if _local(part) == "Amt"), None)
    if amount is None or code not in (*OPENING, *CLOSING):
        return
    try:
        value = parse_amount("Bal", amount.text or "")
        at = parse_time("Bal", _first(balance, "Dt") or _first(balance, "DtTm"), zone)
    except WireError as error:
        raise FileError(str(error)) from error
    signed = -value if _first(balance, "CdtDbtInd") == "DBIT" and value else value
    stated = StatedAmount(at, amount.get("Ccy", ""), Decimal(signed), account)
    if code in CLOSING:
        claims.closing.append(stated._replace(at=at + DAY))
    elif not any(known.currency == stated.currency for known in claims.opening):
        claims.opening.append(stated if code == "OPBD" else stated._replace(at=at + DAY))


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _at(element: Element, path: tuple[str, ...]) -> str:
    """The texts at a path, joined. An entry with several transactions has several."""
    elements = [element]
    for name in path:
        elements = [child for parent in elements for child in parent if _local(child) == name]
    texts = (" ".join(text.strip() for text in found.itertext() if text.strip()) for found in elements)
    return " ".join(filter(None, texts))


def _first(element: Element, name: str) -> str:
    """Return the text of the first element with a name, at any depth."""
    found = next((child for child in element.iter() if _local(child) == name), None)
    return "" if found is None else " ".join(text.strip() for text in found.itertext() if text.strip())


FORMAT = Camt053()
