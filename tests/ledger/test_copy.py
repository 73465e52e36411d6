"""A copy contains a whole ledger, even after interruptions. A partial copy never looks complete."""

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError
from liushui.ledger.access.keys import list_keys
from liushui.ledger.access.vault import KEY_VARIABLE
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import list_sources
from liushui.ledger.maintenance import snapshot
from liushui.ledger.maintenance.copy import OTHER_TABLES, copy_ledger
from liushui.ledger.schema import EPHEMERAL_TABLES, FACT_TABLES, metadata
from liushui.ledger.write.commit import make_account
from tests.ledger.copies import (
    DONE,
    ENCRYPTED_INDEXES,
    EPHEMERAL,
    SECRETS,
    comparable,
    copy,
    in_file,
    of_account,
    opened_at,
    prepare_to_copy,
)
from tests.ledger.kills import SCENARIOS, copied, opened, prepare
from tests.ledger.ledgers import assert_intact, commit_read, hours, make_row, new_ledger, tables
from tests.system import files_of_at_most

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = [sys.executable, "-B", "-m", "tests.ledger.copies"]


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with rows in every table. Tests do not change it."""
    folder = tmp_path_factory.mktemp("full")
    prepare_to_copy(folder)
    path = folder / "ledger.db"
    empty = [name for name, rows in in_file(path).items() if not rows]
    assert not empty
    return path


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy a small ledger in many chunks."""
    monkeypatch.setattr(snapshot, "CHUNK", 12)


def empty_at(path: Path) -> Path:
    """An empty ledger to copy from: creating one takes a while."""
    open_ledger(str(path), create=True).close()
    return path


def test_every_table_is_copied_in_exactly_one_way() -> None:
    parts = {part.table for part in snapshot.PARTS} | {part.into for part in snapshot.PARTS}
    ways = [*parts, *snapshot.UNVERSIONED_TABLES, *OTHER_TABLES, *EPHEMERAL_TABLES]
    assert {*FACT_TABLES} <= parts | {*snapshot.UNVERSIONED_TABLES}
    assert sorted(table.name for table in ways) == sorted(metadata.tables)


def test_every_encrypted_column_is_marked(full: Path) -> None:
    """Another ledger has another vault, so a copy must know every column that is encrypted."""
    for name, rows in in_file(full).items():
        columns = list(metadata.tables[name].columns)
        for row in rows:
            for column, value in zip(columns, row, strict=True):
                assert bool(column.info.get("encrypted")) == str(value).startswith("gAAAAA"), column


@pytest.mark.usefixtures("pieces")
def test_a_whole_ledger_is_copied(full: Path, tmp_path: Path) -> None:
    ledger, target = opened_at(full), tmp_path / "copy.db"
    told: list[tuple[int, int]] = []
    found = copy_ledger(ledger, str(target), progress=lambda _what, done, total: told.append((done, total)))
    book = opened_at(target)
    assert comparable(tables(book)) == comparable(tables(ledger))
    assert not any(tables(book)[name] for name in EPHEMERAL)
    assert_intact(book)
    assert [(one.account, one.differs) for one in found] == [("a", ""), ("b", ""), ("gone", ""), ("toy", "")]
    for one in found:
        kept = of_account(tables(ledger), one.account)
        assert one[1:6] == tuple(len(kept[name]) for name in ("batches", "flows", "history", "coverage", "quarantine"))
        assert one.link == kept["batches"][-1][-1]
    versions = sum(one.flows + one.versions for one in found)
    assert (versions, versions) in told
    book.close()
    ledger.close()


def test_secrets_are_encrypted_with_the_copys_key(full: Path, tmp_path: Path) -> None:
    ledger, target = opened_at(full), tmp_path / "copy.db"
    copy(full, target)
    assert target.with_name("copy.db.key").read_bytes() != full.with_name("ledger.db.key").read_bytes()
    book = opened_at(target)
    assert list_sources(book) == list_sources(ledger)
    assert list_sources(book)[0].credentials == SECRETS
    assert list_keys(book) == list_keys(ledger)
    for name, places in ENCRYPTED_INDEXES.items():
        for place in places:
            assert not {row[place] for row in tables(book)[name]} & {row[place] for row in tables(ledger)[name]}
    book.close()
    ledger.close()


