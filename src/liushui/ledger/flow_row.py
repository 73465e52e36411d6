"""A flow as the ledger's columns hold it, both ways. Order of values: schema.flows."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import repeat
from typing import Final, NamedTuple

import msgspec

from liushui.errors import WireError, short_repr
from liushui.flow import Category, Direction, Flow, Fx, Kind
from liushui.instant import from_us, to_us
from liushui.ledger.schema import flows
from liushui.money import to_plain_string
from liushui.provider import BatchCodec, Codec, DecodedRow, FlowColumns

Row = tuple[object, ...]
"""One row of a table, its values in the order of its columns, amounts as text."""

COLUMNS: Final = tuple(str(column.name) for column in flows.columns)
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
"""Values before this one are the flow; equal ones mean that a row read again has not changed."""

COPY_MARK: Final = "~"
"""Stands between an identity and the ordinal of a further row that is equal to the first."""

KEYS_MAX: Final = {"identity": 500, "subaccount": 200, "currency": 100}
"""Characters of what is part of a key: PostgreSQL's keys have 2,700 bytes in all."""

_SHORT: Final = min(KEYS_MAX.values())
_NUL: Final = rb"\u0000"
"""The character U+0000 as JSON has it: any other way it is no JSON."""

_NOTHING: Final = repeat(None)
_encode = msgspec.json.Encoder().encode
_decode = json.JSONDecoder(parse_float=Decimal).decode
_KINDS = {kind.value: kind for kind in Kind}
_DIRECTIONS = {direction.value: direction for direction in Direction}
_CATEGORIES = {category.value: category for category in Category}


class Rejected(NamedTuple):
    """A row that could not be read: its bytes, the field, what was expected and what came."""

    row: bytes
    field: str
    reason: str


def read_rows(codec: Codec, rows: Sequence[bytes]) -> tuple[list[DecodedRow], list[Rejected]]:
    """Read every row that can be read. One that cannot never hides the others."""
    received: list[DecodedRow] = []
    rejected: list[Rejected] = []
    read = codec.read
    for row in rows:
        try:
            found = read(row)
            row.decode()
        except WireError as error:
            rejected.append(Rejected(row, error.field, error.reason))
        except UnicodeDecodeError as error:  # in a field that the codec passes over: it is kept as text all the same
            rejected.append(Rejected(row, "row", f"expected UTF-8, got byte {row[error.start]:#04x} at {error.start}"))
        else:
            if COPY_MARK in found.flow.identity:
                raise ValueError(f"a codec made the identity {found.flow.identity!r}: {COPY_MARK!r} is the ledger's")
            unkept = unkeepable(found.flow) if len(row) > _SHORT or _NUL in row else None
            if unkept is None:
                received.append(found)
            else:
                rejected.append(Rejected(row, unkept.field, unkept.reason))
    return received, rejected


def unkeepable(flow: Flow) -> WireError | None:
    """Why no engine keeps a flow, for all of them keep the same: a text with the character U+0000, which PostgreSQL has
    no place for, or one that is longer than a key may be. None: it can be kept."""
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
    """Rows that were read together. As good as a list of DecodedRow to whoever commits them, and made much faster."""

    def __init__(self, columns: FlowColumns, wire: Sequence[str]) -> None:
        self._columns = columns
        self._wire = wire

    def __len__(self) -> int:
        return len(self._wire)

    @property
    def at_us(self) -> Sequence[int]:
        """When each was."""
        return self._columns.at_us

    @property
    def filled(self) -> tuple[int, ...]:
        """The places of the columns of schema.flows that a row may have a value for."""
        account, *places, wire, _served, batch = range(len(COLUMNS))
        given = (place for place, column in zip(places, self._columns, strict=True) if column is not None)
        return (account, *given, wire, batch)

    @property
    def wire(self) -> Sequence[str]:
        """The rows as they came."""
        return self._wire

    def to_rows(self, account: str, batch: int) -> list[Row]:
        """The columns of the flows. Equal identities are numbered in the order of their rows' bytes."""
        identity, *columns = self._columns
        columns[0:1] = columns[0], self._ids(identity)
        found = (_NOTHING if column is None else column for column in columns)
        return list(zip(repeat(account), *found, self._wire, _NOTHING, repeat(batch), strict=False))

    def _ids(self, identities: Sequence[str]) -> Sequence[str]:
        if len(set(identities)) == len(identities):
            return identities
        counts = Counter(identities)
        copies: defaultdict[str, list[int]] = defaultdict(list)
        for place, identity in enumerate(identities):
            if counts[identity] > 1:
                copies[identity].append(place)
        ids = list(identities)
        for identity, places in copies.items():
            places.sort(key=self._wire.__getitem__)  # text in the order of its code points is in the order of its bytes
            for ordinal, place in enumerate(places):
                ids[place] = flow_id(identity, ordinal)
        return ids


def read_batch(codec: Codec, rows: Sequence[bytes]) -> RowBatch | None:
    """Read rows at once. None where the codec does not, or some of them have to be read one by one."""
    if not rows or not isinstance(codec, BatchCodec):
        return None
    lines = b"\n".join(rows)
    if _NUL in lines:  # one of them may be unkeepable
        return None
    columns = codec.read_many(rows)
    if columns is None or COPY_MARK in "".join(columns.identity):
        return None
    if any(max(map(len, getattr(columns, name))) > most for name, most in KEYS_MAX.items()):
        return None
    try:
        wire = lines.decode().split("\n")
        if len(wire) != len(rows):  # some have ends of lines inside
            wire = [row.decode() for row in rows]
    except UnicodeDecodeError:
        return None
    return RowBatch(columns, wire)


def wire_rows(received: Iterable[DecodedRow] | RowBatch) -> Iterator[bytes]:
    """The rows as they came."""
    if isinstance(received, RowBatch):
        return (text.encode() for text in received.wire)
    return (row.row for row in received)


def flow_id(identity: str, ordinal: int) -> str:
    """The id of the flow that is number `ordinal` (from 0) of the rows with one identity."""
    return f"{identity}{COPY_MARK}{ordinal}" if ordinal else identity


def identity_of(id_: str) -> str:
    """The identity that an id was made of."""
    return id_.partition(COPY_MARK)[0]


def to_row(account: str, id_: str, received: DecodedRow, batch: int) -> Row:
    """The columns of a flow that was received."""
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
        received.served.decode() if received.served else None,
        batch,
    )


def to_flow(row: Sequence[object]) -> Flow:
    """The flow in the columns of schema.flows."""
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
