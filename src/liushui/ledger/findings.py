"""Findings: facts about flows that a person should review, although they are not errors. Counts are stored by day.

`side`: the provider's direction contradicts the amount's sign. Flows with a zero amount or no direction have none.
`same_id`: a copy, of the same identity and time as another flow, that differs from the first one in more than words.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.conditions import SIDE as SIDE_OF
from liushui.conditions import Term, Where
from liushui.flow import Direction
from liushui.instant import BusinessDays, load_zone
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.engines.condition_sql import at_least, at_most, condition
from liushui.ledger.engines.sql_dialects import Statement, dialect_of
from liushui.ledger.flow_row import AMOUNT, AT_US, COLUMNS, COPY_MARK, DIRECTION, FACTS_END, ID, Row, identity_of
from liushui.ledger.schema import flows
from liushui.money import ZERO
from liushui.reconcile.links import timed_id

SIDE, SAME_ID = "side", "same_id"
BREAK = "break"
"""A flow whose stated balance does not follow from the one before it. read.chains finds it. It is not counted in the
table, because it depends on earlier flows."""
KINDS: Final = (SIDE, SAME_ID, BREAK)
_FAR_US: Final = 2**62
"""Farther from 1970, in either direction, than any flow."""


def finding_id(account: str, kind: str, at_us: int, flow: str) -> str:
    """The name of a finding: the second of its flow in UTC, and a digest of its kind and flow.

    It stays the same as long as the flow has its time and id; other changes do not matter.
    """
    return timed_id(at_us, ("finding", account, kind, at_us, flow))


Counts = Counter[tuple[str, str]]
"""The number of flows, by day in the account's zone and by finding."""

_IN, _OUT = Direction.IN.value, Direction.OUT.value
WORDS: Final = frozenset({"account", "id", "label", "name", "kind"})
"""Columns in which copies may differ: a provider may translate words, and the kind is read from words."""

_COMPARED: Final = tuple(index for index, name in enumerate(COLUMNS[:FACTS_END]) if name not in WORDS)


def contradictory(rows: Iterable[Row]) -> list[Row]:
    """The rows with a `side` finding."""
    return [
        row
        for row in rows
        if row[DIRECTION] == (_IN if row[AMOUNT][0] == "-" else _OUT)  # type: ignore[index] # a text column
        and str(row[AMOUNT]).strip("-0.")
    ]


def differing_copies(rows: Sequence[Row]) -> list[Row]:
    """The rows with a `same_id` finding. `rows` must contain either all flows of an instant or none."""
    copies = [row for row in rows if COPY_MARK in row[ID]]  # type: ignore[operator] # a text column
    if not copies:
        return []
    # Few instants have copies, so the index of first rows is kept small.
    times = {row[AT_US] for row in copies}
    firsts = {(row[AT_US], row[ID]): row for row in rows if row[AT_US] in times}
    return [row for row in copies if not _is_same(row, firsts.get((row[AT_US], identity_of(str(row[ID])))))]


def _is_same(row: Row, first: Row | None) -> bool:
    return first is not None and all(row[index] == first[index] for index in _COMPARED)


def count(counts: Counts, rows: Iterable[Row], finding: str, days: BusinessDays, by: int = 1) -> None:
    """Add `by` to the counts for each of these rows."""
    for row in rows:
        counts[days.day_of(row[AT_US]), finding] += by  # type: ignore[arg-type] # an integer column


def store(connection: Connection, account: str, change: Counts) -> None:
    """Add `change` to the stored counts of an account."""
    changed = [(account, day, finding, flows) for (day, finding), flows in change.items() if flows]
    if changed:
        connection.exec_driver_sql(_UPSERT, changed)
    # The upsert leaves rows with zero if the last finding of a day ended.
    fewer = [(account, day, finding) for (day, finding), flows in change.items() if flows < 0]
    if fewer:
        connection.exec_driver_sql(_DELETE_ZERO, fewer)


def load(connection: Connection, account: str) -> Counts:
    """The stored counts of an account."""
    rows = connection.exec_driver_sql("SELECT day, finding, flows FROM findings WHERE account = ?", (account,))
    return Counter({(day, finding): flows for day, finding, flows in rows})


