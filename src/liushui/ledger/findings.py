"""Findings: facts about flows that are worth a human's look and are no errors. Counted by day, listed from the flows.

`side`: the provider's direction contradicts the amount's sign; never of a zero amount, or where no side was named.
`same_id`: a further flow of one identity at one instant that is unlike the first of them, in more than its words.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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

SIDE, SAME_ID = "side", "same_id"

Counts = Counter[tuple[str, str]]
"""How many flows, by day of the account and finding."""

_IN, _OUT = Direction.IN.value, Direction.OUT.value
_CHUNK = 1_000

WORDS: Final = frozenset({"account", "id", "label", "name", "kind"})
"""What may differ between flows that are alike: words may be translated, and the kind is read from them."""

_ALIKE: Final = tuple(place for place, name in enumerate(COLUMNS[:FACTS_END]) if name not in WORDS)


def contradictory(rows: Iterable[Row]) -> list[Row]:
    """Rows whose direction contradicts the amount's sign."""
    return [
        row
        for row in rows
        if row[DIRECTION] == (_IN if row[AMOUNT][0] == "-" else _OUT)  # type: ignore[index] # a text column
        and str(row[AMOUNT]).strip("-0.")
    ]


def differing_copies(rows: Sequence[Row]) -> list[Row]:
    """Of all the rows at some instants, those that are unlike the first one of their identity and instant."""
    copies = [row for row in rows if COPY_MARK in row[ID]]  # type: ignore[operator] # a text column
    if not copies:
        return []
    times = {row[AT_US] for row in copies}
    firsts = {(row[AT_US], row[ID]): row for row in rows if row[AT_US] in times}
    return [row for row in copies if not _alike(row, firsts.get((row[AT_US], identity_of(str(row[ID])))))]


def _alike(row: Row, first: Row | None) -> bool:
    return first is not None and all(row[place] == first[place] for place in _ALIKE)


def count(counts: Counts, rows: Iterable[Row], finding: str, days: BusinessDays, by: int = 1) -> None:
    """Add rows with a finding to the counts."""
    for row in rows:
        counts[days.day_of(row[AT_US]), finding] += by  # type: ignore[arg-type] # an integer column


def store(connection: Connection, account: str, change: Counts) -> None:
    """Add `change` to the counts kept for an account."""
    moved = [(account, day, finding, flows) for (day, finding), flows in change.items() if flows]
    if moved:
        connection.exec_driver_sql(_UPSERT, moved)
    fewer = [(account, day, finding) for (day, finding), flows in change.items() if flows < 0]
    if fewer:
        connection.exec_driver_sql(_FORGET, fewer)


def load(connection: Connection, account: str) -> Counts:
    """The counts kept for an account."""
    found = connection.exec_driver_sql("SELECT day, finding, flows FROM findings WHERE account = ?", (account,))
    return Counter({(day, finding): flows for day, finding, flows in found})


def find(connection: Connection, account: str) -> Iterator[tuple[str, Row]]:
    """Every finding with its flow, from the flows themselves, streamed: first all of one, then all of the other."""
    contradiction, values = condition(_CONTRADICTED, dialect_of(connection))
    sides = f"SELECT {', '.join(COLUMNS)} FROM flows WHERE account = ?{contradiction} ORDER BY at_us, id"
    for row in connection.exec_driver_sql(sides, (account, *values), execution_options=STREAMED):
        yield SIDE, tuple(row)
    for row in connection.exec_driver_sql(_SELECT_UNLIKE.on(connection), (account,), execution_options=STREAMED):
        yield SAME_ID, tuple(row)


def holds(table: sa.Table, finding: str) -> sa.ColumnElement[bool]:
    """Whether a flow has a finding, as a condition on a table with the columns of flows."""
    c = table.c
    if finding == SIDE:
        is_out, is_in = sa.not_(at_least(c.amount, ZERO)), sa.not_(at_most(c.amount, ZERO))
        return sa.or_(sa.and_(c.direction == _IN, is_out), sa.and_(c.direction == _OUT, is_in))
    if finding != SAME_ID:
        return sa.false()
    first = flows.alias("first")
    identity = sa.func.substr(c.id, 1, sa.func.length(first.c.id) + len(COPY_MARK)) == first.c.id + COPY_MARK
    alike = [first.c[COLUMNS[place]].is_not_distinct_from(c[COLUMNS[place]]) for place in _ALIKE]
    same = sa.and_(first.c.account == c.account, first.c.at_us == c.at_us, identity, *alike)
    return sa.and_(c.id.contains(COPY_MARK, autoescape=True), sa.not_(sa.exists().where(same)))


def counted(connection: Connection, account: str, days: BusinessDays) -> Counts:
    """The counts computed from the flows themselves."""
    counts: Counts = Counter()
    for finding, row in find(connection, account):
        count(counts, [row], finding, days)
    return counts


def recount(connection: Connection) -> None:
    """Write the counts of every account anew."""
    connection.exec_driver_sql("DELETE FROM findings")
    for account, zone in connection.exec_driver_sql("SELECT account, zone FROM accounts").all():
        store(connection, account, counted(connection, account, BusinessDays(load_zone(zone))))


_CONTRADICTED: Final[Where] = (
    (
        (Term("direction", (_IN,)), Term(SIDE_OF, (_OUT,))),
        (Term("direction", (_OUT,)), Term(SIDE_OF, (_IN,))),
    ),
)
_SELECT_UNLIKE = Statement(
    lambda sql: (
        f"""
SELECT {", ".join(f"flows.{name}" for name in COLUMNS)} FROM flows LEFT JOIN flows AS first
  ON first.account = flows.account AND first.at_us = flows.at_us
  AND first.id = substr(flows.id, 1, {sql.position}(flows.id, '{COPY_MARK}') - 1)
WHERE flows.account = ? AND {sql.position}(flows.id, '{COPY_MARK}') > 0
  AND ({", ".join(f"CAST(first.{COLUMNS[place]} AS TEXT)" for place in _ALIKE)})
  {sql.is_distinct_from} ({", ".join(f"CAST(flows.{COLUMNS[place]} AS TEXT)" for place in _ALIKE)})
ORDER BY flows.at_us, flows.id
"""
    )
)
_UPSERT = """
INSERT INTO findings (account, day, finding, flows) VALUES (?, ?, ?, ?)
ON CONFLICT (account, day, finding) DO UPDATE SET flows = findings.flows + excluded.flows
"""
_FORGET = "DELETE FROM findings WHERE account = ? AND day = ? AND finding = ? AND flows = 0"
