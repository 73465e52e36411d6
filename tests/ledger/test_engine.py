"""Opening a ledger: other files are refused with a clear error and not changed. One writer and many readers."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psycopg
import pytest

from liushui.errors import ConfigError, LedgerBusy, LedgerError
from liushui.ledger import engine
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.engines import postgres_connection, sqlite
from liushui.ledger.engines.base import APPLICATION_ID, REVISION
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.batch_writer import lock_account
from tests.engines import LedgerStore
from tests.ledger.ledgers import assert_intact, column, commit_read, hours, make_row, new_ledger, tables
from tests.system import files_of_at_most

ROOT: Final = Path(__file__).parents[2]
NOBODY: Final = 65534

# ---------------------------------------------------------------- what is no ledger


def make_garbage(path: Path) -> None:
    path.write_bytes(b"no database at all\n" * 1000)


def make_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE invoices (number INTEGER)")


def make_foreign_without_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA application_id = 77")


def make_newer(path: Path) -> None:
    new_ledger(path.parent, name=path.name).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def make_unknown(path: Path) -> None:
    make_newer(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")


def make_torn(path: Path) -> None:
    new_ledger(path.parent, name=path.name).close()
    data = bytearray(path.read_bytes())
    data[108:16_384] = b"\xa5" * (16_384 - 108)
    path.write_bytes(data)


def make_cut(path: Path) -> None:
    new_ledger(path.parent, name=path.name).close()
    os.truncate(path, 700)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_garbage, "is not a ledger"),
        (make_foreign, "is an SQLite file of another program"),
        (make_foreign_without_tables, "is an SQLite file of another program"),
        (make_newer, f"written by a newer liushui .schema 9999, this one knows {REVISION}.: upgrade"),
        (make_unknown, "schema that this liushui does not know"),
        (make_torn, "is damaged|cannot be read"),
        (make_cut, "is damaged|is not a ledger|disk"),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_file_that_is_not_a_ledger_is_refused_and_not_changed(
    tmp_path: Path, make: Callable[[Path], None], message: str, create: bool
) -> None:
    path = tmp_path / "ledger.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=message) as raised:
        open_ledger(str(path), create=create)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["ledger.db"]


@pytest.mark.parametrize("make", [Path.touch, lambda _path: None], ids=["empty", "missing"])
def test_an_empty_or_missing_file_becomes_a_ledger_only_with_create(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "ledger.db"
    make(path)
    before = path.exists()
    with pytest.raises(ConfigError, match="no ledger at"):
        open_ledger(str(path))
    assert path.exists() == before
    assert not path.exists() or path.stat().st_size == 0
    ledger = open_ledger(f"sqlite:///{path}", create=True)
    assert tables(ledger)["accounts"] == []
    ledger.close()
    open_ledger(str(path)).close()


def test_only_its_owner_can_read_a_new_ledger(tmp_path: Path) -> None:
    new_ledger(tmp_path / "folder that" / "is made").close()
    assert (tmp_path / "folder that" / "is made" / "ledger.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("create", [False, True])
def test_a_folder_is_not_a_ledger(tmp_path: Path, create: bool) -> None:
    with pytest.raises(ConfigError, match="expected a file"):
        open_ledger(str(tmp_path), create=create)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_cannot_be_created_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"cannot create a ledger|cannot be opened"):
        open_ledger(str(tmp_path / "file" / "ledger.db"), create=True)
    with pytest.raises(LedgerError, match="cannot"):
        open_ledger(str(tmp_path / ("long" * 100)), create=True)


@pytest.mark.parametrize("url", ["mysql://host/x", "sqlite://x", "sqlite:///", "https://example.com/x"])
def test_urls_that_name_no_ledger_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a path, sqlite:///PATH or postgresql://"):
        open_ledger(url, create=True)


@pytest.mark.parametrize("name", ["a b", "流水", "q?x=1", "50%", "#1", "it's"])
def test_a_ledger_can_have_any_file_name(tmp_path: Path, name: str) -> None:
    ledger = new_ledger(tmp_path, name=name)
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    ledger.close()
    assert [found.name for found in tmp_path.iterdir()] == [name]


def test_an_interrupted_migration_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("cut off")

    path = tmp_path / "ledger.db"
    with monkeypatch.context() as patched:
        patched.setattr(engine, "_migrate", fail)
        with pytest.raises(RuntimeError, match="cut off"):
            open_ledger(str(path), create=True)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert_intact(new_ledger(tmp_path))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# ---------------------------------------------------------------- permissions


@contextmanager
def folder_of_a_user() -> Iterator[Path]:
    """A folder that belongs to the user that `bound_by_permissions` becomes."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        yield folder
        folder.chmod(0o700)