def find(
    connection: Connection,
    account: str,
    kinds: Collection[str] = (SIDE, SAME_ID),
    *,
    since_us: int = -_FAR_US,
    until_us: int = _FAR_US,
) -> Iterator[tuple[str, Row]]:
    """Yield every finding of those kinds with its flow, read from the flows of [since, until): first all SIDE, then all
    SAME_ID."""
    if SIDE in kinds:
        where, parameters = condition(_CONTRADICTORY, dialect_of(connection))
        sides = f"SELECT {', '.join(COLUMNS)} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?{where} "
        values = account, since_us, until_us, *parameters
        for row in connection.exec_driver_sql(f"{sides} ORDER BY at_us, id", values, execution_options=STREAMED):
            yield SIDE, tuple(row)
    if SAME_ID in kinds:
        differing, values = _SELECT_DIFFERING.on(connection), (account, since_us, until_us)
        for row in connection.exec_driver_sql(differing, values, execution_options=STREAMED):
            yield SAME_ID, tuple(row)


def holds(table: sa.Table, finding: str) -> sa.ColumnElement[bool]:
    """An SQL condition: whether a flow has a finding. `table` has the columns of schema.flows."""
    c = table.c
    if finding == SIDE:
        is_out, is_in = sa.not_(at_least(c.amount, ZERO)), sa.not_(at_most(c.amount, ZERO))
        return sa.or_(sa.and_(c.direction == _IN, is_out), sa.and_(c.direction == _OUT, is_in))
    if finding != SAME_ID:
        return sa.false()
    first = flows.alias("first")
    identity = sa.func.substr(c.id, 1, sa.func.length(first.c.id) + len(COPY_MARK)) == first.c.id + COPY_MARK
    equal = [first.c[COLUMNS[index]].is_not_distinct_from(c[COLUMNS[index]]) for index in _COMPARED]
    same = sa.and_(first.c.account == c.account, first.c.at_us == c.at_us, identity, *equal)
    return sa.and_(c.id.contains(COPY_MARK, autoescape=True), sa.not_(sa.exists().where(same)))


def compute_counts(connection: Connection, account: str, days: BusinessDays) -> Counts:
    """The counts, computed from the flows."""
    counts: Counts = Counter()
    for finding, row in find(connection, account):
        count(counts, [row], finding, days)
    return counts


def recount(connection: Connection) -> None:
    """Compute and store the counts of every account again. For migrations."""
    connection.exec_driver_sql("DELETE FROM findings")
    for account, zone in connection.exec_driver_sql("SELECT account, zone FROM accounts").all():
        store(connection, account, compute_counts(connection, account, BusinessDays(load_zone(zone))))


_CONTRADICTORY: Final[Where] = (
    (
        (Term("direction", (_IN,)), Term(SIDE_OF, (_OUT,))),
        (Term("direction", (_OUT,)), Term(SIDE_OF, (_IN,))),
    ),
)
_SELECT_DIFFERING = Statement(
    lambda sql: (
        f"""
SELECT {", ".join(f"flows.{name}" for name in COLUMNS)} FROM flows LEFT JOIN flows AS first
  ON first.account = flows.account AND first.at_us = flows.at_us
  AND first.id = substr(flows.id, 1, {sql.position}(flows.id, '{COPY_MARK}') - 1)
WHERE flows.account = ? AND flows.at_us >= ? AND flows.at_us < ? AND {sql.position}(flows.id, '{COPY_MARK}') > 0
  AND ({", ".join(f"CAST(first.{COLUMNS[index]} AS TEXT)" for index in _COMPARED)})
  {sql.is_distinct_from} ({", ".join(f"CAST(flows.{COLUMNS[index]} AS TEXT)" for index in _COMPARED)})
ORDER BY flows.at_us, flows.id
"""
    )
)
_UPSERT = """
INSERT INTO findings (account, day, finding, flows) VALUES (?, ?, ?, ?)
ON CONFLICT (account, day, finding) DO UPDATE SET flows = findings.flows + excluded.flows
"""
_DELETE_ZERO = "DELETE FROM findings WHERE account = ? AND day = ? AND finding = ? AND flows = 0"
