"""A ledger with rows in every table, to be moved, and what is compared of two ledgers. Also a program that is killed.

`python -m tests.ledger.moving copy SOURCE FOLDER` copies into copy.db in FOLDER-0, FOLDER-1 and so on, each of which
begins as FOLDER is, and is killed at another point in each; `backup` and `restore` do that. `again SOURCE URL` copies
into one ledger, is killed and goes on until it has come to its end. The points are printed.
"""

import shutil
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from liushui.ledger.access.keys import create_key, revoke_key
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.flow_row import Row
from liushui.ledger.jobs.leases import take_lease
from liushui.ledger.jobs.sources import Run, add_source, record_run
from liushui.ledger.maintenance import backup, restore, snapshot
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.schema import EPHEMERAL_TABLES, FACT_TABLES, metadata
from liushui.providers.longbridge import PROVIDER
from liushui.testing.clock import NOON, MovableClock
from tests.ledger.books import Tables, tables
from tests.ledger.killing import SCENARIOS, Reached, opened, prepare, watch

SECRETS: Final = {"app_key": "public-part", "app_secret": "s3cr3t-of-the-app", "access_token": "t0ken-of-the-user"}
STEP: Final = 4
"""One point in so many is one where an act is killed."""

DONE: Final = "it is done"
"""The last point."""

SEALED: Final = {
    table.name: [at for at, column in enumerate(table.columns) if column.info.get("encrypted")]
    for table in metadata.sorted_tables
}
"""Where the sealed text stands in each table."""

PASSING: Final = {table.name for table in EPHEMERAL_TABLES}


def prepare_to_move(folder: Path) -> None:
    """Make a ledger that has rows in every table, versions that ended, and secrets."""
    folder.mkdir(exist_ok=True)
    prepare(folder)
    ledger = opened(folder)
    for scenario in SCENARIOS.values():
        scenario(ledger)
    for account in ("a", "told"):
        add_source(
            ledger, account=account, base_url="http://host", credentials=SECRETS, since=NOON, paced=account == "a"
        )
    create_key(ledger, PROVIDER, ["a", "b"], restrictions={})
    revoke_key(ledger, PROVIDER.key_name(create_key(ledger, PROVIDER, ["b"], expires_at=NOON)))
    record_run(ledger, Run("a", NOON, NOON + timedelta(seconds=2), 3, 4, 5, 1, "HTTP 500"))
    record_run(ledger, Run("told", NOON, None, 0, 0, 0, 0, ""))
    take_lease(ledger, "a", "somebody", timedelta(minutes=5))
    fill_the_rest(ledger)
    ledger.close()


def fill_the_rest(ledger: Ledger) -> None:
    """Put a row into each table that has none: what the rows of tables that others keep mean is nothing to a copy."""
    with ledger.writing() as connection:
        for table in metadata.sorted_tables:
            if connection.execute(sa.select(table).limit(1)).first() is None:
                values = {column.name: 1 if is_number(column) else "a" for column in table.columns}
                sealed = {
                    column.name: ledger.vault.encrypt(SECRETS)
                    for column in table.columns
                    if column.info.get("encrypted")
                }
                connection.execute(table.insert().values(values | sealed))


def is_number(column: sa.Column[Any]) -> bool:
    """Whether a column holds numbers, or yes and no."""
    return isinstance(column.type, (sa.Integer, sa.Boolean))


def moved(found: Tables) -> dict[str, list[Row]]:
    """What two ledgers that hold the same have in common: nothing that passes, and no secrets, which differ sealed."""
    return {
        name: [tuple("sealed" if at in SEALED[name] else value for at, value in enumerate(row)) for row in rows]
        for name, rows in found.items()
        if name not in PASSING
    }


def of_account(found: Tables, account: str) -> dict[str, list[Row]]:
    """What the tables that are copied account by account hold of one."""
    names = {table.name for table in (*FACT_TABLES, *snapshot.UNVERSIONED_TABLES)}
    return {name: [row for row in found[name] if row[0] == account] for name in sorted(names)}


def opened_at(place: Path | str) -> Ledger:
    """The ledger at a path or URL, under the clock that all of them have."""
    return open_ledger(str(place), clock=MovableClock())


def in_file(path: Path | str) -> Tables:
    """Every table of a ledger, which is closed again."""
    ledger = opened_at(path)
    try:
        return tables(ledger)
    finally:
        ledger.close()


def copy(source: Path | str, target: Path | str) -> None:
    """Copy, and expect that all of it is equal."""
    ledger = opened_at(source)
    try:
        for one in copy_ledger(ledger, str(target)):
            assert not one.differs, one
    finally:
        ledger.close()


# ---------------------------------------------------------------- the program


def main(what: str, source: Path, target: Path) -> None:
    """Kill a child at every STEPth point of an act on a target of its own, and print the points."""
    from tests.ledger.killing import POINTS_MAX, killed_at

    acts = {"copy": _copy, "backup": _back_up, "restore": _restore}
    points: list[str] = []
    for number in range(1, POINTS_MAX, STEP):
        own = target.with_name(f"{target.name}-{len(points)}")
        shutil.copytree(target, own)
        point = killed_at(number, partial(acts[what], source, own))
        if point is None:
            break
        points.append(point)
    sys.stdout.buffer.write(msgspec.json.encode(points))


def copy_again_and_again(source: str, url: str) -> None:
    """Kill a child at its point of a number, then another that goes on, until one has come to its end."""
    from tests.ledger.killing import POINTS_MAX, killed_at

    points: list[str] = []
    for number in range(2, POINTS_MAX):
        point = killed_at(2 * number, partial(copy_watched, source, url))
        if point is None or point == DONE:
            break
        points.append(point)
    sys.stdout.buffer.write(msgspec.json.encode(points))


def _copy(source: Path, folder: Path, reached: Reached) -> None:
    copy_watched(source, folder / "copy.db", reached)
    _done(reached)


def copy_watched(source: Path | str, target: Path | str, reached: Reached) -> None:
    """Copy, and tell each point behind a statement that writes, and around each COMMIT."""

    def told(point: str) -> None:
        if point.startswith(
            ("before COMMIT", "before BEGIN", "after INSERT", "after UPDATE", "after CREATE", "after DR")
        ):
            reached(" ".join(point.split()))

    snapshot.CHUNK = 12  # type: ignore[misc] # so that a small ledger has several pieces
    ledger = opened_at(source)
    watch(Engine, told)
    copy_ledger(ledger, str(target))


def _back_up(source: Path, folder: Path, reached: Reached) -> None:
    backup.PAGES_PER_STEP = 1  # type: ignore[misc]
    ledger = opened_at(source)
    path = folder / "backup.db"
    backup.back_up(ledger, path, force=True, with_secrets=True, progress=lambda *told: reached(str(told)))
    _done(reached)


def _restore(source: Path, folder: Path, reached: Reached) -> None:
    backup.PAGES_PER_STEP = 1  # type: ignore[misc]
    restore.restore(source, str(folder / "ledger.db"), force=True, progress=lambda *told: reached(str(told)))
    _done(reached)


def _done(reached: Reached) -> None:
    """As many points as lie between two kills, so that one of them is here."""
    for _ in range(STEP):
        reached(DONE)


if __name__ == "__main__":
    if sys.argv[1] == "again":
        copy_again_and_again(sys.argv[2], sys.argv[3])
    else:
        main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