@contextmanager
def bound_by_permissions(folder: Path) -> Iterator[None]:
    """Become the owner of the folder and its files, who is not root, so that permissions apply."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("file_mode", "folder_mode"), [(0o400, 0o700), (0o600, 0o500), (0o400, 0o500), (0o000, 0o700), (0o600, 0o000)]
)
def test_a_read_only_ledger_is_refused_and_not_changed(file_mode: int, folder_mode: int) -> None:
    with folder_of_a_user() as folder:
        ledger = new_ledger(folder)
        before = tables(ledger)
        ledger.close()
        with bound_by_permissions(folder):
            ledger.path.chmod(file_mode)
            folder.chmod(folder_mode)
            with pytest.raises(LedgerError, match=r"cannot be (written|opened)") as raised:
                commit_read(open_ledger(str(ledger.path)), hours(0, 24), make_row("one", 1))
            assert "\n" not in str(raised.value)
            folder.chmod(0o700)
            ledger.path.chmod(0o600)
        ledger = open_ledger(str(ledger.path))
        assert tables(ledger) == before
        ledger.close()


def test_a_ledger_cannot_be_created_in_a_read_only_folder() -> None:
    with folder_of_a_user() as folder:
        with bound_by_permissions(folder):
            folder.chmod(0o500)
            with pytest.raises(LedgerError, match="cannot create a ledger at"):
                open_ledger(str(folder / "ledger.db"), create=True)
        assert list(folder.iterdir()) == []


# ---------------------------------------------------------------- full disks


def test_a_commit_that_fills_the_disk_is_rolled_back(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    ledger = new_ledger(tmp_path / "base")
    commit_read(ledger, hours(0, 24), make_row("old", 1), make_row("gone", 2))
    before = tables(ledger)
    ledger.close()
    rows = [make_row(f"new {number}", 3 + number / 100, label="x" * 500) for number in range(200)]
    failed = 0
    for room in range(100):
        path = Path(shutil.copytree(tmp_path / "base", tmp_path / f"{room}")) / "ledger.db"
        ledger = open_ledger(str(path))
        with files_of_at_most(room * 8_192), suppress(LedgerError):
            commit_read(ledger, hours(0, 24), make_row("old", 1), *rows)
            break
        failed += 1
        assert tables(ledger) == before
        assert commit_read(ledger, hours(0, 24), make_row("old", 1), *rows).added == len(rows)
        assert_intact(ledger)
        ledger.close()
    assert failed > 10, "it failed early and late"
    assert_intact(ledger)
    ledger.close()


def test_a_full_disk_is_named_in_the_error(file_ledger: Ledger) -> None:
    ledger = file_ledger
    before = tables(ledger)
    with ledger.reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(LedgerError, match="the disk is full: nothing was written to"):
        commit_read(ledger, hours(0, 24), *[make_row(f"{number}", 1, label="x" * 500) for number in range(200)])
    assert tables(ledger) == before


# ---------------------------------------------------------------- writers and readers


def test_a_second_writer_of_an_account_waits_for_the_first(ledger_store: LedgerStore) -> None:
    first = new_ledger(ledger_store)
    second = open_ledger(first.url)
    begun = threading.Event()

    def commit() -> None:
        begun.set()
        commit_read(second, hours(0, 24), make_row("second", 1))

    with first.writing() as connection:
        lock_account(connection, "a")
        thread = threading.Thread(target=commit)
        thread.start()
        begun.wait()
        thread.join(0.3)
        assert thread.is_alive(), "it does not write while somebody else does"
        connection.exec_driver_sql("UPDATE accounts SET zone = 'UTC'")
        connection.exec_driver_sql("UPDATE accounts SET zone = 'Asia/Hong_Kong'")
    thread.join(30)
    assert not thread.is_alive()
    assert column(first, "flows", "id") == [("second",)]
    assert_intact(first)
    first.close()
    second.close()


def test_a_writer_that_waits_too_long_is_told_that_the_ledger_is_busy(
    ledger_store: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = new_ledger(ledger_store)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(postgres_connection, "BUSY_TIMEOUT_S", 0.05)
    second = open_ledger(first.url)
    before = tables(first)
    with first.writing() as connection:
        lock_account(connection, "a")
        with pytest.raises(LedgerBusy, match="another process has been writing"):
            commit_read(second, hours(0, 24), make_row("second", 1))
    assert tables(first) == before
    assert commit_read(second, hours(0, 24), make_row("second", 1)).added == 1
    first.close()
    second.close()


def test_a_reader_sees_one_state_while_others_write(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store)
    rows = [make_row(f"{number:04}", number / 1000) for number in range(3000)]
    commit_read(ledger, hours(0, 24), *rows)
    other = open_ledger(ledger.url)
    walk = list_flows(other, FlowFilter())
    seen = [next(walk).id]
    commit_read(ledger, hours(0, 24), *rows[::2])
    with ledger.writing() as connection:
        connection.exec_driver_sql("DELETE FROM day_totals")
        seen += [found.id for found in walk]
        connection.rollback()
    assert seen == [row.flow.identity for row in rows]
    assert len(list(list_flows(other, FlowFilter()))) == 1500
    ledger.close()
    other.close()


def test_two_processes_commit_to_one_account(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store)
    commits = 60
    writers = [writer(ledger.url, number, commits) for number in range(2)]
    for process in writers:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in writers:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in writers:
        process.communicate(timeout=60)
    assert [process.returncode for process in writers] == [0, 0]
    assert len(column(ledger, "flows", "id")) == 2 * commits
    assert column(ledger, "accounts", "head") == [(2 * commits,)]
    by_batch = sorted(list_flows(ledger, FlowFilter()), key=lambda found: found.batch)
    order = [found.id.split()[0] for found in by_batch]
    assert order != sorted(order), "they took turns"
    assert_intact(ledger)
    ledger.close()


def writer(url: str, number: int, commits: int) -> subprocess.Popen[str]:
    """One of two processes that commit slices of their own once they get a line of input."""
    command = [sys.executable, "-m", "tests.ledger.writer_process", url, str(number), "2", str(commits)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_raw_connection_is_read_only(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    with closing(ledger.raw_connection()) as connection:
        assert connection.execute("SELECT id FROM flows").fetchall() == [("one",)]
        with pytest.raises((sqlite3.OperationalError, psycopg.errors.ReadOnlySqlTransaction), match=r"read-?only"):
            connection.execute("DELETE FROM flows")


def test_the_file_of_a_closed_ledger_can_be_copied(file_ledger: Ledger, tmp_path: Path) -> None:
    ledger = file_ledger
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    before = tables(ledger)
    ledger.close()
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(ledger.path, tmp_path / "elsewhere")
    copy = open_ledger(str(tmp_path / "elsewhere" / ledger.path.name))
    assert tables(copy) == before
    assert_intact(copy)
    copy.close()
