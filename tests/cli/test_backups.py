"""Backups on a schedule, on the command line and by a server; and restore drills as a user runs them."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from liushui.cli import EXIT_DAMAGED
from liushui.ledger.engine import open_ledger
from liushui.ledger.jobs.backups import record_failed_backup
from liushui.ledger.jobs.sources import add_source, list_sources
from liushui.ledger.maintenance.backup_folder import OWNER_FILE
from liushui.ledger.maintenance.heads_file import record_heads
from liushui.ledger.write.commit import make_account
from liushui.testing.clock import NOON
from tests import postgres
from tests.cli.commands import result, run, start
from tests.engines import DatabasePool, LedgerStore, store_of
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger
from tests.postgres import find_programs

PATIENCE_S = 60.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A ledger with flows, on each engine."""
    stores: Iterator[LedgerStore] = store_of(request, tmp_path)
    for store in stores:
        ledger = new_ledger(store)
        commit_read(ledger, hours(0, 2), make_row("one", 0), make_row("two", 1))
        ledger.close()
        yield ledger.url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with a flow in a file."""
    ledger = new_ledger(tmp_path)
    commit_read(ledger, hours(0, 1), make_row("one", 0))
    ledger.close()
    return tmp_path / "ledger.db"


def backups(folder: Path) -> list[str]:
    """The names of the files in a folder, but for the one that names its ledger."""
    return sorted(file.name for file in folder.iterdir() if file.name != OWNER_FILE) if folder.is_dir() else []


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    """Wait for a condition of another process."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline, f"{what} within {PATIENCE_S:g} s"
        time.sleep(0.05)


