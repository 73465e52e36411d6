"""Decides which rows of files are the same record, and how two versions of it differ.

Used if the provider's records have ids.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import astuple
from sqlalchemy.engine import Connection

from liushui.importing.identity_times import TimeIndex
from liushui.instant import from_us, to_iso
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.findings import WORDS
from liushui.ledger.flow_row import AT_US, COLUMNS, FACTS_END, ID, WIRE, Row, identity_of
from liushui.rules import Paging, RecordId, Rules, Uniqueness

_NUMBER: Final = re.compile(r"-?[0-9]+\.[0-9]+|-?0", re.ASCII)
"""A decimal number with digits after its point, or zero. In 10 the zero is significant."""
_DECIMALS: Final = frozenset(("amount", "balance_after", "price", "quantity", "fx_amount", "fx_rate"))
_TIMES: Final = {"at_us": "at", "settled_at_us": "settled_at"}
"""Columns of instants, and their names for users."""
_COMPARED: Final = tuple(
    (index, name) for index, name in enumerate(COLUMNS[:FACTS_END]) if name not in WORDS and name != "detail"
)
_SUBACCOUNT: Final = COLUMNS.index("subaccount")
_DETAIL: Final = COLUMNS.index("detail")
REF: Final = COLUMNS.index("ref")
_KEYS_READ: Final = 5_000
_microsecond: Final = timedelta(microseconds=1)
_fields = msgspec.json.Decoder(dict[str, object])


Facts = tuple[object, ...]
"""The values that are equal in two equal versions of a record."""
Kind = tuple[object, ...]
"""The values that distinguish records with the same id."""


class FieldDifference(NamedTuple):
    """A field in which a file's version of a record differs from the ledger's. None: the field has no value."""

    field: str
    held: str | None
    imported: str | None


class Difference(NamedTuple):
    """A row whose record is known with other facts. `row` is its number in its file, `ref` the record's id."""

    row: int
    ref: str
    at_us: int
    fields: Sequence[FieldDifference]
    is_restated: bool
    """Whether the file's version is now the current one."""


class TimesNeededError(Exception):
    """Raised in a transaction that needs the other times of records: see `Records.load`."""


