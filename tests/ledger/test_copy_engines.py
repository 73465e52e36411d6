"""Ledgers copied from one engine to another and back have the same facts and the same chains."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError
from liushui.ledger.access.vault import KEY_VARIABLE
from liushui.ledger.engine import open_ledger
from liushui.ledger.jobs.sources import list_sources
from liushui.ledger.maintenance import snapshot
from liushui.ledger.maintenance.backup import back_up
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.maintenance.restore import restore
from liushui.testing.processes import free_port
from tests.engines import Pool, PooledLedgers
from tests.ledger.copies import SECRETS, comparable, copy, in_file, of_account, opened_at, prepare_to_copy
from tests.ledger.kills import SCENARIOS, prepare
from tests.ledger.ledgers import assert_intact, commit_read, hours, make_row, new_ledger, tables
from tests.ledger.test_copy import Interrupted, Intruder, Stopped

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = [sys.executable, "-B", "-m", "tests.ledger.copies"]
WRITING: Final = [sys.executable, "-m", "tests.ledger.writer_process"]


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in a file with rows in every table. Tests do not change it."""
    folder = tmp_path_factory.mktemp("full")
    prepare_to_copy(folder)
    return folder / "ledger.db"


@pytest.fixture
def server(pool: Pool) -> Iterator[PooledLedgers]:
    """PostgreSQL databases, each with an empty ledger."""
    databases = PooledLedgers(pool)
    yield databases
    databases.give_back()


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy a small ledger in many chunks."""
    monkeypatch.setattr(snapshot, "CHUNK", 12)


@pytest.mark.usefixtures("pieces")
def test_a_copy_to_a_server_to_another_and_back_is_equal(full: Path, server: PooledLedgers, tmp_path: Path) -> None:
    first, second, back = server.url("first"), server.url("second"), tmp_path / "back.db"
    expected = comparable(in_file(full))
    for source, target in ((str(full), first), (first, second), (second, str(back))):
        copy(source, target)
        assert comparable(in_file(target)) == expected
        book = opened_at(target)
        assert_intact(book)
        assert list_sources(book)[0].credentials == SECRETS
        keys = book.vault.path
        assert keys.exists()
        book.close()


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("at", [1, 5, 9, 14, 19, 24])
def test_each_account_is_copied_as_it_was_at_one_batch(server: PooledLedgers, tmp_path: Path, at: int) -> None:
    prepare(tmp_path)
    copy(tmp_path / "ledger.db", server.url("source"))
    ledger, target = opened_at(server.url("source")), server.url("target")
    intruder = Intruder(ledger, at)
    result = copy_ledger(ledger, target, open_source=intruder)
    assert not [one for one in result if one.differs]
    found = in_file(target)
    assert intruder.handed > at
    for one in result:
        states = {repr(of_account(state, one.account)) for state in intruder.states}
        assert repr(of_account(found, one.account)) in states
    ledger.close()


def test_a_copy_killed_repeatedly_completes(full: Path, server: PooledLedgers) -> None:
    url = server.url()
    done = subprocess.run([*PROGRAM, "again", str(full), url], cwd=ROOT, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr.decode()
    points = msgspec.json.decode(done.stdout, type=list[str])
    assert len(points) > 4
    assert comparable(in_file(url)) == comparable(in_file(full))


def test_ledgers_that_cannot_be_copied_into(full: Path, server: PooledLedgers) -> None:
    ledger = opened_at(full)
    mine = new_ledger(server, "mine")
    before = tables(mine)
    with pytest.raises(
        LedgerError, match=r"postgresql://.* contains a ledger already: expected an empty one to copy into"
    ):
        copy_ledger(ledger, server.url())
    assert tables(mine) == before
    with pytest.raises(ConfigError, match=r"both ledgers are postgresql://.*: expected two"):
        copy_ledger(mine, server.url())
    with pytest.raises(LedgerError, match=r"postgresql://u@127\.0\.0\.1:\d+/d cannot be reached") as raised:
        copy_ledger(ledger, f"postgresql://u:geheim@127.0.0.1:{free_port()}/d")
    assert "geheim" not in str(raised.value)
    mine.close()
    ledger.close()


@pytest.mark.usefixtures("pieces")
def test_an_unfinished_copy_on_a_server_cannot_be_opened_and_continues(full: Path, server: PooledLedgers) -> None:
    ledger, url = opened_at(full), server.url()
    with pytest.raises(Stopped):
        copy_ledger(ledger, url, open_source=Interrupted(ledger, 12))
    with pytest.raises(LedgerError, match=r"postgresql://.* is an unfinished copy of another ledger: .*finishes it"):
        open_ledger(url)
    assert not any(one.differs for one in copy_ledger(ledger, url))
    assert comparable(in_file(url)) == comparable(tables(ledger))
    ledger.close()


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("at", [6, 14])
def test_one_of_two_concurrent_copies_completes(full: Path, server: PooledLedgers, at: int) -> None:
    ledger, url = opened_at(full), server.url()
    handed = 0

    @contextmanager
    def reading() -> Iterator[Connection]:
        nonlocal handed
        handed += 1
        if handed == at:
            with pytest.raises(Stopped):
                copy_ledger(ledger, url, open_source=Interrupted(ledger, 5))
        with ledger.reading() as connection:
            yield connection

    with pytest.raises(LedgerError, match="another process copies into the same ledger"):
        copy_ledger(ledger, url, open_source=reading)
    copy(full, url)
    assert comparable(in_file(url)) == comparable(tables(ledger))
    ledger.close()


# ---------------------------------------------------------------- backups


def test_a_server_is_backed_up_and_restored(full: Path, server: PooledLedgers, tmp_path: Path) -> None:
    url, other, saved = server.url("one"), server.url("other"), tmp_path / "saved.db"
    copy(full, url)
    ledger = opened_at(url)
    found = back_up(ledger, saved, with_secrets=True)
    assert (found.accounts, found.has_secrets, found.key) == (3, True, tmp_path / "saved.db.key")
    assert comparable(in_file(saved)) == comparable(in_file(full))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved.db", "saved.db.key"]
    content = saved.read_bytes()
    restored = restore(saved, other)
    assert (restored.accounts, restored.flows, restored.secrets) == (3, found.flows, "readable")
    assert saved.read_bytes() == content
    assert comparable(in_file(other)) == comparable(in_file(full))
    book = opened_at(other)
    assert list_sources(book) == list_sources(ledger)
    book.close()
    ledger.close()


def test_a_servers_backup_during_commits_is_of_one_moment(server: PooledLedgers, tmp_path: Path) -> None:
    """Each backup equals the ledger after one of its batches."""
    ledger = new_ledger(server)
    writer = subprocess.Popen(
        [*WRITING, server.url(), "0", "1", "120"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == "ready\n"
    writer.stdin.write("\n")
    writer.stdin.flush()
    heads: set[int] = set()
    while writer.poll() is None and len(heads) < 6:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        back_up(ledger, path)
        kept = in_file(path)
        head = len(kept["batches"])
        assert len(kept["flows"]) == head == {row[0]: row[4] for row in kept["accounts"]}["a"]
        heads.add(head)
    writer.communicate()
    assert writer.returncode == 0
    assert len(heads) >= 2
    ledger.close()


def test_commits_between_two_accounts_are_not_in_a_backup(
    server: PooledLedgers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "CHUNK", 12)
    prepare(tmp_path)
    copy(tmp_path / "ledger.db", server.url())
    ledger, other = opened_at(server.url()), opened_at(server.url())
    before, told = tables(ledger), 0

    def between(_what: str, _done: int, _total: int) -> None:
        nonlocal told
        told += 1
        if told == 3:
            for scenario in SCENARIOS.values():
                scenario(other)
            commit_read(other, hours(200, 201), make_row("later", 200), account="b")

    saved = back_up(ledger, tmp_path / "saved.db", progress=between)
    assert told > 3
    assert comparable(in_file(saved.path)) == comparable(before)
    assert comparable(tables(ledger)) != comparable(before)
    other.close()
    ledger.close()


def test_a_server_with_content_is_replaced_only_with_force(full: Path, server: PooledLedgers, tmp_path: Path) -> None:
    saved, url = tmp_path / "saved.db", server.url()
    book = opened_at(full)
    back_up(book, saved)
    book.close()
    mine = new_ledger(server, "mine")
    before = tables(mine)
    with pytest.raises(
        ConfigError, match=r"postgresql://.* contains a ledger already: --force replaces it by the backup"
    ):
        restore(saved, url)
    assert tables(mine) == before
    restored = restore(saved, url, force=True)
    assert restored.secrets.startswith("not readable: ")
    assert comparable(tables(mine)) == comparable(in_file(full))
    mine.close()


@pytest.mark.usefixtures("pieces")
def test_an_interrupted_restore_can_be_continued(full: Path, server: PooledLedgers, tmp_path: Path) -> None:
    saved, url = tmp_path / "saved.db", server.url()
    book = opened_at(full)
    back_up(book, saved)
    book.close()
    new_ledger(server, "mine").close()

    def stop(what: str, _done: int, _total: int) -> None:
        if what == "copying b":
            raise Stopped

    with pytest.raises(Stopped):
        restore(saved, url, force=True, progress=stop)
    with pytest.raises(LedgerError, match="is an unfinished copy"):
        open_ledger(url)
    restore(saved, url)
    assert comparable(in_file(url)) == comparable(in_file(full))
