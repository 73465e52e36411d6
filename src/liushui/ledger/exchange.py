"""Flows that become others, in place or elsewhere: rows of one identity at one instant keep ordinals without a gap."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy.engine import Connection

from liushui.instant import to_us
from liushui.ledger.change import REDERIVED, Change, rows_at
from liushui.ledger.rows import AT_US, BATCH, ID, WIRE, Row, flow_id, identity_of, to_row
from liushui.provider import Received


class Exchange(NamedTuple):
    """A flow as it is, and what it becomes. `old` None: it was none; `new` None: it is none any more."""

    old: Row | None
    new: Received | None


class _Member(NamedTuple):
    """One of the rows of an identity and instant after the exchange, and the version it comes from."""

    old: Row | None
    row: Row


def change_of(connection: Connection, account: str, exchanges: Iterable[Exchange], batch: int) -> Change:
    """What exchanging flows changes. Reads only.

    Rows of one identity and instant are numbered in the order of their bytes, as a read of a slice numbers them: where
    one comes or goes, others may have to take another number.
    """
    change = Change()
    in_place: dict[tuple[object, object], Row] = {}
    leaving: dict[tuple[object, object], Row] = {}
    arriving: dict[tuple[object, str], list[_Member]] = defaultdict(list)
    olds: dict[tuple[object, object], Row] = {}
    for old, new in exchanges:
        if old is not None:
            olds[_key(old)] = old
        if old is not None and new is not None and _place(old) == _place_of(new):
            in_place[_key(old)] = to_row(account, str(old[ID]), new, batch)
            continue
        if old is not None:
            leaving[_key(old)] = old
        if new is not None:
            row = to_row(account, new.flow.identity, new, batch)
            arriving[_place_of(new)].append(_Member(old, row))
    change.ended += [(old, REDERIVED) for old in leaving.values()]
    places = {_place(old) for old in leaving.values()} | arriving.keys()
    members = {place: list(found) for place, found in arriving.items()}
    for row in rows_at(connection, account, {at_us for at_us, _ in places}):
        if _place(row) in places and _key(row) not in leaving:
            members.setdefault(_place(row), []).append(_Member(row, in_place.pop(_key(row), row)))
    for (_, identity), found in members.items():
        _number(identity, found, batch, change)
    for key, row in in_place.items():
        change.ended.append((olds[key], REDERIVED))
        change.added.append(row)
    return change


def _number(identity: str, found: list[_Member], batch: int, change: Change) -> None:
    for ordinal, (old, row) in enumerate(sorted(found, key=_order)):
        final = (*row[:ID], flow_id(identity, ordinal), *row[ID + 1 : BATCH], batch)
        if old is not None and old[:BATCH] == final[:BATCH]:
            continue
        if old is not None and _place(old) == _place(final):
            change.ended.append((old, REDERIVED))
        change.added.append(final)


def _order(member: _Member) -> tuple[str, bool, int, str]:
    """By bytes; of equal ones those that stand there keep their order, and what arrives comes after them."""
    id_ = "" if member.old is None else str(member.old[ID])
    return str(member.row[WIRE] or ""), member.old is None, len(id_), id_


def _key(row: Row) -> tuple[object, object]:
    return row[AT_US], row[ID]


def _place(row: Row) -> tuple[object, str]:
    return row[AT_US], identity_of(str(row[ID]))


def _place_of(received: Received) -> tuple[object, str]:
    return to_us(received.flow.at), received.flow.identity