def test_secrets_without_a_key_are_left_out_or_the_copy_is_refused(full: Path, tmp_path: Path) -> None:
    base = copied(full.parent, tmp_path / "base")
    (base / "ledger.db.key").unlink()
    ledger, target = opened(base), tmp_path / "copy.db"
    with pytest.raises(LedgerError, match=r"secrets cannot be read: .*ledger\.db\.key is missing"):
        copy_ledger(ledger, str(target))
    assert not target.exists()
    assert not any(one.differs for one in copy_ledger(ledger, str(target), secrets=False))
    expected = {name: [] if ENCRYPTED_INDEXES[name] else rows for name, rows in comparable(tables(ledger)).items()}
    assert comparable(in_file(target)) == expected
    ledger.close()


# ---------------------------------------------------------------- while it is in use


class Intruder:
    """Opens connections of a ledger, and commits to it before the one with a given number."""

    def __init__(self, ledger: Ledger, at: int) -> None:
        self.ledger, self.at, self.handed = ledger, at, 0
        self.states = [tables(ledger)]

    @contextmanager
    def __call__(self) -> Iterator[Connection]:
        if self.handed == self.at:
            for scenario in SCENARIOS.values():
                scenario(self.ledger)
                self.states.append(tables(self.ledger))
            make_account(self.ledger, "late", "longbridge", "UTC")
            commit_read(self.ledger, hours(0, 24), make_row("one", 1), account="late")
            self.states.append(tables(self.ledger))
        self.handed += 1
        with self.ledger.reading() as connection:
            yield connection


@pytest.mark.usefixtures("pieces")
def test_each_account_is_copied_as_it_was_at_one_batch(tmp_path: Path) -> None:
    """A commit of each kind happens at each point of a copy: every account is copied in one of its states."""
    base = tmp_path / "base"
    base.mkdir()
    prepare(base)
    empty = empty_at(tmp_path / "empty.db")
    seen: dict[str, set[int]] = {}
    for at in range(0, 1_000, 2):
        ledger, target = opened(copied(base, tmp_path / f"source-{at}")), tmp_path / f"copy-{at}.db"
        shutil.copy(empty, target)
        intruder = Intruder(ledger, at)
        result = copy_ledger(ledger, str(target), open_source=intruder)
        assert not [one for one in result if one.differs], at
        found = in_file(target)
        for one in result:
            (state,) = {
                repr(of_account(state, one.account))
                for state in intruder.states
                if any(row[0] == one.account and row[-1] == one.link for row in state["accounts"])
            }
            assert repr(of_account(found, one.account)) == state, (at, one.account)
            seen.setdefault(one.account, set()).add(one.batches)
        ledger.close()
        shutil.rmtree(ledger.path.parent)
        target.unlink()
        if intruder.handed <= at:
            break
    assert at > 20, "a copy in pieces reads more often than that"
    assert {name: len(batches) for name, batches in seen.items()} == {"a": 2, "b": 1, "toy": 2, "late": 1}


# ---------------------------------------------------------------- killed, and in the way of others


