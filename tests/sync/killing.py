"""Kills a sync at each boundary of each of its commits, and examines the remaining ledger.

`python -m tests.sync.killing FOLDER` prints, as JSON, the state after each kill and after the next sync.
"""

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import event
from sqlalchemy.engine import Engine

from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.maintenance.verify import Damage, verify
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.providers.longbridge import codec
from liushui.sync import pipeline
from liushui.sync.options import Options
from liushui.testing.clock import MovableClock
from liushui.testing.provider_client_double import ClientDouble
from tests.ledger.reading import statuses
from tests.sync.rows import NOW, hourly, new_ledger
from tests.sync.running import World, states

KILLS_MAX: Final = 200
"""More than the number of boundaries that the sync has."""

OPTIONS: Final = Options(size=48, attempts=1)
ROWS_AHEAD: Final = 30
"""Few enough rows for many transactions, some with one slice and some with two."""

Reached = Callable[[str], None]
"""Called at each boundary that the child reaches. It does not return where the child is killed."""


class Left(NamedTuple):
    """What a killed sync left, and what the next sync made of it."""

    boundary: str
    flows: int
    damage: list[str]
    again: str
    """The status of the next sync."""
    whole: bool
    """Whether every flow was there exactly once afterwards, and no version had ended."""
    proven: list[str]


def main(folder: Path) -> None:
    """Kill one sync at its first boundary, another at its second, and so on until one ends by itself."""
    base = folder / "base"
    base.mkdir()
    new_ledger(base).close()
    found: list[Left] = []
    for number in range(1, KILLS_MAX):
        place = folder / str(number)
        shutil.copytree(base, place)
        boundary = killed_at(number, place)
        found.append(left_in(place, boundary or "none"))
        if boundary is None:
            sys.stdout.buffer.write(msgspec.json.encode(found))
            return
    raise AssertionError(f"the sync has over {KILLS_MAX} boundaries")


def killed_at(number: int, folder: Path) -> str | None:
    """Sync in a child process, and kill it at a boundary. Returns its name; None where the sync ended before."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            passed = itertools.count(1)

            def reached(boundary: str) -> None:
                if next(passed) == number:
                    os.write(writable, boundary.encode())
                    os.kill(os.getpid(), signal.SIGKILL)

            ledger = opened(folder)
            watch(ledger.engine, reached)
            run(ledger)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        boundary = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return boundary
    assert status == 0, f"the child ended with {status} instead of being killed"
    return None


def watch(engine: Engine, reached: Reached) -> None:
    """Report each transaction with writes: before its commit, and after it."""
    writes = {"now": False}

    def begun(_connection: object) -> None:
        writes["now"] = False

    def executed(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        writes["now"] = writes["now"] or statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))

    def before(_connection: object) -> None:
        if writes["now"]:
            reached("before a commit")

    def after(_connection: object, _record: object) -> None:
        if writes["now"]:
            writes["now"] = False
            reached("after a commit")

    event.listen(engine, "begin", begun)
    event.listen(engine, "before_cursor_execute", executed)
    event.listen(engine, "commit", before)
    event.listen(engine, "checkin", after)


def opened(folder: Path) -> Ledger:
    """Open the ledger in a folder."""
    return open_ledger(str(folder / "ledger.db"), clock=MovableClock(NOW))


def run(ledger: Ledger) -> str:
    """Sync once. Returns the status."""
    clock = ledger.clock
    assert isinstance(clock, MovableClock)
    pipeline.ROWS_AHEAD = ROWS_AHEAD  # type: ignore[misc] # in this process alone
    (result,) = World(clock, {"a": ClientDouble(codec, hourly(10))}).sync(ledger, options=OPTIONS)
    return result.status.value


def left_in(folder: Path, boundary: str) -> Left:
    """Look at the ledger, sync once more, and look again."""
    ledger = opened(folder)
    flows = sum(status.flows for status in statuses(ledger))
    damage = [str(found) for found in verify(ledger) if isinstance(found, Damage)]
    again = run(ledger)
    amounts = sorted(str(found.flow.amount) for found in list_flows(ledger, FlowFilter()))
    truth = sorted(str(codec.read(one).flow.amount) for one in hourly(10))
    with ledger.reading() as connection:
        ended = connection.exec_driver_sql("SELECT count(*) FROM history").scalar()
    damage += [str(found) for found in verify(ledger) if isinstance(found, Damage)]
    proven = [state.value for state, _ in states(ledger)]
    ledger.close()
    return Left(boundary, flows, damage, again, amounts == truth and not ended, proven)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
