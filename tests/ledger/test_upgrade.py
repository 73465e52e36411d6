"""A ledger of an older schema is upgraded when it is opened. It loses nothing, and its chains stay valid."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from liushui.errors import ConfigError
from liushui.flow import Direction
from liushui.ledger import migrations
from liushui.ledger.engine import Ledger, UpgradeResult, open_ledger, upgrade_ledger
from liushui.ledger.engines.base import APPLICATION_ID, REVISION
from liushui.ledger.engines.sqlite import sqlite_engine
from liushui.ledger.maintenance.restore import restore
from liushui.testing.clock import MovableClock
from tests.ledger.ledgers import (
    assert_intact,
    commit_read,
    hours,
    import_page,
    make_full_row,
    make_row,
    new_ledger,
    rejected_row,
    tables,
)
from tests.ledger.reading import statuses

BEFORE_MEMORY = "0002"


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, dict[str, list[tuple[object, ...]]]]:
    """A ledger of an older schema, and the tables that it must have after the upgrade: the same facts and links."""
    ledger = new_ledger(tmp_path, name="new.db")
    side = make_row("side", 2, "5.00", direction=Direction.OUT)
    commit_read(ledger, hours(0, 24), make_full_row("one", 1), side, rejected=[rejected_row("{"), rejected_row("{")])
    commit_read(
        ledger, hours(0, 24), make_full_row("one", 1, "-3.00"), side, rejected=[rejected_row("{"), rejected_row("{")]
    )
    import_page(ledger, make_row("newest", 62), *[make_row("cut", 60)] * 2)
    expected = tables(ledger)
    path = tmp_path / "old.db"
    path.touch()
    engine = sqlite_engine(path)
    with ledger.reading() as source, engine.connect() as connection, connection.begin():
        config = Config()
        config.set_main_option("script_location", str(next(iter(migrations.__path__))))
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE_MEMORY)
        for table in sa.inspect(connection).get_table_names():
            if table == "alembic_version":
                continue
            names = ", ".join(str(column["name"]) for column in sa.inspect(connection).get_columns(table))
            for row in source.exec_driver_sql(f"SELECT {names} FROM {table}"):
                places = ", ".join("?" * len(row))
                connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(row))
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    engine.dispose()
    ledger.close()
    return path, expected


def opened(path: Path) -> Ledger:
    return open_ledger(str(path), clock=MovableClock())


def test_opening_an_older_ledger_upgrades_it(old: tuple[Path, dict[str, list[tuple[object, ...]]]]) -> None:
    path, expected = old
    ledger = opened(path)
    assert tables(ledger) == expected
    assert_intact(ledger)
    (status,) = statuses(ledger)
    assert (status.quarantined, status.findings) == (2, 1)
    commit_read(ledger, hours(0, 24), make_full_row("one", 1, "-3.00"))
    assert (statuses(ledger)[0].quarantined, statuses(ledger)[0].findings) == (0, 0)
    assert_intact(ledger)
    ledger.close()


def test_an_upgrade_reports_the_schema_before(old: tuple[Path, dict[str, list[tuple[object, ...]]]]) -> None:
    path, expected = old
    assert upgrade_ledger(str(path)) == UpgradeResult(str(path), BEFORE_MEMORY, REVISION)
    assert upgrade_ledger(f"sqlite:///{path}") == UpgradeResult(str(path), REVISION, REVISION)
    ledger = opened(path)
    assert tables(ledger) == expected
    ledger.close()


def test_an_upgrade_creates_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no ledger at"):
        upgrade_ledger(str(tmp_path / "none.db"))
    assert not (tmp_path / "none.db").exists()


def test_restoring_an_old_backup_upgrades_the_ledger_and_not_the_backup(
    old: tuple[Path, dict[str, list[tuple[object, ...]]]], tmp_path: Path
) -> None:
    path, expected = old
    before = path.read_bytes()
    restore(path, str(tmp_path / "restored.db"))
    assert path.read_bytes() == before
    ledger = opened(tmp_path / "restored.db")
    assert tables(ledger) == expected
    assert_intact(ledger)
    ledger.close()