def test_a_copy_killed_anywhere_continues_and_cannot_be_opened_before(full: Path, tmp_path: Path) -> None:
    expected = comparable(in_file(full))
    (tmp_path / "killed").mkdir()
    empty_at(tmp_path / "killed" / "copy.db")
    words = [*PROGRAM, "copy", str(full), str(tmp_path / "killed")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr.decode()
    points = msgspec.json.decode(done.stdout, type=list[str])
    for part in ("after INSERT OR FAIL INTO", "after UPDATE copying", "before COMMIT"):
        assert any(point.startswith(part) for point in points), part
    unfinished = 0
    for number, point in enumerate(points):
        target = tmp_path / f"killed-{number}" / "copy.db"
        if is_refused(target):
            unfinished += 1
            copy(full, target)
        assert comparable(in_file(target)) == expected, point
    assert points[-1] == DONE
    assert len(points) - 1 == unfinished > 30


def is_refused(target: Path) -> bool:
    """Whether a copy cannot be opened because it is unfinished, or not begun. Otherwise it is complete."""
    try:
        book = opened_at(target)
    except LedgerError as error:
        assert re.search(r"copy\.db is an unfinished copy of another ledger: .*finishes it", str(error))
        return True
    empty = not tables(book)["accounts"]
    book.close()
    return empty


@pytest.mark.usefixtures("pieces")
def test_a_continued_copy_keeps_the_batches_it_began_with(full: Path, tmp_path: Path) -> None:
    """The batch at which an account is copied is fixed when its copy begins, whatever is committed later."""
    ledger, target = opened(copied(full.parent, tmp_path / "base")), tmp_path / "copy.db"
    before = of_account(tables(ledger), "a")
    with pytest.raises(Stopped):
        copy_ledger(ledger, str(target), open_source=Interrupted(ledger, 8))
    for scenario in SCENARIOS.values():
        scenario(ledger)
    commit_read(ledger, hours(100, 101), make_row("later", 100))
    assert of_account(tables(ledger), "a") != before
    assert not any(one.differs for one in copy_ledger(ledger, str(target)))
    assert of_account(in_file(target), "a") == before
    ledger.close()


class Stopped(Exception):
    """Interrupts a copy."""


class Interrupted:
    """Opens a limited number of connections of a ledger."""

    def __init__(self, ledger: Ledger, most: int) -> None:
        self.ledger, self.most = ledger, most

    @contextmanager
    def __call__(self) -> Iterator[Connection]:
        self.most -= 1
        if self.most < 0:
            raise Stopped
        with self.ledger.reading() as connection:
            yield connection


@pytest.mark.usefixtures("pieces")
def test_only_a_copy_of_the_same_ledger_is_continued(full: Path, tmp_path: Path) -> None:
    ledger, target = opened_at(full), tmp_path / "copy.db"
    with pytest.raises(Stopped):
        copy_ledger(ledger, str(target), open_source=Interrupted(ledger, 12))
    other = new_ledger(tmp_path, "a", name="other.db")
    with pytest.raises(LedgerError, match=r"copy\.db is an unfinished copy of another ledger: nothing was written"):
        copy_ledger(other, str(target))
    other.close()
    copy(full, target)
    assert comparable(in_file(target)) == comparable(tables(ledger))
    ledger.close()


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("at", [5, 12, 20])
def test_the_second_of_two_copies_into_one_ledger_ends(full: Path, tmp_path: Path, at: int) -> None:
    ledger, target = opened_at(full), tmp_path / "copy.db"
    handed = 0

    @contextmanager
    def reading() -> Iterator[Connection]:
        nonlocal handed
        handed += 1
        if handed == at:
            copy(full, target)
        with ledger.reading() as connection:
            yield connection

    with pytest.raises(LedgerError, match="another process has copied into the same ledger, and finished it"):
        copy_ledger(ledger, str(target), open_source=reading)
    assert comparable(in_file(target)) == comparable(tables(ledger))
    ledger.close()


@pytest.mark.usefixtures("pieces")
def test_one_of_two_concurrent_copies_completes(full: Path, tmp_path: Path) -> None:
    ledger, target = opened_at(full), tmp_path / "copy.db"
    handed = 0

    @contextmanager
    def reading() -> Iterator[Connection]:
        nonlocal handed
        handed += 1
        if handed == 10:
            with pytest.raises(Stopped):
                copy_ledger(ledger, str(target), open_source=Interrupted(ledger, 5))
        with ledger.reading() as connection:
            yield connection

    with pytest.raises(LedgerError, match="another process copies into the same ledger"):
        copy_ledger(ledger, str(target), open_source=reading)
    copy(full, target)
    assert comparable(in_file(target)) == comparable(tables(ledger))
    ledger.close()


# ---------------------------------------------------------------- what is refused, and what is found


def test_a_ledger_with_content_is_not_overwritten(full: Path, tmp_path: Path) -> None:
    other = new_ledger(tmp_path, "mine", name="other.db")
    before, ledger = tables(other), opened_at(full)
    with pytest.raises(LedgerError, match=r"other\.db contains a ledger already: expected an empty one to copy into"):
        copy_ledger(ledger, str(other.path))
    assert tables(other) == before
    other.close()
    ledger.close()


@pytest.mark.parametrize("name", ["ledger.db", "linked.db"])
def test_a_ledger_is_not_copied_into_itself(full: Path, tmp_path: Path, name: str) -> None:
    base = copied(full.parent, tmp_path / "base")
    (base / "linked.db").symlink_to(base / "ledger.db")
    ledger = opened(base)
    before = tables(ledger)
    with pytest.raises(ConfigError, match=r"both ledgers are .*ledger\.db: expected two"):
        copy_ledger(ledger, str(base / name))
    assert tables(ledger) == before
    ledger.close()


def test_the_file_of_another_program_is_not_overwritten(full: Path, tmp_path: Path) -> None:
    path, ledger = tmp_path / "other.db", opened_at(full)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(LedgerError, match="an SQLite file of another program, not a ledger"):
        copy_ledger(ledger, str(path))
    ledger.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE flows SET amount = '9.99' WHERE account = 'b'",
            "stated balances or decisions are not as this batch",
        ),
        (
            "DELETE FROM history WHERE account = 'a'",
            "stated balances or decisions are not as this batch",
        ),
        ("UPDATE coverage SET until_us = until_us + 1 WHERE account = 'b'", "coverage is not as this batch left it"),
        ("UPDATE day_totals SET flows = flows + 1 WHERE account = 'toy'", "is not the sum of its flows"),
        (
            "DELETE FROM quarantine WHERE account = 'toy'",
            "stated balances or decisions are not as this batch",
        ),
    ],
)
def test_damage_in_the_source_leaves_the_copy_unfinished(full: Path, tmp_path: Path, change: str, said: str) -> None:
    base, target = copied(full.parent, tmp_path / "base"), tmp_path / "copy.db"
    with closing(sqlite3.connect(base / "ledger.db", isolation_level=None)) as file:
        assert file.execute(change).rowcount
    ledger = opened(base)
    assert [said in one.differs for one in copy_ledger(ledger, str(target)) if one.differs] == [True]
    with pytest.raises(LedgerError, match="is an unfinished copy"):
        opened_at(target)
    ledger.close()


