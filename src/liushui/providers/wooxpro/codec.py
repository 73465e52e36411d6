"""Converts WOO X Pro's rows to flows and back.

Pure: no I/O, no clock. MAPPING.md describes the fields and the identity.
"""

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
from liushui.providers.wooxpro.rules import RULES
from liushui.providers.wooxpro.wire import Transaction, parse_page
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
"""The flow_type of a row whose type is not in TYPES."""

CODES = {
    Kind.TRANSFER: 1,
    Kind.DEPOSIT: 1,
    Kind.WITHDRAWAL: 1,
    Kind.REALIZED_PNL: 2,
    Kind.FUNDING: 3,
    Kind.FEE: 4,
    Kind.LIQUIDATION: 5,
}
"""The flow_type of each kind. If several kinds share a flow_type, reading it gives the first of them."""

FUTURES, COPY_TRADING = ACCOUNTS = ("futures", "copy_trading")

FLOW_TYPE: Final = "wooxpro:flow_type"
"""Key in Flow.detail for a flow_type that contradicts the row's type."""
ACCOUNT: Final = "wooxpro:account"
"""Key in Flow.detail for an account that is not in ACCOUNTS."""

_KINDS = {TYPES[code]: kind for kind, code in reversed(CODES.items())}
_KIND_VALUES = {name: kind.value for name, kind in _KINDS.items()}
_OWN_ACCOUNTS = frozenset(ACCOUNTS)
_TYPE_CODES = {name: code for code, name in TYPES.items()}
_MILLISECONDS = re.compile(r"0|-?[1-9][0-9]{0,14}")
_row = RowReader(Transaction, "a transaction")
_fields = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


def extract_rows(document: bytes) -> Sequence[bytes]:
    """Return the rows of one saved answer. Raises WireError, or a ProviderError by class for an error answer."""
    return parse_page(Answer(200, NO_HEADERS, document))


def parse_unix_milliseconds(field: str, value: str | int) -> datetime:
    """Parse whole Unix milliseconds: a number, or its plain text. Raises WireError naming `field`."""
    if type(value) is str and _MILLISECONDS.fullmatch(value) is None:
        raise WireError(field, f"expected whole Unix milliseconds such as 1570608000000, got {short_repr(value)}")
    return parse_steps(field, int(value), RULES.resolution)


def read(row: bytes) -> DecodedRow:
    """Read one row. Raises WireError naming the field that is not valid."""
    transaction, documented = _row.read_lenient(row)
    return DecodedRow(to_flow(transaction), row, _served(transaction, documented or row) or documented)


def to_flow(row: Transaction) -> Flow:
    """Return the flow in a row. Raises WireError naming the field that is not valid."""
    at = parse_unix_milliseconds("time", row.time)
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
    """Read rows that all have the form in the document's table. Returns None if `read` has to read one of them."""
    transactions = _row.read_many(rows)
    if transactions is None:
        return None
    accounts = [row.account for row in transactions]
    labels = [row.type for row in transactions]
    codes = [row.flow_type for row in transactions]
    amounts = [row.amount for row in transactions]
    assets = [row.asset for row in transactions]
    tran_ids = [row.tran_id for row in transactions]
    symbols = [row.symbol for row in transactions if isinstance(row.symbol, str)]
    times = [row.time for row in transactions if isinstance(row.time, str)]
    milliseconds = parse_integers(times)
    if milliseconds is None or not len(symbols) == len(times) == len(rows) or not _OWN_ACCOUNTS.issuperset(accounts):
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
        direction=[Direction.NONE.value] * len(rows),
        kind=[_KIND_VALUES[label] for label in labels],
        category=[Category.FUTURES.value] * len(rows),
        label=labels,
        ref=tran_ids,
        symbol=symbols,
    )


def _detail_of(row: Transaction) -> dict[str, object] | None:
    """Return Flow.detail: facts that the row's type and the document's two accounts do not already state."""
    detail: dict[str, object] = {}
    if row.flow_type is not UNSET and parse_code("flow_type", row.flow_type) != _type_code(row.type):
        detail[FLOW_TYPE] = row.flow_type
    if row.account not in ACCOUNTS:
        detail[ACCOUNT] = row.account
    return detail or None


def _type_code(type_: str) -> int:
    return _TYPE_CODES.get(type_, OTHER_TYPE)


def _served(row: Transaction, received: bytes) -> bytes | None:
    """Return the row in the form of the document's table, with its further keys. Returns None if it was received in
    that form."""
    changed: dict[str, object] = {}
    if row.symbol is UNSET or row.symbol is None:
        changed["symbol"] = ""
    if row.flow_type is UNSET:
        changed["flow_type"] = _type_code(row.type)
    if type(row.time) is int:
        changed["time"] = str(row.time)
    return _encode({**_fields.decode(received), **changed}) if changed else None


def write(flow: Flow, language: str | None = None) -> bytes:
    """Write one row as the service would. MAPPING.md lists the fields of a flow that this API does not have."""
    del language  # the service has one language
    code = CODES.get(flow.kind, OTHER_TYPE)
    stated = flow.detail.get(FLOW_TYPE) if flow.detail else None
    return _encode(
        Transaction(
            symbol=flow.symbol or "",
            flow_type=stated if type(stated) is int else code,
            type=TYPES[code] if code in TYPES else _other_type(flow),
            amount=to_plain_string(flow.amount),
            asset=flow.currency,
            account=_account_of(flow),
            time=str(to_steps(flow.at, RULES.resolution)),
            tran_id=flow.identity if flow.ref is None else flow.ref,
        )
    )


def _other_type(flow: Flow) -> str:
    """Return the type for a flow without a flow_type: its label. If the label is empty or names another type, return
    its kind."""
    return flow.kind.value if not flow.label or flow.label in _TYPE_CODES else flow.label


def _account_of(flow: Flow) -> str:
    """Return the account of a flow. `server.has_account` selects flows by the same rule."""
    stated = flow.detail.get(ACCOUNT) if flow.detail else None
    if type(stated) is str:
        return stated
    return COPY_TRADING if flow.subaccount == COPY_TRADING else FUTURES
