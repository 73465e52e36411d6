"""Flows as rows of the ledger, in both directions, and rows as codecs decode them."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from itertools import repeat
from typing import Final, NamedTuple

import msgspec

from liushui.errors import WireError, short_repr
from liushui.flow import Category, Direction, Flow, Fx, Kind
from liushui.instant import from_us, to_us
from liushui.money import to_plain_string
from liushui.provider import BatchCodec, Codec, DecodedRow, FlowColumns

Row = tuple[object, ...]
"""One row of a table: a value for each of its columns, amounts as text."""

COLUMNS: Final = (
    *("account", "at_us", "id", "subaccount", "amount", "currency", "direction", "kind", "category", "label"),
    *("balance_after", "settled_at_us", "ref", "order_ref", "symbol", "name", "price", "quantity", "note"),
    *("fx_currency", "fx_amount", "fx_rate", "detail", "wire", "served", "batch"),
)
"""The columns of schema.flows, in their order."""
AT_US: Final = COLUMNS.index("at_us")
ID: Final = COLUMNS.index("id")
SUBACCOUNT: Final = COLUMNS.index("subaccount")
AMOUNT: Final = COLUMNS.index("amount")
CURRENCY: Final = COLUMNS.index("currency")
DIRECTION: Final = COLUMNS.index("direction")
KIND: Final = COLUMNS.index("kind")
BATCH: Final = COLUMNS.index("batch")
WIRE: Final = COLUMNS.index("wire")
SERVED: Final = COLUMNS.index("served")
FACTS_END: Final = WIRE
"""The columns before this one are the flow. If they are equal, a row that was read again has not changed."""

COPY_MARK: Final = "~"
"""Separates an identity from the ordinal of a copy, in ids."""

KEYS_MAX: Final = {"identity": 500, "subaccount": 200, "currency": 100}
"""The most characters of a field that is part of a key: a key of PostgreSQL's has at most 2,700 bytes in all."""

_SHORT: Final = min(KEYS_MAX.values())
_NUL: Final = rb"\u0000"
"""The character U+0000 in JSON, where it can only be written like this."""

_EMPTY: Final = repeat(None)
_encode = msgspec.json.Encoder().encode
_decode = json.JSONDecoder(parse_float=Decimal).decode
_KINDS = {kind.value: kind for kind in Kind}
_DIRECTIONS = {direction.value: direction for direction in Direction}
_CATEGORIES = {category.value: category for category in Category}


class Rejected(NamedTuple):
    """A row that could not be decoded: its bytes, the field, and the expected and the received value."""

    row: bytes
    field: str
    reason: str
    margin_us: int = 0
    """How far outside its slice a row may lie if its time cannot be read: a service may answer a slightly wider or
    narrower range than requested."""
    is_record: bool = False
    """Whether it has an id, so that equal bytes are the same record wherever they come."""


def read_rows(codec: Codec, rows: Sequence[bytes]) -> tuple[list[DecodedRow], list[Rejected]]:
    """Decode every row that can be decoded. A row that cannot be decoded never hides the others."""
    received: list[DecodedRow] = []
    rejected: list[Rejected] = []
    read = codec.read
    for row in rows:
        try:
            decoded = read(row)
            row.decode()
        except WireError as error:
            rejected.append(Rejected(row, error.field, error.reason))
        except UnicodeDecodeError as error:  # in a field that the codec ignores
            # The ledger stores the whole row as text.
            rejected.append(Rejected(row, "row", f"expected UTF-8, got byte {row[error.start]:#04x} at {error.start}"))
        else:
            if COPY_MARK in decoded.flow.identity:
                raise ValueError(f"a codec made the identity {decoded.flow.identity!r}: {COPY_MARK!r} is the ledger's")
            # A short row without the character cannot have either error: most rows need no further look.
            error_ = storage_error(decoded.flow) if len(row) > _SHORT or _NUL in row else None
            if error_ is None:
                received.append(decoded)
            else:
                rejected.append(Rejected(row, error_.field, error_.reason))
    return received, rejected


def storage_error(flow: Flow) -> WireError | None:
    """Why a flow cannot be stored: a text with the character U+0000, or one that is too long for a key. None: it can.

    Both are PostgreSQL's limits. SQLite would store such flows, but every engine must store the same.
    """
    for name, most in KEYS_MAX.items():
        if len(getattr(flow, name)) > most:
            return WireError(name, f"expected at most {most} characters, got {len(getattr(flow, name))}")
    for name, value in flow._asdict().items():
        if _has_nul(value):
            return WireError(name, f"expected text without the character U+0000, got {short_repr(value)}")
    return None


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(map(_has_nul, value)) or any(map(_has_nul, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_has_nul, value))


