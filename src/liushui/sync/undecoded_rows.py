"""Reads times, and the values of filter fields, from rows that are not decoded yet. Pure."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from liushui.instant import EPOCH
from liushui.provider import Slice
from liushui.rules import Paging, Rules
from liushui.wire.decoding import DECODE_ERRORS

Value = int | str | None

_LOCAL_TIME_LENGTH: Final = len("2026-11-01 09:15:02")
_NO_ID: Final = frozenset[Value]((None, "", 0, "0"))

_latest_times: Final[dict[str, tuple[list[bytes], list[int | None]]]] = {}
"""The rows whose times were read last, and the times, by field name. One answer is examined up to five times before the
next one comes."""


def field_values(rows: Sequence[bytes], field: str) -> list[Value]:
    """Return the value of one field of each row. None if a row has no value that is text or a whole number."""
    decode_many, decode_one = _decoders(field)
    try:
        return decode_many(b"[" + b",".join(rows) + b"]")
    except DECODE_ERRORS:  # one row is not such an object; the others still count
        return [_value_of(decode_one, row) for row in rows]


def row_times(rows: Sequence[bytes], rules: Rules[Paging]) -> Sequence[int | None]:
    """Return the time of each row, in whole steps of the provider's clock. None if a row has no readable time."""
    field = rules.time_field
    if field is None:
        return [None] * len(rows)
    known = list(rows)
    before, times = _latest_times.get(field, ([], []))
    if known != before:  # the same objects are compared by identity, which takes a hundredth of the time of decoding
        values = field_values(known, field)
        times = _whole_numbers(values) if rules.time_zone is None else _local_times(values, rules)
        _latest_times[field] = known, times
    return times


def are_within(times: Sequence[int | None], first: int, end: int) -> bool:
    """Whether every row has a readable time in [first, end)."""
    readable = [at for at in times if at is not None]
    return len(readable) == len(times) and (not readable or first <= min(readable) <= max(readable) < end)


def step_of(at: datetime, rules: Rules[Paging]) -> int:
    """Return the first step of the provider's clock that begins at an instant or later."""
    return -((EPOCH - at) // rules.resolution)


def are_of_one_step(rows: Sequence[bytes], rules: Rules[Paging]) -> bool:
    """Whether all rows with a readable time are in one step of the provider's clock."""
    return len(set(row_times(rows, rules)) - {None}) == 1


def rows_inside(rows: Sequence[bytes], slice_: Slice, rules: Rules[Paging]) -> list[bytes]:
    """Return the rows inside a slice. A row without a readable time counts as inside; the codec will report its
    fault."""
    if rules.time_field is None:
        return list(rows)
    first, end = step_of(slice_.since, rules), step_of(slice_.until, rules)
    times = row_times(rows, rules)
    if are_within(times, first, end):
        return list(rows)
    return [row for row, at in zip(rows, times, strict=True) if at is None or first <= at < end]


def each_record_once(rows: Sequence[bytes], rules: Rules[Paging]) -> list[bytes]:
    """Return the rows of one answer, without rows that repeat the id and bytes of an earlier row."""
    if rules.id_field is None or len(set(rows)) == len(rows):
        return list(rows)
    named = have_ids(rows, rules)
    seen: set[bytes] = set()
    once = []
    for row, has_id in zip(rows, named, strict=True):
        if not has_id or row not in seen:
            once.append(row)
        seen.add(row)
    return once


def have_ids(rows: Sequence[bytes], rules: Rules[Paging]) -> list[bool]:
    """Whether each row has an id that identifies its record."""
    if rules.id_field is None:
        return [False] * len(rows)
    return [id_ not in _NO_ID for id_ in field_values(rows, rules.id_field)]


def instant_of(step: int, rules: Rules[Paging]) -> datetime:
    """Return the instant at which a step begins."""
    return EPOCH + step * rules.resolution


def _whole_numbers(values: list[Value]) -> list[int | None]:
    """Return the values as whole numbers. None for any other value."""
    with suppress(TypeError, ValueError):  # nearly always all of them are whole numbers
        return list(map(int, values))  # type: ignore[arg-type] # None raises TypeError
    return [_whole(value) for value in values]


def _local_times(values: list[Value], rules: Rules[Paging]) -> list[int | None]:
    """Convert local times such as `2026-11-01 09:15:02` to whole steps. None for any other text."""
    zone = ZoneInfo(rules.time_zone or "UTC")
    return [_local_time(value, zone, rules) for value in values]


def _local_time(value: Value, zone: ZoneInfo, rules: Rules[Paging]) -> int | None:
    if type(value) is not str or len(value) != _LOCAL_TIME_LENGTH:
        return None
    try:
        return (datetime.fromisoformat(value).replace(tzinfo=zone) - EPOCH) // rules.resolution
    except (ValueError, OverflowError):
        return None


def _whole(value: Value) -> int | None:
    if type(value) is not str:
        return value if isinstance(value, int) else None
    try:
        return int(value)
    except ValueError:
        return None


@lru_cache(64)
def _decoders(field: str) -> tuple[Callable[[bytes], list[Value]], Callable[[bytes], Value]]:
    row = msgspec.defstruct("row", [("value", int | str | None, None)], rename={"value": field}, gc=False)
    many: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[row])  # type: ignore[valid-type] # made just now
    one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row)
    return (
        lambda document: [decoded.value for decoded in many.decode(document)],
        lambda document: one.decode(document).value,
    )


def _value_of(decode: Callable[[bytes], Value], row: bytes) -> Value:
    try:
        return decode(row)
    except DECODE_ERRORS:
        return None
