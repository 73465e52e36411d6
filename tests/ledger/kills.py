"""Commits that write to every table, and a program that makes one and is killed at a chosen point.

`python -m tests.ledger.kills statements SCENARIO FOLDER` forks a child for each SQL statement, kills it before or after
the statement, and prints the remaining state. `opening - FOLDER` does the same while a ledger is created. `commit
SCENARIO FOLDER` only makes the commit, for a tracer to kill.
"""

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from liushui.errors import AccountRenamed
from liushui.flow import Direction, Kind
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.flow_row import Rejected
from liushui.ledger.write.commit import commit_gap, make_account
from liushui.ledger.write.rename import rename_account
from liushui.ledger.write.reprocess import rebuild, retry
from liushui.ledger.write.stated_balances import withdraw_balance
from liushui.testing.clock import MovableClock
from tests.ledger.learning_codec import LearningCodec, toy_row
from tests.ledger.ledgers import (
    READ_AT,
    Tables,
    close_march_of,
    commit_read,
    damages,
    decide_link_of,
    decode_and_commit,
    explain_side_of,
    hours,
    import_page,
    import_rejected,
    make_full_row,
    make_row,
    new_ledger,
    rejected_row,
    state,
    tables,
)

if TYPE_CHECKING:
    from tests.engines import LedgerStore

MARK: Final = b"the commit begins"
"""Written to /dev/null just before the commit, so that it shows in a trace of system calls."""

POINTS_MAX: Final = 500
"""More points than any commit here has, so that loops over them end."""


class Left(NamedTuple):
    """What a killed commit left, and what is there after the same commit was made `again`.

    Both are "before", "after", or the names of the tables that differ from both.
    """

    point: str
    found: str
    damage: list[str]
    again: str


# ---------------------------------------------------------------- the commits


OLD: Final = LearningCodec(unreadable=frozenset({"strange"}))
NEW: Final = LearningCodec(unreadable=frozenset({"plain"}), kinds={"gift": Kind.REBATE})
"""A codec before and after it learned to decode strange rows, to call gifts rebates, and to reject plain rows."""

TOY_ROWS: Final = (
    toy_row("t1", 2, label="gift"),
    toy_row("t2", 2, label="gift"),
    toy_row("t3", 3, label="plain"),
    toy_row("t4", 4, label="strange", side="in", amount="-4.00"),
)


def prepare(where: "LedgerStore | Path") -> None:
    """Make the ledger that each commit begins with. Every table and every account has rows."""
    ledger = new_ledger(where, "a", "b", "toy")
    same, gone = make_full_row("same", 1, "12.50"), make_row("gone", 14, kind=Kind.FEE)
    commit_read(
        ledger, hours(0, 24), same, make_row("old", 13, direction=Direction.OUT), gone, rejected=[rejected_row("{")]
    )
    seen = [rejected_row("{"), rejected_row("}"), rejected_row("<")]
    commit_read(ledger, hours(0, 24), same, make_row("old", 13, "3.00", direction=Direction.OUT), gone, rejected=seen)
    commit_read(ledger, hours(12.5, 12.75), rejected=[rejected_row("<")])
    commit_read(ledger, hours(0, 24), make_row("of another", 1), account="b")
    commit_gap(ledger, "a", hours(24, 72), tried_at=READ_AT, reason="HTTP 500")
    import_page(ledger, make_row("newest", 62), *[make_row("cut", 60)] * 2)
    import_page(ledger, *[make_row("cut", 60)] * 2, make_row("oldest", 58))
    import_rejected(ledger, Rejected(make_row("first", 64).row, "row", "expected another"))
    state(ledger, "12.50", 2)
    withdraw_balance(ledger, state(ledger, "99.00", 3), "a typing error")
    decode_and_commit(ledger, hours(0, 24), OLD, *TOY_ROWS, account="toy")
    decide_link_of(ledger)
    close_march_of(ledger)
    explain_side_of(ledger, "old", 13)
    ledger.close()


