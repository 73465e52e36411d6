"""OFX 1.02, the version that most programs read: a statement for each account, subaccount and currency.

Source: the Open Financial Exchange Specification 1.0.2. The file uses what both ofxtools and ofxparse read: SGML with
`ENCODING:UTF-8` and `CHARSET:NONE`.
"""

import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from babel.numbers import list_currencies

from liushui.export.beancount import text_of
from liushui.export.formats import ExportOptions
from liushui.export.selection import Selection, StoredRow, coverage_lines
from liushui.export.statement import Limits, Statement, list_statements
from liushui.flow import Kind
from liushui.instant import from_us, to_local, to_us
from liushui.ledger.flow_row import COLUMNS
from liushui.ledger.names import IdentityOf
from liushui.money import to_plain_string

HEADER: Final = """\
OFXHEADER:100
DATA:OFXSGML
VERSION:102
SECURITY:NONE
ENCODING:UTF-8
CHARSET:NONE
COMPRESSION:NONE
OLDFILEUID:NONE
NEWFILEUID:NONE

"""
AMOUNT_MAX: Final = 32
"""The most characters of an amount."""
NAME_MAX, MEMO_MAX, MESSAGE_MAX, REF_MAX, ACCOUNT_MAX = 32, 255, 255, 32, 22
CHUNK_ROWS: Final = 500
_CONTROL: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_TYPES: Final = {
    Kind.FEE: "FEE",
    Kind.INTEREST: "INT",
    Kind.DIVIDEND: "DIV",
    Kind.TRANSFER: "XFER",
}
"""The transaction types of kinds. Other kinds are CREDIT or DEBIT, by their sign."""
_INDEX: Final = {name: index for index, name in enumerate(COLUMNS)}
_ACCOUNT, _AT_US, _ID, _AMOUNT = (_INDEX[name] for name in ("account", "at_us", "id", "amount"))
_KIND, _REF = _INDEX["kind"], _INDEX["ref"]


def ofx_parts(selection: Selection, _options: ExportOptions) -> Iterator[bytes]:
    """Write an OFX file. Raises ConfigError for values that OFX cannot hold: a currency without an ISO code, an unknown
    balance."""
    statements = list_statements(selection, LIMITS)
    now = _time(to_us(selection.reading.now), ZoneInfo("UTC"))
    message = "; ".join(coverage_lines(selection))
    yield (
        f"{HEADER}<OFX>\n<SIGNONMSGSRSV1><SONRS>{_status(message, is_complete=selection.verdict.is_complete)}"
        f"<DTSERVER>{now}<LANGUAGE>ENG</SONRS></SIGNONMSGSRSV1>\n<BANKMSGSRSV1>\n"
    ).encode()
    for statement in statements:
        yield "".join(_begin(statement)).encode()
        rows = statement.rows(selection)
        zone = statement.part.account.name.tz
        while chunk := list(islice(rows, CHUNK_ROWS)):
            yield "".join(_transaction(row, zone, selection.identity_of) for row in chunk).encode()
        yield _end(statement).encode()
    yield b"</BANKMSGSRSV1>\n</OFX>\n"


def _begin(one: Statement) -> Iterator[str]:
    zone = one.part.account.name.tz
    account = one.name if len(one.name) <= ACCOUNT_MAX else one.id[:ACCOUNT_MAX]
    yield f"<STMTTRNRS><TRNUID>{one.id}{_status(one.coverage, is_complete=one.part.verdict.is_complete)}\n"
    yield f"<STMTRS><CURDEF>{one.currency}<BANKACCTFROM><BANKID>{_text(one.part.account.name.provider, 9)}"
    yield f"<ACCTID>{_text(account, ACCOUNT_MAX)}<ACCTTYPE>CHECKING</BANKACCTFROM>\n"
    yield f"<BANKTRANLIST><DTSTART>{_time(one.since_us, zone)}<DTEND>{_time(one.until_us, zone)}\n"


def _transaction(row: StoredRow, zone: ZoneInfo, identity_of: IdentityOf) -> str:
    amount = row[_AMOUNT]
    kind = _TYPES.get(row[_KIND]) or ("DEBIT" if amount[0] == "-" else "CREDIT")
    # ofxtools misreads everything after an empty element.
    ref = _text(row[_REF], REF_MAX) if row[_REF] and len(row[_REF]) <= REF_MAX else ""
    reference = f"<REFNUM>{ref}" if ref else ""
    text = text_of(row)
    return (
        f"<STMTTRN><TRNTYPE>{kind}<DTPOSTED>{_time(row[_AT_US], zone)}<TRNAMT>{amount}"
        f"<FITID>{identity_of(row[_ACCOUNT], row[_ID])}{reference}<NAME>{_text(text, NAME_MAX)}"
        f"<MEMO>{_text(text, MEMO_MAX)}</STMTTRN>\n"
    )


def _end(one: Statement) -> str:
    until = _time(one.until_us, one.part.account.name.tz)
    return (
        f"</BANKTRANLIST>\n<LEDGERBAL><BALAMT>{to_plain_string(one.closing)}<DTASOF>{until}</LEDGERBAL>"
        "</STMTRS></STMTTRNRS>\n"
    )


def _status(message: str, *, is_complete: bool) -> str:
    severity = "INFO" if is_complete else "WARN"
    return f"<STATUS><CODE>0<SEVERITY>{severity}<MESSAGE>{_text(message, MESSAGE_MAX)}</STATUS>"


def _time(at_us: int, zone: ZoneInfo) -> str:
    """Return a local time with its offset in whole hours, `20260102235959[8:HKT]`; in UTC if the offset is not
    whole."""
    at = to_local(from_us(at_us), zone)
    offset = at.utcoffset() or timedelta()
    if offset % timedelta(hours=1):
        at, offset = from_us(at_us).astimezone(UTC), timedelta()
    return f"{at:%Y%m%d%H%M%S}[{offset // timedelta(hours=1)}]"


def _text(text: str, most: int) -> str:
    """Return a text in one line, cut to this length and escaped for SGML."""
    line = _CONTROL.sub(" ", text).strip()
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@cache
def _iso_currencies() -> frozenset[str]:
    return frozenset(list_currencies()) | {"CNH"}


def fits_ofx(amount: str) -> bool:
    """Whether an amount's text fits."""
    return len(amount) <= AMOUNT_MAX and Decimal(amount).is_finite()


LIMITS: Final = Limits(
    names_currency=lambda currency: currency in _iso_currencies(),
    currencies="currencies of ISO 4217",
    fits=fits_ofx,
    longer_than=AMOUNT_MAX,
    expected=f"at most {AMOUNT_MAX} characters",
)