@contextmanager
def running(path: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process of its own until the block ends."""
    process = start(path, *words)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


# ---------------------------------------------------------------- the drill


def test_a_restore_drill(url: str, tmp_path: Path) -> None:
    """Back up, restore into a new place, verify there, and compare the balances and the flows."""
    folder, drill = tmp_path / "backups", tmp_path / "drill" / "ledger.db"
    saved = result(Path(url), "--ledger", url, "db", "backup", str(folder), "--keep", "7d,4w,12m")
    assert (saved["flows"], saved["deleted"]) == (2, [])
    result(drill, "db", "restore", saved["path"])
    verified = result(drill, "verify")
    assert [one["result"] for one in verified] == ["intact"]
    for command in ("balances", "flows", "coverage"):
        before = run(Path(url), "--ledger", url, command, "--format", "json")
        assert run(drill, command, "--format", "json") == before
        assert json.loads(before.stdout)


@pytest.mark.skipif(find_programs() is None, reason="there is no PostgreSQL on this machine: `make servers`")
def test_a_drill_with_a_base_backup_names_the_batches_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_basebackup and pg_verifybackup of a server, as docs/operations.md says. The heads file is newer than it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    elsewhere = tmp_path / "none.db"
    with postgres.running() as server:
        url = server.new_database()
        ledger = open_ledger(url, create=True)
        make_account(ledger, "a", "longbridge", "UTC")
        commit_read(ledger, hours(0, 2), make_row("one", 0), make_row("two", 1))
        assert record_heads(ledger) == []
        flows = run(elsewhere, "--ledger", url, "flows", "--format", "json").stdout
        with postgres.running(source=server) as recovered:
            drill = recovered.url(url.rpartition("/")[2])
            assert [one["result"] for one in result(elsewhere, "--ledger", drill, "verify")] == ["intact"]
            assert run(elsewhere, "--ledger", drill, "flows", "--format", "json").stdout == flows
            commit_read(ledger, hours(2, 3), make_row("three", 2))
            assert record_heads(ledger) == []
            done = run(elsewhere, "--ledger", drill, "verify", "--format", "json")
        ledger.close()
    assert done.returncode == EXIT_DAMAGED
    (verdict,) = json.loads(done.stdout)
    assert verdict["result"] != "intact"
    assert "batch" in done.stdout + done.stderr


@pytest.mark.parametrize("form", ["custom", "plain"])
def test_a_restore_drill_with_the_tools_of_postgresql(pool: DatabasePool, tmp_path: Path, form: str) -> None:
    """pg_dump of a ledger, restored into a new database by pg_restore or psql, as docs/operations.md says."""
    programs = find_programs()
    assert programs is not None
    url, drill, dump = pool.server.new_database(), pool.server.new_database(), tmp_path / "ledger.dump"
    ledger = open_ledger(url, create=True)
    make_account(ledger, "a", "longbridge", "UTC")
    commit_read(ledger, hours(0, 2), make_row("one", 0), make_row("two", 1))
    secret = {"app_secret": "s3cr3t"}
    add_source(ledger, account="a", base_url="http://host", credentials=secret, since=NOON, paced=True)
    ledger.close()
    restore = (
        ["pg_restore", "--no-owner", "--exit-on-error", f"--dbname={drill}", str(dump)]
        if form == "custom"
        else ["psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}", drill]
    )
    for command in (["pg_dump", f"--format={form}", "--no-owner", f"--file={dump}", url], restore):
        subprocess.run([programs / command[0], *command[1:]], check=True, capture_output=True)
    elsewhere = tmp_path / "none.db"
    assert [one["result"] for one in result(elsewhere, "--ledger", drill, "verify")] == ["intact"]
    for words in (["balances"], ["flows"]):
        found = [run(elsewhere, "--ledger", one, *words, "--format", "json").stdout for one in (url, drill)]
        assert found[0] == found[1]
        assert json.loads(found[0])
    restored = open_ledger(drill)
    assert list_sources(restored)[0].credentials == secret, "the key is found by the ledger's identity"
    restored.close()
    for one in (url, drill):
        pool.server.drop_database(one)


# ---------------------------------------------------------------- what monitors see


def test_status_has_the_age_of_the_newest_backup_and_says_when_one_is_missing(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    before = run(path, "status", "--format", "json")
    assert json.loads(before.stdout)[0]["backup_age_s"] is None
    run(path, "db", "backup", str(tmp_path / "by-hand.db"))
    run(path, "db", "backup", str(folder), "--keep", "7d")
    status = run(path, "status", "--format", "json")
    assert 0 <= json.loads(status.stdout)[0]["backup_age_s"] < 60
    assert (status.returncode, status.stderr) == (before.returncode, before.stderr)
    assert "newest backup: " in run(path, "status").stderr
    (file,) = backups(folder)
    listed = {state["folder"]: state for state in result(path, "db", "backups")}
    assert {name: state["file"] for name, state in listed.items()} == {
        str(folder): file,
        str(tmp_path): "by-hand.db",
    }

    ledger = open_ledger(str(path))
    record_failed_backup(ledger, str(folder), error="no space left", every=timedelta(hours=6))
    ledger.close()
    failed = run(path, "status", "--format", "json")
    assert failed.returncode == 3
    assert f"the last backup failed: {folder}: no space left" in failed.stderr
    result(path, "db", "backups", "--forget", str(folder))
    assert str(folder) not in run(path, "status").stderr
    assert backups(folder) == [file]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--keep", "7x"), "keep: expected numbers of hours, days"),
        (("--every", "6"), "every: expected a duration such as 30min, 6h, 2d or 1w, got '6'"),
        (("--keep", "7d", "--force"), "force: expected without --every and --keep"),
    ],
)
def test_wrong_options_are_named(path: Path, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    done = run(path, "db", "backup", str(tmp_path / "backups"), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert not (tmp_path / "backups").exists()


# ---------------------------------------------------------------- from time to time


def test_a_schedule_makes_a_backup_at_once_and_the_next_one_when_it_is_due(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    words = ("db", "backup", str(folder), "--every", "6h", "--keep", "7d,4w,12m", "--format", "jsonl")
    with running(path, *words) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert (first["flows"], backups(folder)) == (1, [Path(first["path"]).name])
        (state,) = result(path, "db", "backups")
        assert (state["file"], state["every_s"], state["error"]) == (Path(first["path"]).name, 6 * 3600, None)
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    # A new process continues the schedule of the previous one. The old backup makes the next one due.
    with running(path, *words) as process:
        assert process.stderr is not None
        assert "a backup every 6:00:00" in process.stderr.readline()
    assert len(backups(folder)) == 1
    (folder / backups(folder)[0]).rename(folder / "ledger-20260101T000000Z.db")
    with running(path, *words) as process:
        assert process.stdout is not None
        second = json.loads(process.stdout.readline())
        assert Path(second["path"]).name in backups(folder)


def test_a_server_makes_backups_and_a_killed_one_leaves_no_process(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    words = ("serve", "--port", "0", "--socket-port", "0", "--workers", "1", "--backup-to", str(folder))
    with running(path, *words) as process:
        wait_until(lambda: any(name.endswith(".db") for name in backups(folder)), "a backup")
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)

    def is_free() -> bool:
        """Whether nobody has the folder as an argument any more."""
        return not any(str(folder).encode() in command for command in commands())

    wait_until(is_free, "the process that makes backups ends")
    assert all(not name.endswith("part") for name in backups(folder))


def test_a_server_says_at_once_that_its_backups_cannot_work(path: Path, tmp_path: Path) -> None:
    for words, message in [
        (("--backup-to", str(path / "x")), "cannot be written: "),
        (("--backup-to", str(tmp_path / "b"), "--backup-every", "soon"), "backup-every: expected a duration"),
        (("--backup-to", str(tmp_path / "b"), "--backup-keep", "all"), "backup-keep: expected numbers of"),
    ]:
        done = run(path, "serve", "--port", "0", *words)
        assert done.returncode in (1, 2)
        assert message in done.stderr


def commands() -> list[bytes]:
    """The command lines of all processes."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes())
        except OSError:  # it has ended meanwhile
            continue
    return found
