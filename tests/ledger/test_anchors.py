"""Damage that `verify` cannot find in the ledger alone: a cut end, an older copy, batches that were sealed again."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from liushui.errors import InvalidField, LedgerError
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.maintenance import heads_file
from liushui.ledger.maintenance.anchors import Anchor, parse_expected
from liushui.ledger.maintenance.backup import back_up
from liushui.ledger.maintenance.heads_file import read_heads_file, record_heads, try_record_heads
from liushui.ledger.maintenance.restore import restore
from liushui.ledger.maintenance.verify import Damage, Verified, verify
from liushui.testing.clock import MovableClock
from tests.engines import LedgerStore
from tests.ledger.forgeries import COMMITS, REPLACED, commit_all, cut, remove_account, reseal
from tests.ledger.ledgers import assert_intact, column, commit_read, hours, make_row, new_ledger

Attack = Callable[[Ledger, LedgerStore], None]


def damages(ledger: Ledger, anchors: Sequence[Anchor]) -> list[Damage]:
    return [result for result in verify(ledger, anchors=anchors) if isinstance(result, Damage)]


def heads_path(ledger: Ledger) -> Path:
    return ledger.local_path(heads_file.SUFFIX)


def recorded_lines(ledger: Ledger) -> list[dict[str, object]]:
    return [json.loads(line) for line in heads_path(ledger).read_text().splitlines()]


@pytest.fixture
def honest(ledger: Ledger) -> Ledger:
    """A ledger with five batches, whose end was recorded after each of the last three."""
    commit_all(ledger, COMMITS[:3])
    record_heads(ledger)
    for commit in COMMITS[3:]:
        commit(ledger)
        record_heads(ledger)
    return ledger


def head_of(ledger: Ledger) -> Anchor:
    """What a person keeps of the output of `verify`."""
    (verified,) = verify(ledger)
    assert isinstance(verified, Verified)
    return parse_expected(f"a={verified.link}")


# ---------------------------------------------------------------- attacks


@pytest.mark.parametrize("batches", [0, 1, 3, 4])
def test_newest_batches_that_were_removed_are_found(honest: Ledger, ledger_store: LedgerStore, batches: int) -> None:
    expected = head_of(honest)
    cut(honest, ledger_store, batches)
    for anchors in ([expected], read_heads_file(honest).anchors):
        (damage,) = damages(honest, anchors)
        assert damage.account == "a"
    assert damage.batch == batches + 1
    assert f"batches are missing at its end: the account ends at batch {batches}, and" in damage.what
    assert (f"up to batch {batches} the account is as it was recorded" in damage.what) is (batches >= 3)


def test_a_batch_that_was_replaced_is_found(honest: Ledger, ledger_store: LedgerStore) -> None:
    expected = head_of(honest)
    reseal(honest, ledger_store)
    for anchors in ([expected], read_heads_file(honest).anchors):
        (damage,) = damages(honest, anchors)
        assert damage.account == "a"
    assert "this batch or an earlier one was replaced" in damage.what
    assert damage.batch is not None
    assert damage.batch >= REPLACED


def test_an_older_backup_that_was_put_back_is_found(honest: Ledger, tmp_path: Path) -> None:
    saved, path = tmp_path / "saved.db", tmp_path / "put_back.db"
    back_up(honest, saved)
    commit_read(honest, hours(90, 91), make_row("six", 90))
    record_heads(honest)
    expected, recorded = head_of(honest), read_heads_file(honest).anchors
    shutil.copyfile(saved, path)
    put_back = open_ledger(str(path))
    assert_intact(put_back)
    for anchors in ([expected], recorded):
        assert [damage.account for damage in damages(put_back, anchors)] == ["a"]
    put_back.close()


def test_an_account_that_was_removed_is_found(honest: Ledger) -> None:
    expected = head_of(honest)
    remove_account(honest)
    for anchors in ([expected], read_heads_file(honest).anchors):
        (damage,) = damages(honest, anchors)
        assert damage.what.startswith("the account is missing: ")


@pytest.mark.parametrize("attack", [lambda ledger, store: cut(ledger, store, 2), reseal])
def test_later_commits_and_heads_hide_no_attack(honest: Ledger, ledger_store: LedgerStore, attack: Attack) -> None:
    attack(honest, ledger_store)
    before = heads_path(honest).read_bytes()
    for number in range(8):
        commit_read(honest, hours(100 + number, 101 + number), make_row(f"later {number}", 100 + number))
        (warning,) = record_heads(honest)
        assert warning.startswith("account a does not continue from batch 5, which ")
    assert heads_path(honest).read_bytes() == before
    assert [damage.account for damage in damages(honest, read_heads_file(honest).anchors)] == ["a"]


def test_what_was_committed_after_the_last_anchor_is_vouched_for_by_none(
    honest: Ledger, ledger_store: LedgerStore
) -> None:
    recorded = read_heads_file(honest).anchors[:1]
    assert recorded[0].batch == 3
    cut(honest, ledger_store, 4)
    assert damages(honest, recorded) == []
    (verified,) = verify(honest, anchors=recorded)
    assert isinstance(verified, Verified)
    assert (verified.batches, verified.anchored) == (4, 3)


# ---------------------------------------------------------------- expected links


def test_any_link_of_the_chain_may_be_expected(honest: Ledger) -> None:
    links = [str(link) for (link,) in column(honest, "batches", "link")]
    for batch, link in enumerate(links, 1):
        (verified,) = verify(honest, anchors=[parse_expected(f"a={link}")])
        assert isinstance(verified, Verified)
        assert (verified.anchored, verified.link) == (batch, links[-1])
    (verified,) = verify(honest)
    assert isinstance(verified, Verified)
    assert verified.anchored is None


def test_a_link_that_no_batch_has_is_found(honest: Ledger) -> None:
    (damage,) = damages(honest, [parse_expected(f"a={'0' * 64}")])
    assert damage == ("a", None, f"--expect names the link {'0' * 64}: no batch has it")
    (damage,) = damages(honest, [parse_expected(f"b={'0' * 64}")])
    assert damage == ("b", None, "the account is missing: --expect names it")


@pytest.mark.parametrize("text", ["a", "a=", f"={'0' * 64}", "a=0123", f"a={'G' * 64}", f"a={'A' * 64}", ""])
def test_an_expectation_that_is_invalid_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match="expect: expected ACCOUNT=LINK"):
        parse_expected(text)


# ---------------------------------------------------------------- the file


def test_a_head_is_recorded_once_and_a_beginning_too(ledger: Ledger) -> None:
    assert record_heads(ledger) == []
    (beginning,) = recorded_lines(ledger)
    assert (beginning["event"], beginning["account"], beginning["batch"]) == ("head", "a", 0)
    commit_all(ledger)
    for _ in range(3):
        assert record_heads(ledger) == []
    assert [line["batch"] for line in recorded_lines(ledger)] == [0, 5]
    assert damages(ledger, read_heads_file(ledger).anchors) == []
    assert oct(heads_path(ledger).stat().st_mode & 0o777) == "0o600"


def test_without_a_file_nothing_is_known(ledger: Ledger) -> None:
    recorded = read_heads_file(ledger)
    assert (recorded.heads, recorded.restore, recorded.errors) == ([], None, [])


def test_a_line_that_was_not_finished_is_ignored_and_cut_off(honest: Ledger) -> None:
    path = heads_path(honest)
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:40])
    recorded = read_heads_file(honest)
    assert (len(recorded.heads), recorded.errors) == (3, [])
    commit_read(honest, hours(90, 91), make_row("six", 90))
    record_heads(honest)
    assert path.read_bytes().startswith(whole)
    assert [line["batch"] for line in recorded_lines(honest)] == [3, 4, 5, 6]


def test_a_line_that_liushui_did_not_write_is_named(honest: Ledger) -> None:
    path = heads_path(honest)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], b'{"event":"other"}', lines[2], b""]))
    recorded = read_heads_file(honest)
    assert len(recorded.heads) == 2
    (error,) = recorded.errors
    assert error.startswith(f"{path.name}, line 2, is not one that liushui wrote: ")
    assert record_heads(honest) == [f"{error}: `liushui verify` tells more"], "whoever writes next is told, too"


def test_a_rotated_file_keeps_the_newest_head_and_the_rest_beside_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads_file, "BYTES_MAX", 1_000)
    for number in range(20):
        commit_read(ledger, hours(number, number + 1), make_row(str(number), number))
        assert record_heads(ledger) == []
        assert heads_path(ledger).stat().st_size <= 1_200
        assert read_heads_file(ledger).newest["a"].batch == number + 1
    recorded = read_heads_file(ledger)
    assert {Path(file).suffix for _, file in recorded.heads} == {".1", ".heads"}
    assert len(recorded.heads) > 5
    assert damages(ledger, recorded.anchors) == []
    assert not list(heads_path(ledger).parent.glob("*part"))


def test_writers_side_by_side_lose_and_mix_no_line(ledger_store: LedgerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads_file, "BYTES_MAX", 2_000)
    names = [f"account {number}" for number in range(6)]
    ledger = new_ledger(ledger_store, *names)

    def work(name: str) -> None:
        for number in range(10):
            commit_read(ledger, hours(number, number + 1), make_row(str(number), number), account=name)
            strange.extend(record_heads(ledger))

    strange: list[str] = []
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorded = read_heads_file(ledger)
    assert (strange, recorded.errors) == ([], [])
    assert {name: head.batch for name, head in recorded.newest.items()} == dict.fromkeys(names, 10)
    assert damages(ledger, recorded.anchors) == []
    ledger.close()


def test_a_restore_is_recorded_and_heads_before_it_are_of_another_ledger(tmp_path: Path) -> None:
    ledger, saved = new_ledger(tmp_path), tmp_path / "saved.db"
    commit_all(ledger, COMMITS[:2])
    back_up(ledger, saved)
    commit_all(ledger, COMMITS[2:])
    record_heads(ledger)
    restore(saved, str(ledger.path), force=True)
    recorded = read_heads_file(ledger)
    assert recorded.restore is not None
    assert recorded.restore.backup == str(saved)
    assert [(head.account, head.batch) for head, _ in recorded.heads] == [("a", 2)]
    assert damages(ledger, recorded.anchors) == []
    ledger.close()


def test_a_restore_makes_no_file_where_there_was_none(tmp_path: Path) -> None:
    ledger, saved = new_ledger(tmp_path), tmp_path / "saved.db"
    back_up(ledger, saved)
    restore(saved, str(tmp_path / "new.db"))
    assert not (tmp_path / f"new.db{heads_file.SUFFIX}").exists()
    ledger.close()


def test_a_file_that_cannot_be_written_or_read_is_named(file_ledger: Ledger) -> None:
    path = heads_path(file_ledger)
    path.mkdir()
    with pytest.raises(LedgerError, match=r"ledger\.db\.heads cannot be written: Is a directory"):
        record_heads(file_ledger)
    (warning,) = try_record_heads(file_ledger)
    assert warning.startswith("the ends of the chains are not recorded: ")
    with pytest.raises(LedgerError, match=r"ledger\.db\.heads cannot be read: Is a directory"):
        read_heads_file(file_ledger)


def test_a_full_disk_leaves_whole_lines(file_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    record_heads(file_ledger)
    commit_all(file_ledger)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _fail_full)
        with pytest.raises(LedgerError, match="No space left on device"):
            record_heads(file_ledger)
    assert record_heads(file_ledger) == []
    recorded = read_heads_file(file_ledger)
    assert (recorded.newest["a"].batch, recorded.errors) == (5, [])


def _fail_full(_descriptor: int) -> None:
    raise OSError(28, os.strerror(28))


def test_a_clock_that_was_set_back_does_not_matter(file_ledger: Ledger) -> None:
    assert isinstance(file_ledger.clock, MovableClock)
    record_heads(file_ledger)
    earlier = file_ledger.with_clock(MovableClock(file_ledger.clock() - timedelta(days=400)))
    commit_all(earlier)
    assert record_heads(earlier) == []
    assert damages(earlier, read_heads_file(earlier).anchors) == []
