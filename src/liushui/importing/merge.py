"""Computes how a block of a document changes a ledger: only new rows are added.

The result is the same in any order of documents, and if documents are imported repeatedly.

The number of equal flows is derived from the pages that a user saved. A page contains all rows of a time between its
oldest and its newest time, so their number is exact. At its oldest or newest time, a page may have been cut between
equal rows. If one page ends with `n` of them as its oldest rows, and another begins with `m` of them as its newest
rows, there are n + m. A page with a single time has all rows of that time or, if another page has more, the rest of
them. Each count is stored once, so the result depends only on which pages were imported, not on their order.
"""

from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Container, Sequence
from enum import StrEnum
from itertools import chain, count
from typing import NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from liushui.importing.same_record import REF, Difference, Kind, Records, differences, facts_of
from liushui.importing.staging import Block
from liushui.instant import MAX_INSTANT, MIN_INSTANT, to_us
from liushui.ledger.coverage import State
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.flow_row import AT_US, COLUMNS, ID, WIRE, Row, flow_id, identity_of
from liushui.ledger.write.change import RECOUNTED, RESTATED, Change, by_key, rows_at

_json = msgspec.json.Encoder().encode


# ---------------------------------------------------------------- counting equal rows


class Position(StrEnum):
    """The position of a time in its page: at an end, or between the ends."""

    WITHIN = "within"
    OLDEST = "oldest"
    NEWEST = "newest"
    ALONE = "alone"
    """The page has no other time."""


Seen = tuple[Position, int]
"""The number of equal rows in a page, and their position."""


def position_of(at_us: int, ends: tuple[int, int]) -> Position:
    """Return the position of a time in a page from ends[0] to ends[1]."""
    oldest, newest = ends
    if oldest == newest:
        return Position.ALONE
    if oldest < at_us < newest:
        return Position.WITHIN
    return Position.OLDEST if at_us == oldest else Position.NEWEST


def count_copies(seen: Collection[Seen]) -> int:
    """Return the number of equal flows that fits all pages."""
    within = [copies for position, copies in seen if position is Position.WITHIN]
    if within:
        return max(within)
    oldest = {copies for position, copies in seen if position is Position.OLDEST}
    newest = {copies for position, copies in seen if position is Position.NEWEST}
    alone = {copies for position, copies in seen if position is Position.ALONE}
    least = max(oldest | newest, default=0)
    if alone and max(alone) >= least:
        return max(alone)
    oldest, newest = oldest or alone, newest or alone
    if not oldest or not newest:
        return least
    sums = {least} | {n + m for n in oldest for m in newest if n + m >= least}
    return min(sums, key=lambda total: (_unmatched(total, oldest, newest), total))


def _unmatched(total: int, oldest: set[int], newest: set[int]) -> int:
    """Return how many of the counts have no counterpart that completes them to the total."""
    return sum(total - n not in newest for n in oldest) + sum(total - m not in oldest for m in newest)


# ---------------------------------------------------------------- merging


class _Known(NamedTuple):
    """The content of the ledger at the times of a block."""

    flows: dict[tuple[object, str], list[Row]]
    """By time and identity, ordered by ordinal."""
    edges: dict[str, set[Seen]]
    """The counts at the ends of pages, by identity."""
    proven: list[tuple[int, int]]
    """Ranges that a sync has proven, oldest first."""

    def is_proven(self, at_us: int) -> bool:
        """Whether a sync has proven the range with this time."""
        index = bisect_right(self.proven, at_us, key=lambda known: known[0])
        return index > 0 and at_us < self.proven[index - 1][1]


