"""Folders of backups: which backups are kept, other files in the folder, and the ledger's record of it."""

import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import ConfigError, LedgerError
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.backups import forget_backups, list_backup_states, record_backup, record_failed_backup
from liushui.ledger.maintenance.backup_folder import OWNER_FILE, RETRY, BackupFolder
from liushui.ledger.maintenance.kept_backups import Retention, parse_duration, parse_retention
from liushui.ledger.maintenance.restore import restore
from liushui.ledger.maintenance.verify import Damage, verify
from liushui.ledger.read.balances import read_balances
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.overview import OverviewQuery, read_overview
from liushui.ledger.read.status import AlarmKind, backup_alarms
from liushui.providers import ProviderRules
from liushui.testing.clock import NOON, MovableClock
from liushui.testing.empty_ledger import create_ledger
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(NOON)


@pytest.fixture
def ledger(ledger_store: LedgerStore, clock: MovableClock) -> Iterator[Ledger]:
    """A ledger with some flows, whose clock the test moves."""
    filled = new_ledger(ledger_store)
    commit_read(filled, hours(0, 2), make_row("one", 0), make_row("two", 1))
    filled.close()
    ledger = open_ledger(filled.url, clock=clock)
    yield ledger
    ledger.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != OWNER_FILE)


# ---------------------------------------------------------------- what is kept


def naive(retention: Retention, moments: list[datetime]) -> set[datetime]:
    """The same, in the plainest way: walk back from the newest, and count the periods."""
    kept = set(sorted(moments)[-1:])
    formats = ("%Y%m%d%H", "%Y%m%d", "%G-%V", "%Y%m", "%Y")
    for count, form in zip(retention, formats, strict=True):
        seen: list[str] = []
        for moment in sorted(moments, reverse=True):
            period = moment.strftime(form)
            if period not in seen and len(seen) < count:
                seen.append(period)
                kept.add(moment)
    return kept


@given(
    retention=st.builds(Retention, *(st.integers(0, 4) for _ in range(5))),
    offsets=st.lists(st.integers(0, 3 * 365 * 24 * 60), max_size=40, unique=True),
)
def test_the_newest_backup_of_each_of_the_last_periods_is_kept(retention: Retention, offsets: list[int]) -> None:
    moments = [NOON - timedelta(minutes=offset) for offset in offsets]
    assert retention.kept(moments) == naive(retention, moments)


def test_a_pause_costs_no_backup() -> None:
    """Days without a backup do not count: what was kept before a pause is still there after it."""
    week = [NOON - day * DAY for day in range(7)]
    assert Retention(days=7).kept(week) == set(week)
    assert Retention(days=7).kept([*week, NOON + 100 * DAY]) == {NOON + 100 * DAY, *week[:6]}


@pytest.mark.parametrize("text", ["", "7", "d", "7d,7d", "0d", "7d;4w", "-1d", "7 d", "7D", "10000d"])
def test_counts_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^keep: expected numbers of hours, days.* such as 7d,4w,12m, got "):
        parse_retention("keep", text)


def test_counts_and_durations() -> None:
    assert parse_retention("keep", "7d,4w, 12m") == Retention(days=7, weeks=4, months=12)
    assert parse_retention("keep", "5y,24h") == Retention(hours=24, years=5)
    assert parse_duration("every", "90min") == 90 * timedelta(minutes=1)
    assert (parse_duration("every", "6h"), parse_duration("every", "1w")) == (6 * HOUR, 7 * DAY)
    for text in ("", "6", "h", "0h", "1m", "-6h", "6 h"):
        with pytest.raises(ConfigError, match=r"^every: expected a duration such as 30min"):
            parse_duration("every", text)


# ---------------------------------------------------------------- a folder


def test_a_backup_that_is_restored_elsewhere_has_the_same_balances(ledger: Ledger, tmp_path: Path) -> None:
    """The drill: back up, restore into a new place, verify, compare."""
    saved = BackupFolder(ledger, tmp_path / "backups", with_secrets=True).back_up().backup
    restored = restore(saved.path, str(tmp_path / "drill" / "ledger.db"))
    elsewhere = open_ledger(restored.ledger)
    assert not [result for result in verify(elsewhere) if isinstance(result, Damage)]
    balances = [read_balances(ReadModel(one, ProviderRules())).rows for one in (ledger, elsewhere)]
    assert balances[0] == balances[1]
    assert balances[0]
    assert not list_backup_states(elsewhere) or elsewhere.url != ledger.url
    elsewhere.close()


def test_old_backups_go_and_what_is_not_ours_stays(ledger: Ledger, clock: MovableClock, tmp_path: Path) -> None:
    path = tmp_path / "backups"
    path.mkdir()
    folder = BackupFolder(ledger, path, 6 * HOUR, Retention(days=2))
    strangers = [
        "notes.txt",
        f"{folder.prefix}.db",
        f"{folder.prefix}-20200101T000000Z.db.bak",
        "other-20200101T000000Z.db",
    ]
    for stranger in strangers:
        (path / stranger).write_text("mine")
    made = []
    for _ in range(9):
        made.append(folder.back_up().backup.path.name)
        clock.move(6 * HOUR)
    # Noon of the first day, and then every six hours: the newest backups of the last two days.
    assert names(path) == sorted([*strangers, made[5], made[8]])
    assert [saved.moment for saved in folder.backups()] == [NOON + 30 * HOUR, NOON + 48 * HOUR]


