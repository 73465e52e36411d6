"""WOO X Pro futures transactions, wire <-> canonical. Pure: no I/O, no clock. Field table and identity: MAPPING.md."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from liushui.errors import WireError, short_repr
from liushui.flow import Category, Direction, Flow, Kind
from liushui.money import are_decimals, parse_decimal, to_plain_string
from liushui.provider import DecodedRow, FlowColumns
from liushui.providers.wooxpro.answers import rows_in
from liushui.providers.wooxpro.rules import RULES
from liushui.providers.wooxpro.wire import Transaction
from liushui.wire.decoding import (
    RowReader,
    are_currencies,
    identity_digest,
    identity_digests,
    parse_code,
    parse_currency,
)
from liushui.wire.ranges import parse_integers, parse_steps, steps_to_us, to_steps
from liushui.wire.transport import NO_HEADERS, Answer

TYPES = {1: "Transfer", 2: "Realized PNL", 3: "Funding Fee", 4: "Commission Fee", 5: "Liquidation Clearance"}
OTHER_TYPE = 0
"""The flow_type of a type that is none of TYPES."""

CODES = {
    Kind.TRANSFER: 1,
    Kind.DEPOSIT: 1,
    Kind.WITHDRAWAL: 1,
    Kind.REALIZED_PNL: 2,
    Kind.FUNDING: 3,
    Kind.FEE: 4,
    Kind.LIQUIDATION: 5,
}
"""The flow_type that a kind is written with. The first kind of each is the one that it is read as."""

FUTURES, COPY_TRADING = ACCOUNTS = ("futures", "copy_trading")

FLOW_TYPE: Final = "wooxpro:flow_type"
"""Key in Flow.detail of a flow_type that is not the one of the row's type: its code."""
ACCOUNT: Final = "wooxpro:account"
"""Key in Flow.detail of an account that is none of ACCOUNTS: its name."""

_KINDS = {TYPES[code]: kind for kind, code in reversed(CODES.items())}
_KIND_VALUES = {words: kind.value for words, kind in _KINDS.items()}
_OWN_ACCOUNTS = frozenset(ACCOUNTS)
_TYPE_CODES = {words: code for code, words in TYPES.items()}
_MILLISECONDS = re.compile(r"0|-?[1-9][0-9]{0,14}")
_row = RowReader(Transaction, "a transaction")
_fields = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """The rows of one answer. Raises WireError, or ProviderError by class where the answer is an error."""
    return rows_in(Answer(200, NO_HEADERS, document))


def unix_milliseconds(field: str, value: str | int) -> datetime:
    """Whole Unix milliseconds, as a number or as its plain text, as an instant. Raises WireError naming `field`."""
    if type(value) is str and _MILLISECONDS.fullmatch(value) is None:
        raise WireError(field, f"expected whole Unix milliseconds such as 1570608000000, got {short_repr(value)}")
    return parse_steps(field, int(value), RULES.resolution)


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that does not fit."""
    transaction = _row.read(row)
    return DecodedRow(to_flow(transaction), row, _served(transaction, row))


def to_flow(row: Transaction) -> Flow:
    """Read one row. Raises WireError naming the field that does not fit."""
    at = unix_milliseconds("time", row.time)
    symbol = None if row.symbol is UNSET else row.symbol
    facts = (row.account, row.type, symbol or "", row.asset, row.amount, str(row.time), row.tran_id)
    return Flow(
        identity=identity_digest(facts),
        at=at,
        amount=parse_decimal("amount", row.amount),
        currency=parse_currency("asset", row.asset),
        kind=_KINDS.get(row.type, Kind.OTHER),
        category=Category.FUTURES,
        label=row.type,
        subaccount=row.account,
        ref=row.tran_id,
        symbol=symbol,
        detail=_detail_of(row),
    )


def read_many(rows: Sequence[bytes]) -> FlowColumns | None:
    """What `read` says of rows that are all as the document's table has them."""
    found = _row.read_many(rows)
    if found is None:
        return None
    accounts = [row.account for row in found]
    labels = [row.type for row in found]
    codes = [row.flow_type for row in found]
    amounts = [row.amount for row in found]
    assets = [row.asset for row in found]
    tran_ids = [row.tran_id for row in found]
    symbols = [row.symbol for row in found if isinstance(row.symbol, str)]
    times = [row.time for row in found if isinstance(row.time, str)]
    milliseconds = parse_integers(times)
    if milliseconds is None or not len(symbols) == len(times) == len(found) or not _OWN_ACCOUNTS.issuperset(accounts):
        return None
    at_us = steps_to_us(milliseconds, RULES.resolution)
    if at_us is None or codes != [_TYPE_CODES.get(label) for label in labels]:
        return None
    if not are_decimals(amounts) or not are_currencies(assets):
        return None
    return FlowColumns(
        identity=identity_digests(zip(accounts, labels, symbols, assets, amounts, times, tran_ids, strict=True)),
        at_us=at_us,
        subaccount=accounts,
        amount=amounts,
        currency=assets,
        direction=[Direction.NONE.value] * len(found),
        kind=[_KIND_VALUES[label] for label in labels],
        category=[Category.FUTURES.value] * len(found),
        label=labels,
        ref=tran_ids,
        symbol=symbols,
    )


def _detail_of(row: Transaction) -> dict[str, object] | None:
    """What of a row neither its type nor the document's two accounts can say."""
    detail: dict[str, object] = {}
    if row.flow_type is not UNSET and parse_code("flow_type", row.flow_type) != _type_code(row.type):
        detail[FLOW_TYPE] = row.flow_type
    if row.account not in ACCOUNTS:
        detail[ACCOUNT] = row.account
    return detail or None


def _type_code(words: str) -> int:
    return _TYPE_CODES.get(words, OTHER_TYPE)


def _served(row: Transaction, came: bytes) -> bytes | None:
    """The row as the document's table has it, its other keys included. None: it came so."""
    changed: dict[str, object] = {}
    if row.symbol is UNSET or row.symbol is None:
        changed["symbol"] = ""
    if row.flow_type is UNSET:
        changed["flow_type"] = _type_code(row.type)
    if type(row.time) is int:
        changed["time"] = str(row.time)
    return _encode({**_fields.decode(came), **changed}) if changed else None


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would; it has one language. What this wire cannot say is left out: MAPPING.md."""
    del language
    code = CODES.get(flow.kind, OTHER_TYPE)
    stated = flow.detail.get(FLOW_TYPE) if flow.detail else None
    return _encode(
        Transaction(
            symbol=flow.symbol or "",
            flow_type=stated if type(stated) is int else code,
            type=TYPES[code] if code in TYPES else _other_words(flow),
            amount=to_plain_string(flow.amount),
            asset=flow.currency,
            account=_account_of(flow),
            time=str(to_steps(flow.at, RULES.resolution)),
            tran_id=flow.identity if flow.ref is None else flow.ref,
        )
    )


def _other_words(flow: Flow) -> str:
    """The type of a flow that is none of TYPES: its label, unless that would make it one of them."""
    return flow.kind.value if not flow.label or flow.label in _TYPE_CODES else flow.label


def _account_of(flow: Flow) -> str:
    """The account that a flow belongs to. `server.account_is` finds it by the same facts."""
    stated = flow.detail.get(ACCOUNT) if flow.detail else None
    if type(stated) is str:
        return stated
    return COPY_TRADING if flow.subaccount == COPY_TRADING else FUTURES
