"""Resolves rejected rows of imports whose record was received later, by a sync or in a corrected file.

An unreadable row often still identifies its record. A flow resolves it

- if it has the same id of the provider, and such an id belongs to one record; or
- if it has the same time and is equal in every field except the unreadable one. A sync must also have read that time
  completely since, so that the record is among the flows there.

In doubt the entry stays open. The bytes and the flow that resolved them stay in the ledger. Rows that a sync has read
are left to the syncs: as long as the provider lists such a row, its range is not complete.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from json import JSONDecoder
from typing import Final, NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.read.filters import AFTER_ALL_US
from liushui.ledger.write.change import RETRIED, Change
from liushui.ledger.write.commit import commit_change
from liushui.ledger.write.quarantine import (
    Entry,
    QuarantineChange,
    corrected_by,
    has_open_entries,
    open_entries,
)
from liushui.rules import Paging, RecordId, Rules, Uniqueness

CHUNK: Final = 5_000
"""The number of entries that are searched together."""

Fields = Mapping[str, object]
"""The fields of a row, as in its JSON."""

_encode = msgspec.json.Encoder().encode
_decode: Final = JSONDecoder(parse_float=str).decode
"""More tolerant than the codec: it also accepts NaN and half of a surrogate pair."""


class _Flow(NamedTuple):
    """A flow of the ledger, and the fields of its row."""

    at_us: int
    id: str
    fields: Fields


class _Sought(NamedTuple):
    """An entry, and what its row says about its record. None: the row does not say it."""

    entry: Entry
    fields: Fields
    at_us: int | None
    record: str | None


def resolve_corrected(ledger: Ledger, account: str, rules: Rules[Paging]) -> int:
    """Resolve the rejected rows of an account's imports whose records are now flows. Returns their number.

    One transaction, with one batch if any row is resolved.
    """
    with ledger.reading() as connection:
        if not has_open_entries(connection, account):
            return 0
    resolved = 0

    def plan(connection: Connection, _batch: int) -> Change:
        nonlocal resolved
        quarantine = QuarantineChange()
        for entry, flow in _corrected(connection, account, rules):
            quarantine.end(entry, corrected_by(flow.at_us, flow.id))
        resolved = len(quarantine.ended)
        change = Change()
        change.add_quarantine(quarantine)
        return change

    commit_change(ledger, account, RETRIED, plan)
    return resolved


def _corrected(connection: Connection, account: str, rules: Rules[Paging]) -> Iterator[tuple[Entry, _Flow]]:
    finder = _Finder(connection, account, rules)
    sought: list[_Sought] = []
    for entry in open_entries(connection, account):
        if (one := finder.sought(entry)) is not None:
            sought.append(one)
        if len(sought) >= CHUNK:
            yield from finder.find(sought)
            sought = []
    yield from finder.find(sought)


class _Finder:
    """Finds the flows that one account's entries have become."""

    def __init__(self, connection: Connection, account: str, rules: Rules[Paging]) -> None:
        self._connection, self._account = connection, account
        self._record_id = _identifying(rules.record_id)
        self._time_field = rules.time_field
        self._step_us = rules.resolution // timedelta(microseconds=1)

    def sought(self, entry: Entry) -> _Sought | None:
        """Return the values to search for an entry. None: there are none, or a sync has read it."""
        if entry.span is not None:
            return None
        fields = _fields_of(entry.wire, self._names)
        text = _text(fields.get(self._time_field)) if self._time_field else ""
        at_us = int(text) * self._step_us if re.fullmatch(r"[0-9]{1,18}", text) else None
        if at_us is not None and at_us > AFTER_ALL_US:
            at_us = None  # no flow can be there, and no engine has such a number
        record = None if self._record_id is None else _text(fields.get(self._record_id.fields[0]))
        if not record or record in ("0", text):
            record = None
        return None if at_us is None and record is None else _Sought(entry, fields, at_us, record)

    @property
    def _names(self) -> list[str]:
        """The fields that identify a record; they are also searched in rows that are not JSON."""
        record_id = self._record_id
        return [*filter(None, (self._time_field,)), *((*record_id.fields, *record_id.kind_fields) if record_id else ())]

    def find(self, sought: Iterable[_Sought]) -> Iterator[tuple[Entry, _Flow]]:
        """Yield the entries that have become flows, each with its flow."""
        sought = list(sought)
        at_times = self._flows_at({one.at_us for one in sought if one.at_us is not None})
        missing = []
        for one in sought:
            near = at_times.get(one.at_us, []) if one.at_us is not None else []
            flow = next((flow for flow in near if self._is_record(one, flow)), None)
            if flow is None:
                flow = next((flow for flow in near if self._is_place(one, flow)), None)
            if flow is not None:
                yield one.entry, flow
            else:
                missing.append(one)
        if self._record_id is None or self._record_id.uniqueness is not Uniqueness.RECORD:
            return  # a row with this id at another time may be another record
        by_record = self._flows_of({one.record for one in missing if one.record is not None})
        for one in missing:
            flow = next((flow for flow in by_record.get(one.record or "", []) if self._is_record(one, flow)), None)
            if flow is not None:
                yield one.entry, flow

    def _is_record(self, sought: _Sought, flow: _Flow) -> bool:
        """Whether both rows have the id of one record."""
        record_id = self._record_id
        if record_id is None or sought.record is None:
            return False
        names = *record_id.fields, *record_id.kind_fields
        return all(_text(sought.fields.get(name)) == _text(flow.fields.get(name)) for name in names)

    def _is_place(self, sought: _Sought, flow: _Flow) -> bool:
        """Whether both rows differ only in the rejected field, and a sync has since read that time completely."""
        blamed = re.split(r"[.\[]", sought.entry.field)[0]
        if blamed not in sought.fields or blamed not in flow.fields or sought.fields.keys() != flow.fields.keys():
            return False
        if any(sought.fields[name] != flow.fields[name] for name in flow.fields if name != blamed):
            return False
        parameters = self._account, State.PROVEN.value, flow.at_us, flow.at_us, sought.entry.batch
        return self._connection.exec_driver_sql(_SELECT_PROVEN_SINCE, parameters).first() is not None

    def _flows_at(self, times_us: set[int]) -> dict[int, list[_Flow]]:
        flows: dict[int, list[_Flow]] = defaultdict(list)
        for flow, _ in self._select(_SELECT_AT, sorted(times_us)):
            flows[flow.at_us].append(flow)
        return flows

    def _flows_of(self, records: set[str]) -> dict[str, list[_Flow]]:
        """Find flows by the record's id. No index has it, so all flows of the account are read."""
        flows: dict[str, list[_Flow]] = defaultdict(list)
        for flow, ref in self._select(_SELECT_OF_RECORDS, sorted(records)):
            flows[ref].append(flow)
        return flows

    def _select(self, statement: Statement, wanted: list[int] | list[str]) -> Iterator[tuple[_Flow, str]]:
        if not wanted:
            return
        parameters = _encode(wanted).decode(), self._account
        for at_us, id_, ref, wire in self._connection.exec_driver_sql(statement.on(self._connection), parameters):
            yield _Flow(int(at_us), str(id_), _fields_of(str(wire).encode(), ())), str(ref)