class Records:
    """The known records of an account, for an import that merges one document after another."""

    def __init__(self, record_id: RecordId, resolution: timedelta, *, restate: bool, is_new: bool) -> None:
        """`restate`: each version in a file becomes the current one. `is_new`: the account has no flows."""
        self._id = record_id
        self._restate = restate
        self._step_us = resolution // _microsecond
        self._kinds = _decoder(record_id.kind_fields)
        self._parts = _decoder(record_id.part_fields)
        self._has_others = not is_new
        self._held: TimeIndex | None = None
        self._listed: TimeIndex | None = None
        self._keys: Callable[[], Iterable[Sequence[tuple[str, int]]]] = lambda: ()
        self.differences: list[Difference] = []
        """The differences in the last merged block."""

    @classmethod
    def of(cls, rules: Rules[Paging], *, restate: bool, is_new: bool) -> "Records | None":
        """Return the records of a provider. None: its rows have no ids."""
        record_id = rules.record_id
        return None if record_id is None else cls(record_id, rules.resolution, restate=restate, is_new=is_new)

    @property
    def restates(self) -> bool:
        """Whether each version in a file becomes the current one."""
        return self._restate

    @property
    def is_shared(self) -> bool:
        """Whether rows with equal identifying fields may be several records."""
        return self._id.uniqueness in (Uniqueness.SHARED, Uniqueness.STATEMENT)

    def has_id(self, row: Row) -> bool:
        """Whether a row has its record's id, or needs none because its statement has all rows like it."""
        if self._id.uniqueness is Uniqueness.STATEMENT:
            return True
        ref = row[REF]
        return bool(ref) and ref != str(int(str(row[AT_US])) // self._step_us)

    def kinds_among(self, rows: Iterable[Row]) -> Callable[[Row], Kind]:
        """Return the values that distinguish records with the same id, among rows with that id. Missing, null and empty
        are equal.

        If all rows that name a part of the account name the same part, the part distinguishes nothing.
        """
        parts = {part for row in rows if any(part := _values(self._parts, self._id.part_fields, row))}

        def kind_of(row: Row) -> Kind:
            kind = _values(self._kinds, self._id.kind_fields, row)
            return (*kind, *_values(self._parts, self._id.part_fields, row)) if len(parts) > 1 else kind

        return kind_of

    def facts_among(self, row: Row, held: Iterable[Row]) -> Facts:
        """Return the facts of a row. If a row names no part of the account, it gets the part of the stored version that
        it equals."""
        facts = facts_of(row)
        if not self._id.part_fields or any(_values(self._parts, self._id.part_fields, row)):
            return facts
        for version in held:
            completed = (*row[:_SUBACCOUNT], version[_SUBACCOUNT], *row[_SUBACCOUNT + 1 :])
            if facts_of(completed) == facts_of(version):
                return facts_of(version)
        return facts

    def replaces(self, old: Row, new: Row, *, is_proven: bool) -> bool:
        """Whether a file's version replaces the stored one. `is_proven`: a sync has read one of their times.

        A sync counts more than a file, because it is not known when the file was saved.
        """
        if self._restate:
            return True
        same_time = old[AT_US] == new[AT_US]
        return not is_proven and (same_time or self._id.uniqueness is Uniqueness.RECORD)

    # ------------------------------------------------------------ other times

    def begin_document(self, keys: Callable[[], Iterable[Sequence[tuple[str, int]]]]) -> None:
        """Begin another document. `keys` returns the identities and times of all its rows, in batches."""
        if self._listed is not None:
            self._listed.close()
        self._listed, self._keys = None, keys

    def end_document(self) -> None:
        """Record that the ledger now has rows of an earlier document."""
        self._has_others = True

    def load(self, ledger: Ledger, account: str) -> None:
        """Read the times of all identities of an account, once per import, because no index of the ledger has them."""
        with ledger.reading() as connection:
            self._held = TimeIndex(_keys_of(connection, account))

    def add(self, rows: Iterable[Row]) -> None:
        """Record that rows were added to the ledger."""
        if self._held is not None:
            self._held.add((identity_of(str(row[ID])), int(str(row[AT_US]))) for row in rows)

    @property
    def may_have_moved(self) -> bool:
        """Whether the ledger may have the document's records at other times."""
        return self._has_others and not self.is_shared

    def other_times(self, identities: Sequence[str]) -> dict[str, set[int]]:
        """Return the times at which the ledger has these identities and the document does not. Raises
        TimesNeededError."""
        if self._held is None:
            raise TimesNeededError
        held = self._held.times_of(identities)
        listed = self._listed_times.times_of(held) if held else {}
        times = {identity: known - listed.get(identity, set()) for identity, known in held.items()}
        return {identity: others for identity, others in times.items() if others}

    @property
    def _listed_times(self) -> TimeIndex:
        """The times of the document's own rows."""
        if self._listed is None:
            self._listed = TimeIndex(self._keys())
        return self._listed

    def close(self) -> None:
        """Delete the temporary files."""
        for index in (self._held, self._listed):
            if index is not None:
                index.close()


def _keys_of(connection: Connection, account: str) -> Iterator[list[tuple[str, int]]]:
    rows = connection.exec_driver_sql(_SELECT_KEYS, (account,), execution_options=STREAMED)
    for part in rows.partitions(_KEYS_READ):
        yield [(identity_of(id_), at_us) for at_us, id_ in part]


_SELECT_KEYS: Final = "SELECT at_us, id FROM flows WHERE account = ?"


def _values(decoder: "msgspec.json.Decoder[msgspec.Struct]", fields: Sequence[str], row: Row) -> Kind:
    """Return the values of some fields of a row. Missing, null and empty are equal."""
    if not fields or row[WIRE] is None:
        return ()
    return tuple(value or None for value in astuple(decoder.decode(str(row[WIRE]))))


def _decoder(fields: Sequence[str]) -> "msgspec.json.Decoder[msgspec.Struct]":
    """Decodes some fields of a row, each of which is text, a whole number, or missing."""
    names = {f"field_{number}": field for number, field in enumerate(fields)}
    struct = msgspec.defstruct("Kind", [(name, str | int | None, None) for name in names], rename=names)
    return msgspec.json.Decoder(struct)


# ---------------------------------------------------------------- versions of a record


def differences(held: Row, row: Row) -> list[FieldDifference]:
    """Return the facts in which two versions of a record differ. Amounts are compared by value; translated words are
    not compared."""
    if facts_of(held) == facts_of(row):
        return [] if held[AT_US] == row[AT_US] else [_difference("at_us", held[AT_US], row[AT_US])]
    fields = [
        _difference(name, held[index], row[index])
        for index, name in _COMPARED
        if _comparable(name, held[index]) != _comparable(name, row[index])
    ]
    old, new = _detail(held), _detail(row)
    return fields + [
        FieldDifference(name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if _without_zeros(old.get(name)) != _without_zeros(new.get(name))
    ]


def facts_of(row: Row) -> Facts:
    """Return the values that are equal in two equal versions of a record, without their time."""
    facts = [_comparable(name, row[index]) for index, name in _COMPARED if index != AT_US]
    detail = _detail(row)
    return (*facts, *((name, _without_zeros(detail[name])) for name in sorted(detail)))


def _difference(name: str, held: object, imported: object) -> FieldDifference:
    return FieldDifference(_TIMES.get(name, name), _to_text(name, held), _to_text(name, imported))


def _to_text(name: str, value: object) -> str | None:
    if value is None:
        return None
    return to_iso(from_us(int(str(value)))) if name in _TIMES else str(value)


def _comparable(name: str, value: object) -> object:
    return _without_zeros(str(value)) if name in _DECIMALS and value is not None else value


def _without_zeros(text: str | None) -> str | None:
    """Return a number without trailing zeros: 10.00 and 10 are equal, and programs that copy JSON drop zeros."""
    if text is None or not _NUMBER.fullmatch(text):
        return text
    return text.rstrip("0").rstrip(".") if text.strip("-0.") else "0"


def _detail(row: Row) -> dict[str, str]:
    detail = row[_DETAIL]
    if detail is None:
        return {}
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in _fields.decode(str(detail)).items()
    }