def merge_block(
    connection: Connection,
    account: str,
    block: Block,
    ends: tuple[int, int],
    batch: int,
    records: Records | None = None,
) -> Change:
    """Return the change that a block makes. `ends` are the oldest and the newest time of its whole page.

    `records` is None if the provider's rows have no ids. Afterwards it contains the differences that were found. Raises
    TimesNeededError.
    """
    merger = _Merger(account, ends, batch, _known_at(connection, account, block), records)
    rows, numbers = block.rows(account, batch), block.numbers
    may_be_special = merger.has_known or block.at_us[0] <= ends[0] or ends[1] <= block.at_us[-1]
    if not may_be_special and len(set(block.identity)) == len(rows):
        merger.add_new(rows, numbers)
    else:
        keys = list(zip(block.at_us, block.identity, strict=True))
        copies = Counter(keys)
        groups: dict[tuple[int, str], list[Listed]] = defaultdict(list)
        new, new_numbers = [], []
        renamed = merger.held_bytes()
        for key, row, number in zip(keys, rows, numbers, strict=True):
            if renamed and key not in merger.held_keys and (key[0], row[WIRE]) in renamed:
                continue  # the ledger has it, under the identity that an older version computed
            if copies[key] == 1 and not (may_be_special and merger.is_special(*key)):
                new.append(row)
                new_numbers.append(number)
            else:
                groups[key].append(Listed(row, number))
        merger.add_new(new, new_numbers)
        for (at_us, identity), group in groups.items():
            merger.merge(at_us, identity, group)
    change = merger.finish(connection)
    change.rows_in, change.filled = len(block), block.filled
    return change


class Listed(NamedTuple):
    """A row in its file. Its id is still the identity."""

    row: Row
    number: int
    """The row's number in its file."""


