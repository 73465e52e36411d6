"""Backups equal a state of the ledger, and are complete or absent. Ledgers can be restored from them."""

import fcntl
import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import pytest
from cryptography.fernet import Fernet

from liushui.errors import ConfigError, LedgerError
from liushui.ledger.access.vault import KEY_VARIABLE
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import list_sources
from liushui.ledger.maintenance import backup as backup_module
from liushui.ledger.maintenance.backup import BackupResult, back_up
from liushui.ledger.maintenance.restore import restore
from tests.ledger.copies import DONE, SECRETS, comparable, in_file, opened_at, prepare_to_copy
from tests.ledger.kills import copied
from tests.ledger.ledgers import assert_intact, commit_read, hours, make_row, new_ledger, tables
from tests.system import files_of_at_most

ROOT: Final = Path(__file__).parents[2]
MOVING: Final = [sys.executable, "-B", "-m", "tests.ledger.copies"]
WRITING: Final = [sys.executable, "-m", "tests.ledger.writer_process"]


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with rows in every table. Tests do not change it."""
    folder = tmp_path_factory.mktemp("full")
    prepare_to_copy(folder)
    return folder / "ledger.db"


@pytest.fixture
def saved(full: Path, tmp_path: Path) -> Path:
    """A backup of it, without the key."""
    return backed_up(full, tmp_path / "saved.db").path


def backed_up(source: Path, path: Path, *, force: bool = False, with_secrets: bool = False) -> BackupResult:
    ledger = opened_at(source)
    try:
        return back_up(ledger, path, force=force, with_secrets=with_secrets)
    finally:
        ledger.close()


def files_in(folder: Path) -> dict[str, bytes]:
    """The content of every file in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# ---------------------------------------------------------------- backups


def test_a_backup_equals_the_ledger(full: Path, tmp_path: Path) -> None:
    saved = backed_up(full, tmp_path / "saved.db")
    assert in_file(saved.path) == in_file(full)
    assert list(files_in(tmp_path)) == ["saved.db"]
    assert stat.S_IMODE(saved.path.stat().st_mode) == 0o600
    flows = len(in_file(full)["flows"])
    assert saved == BackupResult(tmp_path / "saved.db", 3, flows, saved.path.stat().st_size, has_secrets=True, key=None)
    book = opened_at(saved.path)
    assert_intact(book)
    book.close()


def test_with_secrets_copies_the_key_beside_the_backup(full: Path, tmp_path: Path) -> None:
    saved = backed_up(full, tmp_path / "saved.db", with_secrets=True)
    assert saved.key == tmp_path / "saved.db.key"
    assert sorted(files_in(tmp_path)) == ["saved.db", "saved.db.key"]
    assert stat.S_IMODE(saved.key.stat().st_mode) == 0o600
    book = opened_at(saved.path)
    assert list_sources(book)[0].credentials == SECRETS
    book.close()