@pytest.mark.usefixtures("pieces")
def test_changes_in_the_copy_are_found(full: Path, tmp_path: Path) -> None:
    """Rows are there, but they are not those of the source."""
    ledger, target = opened_at(full), tmp_path / "copy.db"
    with pytest.raises(Stopped):
        copy_ledger(ledger, str(target), open_source=Interrupted(ledger, 30))
    with closing(sqlite3.connect(target, isolation_level=None)) as file:
        assert file.execute("UPDATE flows SET note = 'mine' WHERE account = 'a' AND batch = 1").rowcount
    result = {one.account: one.differs for one in copy_ledger(ledger, str(target))}
    assert "are not as this batch left them" in result["a"]
    ledger.close()


def test_a_copy_that_filled_the_disk_can_be_continued(full: Path, tmp_path: Path) -> None:
    base = copied(full.parent, tmp_path / "base")
    ledger, target = opened(base), tmp_path / "copy.db"
    for day in range(20):
        commit_read(
            ledger, hours(100 + day, 101 + day), *[make_row(f"{day} {at}", 100 + day + at / 1000) for at in range(100)]
        )
    open_ledger(str(tmp_path / "empty.db"), create=True).close()
    room = tmp_path.joinpath("empty.db").stat().st_size + 130_000  # for the tables, and for a part of the rows
    with files_of_at_most(room), pytest.raises(LedgerError, match=r"copy\.db could not be .*written") as raised:
        copy_ledger(ledger, str(target))
    assert "\n" not in str(raised.value)
    with pytest.raises(LedgerError, match="is an unfinished copy"):
        opened_at(target)
    assert not any(one.differs for one in copy_ledger(ledger, str(target)))
    assert comparable(in_file(target)) == comparable(tables(ledger))
    ledger.close()


def test_memory_does_not_grow_with_the_flows(tmp_path: Path) -> None:
    peaks = []
    for days in (2, 20):
        ledger = new_ledger(tmp_path, name=f"{days}.db")
        for day in range(days):
            rows = [make_row(f"{at}", 24 * day + at / 100, label="x" * 100) for at in range(2_000)]
            commit_read(ledger, hours(24 * day, 24 * day + 24), *rows)
        ledger.close()
        program = "import resource, sys; from pathlib import Path; from tests.ledger.copies import copy; "
        program += (
            "copy(Path(sys.argv[1]), Path(sys.argv[2])); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        words = [sys.executable, "-c", program, str(ledger.path), str(tmp_path / f"{days}-copy.db")]
        peaks.append(int(subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout))
    assert peaks[1] < peaks[0] * 1.15, "KiB, after 4,000 flows and after 40,000"