class _Merger:
    """Builds the change of one block."""

    def __init__(self, account: str, ends: tuple[int, int], batch: int, known: _Known, records: Records | None) -> None:
        self.change = Change()
        self.has_known = bool(known.flows or known.edges)
        """Whether the ledger may contain something that affects the block."""
        self._account, self._ends, self._batch, self._known, self._records = account, ends, batch, known, records
        self._numbers: list[int] = []
        """The number of each added row in its file."""
        self._replacing: list[Row] = []
        """Versions that replace stored ones."""
        if records is not None:
            records.differences = []

    def is_special(self, at_us: int, identity: str) -> bool:
        """Whether a row is anything other than a new row in the middle of its page."""
        return at_us in self._ends or (at_us, identity) in self._known.flows or identity in self._known.edges

    @property
    def held_keys(self) -> Container[tuple[object, str]]:
        """The times and identities of the stored flows at the times of the block."""
        return self._known.flows

    def held_bytes(self) -> set[tuple[object, object]]:
        """The times and bytes of those flows, if a record's id makes equal bytes one row."""
        if self._records is None or self._records.is_shared:
            return set()
        held = chain.from_iterable(self._known.flows.values())
        return {(row[AT_US], row[WIRE]) for row in held if row[WIRE] is not None and self._records.has_id(row)}

    def add_new(self, rows: list[Row], numbers: Sequence[int]) -> None:
        """Add rows that the ledger does not have in any form. Call it first."""
        self.change.added = rows
        self._numbers = list(numbers)

    def merge(self, at_us: int, identity: str, listed: list[Listed]) -> None:
        """Merge the rows of one identity and time."""
        stored = self._known.flows.get((at_us, identity), [])
        if self._records is None or not self._records.has_id(listed[0].row):
            self._merge_copies(at_us, identity, listed, stored)
        elif self._records.is_shared:
            # Each page has all rows of an id and time, or a part of them at its ends. So the number of rows is the
            # largest number in one page.
            if not (stored and self._known.is_proven(at_us)):
                self._add_copies(identity, listed, stored, len(listed) - len(stored))
        else:
            self._merge_versions(self._records, identity, listed, stored)

    # ------------------------------------------------------------ rows without an id

    def _merge_copies(self, at_us: int, identity: str, listed: list[Listed], stored: list[Row]) -> None:
        """Merge equal rows, which may be different flows."""
        change, known = self.change, self._known
        if stored and known.is_proven(at_us):
            return
        position = position_of(at_us, self._ends)
        edges = known.edges.get(identity, set())
        seen = edges | {(position, len(listed))}
        if stored and not edges:
            seen.add((Position.WITHIN, len(stored)))
        if edges or position is not Position.WITHIN:
            new = sorted(seen - edges)
            change.edges += [(self._account, identity, where.value, copies, self._batch) for where, copies in new]
            known.edges[identity] = seen
        wanted = count_copies(seen)
        change.joined += wanted > max(copies for _, copies in seen)
        self._add_copies(identity, listed, stored, wanted - len(stored))
        change.ended += [(row, RECOUNTED) for row in stored[wanted:]]

    def _add_copies(self, identity: str, listed: list[Listed], stored: list[Row], missing: int) -> None:
        """Add the rows that are missing."""
        texts = {row[WIRE] for row in stored}
        # Rows whose bytes are already stored come last, so that other rows are added first.
        listed.sort(key=lambda one: (one.row[WIRE] in texts, one.row[WIRE]))
        self._add(identity, listed[: max(0, missing)], stored)

    def _add(self, identity: str, listed: Sequence[Listed], stored: Sequence[Row]) -> None:
        """Add rows under ids that no stored row of their time has."""
        taken = {row[ID] for row in stored}  # a slice may contain the same identity at another time too
        free = (id_ for ordinal in count() if (id_ := flow_id(identity, ordinal)) not in taken)
        for (row, number), id_ in zip(listed, free, strict=False):
            self.change.added.append(_with_id(row, id_))
            self._numbers.append(number)

    # ------------------------------------------------------------ rows with the id of their record

    def _merge_versions(self, records: Records, identity: str, listed: list[Listed], stored: list[Row]) -> None:
        """Merge rows of one id and time: known rows, other versions of them, and new records."""
        if len(listed) == len(stored) == 1 and listed[0].row[WIRE] == stored[0][WIRE]:
            return
        kind_of = records.kinds_among([*(one.row for one in listed), *stored])
        by_kind: dict[Kind, list[Listed]] = defaultdict(list)
        for one in sorted(listed, key=lambda one: str(one.row[WIRE])):
            by_kind[kind_of(one.row)].append(one)
        stored_by_kind: dict[Kind, list[Row]] = defaultdict(list)
        for row in stored:
            stored_by_kind[kind_of(row)].append(row)
        new: list[Listed] = []
        for kind, listed_of_kind in by_kind.items():
            held: dict[tuple[object, ...], deque[Row]] = defaultdict(deque)
            for row in stored_by_kind[kind]:
                held[facts_of(row)].append(row)
            # With an id, rows that only repeat another one are one record.
            versions = {records.facts_among(one.row, stored_by_kind[kind]): one for one in reversed(listed_of_kind)}
            first = next((rows[0] for rows in held.values()), None)
            for facts in versions.keys() & held.keys():
                held[facts].popleft()
            others = deque(row for rows in held.values() for row in rows)
            for facts, one in versions.items():
                if facts in held:
                    continue
                if others:
                    self._compare(records, others.popleft(), one)
                elif first and self._known.is_proven(int(str(one.row[AT_US]))) and not records.restates:
                    self._compare(records, first, one)  # a sync has found all rows of this id
                else:
                    new.append(one)
        self._add(identity, sorted(new, key=lambda one: str(one.row[WIRE])), stored)

    def _compare(self, records: Records, old: Row, listed: Listed, *, id_: str | None = None) -> None:
        """Record how a row differs from the stored version of its record, and replace that version if the rules allow
        it.

        `id_` is the row's id if its time differs.
        """
        row, number = listed
        times = int(str(old[AT_US])), int(str(row[AT_US]))
        is_restated = records.replaces(old, row, is_proven=any(map(self._known.is_proven, times)))
        fields = differences(old, row)
        records.differences.append(Difference(number, str(row[REF]), times[0], fields, is_restated))
        if is_restated:
            self.change.ended.append((old, RESTATED))
            self._replacing.append(_with_id(row, str(old[ID]) if id_ is None else id_))

    def finish(self, connection: Connection) -> Change:
        """Return the whole change. Raises TimesNeededError."""
        self._find_moved(connection)
        self.change.added += self._replacing
        return self.change

    def _find_moved(self, connection: Connection) -> None:
        """Compare added rows with versions of their records at other times."""
        records, change = self._records, self.change
        if records is None or not records.may_have_moved or not change.added:
            return
        others = records.other_times([identity_of(str(row[ID])) for row in change.added])
        if not others:
            return
        moved: dict[str, list[Row]] = defaultdict(list)
        ended = {(old[AT_US], old[ID]) for old, _ in change.ended}
        for row in sorted(rows_at(connection, self._account, sorted(set().union(*others.values()))), key=by_key):
            identity = identity_of(str(row[ID]))
            if row[AT_US] in others.get(identity, ()) and (row[AT_US], row[ID]) not in ended:
                moved[identity].append(row)
        self._known = self._known._replace(proven=_proven(connection, self._account, _ALWAYS))
        listed, change.added = list(map(Listed, change.added, self._numbers)), []
        added: dict[str, list[Row]] = defaultdict(list)
        for one in listed:
            added[identity_of(str(one.row[ID]))].append(one.row)
        kinds = {identity: records.kinds_among([*added[identity], *rows]) for identity, rows in moved.items()}
        held: dict[tuple[str, Kind], deque[Row]] = defaultdict(deque)
        for identity, rows in moved.items():
            for row in rows:
                held[identity, kinds[identity](row)].append(row)
        for one in listed:
            identity = identity_of(str(one.row[ID]))
            is_known = identity in moved and records.has_id(one.row)
            if is_known and (versions := held.get((identity, kinds[identity](one.row)))):
                self._compare(records, versions.popleft(), one, id_=str(one.row[ID]))
            else:
                change.added.append(one.row)