def _identifying(record_id: RecordId | None) -> RecordId | None:
    """Return the fields that identify a record. None: it has none, or several records share an id."""
    if record_id is None or not record_id.fields or record_id.uniqueness is Uniqueness.SHARED:
        return None
    return record_id


def _fields_of(wire: bytes, names: Iterable[str]) -> Fields:
    """Return the fields of a row. If the row is not JSON, only the fields with these names that it contains once, as
    text or whole number."""
    text = wire.decode(errors="surrogateescape")
    try:
        row = _decode(text)
    except (ValueError, RecursionError):
        fields = {}
        for name in names:
            values = re.findall(rf'"{re.escape(name)}"\s*:\s*(?:"([^"\\]*)"|(-?[0-9]+))(?=\s*[,}}])', text)
            if len(values) == 1:
                fields[name] = values[0][0] or values[0][1]
        return fields
    return row if isinstance(row, dict) else {}


def _text(value: object) -> str:
    """Return a text or whole number as text. Everything else is empty, also missing and null."""
    return value if isinstance(value, str) else str(value) if type(value) is int else ""


_SELECT_AT: Final = Statement(
    lambda sql: (
        f"""
SELECT at_us, id, ref, wire FROM ({sql.integers_in_json}) AS given CROSS JOIN flows
WHERE account = ? AND at_us = wanted AND wire IS NOT NULL
"""
    )
)
_SELECT_OF_RECORDS: Final = Statement(
    lambda sql: (
        f"""
WITH given AS ({sql.texts_in_json}) SELECT at_us, id, ref, wire FROM flows
WHERE account = ? AND ref IN (SELECT wanted FROM given) AND wire IS NOT NULL
"""
    )
)
_SELECT_PROVEN_SINCE: Final = """
SELECT 1 FROM coverage WHERE account = ? AND state = ? AND since_us <= ? AND until_us > ? AND batch > ? LIMIT 1
"""