def test_with_secrets_copies_the_key_from_the_environment(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = full.with_name("ledger.db.key").read_text().strip()
    monkeypatch.setenv(KEY_VARIABLE, key)
    assert backed_up(full, tmp_path / "saved.db", with_secrets=True).key == tmp_path / "saved.db.key"
    assert (tmp_path / "saved.db.key").read_text().strip() == key


def test_no_key_is_copied_for_a_ledger_without_secrets(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    ledger.close()
    saved = backed_up(ledger.path, tmp_path / "saved.db", with_secrets=True)
    assert (saved.has_secrets, saved.key) == (False, None)
    assert sorted(files_in(tmp_path)) == ["ledger.db", "saved.db"]


def test_a_backup_during_commits_equals_a_committed_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes commit meanwhile. Each restored backup equals the ledger after one of its batches."""
    monkeypatch.setattr(backup_module, "PAGES_PER_STEP", 1)
    ledger = new_ledger(tmp_path)
    commits = 100
    writers = [
        subprocess.Popen(
            [*WRITING, str(ledger.path), str(number), "2", str(commits)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "ready\n"
        writer.stdin.write("\n")
        writer.stdin.flush()
    found: list[Path] = []
    while len(found) < 10 and any(writer.poll() is None for writer in writers):
        found.append(back_up(ledger, tmp_path / f"{len(found)}.db").path)
    for writer in writers:
        assert writer.wait() == 0
        writer.communicate()
    every = {row[1]: row for row in tables(ledger)["batches"]}
    assert len(every) == 2 * commits
    seen = set()
    for path in found:
        restored = tmp_path / "restored" / path.name
        restore(path, str(restored))
        book = opened_at(restored)
        assert_intact(book)
        kept = tables(book)
        book.close()
        ((_, _, _, _, head, link),) = kept["accounts"]
        assert kept["batches"] == [every[seq] for seq in range(1, int(str(head)) + 1)]
        assert link == every[head][-1] if head else kept["flows"] == []
        assert len(kept["flows"]) == head
        seen.add(head)
    assert len([head for head in seen if 0 < int(str(head)) < 2 * commits]) >= 2
    ledger.close()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("there.db", r"there\.db is there already: --force replaces it"),
        ("folder", r"folder: expected a file"),
        ("no/such/folder/saved.db", r"saved\.db cannot be written: No such file or directory"),
        ("open.db", r"open\.db is in use as a ledger: open\.db-wal is beside it"),
        ("ledger.db", r"ledger\.db is the ledger itself: expected another file"),
    ],
)
def test_a_backup_that_cannot_be_written_changes_nothing(full: Path, tmp_path: Path, name: str, said: str) -> None:
    base = copied(full.parent, tmp_path / "base")
    (base / "there.db").write_text("mine")
    (base / "folder").mkdir()
    (base / "open.db-wal").write_text("theirs")
    before = files_in(base)
    with pytest.raises((ConfigError, LedgerError), match=said):
        backed_up(base / "ledger.db", base / name)
    assert files_in(base) == before


def test_an_existing_file_is_replaced_only_with_force(full: Path, tmp_path: Path) -> None:
    path = tmp_path / "saved.db"
    path.write_text("an older one")
    backed_up(full, path, force=True)
    assert in_file(path) == in_file(full)


def test_a_damaged_ledger_is_not_backed_up(full: Path, tmp_path: Path) -> None:
    base = copied(full.parent, tmp_path / "base")
    with closing(sqlite3.connect(base / "ledger.db", isolation_level=None)) as file:
        file.execute("UPDATE flows SET amount = '9.99' WHERE account = 'b'")
    (tmp_path / "saved.db").write_text("an older one")
    with pytest.raises(LedgerError, match="the source is damaged, and nothing was written: account b: flows"):
        backed_up(base / "ledger.db", tmp_path / "saved.db", force=True)
    assert files_in(tmp_path) == {"saved.db": b"an older one"}


def test_a_full_disk_leaves_no_file_behind(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    for day in range(20):
        commit_read(ledger, hours(day, day + 1), *[make_row(f"{day} {at}", day + at / 1000) for at in range(100)])
    ledger.close()
    (tmp_path / "to").mkdir()
    with files_of_at_most(200_000), pytest.raises(LedgerError, match=r"saved\.db could not be written: ") as raised:
        backed_up(ledger.path, tmp_path / "to" / "saved.db")
    assert "\n" not in str(raised.value)
    assert not files_in(tmp_path / "to")


def test_two_backups_to_one_file_do_not_mix(full: Path, tmp_path: Path) -> None:
    ledger = opened_at(full)

    def again(_what: str, _done: int, _total: int) -> None:
        with pytest.raises(LedgerError, match=r"another process is writing .*saved\.db"):
            back_up(ledger, tmp_path / "saved.db")

    back_up(ledger, tmp_path / "saved.db", progress=again)
    assert in_file(tmp_path / "saved.db") == in_file(full)
    ledger.close()


# ---------------------------------------------------------------- killed


def killed(what: str, source: Path, folder: Path) -> list[str]:
    done = subprocess.run(
        [*MOVING, what, str(source), str(folder)], cwd=ROOT, capture_output=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    points = msgspec.json.decode(done.stdout, type=list[str])
    assert points[-1] == DONE
    assert len(points) > 5
    return points


def test_after_a_killed_backup_there_is_no_file_and_the_next_one_works(full: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "backup.db").write_text("an older one")
    for number, point in enumerate(killed("backup", full, folder)):
        path = tmp_path / f"killed-{number}" / "backup.db"
        if point != DONE:
            assert path.read_text() == "an older one", point
            backed_up(full, path, force=True, with_secrets=True)
        assert in_file(path) == in_file(full), point
        assert sorted(files_in(path.parent)) == ["backup.db", "backup.db.key"]


def test_what_killed_backups_of_other_names_left_is_removed(full: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    abandoned = ["monday.db.liushui-part", "monday.db.liushui-part-journal", "tuesday.db.part"]
    kept = ["wednesday.db.liushui-part", "film.part"]
    for name in (*abandoned, *kept):
        (folder / name).write_bytes(b"unfinished")
    with (folder / "wednesday.db.liushui-part").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        backed_up(full, folder / "tuesday.db")
    assert sorted(files_in(folder)) == sorted([*kept, "tuesday.db"])


def test_a_backup_that_is_being_written_is_not_removed_by_another(ledger: Ledger, tmp_path: Path) -> None:
    other = new_ledger(tmp_path, name="other.db")
    folder = tmp_path / "backups"
    folder.mkdir()
    others: list[Path] = []

    def make_another(*_progress: object) -> None:
        if not others:
            others.append(back_up(other, folder / "other-backup.db").path)

    assert back_up(ledger, folder / "backup.db", progress=make_another).path.exists()
    assert others == [folder / "other-backup.db"]
    assert sorted(path.name for path in folder.iterdir()) == ["backup.db", "other-backup.db"]
    other.close()


def test_a_killed_restore_leaves_the_ledger_before_or_after(full: Path, tmp_path: Path) -> None:
    saved = backed_up(full, tmp_path / "saved.db", with_secrets=True).path
    folder = tmp_path / "killed"
    folder.mkdir()
    old = new_ledger(folder, "mine")
    commit_read(old, hours(0, 1), *[make_row(str(at), at / 1000) for at in range(900)], account="mine")
    before = tables(old)
    old.close()
    for number, point in enumerate(killed("restore", saved, folder)):
        path = tmp_path / f"killed-{number}" / "ledger.db"
        if point != DONE:
            assert in_file(path) == before, point
            restore(saved, str(path), force=True)
        assert comparable(in_file(path)) == comparable(in_file(full)), point


# ---------------------------------------------------------------- restoring


def test_a_restore_creates_a_ledger(full: Path, saved: Path, tmp_path: Path) -> None:
    before = saved.read_bytes()
    restored = restore(saved, str(tmp_path / "new" / "ledger.db"))
    assert restored.ledger == str(tmp_path / "new" / "ledger.db")
    assert (restored.accounts, restored.flows) == (3, len(in_file(full)["flows"]))
    assert in_file(Path(restored.ledger)) == in_file(full)
    assert list(files_in(tmp_path / "new")) == ["ledger.db"]
    assert saved.read_bytes() == before


def test_a_ledger_with_content_is_replaced_only_with_force(full: Path, saved: Path, tmp_path: Path) -> None:
    """A process that has the ledger open sees its new content."""
    mine = new_ledger(tmp_path, "mine")
    before = tables(mine)
    with pytest.raises(ConfigError, match=r"ledger\.db contains a ledger already: --force replaces it by the backup"):
        restore(saved, str(mine.path))
    assert tables(mine) == before
    restore(saved, str(mine.path), force=True)
    assert comparable(tables(mine)) == comparable(in_file(full))
    commit_read(mine, hours(200, 201), make_row("later", 200))
    assert_intact(mine)
    mine.close()


def test_a_reader_keeps_its_state_while_the_ledger_is_replaced(saved: Path, tmp_path: Path) -> None:
    mine = new_ledger(tmp_path, "mine")
    with mine.reading() as connection:
        before = connection.exec_driver_sql("SELECT account FROM accounts").all()
        restore(saved, str(mine.path), force=True)
        assert connection.exec_driver_sql("SELECT account FROM accounts").all() == before
    with mine.reading() as connection:
        assert len(connection.exec_driver_sql("SELECT account FROM accounts").all()) == 3
    mine.close()


def test_an_empty_ledger_is_replaced_without_force(full: Path, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    open_ledger(str(path), create=True).close()
    restore(saved, str(path))
    assert in_file(path) == in_file(full)


def test_a_damaged_ledger_is_replaced(full: Path, saved: Path, tmp_path: Path) -> None:
    base = copied(full.parent, tmp_path / "base")
    path = base / "ledger.db"
    content = bytearray(path.read_bytes())
    content[16384 : 16384 * 6] = os.urandom(16384 * 5)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="contains a ledger already"):
        restore(saved, str(path))
    restored = restore(saved, str(path), force=True)
    assert restored.secrets == "readable", "the key is where it was"
    assert in_file(path) == in_file(full)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"mine", r"ledger\.db cannot be read, and was not changed: file is not a database"),
        (b"SQLite format 3\0" + bytes(200), r"ledger\.db"),
    ],
)
def test_a_restore_does_not_replace_what_is_not_a_ledger(
    saved: Path, tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=said):
        restore(saved, str(path), force=True)
    assert path.read_bytes() == content


def test_a_restore_does_not_replace_the_file_of_another_program(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="an SQLite file of another program, not a ledger"):
        restore(saved, str(path), force=True)
    assert path.read_bytes() == before


def spoiled(saved: Path, how: str) -> None:
    content = saved.read_bytes()
    if how == "missing":
        saved.unlink()
    elif how == "empty":
        saved.write_bytes(b"")
    elif how == "cut":
        saved.write_bytes(content[: len(content) // 2])
    elif how == "text":
        saved.write_text("no ledger")
    elif how == "another program's":
        saved.unlink()
        with closing(sqlite3.connect(saved)) as file:
            file.execute("CREATE TABLE theirs (x)")
    elif how == "newer":
        change(saved, "UPDATE alembic_version SET version_num = '9999'")
    elif how == "changed":
        change(saved, "UPDATE flows SET amount = '9.99' WHERE account = 'b'")
    elif how == "unfinished":
        change(saved, "UPDATE alembic_version SET version_num = 'unfinished copy, 0004'")


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        assert file.execute(statement).rowcount


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", r"no backup at .*saved\.db: expected a file"),
        ("empty", r"saved\.db is empty: expected a backup"),
        ("cut", r"saved\.db"),
        ("text", r"saved\.db cannot be read: file is not a database"),
        ("another program's", r"saved\.db is an SQLite file of another program, not a ledger"),
        ("newer", r"saved\.db was written by a newer liushui \(schema 9999"),
        ("changed", r"damaged, and nothing was written: account b: flows"),
        ("unfinished", r"saved\.db is an unfinished copy of another ledger"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_a_backup_that_fails_verification_changes_nothing(
    saved: Path, tmp_path: Path, how: str, said: str, force: bool
) -> None:
    spoiled(saved, how)
    folder = tmp_path / "to"
    folder.mkdir()
    if force:
        new_ledger(folder, "mine").close()
    before = files_in(folder)
    with pytest.raises((LedgerError, ConfigError), match=said) as raised:
        restore(saved, str(folder / "ledger.db"), force=force)
    assert "\n" not in str(raised.value)
    assert "part" not in str(raised.value)
    assert files_in(folder) == before


def test_a_backup_cannot_be_restored_into_itself(saved: Path) -> None:
    with pytest.raises(ConfigError, match="is the ledger itself: expected a backup of it"):
        restore(saved, str(saved), force=True)


def test_a_backup_in_a_read_only_folder_can_be_restored(
    full: Path, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a read-only medium SQLite cannot create its own files beside the backup."""
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != saved.parent)
    opened: list[str] = []
    connect = sqlite3.connect

    def told(database: str, **options: object) -> sqlite3.Connection:
        opened.append(database)
        return connect(database, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", told)
    restore(saved, str(tmp_path / "new" / "ledger.db"))
    assert f"file:{saved}?mode=ro&immutable=1" in opened
    assert in_file(tmp_path / "new" / "ledger.db") == in_file(full)


# ---------------------------------------------------------------- secrets on the way back


def test_secrets_are_encrypted_with_the_restored_ledgers_key(full: Path, tmp_path: Path) -> None:
    saved = backed_up(full, tmp_path / "saved.db", with_secrets=True)
    restored = restore(saved.path, str(tmp_path / "ledger.db"))
    assert restored.secrets == "readable"
    book = opened_at(tmp_path / "ledger.db")
    assert list_sources(book)[0].credentials == SECRETS
    assert saved.key is not None
    assert (tmp_path / "ledger.db.key").read_bytes() != saved.key.read_bytes()
    book.close()


def test_without_the_key_flows_are_restored_and_secrets_are_unreadable(full: Path, saved: Path, tmp_path: Path) -> None:
    restored = restore(saved, str(tmp_path / "ledger.db"))
    assert re.fullmatch(
        r"not readable: .*saved\.db\.key is missing and LIUSHUI_SECRET_KEY is not set", restored.secrets
    )
    book = opened_at(tmp_path / "ledger.db")
    assert_intact(book)
    with pytest.raises(LedgerError, match="the ledger's secrets cannot be read"):
        list_sources(book)
    book.close()


def test_secrets_are_reencrypted_from_a_key_file_to_the_environments_key(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = backed_up(full, tmp_path / "saved.db", with_secrets=True)
    monkeypatch.setenv(KEY_VARIABLE, Fernet.generate_key().decode())
    assert restore(saved.path, str(tmp_path / "ledger.db")).secrets == "readable"
    assert not (tmp_path / "ledger.db.key").exists()
    book = opened_at(tmp_path / "ledger.db")
    assert list_sources(book)[0].credentials == SECRETS
    book.close()


def test_a_ledger_without_secrets_is_restored_without_a_key(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    ledger.close()
    saved = backed_up(ledger.path, tmp_path / "saved.db")
    assert restore(saved.path, str(tmp_path / "new.db")).secrets == "none"


def test_a_backup_contains_no_secret_in_plain_text(full: Path, tmp_path: Path) -> None:
    saved = backed_up(full, tmp_path / "saved.db", with_secrets=True)
    content = saved.path.read_bytes()
    assert not any(secret.encode() in content for secret in SECRETS.values())
