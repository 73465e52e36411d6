"""Commits to a ledger on a server, killed or cut off at each of their points. The ledger is reset in between.

`python -m tests.ledger.server_kills SCENARIO URL` forks a child for each SQL statement, kills it at the statement, and
prints the remaining state.
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
from tests.ledger.kills import KILLED, POINTS_MAX, Left, Reached, killed_at
from tests.ledger.ledgers import Tables, damages, tables

RETRIED: Final = {"slice"}
"""Scenarios whose commit is retried when the connection is lost."""


Found = TypeVar("Found")


class Scenario:
    """A ledger on a server, before and after a commit."""

    def __init__(self, url: str, scenario: str) -> None:
        self.url, self.act = url, KILLED[scenario]
        self.before = self.tables()
        self.commit()
        self.after = self.tables()
        self.reset()

    def opened(self) -> Ledger:
        """Open it. Every time it has the same clock."""
        return open_ledger(self.url, clock=MovableClock())

    def tables(self) -> Tables:
        """Its tables now."""
        return self._with(tables)

    def damages(self) -> list[str]:
        """The damages that `verify` finds."""
        return self._with(lambda ledger: [str(one) for one in damages(ledger)])

    def commit(self) -> None:
        """Make the commit, undisturbed."""
        self._with(self.act)

    def reset(self) -> None:
        """Make it what it was before the commit."""
        ledger = self.opened()
        with ledger.writing() as connection:
            for table in metadata.sorted_tables:
                connection.exec_driver_sql(f"DELETE FROM {table.name}")
                insert_rows(connection, table.name, self.before[table.name])
        ledger.close()

    def named(self, found: Tables) -> str:
        """Whether tables are as before or after the commit."""
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
    """Call `reached` before each statement and each COMMIT."""

    def before(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        reached(f"before {statement}")

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", lambda _connection: reached("before COMMIT"))


def kill_at_each_statement(url: str, scenario: str) -> list[Left]:
    """Fork a child for each statement of a commit, and kill it there. Each begins with what the one before left."""
    stand = Scenario(url, scenario)
    results: list[Left] = []
    for number in range(1, POINTS_MAX):
        point = killed_at(number, partial(_act_watched, stand))
        if point is None:
            return results
        state = stand.named(stand.tables())
        results.append(Left(point, state, [] if state == "before" else stand.damages(), state))
        if state == "after":
            stand.reset()
    raise AssertionError(f"the commit has over {POINTS_MAX} points")


def _act_watched(stand: Scenario, reached: Reached) -> None:
    ledger = stand.opened()
    watch_statements(ledger.engine, reached)
    stand.act(ledger)
    reached("after COMMIT")
    ledger.close()


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(kill_at_each_statement(sys.argv[2], sys.argv[1])))