def test_a_backup_goes_together_with_its_key(file_ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "backups"
    path.mkdir()
    folder = BackupFolder(file_ledger, path, retention=Retention(days=1))
    old = path / f"{folder.prefix}-20200101T000000Z.db"
    for name in (old, old.with_name(f"{old.name}.key")):
        name.write_text("old")
    result = folder.back_up()
    assert result.deleted == (old,)
    assert names(path) == [result.backup.path.name]


def test_what_a_killed_backup_left_is_deleted_by_the_next_one(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "backups"
    path.mkdir()
    folder = BackupFolder(ledger, path)
    killed, whole = (path / f"{folder.prefix}-2020010{day}T000000Z.db" for day in (1, 2))
    for left in ("", "-wal", "-journal"):
        Path(f"{killed}.liushui-part{left}").write_text("half")
    whole.write_text("whole")
    Path(f"{whole}-wal").write_text("somebody reads it")
    made = folder.back_up().backup.path.name
    assert names(path) == sorted([whole.name, f"{whole.name}-wal", made])


def test_a_folder_belongs_to_one_ledger(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "backups"
    BackupFolder(ledger, path).back_up()
    other = create_ledger(str(tmp_path / "other" / "ledger.db"))
    before = names(path)
    for action in (BackupFolder(other, path).back_up, BackupFolder(other, path).check):
        with pytest.raises(ConfigError, match=r"expected a folder of its own for .*other/ledger\.db"):
            action()
    assert names(path) == before
    other.close()


def test_two_processes_do_not_back_up_into_one_folder_at_once(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "backups"
    folder = BackupFolder(ledger, path, HOUR)
    folder.check()
    descriptor = os.open(path / OWNER_FILE, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(LedgerError, match="another process is making a backup in "):
        folder.back_up()
    os.close(descriptor)
    folder.back_up()
    assert len(folder.backups()) == 1


# ---------------------------------------------------------------- what the ledger knows


def test_the_ledger_knows_the_age_of_its_newest_backup(ledger: Ledger, clock: MovableClock, tmp_path: Path) -> None:
    folder = BackupFolder(ledger, tmp_path / "backups", 6 * HOUR)
    assert folder.due_at() <= clock()
    saved = folder.back_up().backup
    clock.move(5 * HOUR)
    (state,) = list_backup_states(ledger)
    assert (state.file, state.size, state.age(clock())) == (saved.path.name, saved.size, 5 * HOUR)
    assert (state.error, folder.due_at()) == ("", NOON + 6 * HOUR)
    assert backup_alarms([state], clock()) == []


def test_a_missing_backup_is_an_alarm_on_the_page_too(ledger: Ledger, clock: MovableClock, tmp_path: Path) -> None:
    BackupFolder(ledger, tmp_path / "backups", 6 * HOUR).back_up()
    clock.move(12 * HOUR)
    assert backup_alarms(list_backup_states(ledger), clock()) == []
    clock.move(timedelta(seconds=1))
    (alarm,) = backup_alarms(list_backup_states(ledger), clock())
    assert (alarm.kind, alarm.at, alarm.account) == (AlarmKind.BACKUP_OLD, NOON, "")
    assert alarm.reason == f"a backup in {tmp_path}/backups is overdue: the newest one is of 2026-01-02T12:00:00Z"
    assert alarm in read_overview(ReadModel(ledger, ProviderRules()), OverviewQuery()).alarms
    forget_backups(ledger, str(tmp_path / "backups"))
    assert backup_alarms(list_backup_states(ledger), clock()) == []


def test_a_failed_backup_is_an_alarm_until_one_succeeds(ledger: Ledger, clock: MovableClock, tmp_path: Path) -> None:
    path = tmp_path / "backups"
    folder = BackupFolder(ledger, path, 6 * HOUR)
    good = folder.back_up().backup
    clock.move(6 * HOUR)
    blocker = path / f"{folder.prefix}-{clock():%Y%m%dT%H%M%SZ}.db.liushui-part"
    blocker.mkdir()  # stands where the next backup is to be written
    with pytest.raises(LedgerError, match=f"^{path} cannot be written: "):
        folder.back_up()
    (state,) = list_backup_states(ledger)
    assert (state.file, state.saved_at, state.tried_at) == (good.path.name, NOON, clock())
    (alarm,) = backup_alarms([state], clock())
    assert (alarm.kind, str(path) in alarm.reason) == (AlarmKind.BACKUP_FAILED, True)
    assert folder.due_at() == clock() + RETRY
    blocker.rmdir()
    clock.move(RETRY)
    folder.back_up()
    assert backup_alarms(list_backup_states(ledger), clock()) == []


def test_a_folder_whose_name_was_mistyped_is_not_an_alarm(file_ledger: Ledger) -> None:
    record_failed_backup(file_ledger, "/mistyped", error="it failed", every=timedelta(0))
    assert list_backup_states(file_ledger) == []
    record_failed_backup(file_ledger, "/scheduled", error="it failed", every=HOUR)
    now = file_ledger.clock()
    kinds = [alarm.kind for alarm in backup_alarms(list_backup_states(file_ledger), now)]
    assert kinds == [AlarmKind.BACKUP_FAILED, AlarmKind.BACKUP_OLD]


def test_a_backup_without_a_schedule_is_never_overdue(file_ledger: Ledger) -> None:
    record_backup(
        file_ledger, "/by-hand", file="x.db", saved_at=datetime(2020, 1, 1, tzinfo=UTC), size=1, every=timedelta(0)
    )
    assert backup_alarms(list_backup_states(file_ledger), file_ledger.clock()) == []
    with pytest.raises(ConfigError, match=r"^forget: expected one of /by-hand, got '/other'$"):
        forget_backups(file_ledger, "/other")