class RowBatch:
    """Rows that were decoded together: for a commit as good as a list of DecodedRow, and made much faster."""

    def __init__(self, columns: FlowColumns, wire: Sequence[str]) -> None:
        self._columns = columns
        self._wire = wire

    def __len__(self) -> int:
        return len(self._wire)

    @property
    def at_us(self) -> Sequence[int]:
        """The time of each."""
        return self._columns.at_us

    @property
    def filled(self) -> tuple[int, ...]:
        """The indexes of the columns of schema.flows that are not empty in every row."""
        account, *fields, wire, _served, batch = range(len(COLUMNS))
        given = (index for index, column in zip(fields, self._columns, strict=True) if column is not None)
        return (account, *given, wire, batch)

    @property
    def wire(self) -> Sequence[str]:
        """The rows as they came."""
        return self._wire

    @property
    def columns(self) -> list[Sequence[object] | None]:
        """The columns of schema.flows between `account` and `batch`, with identities in place of ids."""
        identity, at_us, *others = self._columns
        return [at_us, identity, *others, self._wire, None]

    def to_rows(self, account: str, batch: int) -> list[Row]:
        """Rows of schema.flows. Copies are numbered by the bytes of their rows."""
        identity, *columns = self._columns
        columns[0:1] = columns[0], self._ids(identity)
        values = (_EMPTY if column is None else column for column in columns)
        return list(zip(repeat(account), *values, self._wire, _EMPTY, repeat(batch), strict=False))

    def _ids(self, identities: Sequence[str]) -> Sequence[str]:
        if len(set(identities)) == len(identities):
            return identities
        counts = Counter(identities)
        copies: defaultdict[str, list[int]] = defaultdict(list)
        for index, identity in enumerate(identities):
            if counts[identity] > 1:
                copies[identity].append(index)
        ids = list(identities)
        for identity, indexes in copies.items():
            indexes.sort(key=self._wire.__getitem__)  # UTF-8 sorts by bytes as text does by code points
            for ordinal, index in enumerate(indexes):
                ids[index] = flow_id(identity, ordinal)
        return ids


def read_batch(codec: Codec, rows: Sequence[bytes]) -> RowBatch | None:
    """Decode rows together. Returns None if the codec cannot do that, or if some of them must be decoded one by one."""
    if not rows or not isinstance(codec, BatchCodec):
        return None
    # Checks of the whole text at once, which are much faster than checks of each row.
    lines = b"\n".join(rows)
    if _NUL in lines:  # one of them may have a storage_error
        return None
    columns = codec.read_many(rows)
    if columns is None or COPY_MARK in "".join(columns.identity):
        return None
    if any(max(map(len, getattr(columns, name))) > most for name, most in KEYS_MAX.items()):
        return None
    try:
        wire = lines.decode().split("\n")
        if len(wire) != len(rows):  # a row may contain line breaks
            wire = [row.decode() for row in rows]
    except UnicodeDecodeError:
        return None
    return RowBatch(columns, wire)


def wire_rows(received: Iterable[DecodedRow] | RowBatch) -> Iterator[bytes]:
    """The bytes of each row."""
    if isinstance(received, RowBatch):
        return (text.encode() for text in received.wire)
    return (row.row for row in received)


def flow_id(identity: str, ordinal: int) -> str:
    """The id of a flow: copy number `ordinal`, counted from 0, of the rows with one identity."""
    return f"{identity}{COPY_MARK}{ordinal}" if ordinal else identity


def identity_of(id_: str) -> str:
    """The identity in an id."""
    return id_.partition(COPY_MARK)[0]


def served_identity(account: str, id_: str) -> str:
    """The text that identifies a flow to the readers of other providers' APIs, in 32 hex digits. No other flow has it.

    It is computed from the account's name and the flow's id, so equal flows of two accounts have different texts. For a
    renamed account, pass its first name as `account`, so that the text stays the same: see `names.identities_of`.
    """
    return blake2b(f"{account}\0{id_}".encode(), digest_size=16).hexdigest()


def to_row(account: str, id_: str, received: DecodedRow, batch: int) -> Row:
    """The row of schema.flows for a decoded row."""
    # The hottest function of a commit that decodes rows one by one. `_value_` is an attribute, `value` a descriptor.
    flow = received.flow
    if flow.fx is None:
        fx_currency = fx_amount = fx_rate = None
    else:
        fx_currency = flow.fx.currency
        fx_amount, fx_rate = to_plain_string(flow.fx.amount), to_plain_string(flow.fx.rate)
    return (
        account,
        to_us(flow.at),
        id_,
        flow.subaccount,
        to_plain_string(flow.amount),
        flow.currency,
        flow.direction._value_,
        flow.kind._value_,
        flow.category._value_,
        flow.label,
        None if flow.balance_after is None else to_plain_string(flow.balance_after),
        None if flow.settled_at is None else to_us(flow.settled_at),
        flow.ref,
        flow.order_ref,
        flow.symbol,
        flow.name,
        None if flow.price is None else to_plain_string(flow.price),
        None if flow.quantity is None else to_plain_string(flow.quantity),
        flow.note,
        fx_currency,
        fx_amount,
        fx_rate,
        _encode(flow.detail).decode() if flow.detail else None,
        received.row.decode(),
        None if received.served is None else received.served.decode(),
        batch,
    )


def to_flow(row: Sequence[object]) -> Flow:
    """The flow in a row of schema.flows."""
    values = iter(row)
    take = values.__next__
    take()  # account
    at_us, id_, subaccount, amount = take(), take(), take(), take()
    return Flow(
        at=from_us(int(str(at_us))),
        identity=identity_of(str(id_)),
        subaccount=str(subaccount),
        amount=Decimal(str(amount)),
        currency=str(take()),
        direction=_DIRECTIONS[str(take())],
        kind=_KINDS[str(take())],
        category=_CATEGORIES[str(take())],
        label=str(take()),
        balance_after=_decimal(take()),
        settled_at=_instant(take()),
        ref=_optional(take()),
        order_ref=_optional(take()),
        symbol=_optional(take()),
        name=_optional(take()),
        price=_decimal(take()),
        quantity=_decimal(take()),
        note=_optional(take()),
        fx=_fx(values),
        detail=_detail(take()),
    )


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _instant(value: object) -> datetime | None:
    return None if value is None else from_us(int(str(value)))


def _fx(values: Iterator[object]) -> Fx | None:
    currency, amount, rate = next(values), _decimal(next(values)), _decimal(next(values))
    return None if currency is None or amount is None or rate is None else Fx(str(currency), amount, rate)


def _detail(value: object) -> Mapping[str, object] | None:
    if value is None:
        return None
    detail: Mapping[str, object] = _decode(str(value))
    return detail
