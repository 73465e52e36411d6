"""Commits to a ledger on a server, killed or cut off at each of their points. The ledger is put back in between.

`python -m tests.ledger.cutting SCENARIO URL` kills a child around each SQL statement and prints what it left.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import msgspec
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.engines.bulk_insert import insert_rows
from liushui.ledger.schema import metadata
from liushui.testing.clock import MovableClock
from tests.ledger.books import Tables, damages, tables
from tests.ledger.killing import POINTS_MAX, SCENARIOS, Left, Reached, killed_at

KEPT: Final = {"slice"}
"""Scenarios whose commit is done again by itself where the connection is lost."""


Found = TypeVar("Found")


class Stand:
    """A ledger as it is before a commit, and what it becomes."""

    def __init__(self, url: str, scenario: str) -> None:
        self.url, self.act = url, SCENARIOS[scenario]
        self.before = self.tables()
        self.commit()
        self.after = self.tables()
        self.put_back()

    def opened(self) -> Ledger:
        """The ledger, under the clock that all of them have."""
        return open_ledger(self.url, clock=MovableClock())

    def tables(self) -> Tables:
        """What it holds now."""
        return self._with(tables)

    def damages(self) -> list[str]:
        """What `verify` finds."""
        return self._with(lambda ledger: [str(one) for one in damages(ledger)])

    def commit(self) -> None:
        """Do the commit, undisturbed."""
        self._with(self.act)

    def put_back(self) -> None:
        """Make it what it was before."""
        ledger = self.opened()
        with ledger.writing() as connection:
            for table in metadata.sorted_tables:
                connection.exec_driver_sql(f"DELETE FROM {table.name}")
                insert_rows(connection, table.name, self.before[table.name])
        ledger.close()

    def named(self, found: Tables) -> str:
        """Which of the two it is."""
        if found == self.before:
            return "before"
        if found == self.after:
            return "after"
        return f"neither: {[name for name, rows in found.items() if rows not in (self.before[name], self.after[name])]}"

    def _with(self, ask: Callable[[Ledger], Found]) -> Found:
        ledger = self.opened()
        try:
            return ask(ledger)
        finally:
            ledger.close()


def watch_statements(engine: Engine, reached: Reached) -> None:
    """Be told before each statement, and before each COMMIT."""

    def before(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        reached(f"before {statement}")

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", lambda _connection: reached("before COMMIT"))


def kill_at_each_statement(url: str, scenario: str) -> list[Left]:
    """Fork a child for each statement of a commit, and kill it there. What a kill left is what the next one finds."""
    stand = Stand(url, scenario)
    results: list[Left] = []
    for number in range(1, POINTS_MAX):
        point = killed_at(number, partial(_act_watched, stand))
        if point is None:
            return results
        state = stand.named(stand.tables())
        results.append(Left(point, state, [] if state == "before" else stand.damages(), state))
        if state == "after":
            stand.put_back()
    raise AssertionError(f"the commit has over {POINTS_MAX} points")


def _act_watched(stand: Stand, reached: Reached) -> None:
    ledger = stand.opened()
    watch_statements(ledger.engine, reached)
    stand.act(ledger)
    reached("after COMMIT")
    ledger.close()


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(kill_at_each_statement(sys.argv[2], sys.argv[1])))