def commit_a_slice(ledger: Ledger) -> None:
    """Adds, restates, withdraws and quarantines rows; narrows and withdraws entries; splits and closes coverage; adds,
    changes and removes totals."""
    added = [make_row(f"new {number}", 20 + number / 100) for number in range(50)]
    commit_read(
        ledger,
        hours(12, 59),
        make_row("old", 13, "2.75"),
        *added,
        make_full_row("full", 41),
        rejected=[rejected_row("["), rejected_row("{")],
    )


def commit_a_page(ledger: Ledger) -> None:
    """An import: adds rows, resolves a quarantined one, ends a surplus copy, and stores counts at the page's edges."""
    last = make_row("last", 57, direction=Direction.OUT)
    import_page(ledger, make_row("first", 64), *[make_row("cut", 60)] * 3, make_row("oldest", 58), last)


def commit_a_retry(ledger: Ledger) -> None:
    """A quarantined row becomes a flow."""
    retry(ledger, "toy", NEW)


def commit_a_rebuild(ledger: Ledger) -> None:
    """Flows are decoded differently, and one not at all any more."""
    rebuild(ledger, "toy", NEW, lambda _flows: None)


SCENARIOS: Final[dict[str, Callable[[Ledger], None]]] = {
    "slice": commit_a_slice,
    "page": commit_a_page,
    "retry": commit_a_retry,
    "rebuild": commit_a_rebuild,
}


def commit_a_rename(ledger: Ledger) -> None:
    """Every row of an account gets another name, and so do those who may read it. Done again, it changes nothing."""
    with suppress(AccountRenamed):
        rename_account(ledger, "a", "renamed")


KILLED: Final = SCENARIOS | {"rename": commit_a_rename}
"""The commits that are killed. After a rename, the other ones would not find their account."""

STEPS: Final = {"rename": 5}
"""The commits that are killed at every fifth point only: a rename has the same two statements for each table."""


# ---------------------------------------------------------------- what a kill left


def opened(folder: Path) -> Ledger:
    """The ledger in a folder. All of them have the same clock."""
    return open_ledger(str(folder / "ledger.db"), clock=MovableClock())


def first_opened(folder: Path) -> Ledger:
    """A ledger with the account `a`, which the program made in a folder; not a copy of an empty one."""
    ledger = open_ledger(str(folder / "ledger.db"), create=True, clock=MovableClock())
    make_account(ledger, "a", "longbridge", "Asia/Hong_Kong")
    return ledger


def copied(base: Path, folder: Path) -> Path:
    """A copy of a closed ledger."""
    shutil.copytree(base, folder)
    return folder


class Judge:
    """Compares what a killed commit left with the ledger before and after it."""

    def __init__(self, base: Path, scenario: str) -> None:
        self._act = KILLED[scenario]
        self._before = _tables_in(base)
        done = copied(base, base.with_name(f"{base.name}-{scenario}-done"))
        self._commit(done)
        self._after = _tables_in(done)

    def untouched(self) -> set[str]:
        """The tables that the commit does not change."""
        return {name for name, rows in self._before.items() if rows == self._after[name]}

    def left(self, point: str, folder: Path) -> Left:
        """Look at the ledger, make the commit again, and look again. Deletes the folder."""
        ledger = opened(folder)
        found, damage = tables(ledger), [str(one) for one in damages(ledger)]
        ledger.close()
        state = self._named(found)
        self._commit(folder)
        again = _tables_in(folder)
        shutil.rmtree(folder)
        if state == "after":
            return Left(point, state, damage, "after" if _facts(again) == _facts(self._after) else "other facts")
        return Left(point, state, damage, self._named(again))

    def _commit(self, folder: Path) -> None:
        ledger = opened(folder)
        self._act(ledger)
        ledger.close()

    def _named(self, found: Tables) -> str:
        if found == self._before:
            return "before"
        if found == self._after:
            return "after"
        return (
            f"neither: {[name for name, rows in found.items() if rows not in (self._before[name], self._after[name])]}"
        )


def _tables_in(folder: Path) -> Tables:
    ledger = opened(folder)
    found = tables(ledger)
    ledger.close()
    return found


