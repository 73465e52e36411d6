"""A ledger with rows in every table, to be copied; the comparison of two ledgers; and a program to kill.

`python -m tests.ledger.copies copy SOURCE FOLDER` makes the copies FOLDER-0, FOLDER-1 and so on of a folder. In each it
copies a ledger into copy.db, and is killed at a different point. `backup` and `restore` do the same with those. `again
SOURCE URL` copies into one ledger, and is killed and continued until the copy is complete. The points are printed.
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
from liushui.ledger.jobs.sources import Run, add_source, record_run
from liushui.ledger.jobs.workers import take_lease
from liushui.ledger.maintenance import backup, restore, snapshot
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.schema import EPHEMERAL_TABLES, FACT_TABLES, metadata
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.discard import discard
from liushui.ledger.write.quarantine import row_digest
from liushui.ledger.write.remove import remove_account
from liushui.ledger.write.rename import rename_account
from liushui.providers.longbridge import PROVIDER
from liushui.testing.clock import NOON, MovableClock
from tests.ledger.kills import SCENARIOS, Reached, opened, prepare, watch
from tests.ledger.ledgers import Tables, import_rejected, rejected_row, tables

SECRETS: Final = {"app_key": "public-part", "app_secret": "s3cr3t-of-the-app", "access_token": "t0ken-of-the-user"}
STEP: Final = 4
"""Every so many points, a child is killed."""

DONE: Final = "it is done"
"""The last point."""

ENCRYPTED_INDEXES: Final = {
    table.name: [at for at, column in enumerate(table.columns) if column.info.get("encrypted")]
    for table in metadata.sorted_tables
}
"""The indexes of each table's encrypted columns."""

EPHEMERAL: Final = {table.name for table in EPHEMERAL_TABLES}


def prepare_to_copy(folder: Path) -> None:
    """Make a ledger with rows in every table, versions that ended, and secrets."""
    folder.mkdir(exist_ok=True)
    prepare(folder)
    ledger = opened(folder)
    for scenario in SCENARIOS.values():
        scenario(ledger)
    import_rejected(ledger, rejected_row("a secret"), account="toy")
    discard(ledger, "toy", row_digest(b"a secret"), "a secret")
    make_account(ledger, "gone", "longbridge", "UTC")
    remove_account(ledger, "gone")
    rename_account(ledger, "b", "earlier")
    rename_account(ledger, "earlier", "b")
    for account in ("a", "toy"):
        add_source(
            ledger, account=account, base_url="http://host", credentials=SECRETS, since=NOON, paced=account == "a"
        )
    create_key(ledger, PROVIDER, ["a", "b"], restrictions={})
    revoke_key(ledger, PROVIDER.key_name(create_key(ledger, PROVIDER, ["b"], expires_at=NOON)))
    record_run(ledger, Run("a", NOON, NOON + timedelta(seconds=2), 3, 4, 5, 1, "HTTP 500"))
    record_run(ledger, Run("toy", NOON, None, 0, 0, 0, 0, ""))
    take_lease(ledger, "a", "somebody", timedelta(minutes=5))
    fill_the_rest(ledger)
    ledger.close()


def fill_the_rest(ledger: Ledger) -> None:
    """Insert an arbitrary row into each empty table: a copy does not care what it means."""
    with ledger.writing() as connection:
        for table in metadata.sorted_tables:
            if connection.execute(sa.select(table).limit(1)).first() is None:
                values = {column.name: 1 if is_number(column) else "a" for column in table.columns}
                encrypted = {
                    column.name: ledger.vault.encrypt(SECRETS)
                    for column in table.columns
                    if column.info.get("encrypted")
                }
                connection.execute(table.insert().values(values | encrypted))


def is_number(column: sa.Column[Any]) -> bool:
    """Whether a column has numbers or flags."""
    return isinstance(column.type, (sa.Integer, sa.Boolean))


def comparable(found: Tables) -> dict[str, list[Row]]:
    """What two equal ledgers have in common: not the ephemeral tables, and not the ciphertext of secrets."""
    return {
        name: [
            tuple("encrypted" if at in ENCRYPTED_INDEXES[name] else value for at, value in enumerate(row))
            for row in rows
        ]
        for name, rows in found.items()
        if name not in EPHEMERAL
    }


def of_account(found: Tables, account: str) -> dict[str, list[Row]]:
    """The rows of one account, in the tables that are copied account by account."""
    names = {table.name for table in (*FACT_TABLES, *snapshot.UNVERSIONED_TABLES)}
    return {name: [row for row in found[name] if row[0] == account] for name in sorted(names)}


def opened_at(place: Path | str) -> Ledger:
    """The ledger at a path or URL. All of them have the same clock."""
    return open_ledger(str(place), clock=MovableClock())


def in_file(path: Path | str) -> Tables:
    """The tables of a ledger that is not open."""
    ledger = opened_at(path)
    try:
        return tables(ledger)
    finally:
        ledger.close()


def copy(source: Path | str, target: Path | str) -> None:
    """Copy a ledger, and check that every account is equal."""
    ledger = opened_at(source)
    try:
        for one in copy_ledger(ledger, str(target)):
            assert not one.differs, one
    finally:
        ledger.close()


# ---------------------------------------------------------------- the program


def main(what: str, source: Path, target: Path) -> None:
    """Kill a child at every STEPth point of an action on its own target, and print the points."""
    from tests.ledger.kills import POINTS_MAX, killed_at

    actions = {"copy": _copy, "backup": _back_up, "restore": _restore}
    points: list[str] = []
    for number in range(1, POINTS_MAX, STEP):
        own = target.with_name(f"{target.name}-{len(points)}")
        shutil.copytree(target, own)
        point = killed_at(number, partial(actions[what], source, own))
        if point is None:
            break
        points.append(point)
    sys.stdout.buffer.write(msgspec.json.encode(points))


def copy_again_and_again(source: str, url: str) -> None:
    """Kill a child at a point, then another one that continues, until one completes."""
    from tests.ledger.kills import POINTS_MAX, killed_at

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
    """Copy, and report each point after a statement that writes, and before each COMMIT."""

    def on_statement(point: str) -> None:
        if point.startswith(
            ("before COMMIT", "before BEGIN", "after INSERT", "after UPDATE", "after CREATE", "after DR")
        ):
            reached(" ".join(point.split()))

    snapshot.CHUNK = 12  # type: ignore[misc] # so that a small ledger has several chunks
    ledger = opened_at(source)
    watch(Engine, on_statement)
    copy_ledger(ledger, str(target))


def _back_up(source: Path, folder: Path, reached: Reached) -> None:
    backup.PAGES_PER_STEP = 1  # type: ignore[misc]
    ledger = opened_at(source)
    path = folder / "backup.db"
    backup.back_up(ledger, path, force=True, with_secrets=True, progress=lambda *about: reached(str(about)))
    _done(reached)


def _restore(source: Path, folder: Path, reached: Reached) -> None:
    backup.PAGES_PER_STEP = 1  # type: ignore[misc]
    restore.restore(source, str(folder / "ledger.db"), force=True, progress=lambda *about: reached(str(about)))
    _done(reached)


def _done(reached: Reached) -> None:
    """As many points as there are between two kills, so that one of the kills is here."""
    for _ in range(STEP):
        reached(DONE)


if __name__ == "__main__":
    if sys.argv[1] == "again":
        copy_again_and_again(sys.argv[2], sys.argv[3])
    else:
        main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