def _with_id(row: Row, id_: str) -> Row:
    return (*row[:ID], id_, *row[ID + 1 :])


def _known_at(connection: Connection, account: str, block: Block) -> _Known:
    """Read the ledger's rows at the times of a block, with a few statements for any number of rows. The short
    statements show for most blocks that all rows are new."""
    first_us, last_us = block.at_us[0], block.at_us[-1]
    flows: dict[tuple[object, str], list[Row]] = defaultdict(list)
    if connection.exec_driver_sql(_ANY_FLOW, (account, first_us, last_us)).first() is not None:
        times = _json(sorted(set(block.at_us))).decode()
        for row in connection.exec_driver_sql(_SELECT_FLOWS.on(connection), (times, account)):
            flows[row[AT_US], identity_of(row[ID])].append(tuple(row))
        for rows in flows.values():
            rows.sort(key=lambda row: (len(str(row[ID])), str(row[ID])))
    edges: dict[str, set[Seen]] = defaultdict(set)
    if connection.exec_driver_sql(_ANY_EDGE, (account,)).first() is not None:
        identities = _json(sorted(set(block.identity))).decode()
        for row in connection.exec_driver_sql(_SELECT_EDGES.on(connection), (identities, account)):
            edges[row[0]].add((Position(row[1]), row[2]))
    return _Known(flows, edges, _proven(connection, account, (first_us, last_us)))


def _proven(connection: Connection, account: str, times_us: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the proven ranges with a time from the first to the last, oldest first."""
    first_us, last_us = times_us
    rows = connection.exec_driver_sql(_SELECT_PROVEN, (account, State.PROVEN.value, last_us, first_us))
    return [(row[0], row[1]) for row in rows]


_ALWAYS = to_us(MIN_INSTANT), to_us(MAX_INSTANT)


_ANY_FLOW = "SELECT 1 FROM flows WHERE account = ? AND at_us >= ? AND at_us <= ? LIMIT 1"
_ANY_EDGE = "SELECT 1 FROM page_edges WHERE account = ? LIMIT 1"
_SELECT_FLOWS = Statement(
    lambda sql: (
        f"""
SELECT {", ".join(COLUMNS)} FROM ({sql.integers_in_json}) AS given CROSS JOIN flows
WHERE account = ? AND at_us = wanted
"""
    )
)
_SELECT_EDGES = Statement(
    lambda sql: (
        f"""
SELECT identity, side, copies FROM ({sql.texts_in_json}) AS given CROSS JOIN page_edges
WHERE account = ? AND identity = wanted AND ended_batch IS NULL
"""
    )
)
_SELECT_PROVEN = """
SELECT since_us, until_us FROM coverage
WHERE account = ? AND state = ? AND since_us <= ? AND until_us > ? ORDER BY since_us
"""
