"""CAMT.053.001.08, the bank statement of ISO 20022: a statement for each account, subaccount and currency.

Amounts have no sign, and at most 18 digits, 5 of them after the point. A currency is three capitals.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from liushui.export.beancount import text_of
from liushui.export.formats import ExportOptions
from liushui.export.selection import Selection, StoredRow, coverage_lines
from liushui.export.statement import Limits, Statement, digits_of, list_statements
from liushui.instant import from_us, to_iso, to_local
from liushui.ledger.flow_row import COLUMNS, served_identity
from liushui.ledger.names import IdentityOf
from liushui.money import to_plain_string

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
DIGITS_MAX, FRACTION_MAX = 18, 5
ID_MAX, NAME_MAX, TEXT_MAX, INFO_MAX, TYPE_MAX = 34, 70, 140, 500, 35
CHUNK_ROWS: Final = 500
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_NOT_XML: Final = re.compile("[\\s\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")
_INDEX: Final = {name: index for index, name in enumerate(COLUMNS)}
_ACCOUNT, _AT_US, _ID, _AMOUNT = (_INDEX[name] for name in ("account", "at_us", "id", "amount"))
_KIND, _REF, _CURRENCY_INDEX = _INDEX["kind"], _INDEX["ref"], _INDEX["currency"]


def camt053_parts(selection: Selection, _options: ExportOptions) -> Iterator[bytes]:
    """Write a CAMT.053 file. Raises ConfigError for values that it cannot hold: a currency of other letters, an unknown
    balance."""
    statements = list_statements(selection, LIMITS)
    created = to_iso(selection.reading.now)
    coverage = "; ".join(coverage_lines(selection))
    message = served_identity("", f"{coverage} {created}")
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{NAMESPACE}"><BkToCstmrStmt>\n'
        f"<GrpHdr><MsgId>{message}</MsgId><CreDtTm>{created}</CreDtTm>"
        f"<AddtlInf>{_text(coverage, INFO_MAX)}</AddtlInf></GrpHdr>\n"
    ).encode()
    for statement in statements:
        yield "".join(_begin(statement, created)).encode()
        rows = statement.rows(selection)
        zone = statement.part.account.name.tz
        while chunk := list(islice(rows, CHUNK_ROWS)):
            yield "".join(_entry(row, zone, selection.identity_of) for row in chunk).encode()
        yield f"<AddtlStmtInf>{_text(statement.coverage, INFO_MAX)}</AddtlStmtInf></Stmt>\n".encode()
    yield b"</BkToCstmrStmt></Document>\n"


def _begin(one: Statement, created: str) -> Iterator[str]:
    zone = one.part.account.name.tz
    since, until = _time(one.since_us, zone), _time(one.until_us, zone)
    account = one.name if len(_text(one.name, len(one.name))) <= ID_MAX else one.id
    yield f"<Stmt><Id>{one.id}</Id><CreDtTm>{created}</CreDtTm>"
    yield f"<FrToDt><FrDtTm>{since}</FrDtTm><ToDtTm>{until}</ToDtTm></FrToDt>"
    yield f"<Acct><Id><Othr><Id>{_text(account, ID_MAX)}</Id></Othr></Id><Ccy>{one.currency}</Ccy>"
    yield f"<Nm>{_text(one.name, NAME_MAX)}</Nm></Acct>\n"
    yield _balance("OPBD", one.opening, one.currency, since[:10])
    yield _balance("CLBD", one.closing, one.currency, _time(one.until_us - 1, zone)[:10])
    yield f"<TxsSummry><TtlNtries><NbOfNtries>{one.flows}</NbOfNtries></TtlNtries></TxsSummry>\n"


def _balance(code: str, amount: Decimal, currency: str, day: str) -> str:
    text = to_plain_string(amount)
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{currency}">{_unsigned(text)}</Amt>'
        f"<CdtDbtInd>{_side(text)}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>\n"
    )


def _entry(row: StoredRow, zone: ZoneInfo, identity_of: IdentityOf) -> str:
    amount, id_, at = row[_AMOUNT], identity_of(row[_ACCOUNT], row[_ID]), _time(row[_AT_US], zone)
    ref = _text(row[_REF], TYPE_MAX) if row[_REF] and len(row[_REF]) <= TYPE_MAX else ""
    reference = f"<Refs><EndToEndId>{ref}</EndToEndId></Refs>" if ref else ""
    text = _text(text_of(row), TEXT_MAX) or row[_KIND]
    return (
        f'<Ntry><NtryRef>{id_}</NtryRef><Amt Ccy="{row[_CURRENCY_INDEX]}">{_unsigned(amount)}</Amt>'
        f"<CdtDbtInd>{_side(amount)}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><DtTm>{at}</DtTm></BookgDt>"
        f"<ValDt><Dt>{at[:10]}</Dt></ValDt><AcctSvcrRef>{id_}</AcctSvcrRef>"
        f"<BkTxCd><Prtry><Cd>{row[_KIND]}</Cd></Prtry></BkTxCd>"
        f"<NtryDtls><TxDtls>{reference}<RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls>"
        "</NtryDtls></Ntry>\n"
    )


def _side(amount: str) -> str:
    return "DBIT" if amount[0] == "-" and amount.strip("-0.") else "CRDT"


def _unsigned(amount: str) -> str:
    """Return an amount without its sign, and without trailing zeros if it has too many digits after the point."""
    text = amount.removeprefix("-")
    whole, _, fraction = text.partition(".")
    return text if len(fraction) <= FRACTION_MAX else f"{whole}.{fraction.rstrip('0') or '0'}"


def _time(at_us: int, zone: ZoneInfo) -> str:
    """A local time to the second, with its offset."""
    return to_local(from_us(at_us), zone).isoformat(timespec="seconds")


def _text(text: str, most: int) -> str:
    """Return a text in one line, cut to this length and escaped for XML."""
    line = _NOT_XML.sub(" ", text).strip()
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fits_camt(amount: str) -> bool:
    """Whether an amount's text fits."""
    fraction = amount.partition(".")[2].rstrip("0")
    return len(fraction) <= FRACTION_MAX and digits_of(_unsigned(amount)) <= DIGITS_MAX


LIMITS: Final = Limits(
    names_currency=lambda currency: _CURRENCY.fullmatch(currency) is not None,
    currencies="currencies of three capitals",
    fits=fits_camt,
    longer_than=FRACTION_MAX + 1,  # shorter texts never have too many digits
    expected=f"at most {DIGITS_MAX} digits, and {FRACTION_MAX} of them after the point",
)