def _facts(found: Tables) -> Tables:
    """The tables without what a commit of the same facts changes: its batch, and the proof of its range."""
    kept = {name: rows for name, rows in found.items() if name not in ("accounts", "batches", "coverage")}
    return kept | {"coverage": [row[:-1] for row in found["coverage"]]}


# ---------------------------------------------------------------- killing around SQL statements


def kill_at_each_statement(base: Path, scenario: str) -> list[Left]:
    """Fork a child for each point before, between and after the statements of a commit, and kill it at that point."""
    judge = Judge(base, scenario)
    results: list[Left] = []
    for number in range(1, POINTS_MAX, STEPS.get(scenario, 1)):
        folder = copied(base, base.with_name(f"{base.name}-{scenario}-{number}"))
        point = killed_at(number, partial(_act_watched, folder, KILLED[scenario]))
        if point is None:
            return results
        results.append(judge.left(f"{number}: {point}", folder))
    raise AssertionError(f"the commit has over {POINTS_MAX} points")


def kill_at_each_statement_of_a_first_opening(base: Path) -> list[Left]:
    """The same while a ledger is created: afterwards one can be created there, and it is empty."""
    results: list[Left] = []
    for number in range(1, POINTS_MAX):
        folder = base.with_name(f"{base.name}-opening-{number}")
        folder.mkdir()
        point = killed_at(number, partial(_open_watched, folder))
        if point is None:
            return results
        ledger = first_opened(folder)
        empty = all(not rows for name, rows in tables(ledger).items() if name != "accounts")
        commit_read(ledger, hours(0, 24), make_row("one", 1))
        results.append(
            Left(f"{number}: {point}", "before" if empty else "neither", list(map(str, damages(ledger))), "after")
        )
        ledger.close()
        shutil.rmtree(folder)
    raise AssertionError(f"an opening has over {POINTS_MAX} points")


Reached = Callable[[str], None]
"""Called with each point that a child reaches. It does not return from the point at which the child is killed."""


def killed_at(number: int, act: Callable[[Reached], None]) -> str | None:
    """Kill a child at its point of that number. Returns the point; None where it has fewer, and ended normally."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(readable)
            act(_killer(number, writable))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        point = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return point
    assert status == 0, f"the child ended with {status} instead of being killed"
    return None


def _killer(number: int, writable: int) -> Reached:
    passed = itertools.count(1)

    def reached(point: str) -> None:
        if next(passed) == number:
            os.write(writable, point[:200].encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def _act_watched(folder: Path, act: Callable[[Ledger], None], reached: Reached) -> None:
    ledger = opened(folder)
    watch(ledger.engine, reached)
    act(ledger)
    reached("after COMMIT")
    ledger.close()
    reached("after the ledger was closed")


def _open_watched(folder: Path, reached: Reached) -> None:
    # The end of a statement is not a separate point: nothing is written between it and the next statement.
    watch(Engine, reached, after_each=False)
    first_opened(folder).close()
    reached("after the ledger was closed")


def watch(engine: Engine | type[Engine], reached: Reached, *, after_each: bool = True) -> None:
    """Report each statement when it begins, with `after_each` also when it has ended, and each begin and commit of a
    transaction."""

    def before(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        reached(f"before {statement}")

    def after(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        reached(f"after {statement}")

    event.listen(engine, "before_cursor_execute", before)
    if after_each:
        event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "begin", lambda _connection: reached("after BEGIN"))  # it is no statement of SQLAlchemy's
    event.listen(engine, "commit", lambda _connection: reached("before COMMIT"))


# ---------------------------------------------------------------- the program


def main(what: str, scenario: str, folder: Path) -> None:
    """Print what each kill left, or make one commit."""
    if what == "opening":
        sys.stdout.buffer.write(msgspec.json.encode(kill_at_each_statement_of_a_first_opening(folder)))
        return
    if what == "statements":
        sys.stdout.buffer.write(msgspec.json.encode(kill_at_each_statement(folder, scenario)))
        return
    ledger = opened(folder)
    with open(os.devnull, "wb", buffering=0) as nowhere:  # noqa: PTH123 - unbuffered: one system call
        nowhere.write(MARK)
    KILLED[scenario](ledger)
    ledger.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
