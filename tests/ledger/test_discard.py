"""Bytes of rejected rows that a user discards disappear from the database, and the chain still verifies."""

from pathlib import Path

import pytest

from liushui.errors import ConfigError, LedgerError
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.flow_row import Rejected
from liushui.ledger.maintenance.backup import back_up
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.maintenance.restore import restore
from liushui.ledger.maintenance.verify import Verified, verify
from liushui.ledger.read.quarantine import Quarantined, list_quarantined
from liushui.ledger.write.discard import discard
from liushui.ledger.write.quarantine import DISCARDED, ERASED, GONE, READ, row_digest
from liushui.ledger.write.reprocess import retry
from liushui.services.quarantine import discard_row
from tests.engines import LedgerStore
from tests.ledger.learning_codec import LearningCodec, toy_row
from tests.ledger.ledgers import (
    assert_intact,
    column,
    commit_read,
    damages,
    decode_and_commit,
    hours,
    import_page,
    import_recorded,
    import_rejected,
    make_row,
    rejected_row,
)

SECRET = "app_secret=Zx81-correct-horse-battery"
ID = row_digest(SECRET.encode())
"""The id of the first entry of these bytes, which is their digest."""


def secret_row() -> Rejected:
    """A row with a secret, which the reason quotes as well."""
    return Rejected(SECRET.encode(), "row", f"expected a row, got {SECRET!r}")


def every_entry(ledger: Ledger) -> list[Quarantined]:
    """The entries, resolved ones too."""
    return list(list_quarantined(ledger, resolved=True))


def assert_erased(ledger: Ledger) -> None:
    """Check that no column of any version has the secret."""
    for values in column(ledger, "quarantine", "wire", "reason", "field"):
        assert all(SECRET not in str(value) for value in values)


# ---------------------------------------------------------------- what stays


def test_the_digest_the_reason_and_the_time_stay(ledger: Ledger) -> None:
    import_rejected(ledger, secret_row(), rejected_row("{"))
    before = column(ledger, "batches", "facts", "link")
    result = discard(ledger, "a", ID, "the wrong file")
    assert result == ("a", ID, ID, 1, 0)
    assert_erased(ledger)
    (entry,) = [entry for entry in every_entry(ledger) if entry.id == ID]
    assert (entry.wire, entry.field, entry.resolved_as, entry.resolved_batch) == (b"", "row", DISCARDED, 2)
    assert entry.reason.startswith("discarded at 20")
    assert entry.reason.endswith("Z: the wrong file")
    assert [entry.wire for entry in list_quarantined(ledger)] == [b"{"]
    assert column(ledger, "batches", "state", "reason")[-1] == (DISCARDED, "the wrong file")
    assert column(ledger, "batches", "facts", "link")[:1] == before, "nothing that was sealed is sealed again"
    assert_intact(ledger)


def test_all_copies_and_all_versions_of_the_bytes_are_erased(ledger: Ledger) -> None:
    import_rejected(ledger, secret_row(), secret_row())
    commit_read(ledger, hours(0, 24), rejected=[secret_row()])
    commit_read(ledger, hours(6, 12), rejected=[secret_row()])
    commit_read(ledger, hours(12, 48), make_row("one", 13))
    assert discard(ledger, "a", ID, "a secret").copies == len(column(ledger, "quarantine", "id")) - 1
    assert_erased(ledger)
    assert_intact(ledger)


def test_an_entry_of_another_account_stays(ledger: Ledger) -> None:
    from liushui.ledger.write.commit import make_account

    make_account(ledger, "b", "longbridge", "UTC")
    for account in ("a", "b"):
        import_rejected(ledger, secret_row(), account=account)
    with pytest.raises(ConfigError, match="account: expected one of a, b, because each has a row of this id"):
        discard_row(ledger, ID, "a secret")
    assert discard_row(ledger, ID, "a secret", "b").result.account == "b"
    assert [entry.account for entry in list_quarantined(ledger)] == ["a"]
    assert_intact(ledger)


# ---------------------------------------------------------------- what it says about completeness


def test_a_row_of_an_import_leaves_no_gap(ledger: Ledger) -> None:
    import_rejected(ledger, secret_row())
    assert discard(ledger, "a", ID, "a secret").open == 0
    assert list(list_quarantined(ledger)) == []


def test_a_row_that_a_read_had_is_missing_until_it_is_read_again(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), rejected=[secret_row()])
    assert discard(ledger, "a", ID, "a secret").open == 1
    (entry,) = list_quarantined(ledger)
    assert (entry.wire, entry.span, entry.batch) == (b"", entry.span, 2)
    assert entry.span is not None
    assert column(ledger, "quarantine", "ended_as") == [(ERASED,), (None,)]
    commit_read(ledger, hours(0, 24))
    assert list(list_quarantined(ledger)) == []
    assert every_entry(ledger)[-1].resolved_as == GONE
    assert_intact(ledger)


def test_a_row_that_can_be_read_later_is_a_flow_then(ledger: Ledger) -> None:
    row = toy_row("one", 1, label="strange")
    decode_and_commit(ledger, hours(0, 20), LearningCodec(unreadable=frozenset({"strange"})), row)
    discard(ledger, "a", row_digest(row), "by mistake")
    assert retry(ledger, "a", LearningCodec()).unreadable == 1
    decode_and_commit(ledger, hours(0, 20), LearningCodec(), row)
    assert every_entry(ledger)[-1].resolved_as == READ
    assert column(ledger, "flows", "id") == [("one",)]
    assert_intact(ledger)


def test_the_same_bytes_do_not_come_in_again(ledger: Ledger) -> None:
    import_rejected(ledger, secret_row())
    discard(ledger, "a", ID, "a secret")
    assert import_rejected(ledger, secret_row()) is None
    import_recorded(ledger, rejected=[secret_row(), rejected_row("{")])
    assert [entry.wire for entry in list_quarantined(ledger)] == [b"{"]
    commit_read(ledger, hours(0, 24), rejected=[secret_row()])
    assert sorted((entry.wire, entry.span is None) for entry in list_quarantined(ledger)) == [
        (b"", False),
        (b"{", True),
    ]
    commit_read(ledger, hours(0, 24), rejected=[secret_row()])
    assert len(list(list_quarantined(ledger))) == 2
    assert_erased(ledger)
    assert_intact(ledger)


# ---------------------------------------------------------------- what is refused


def test_what_cannot_be_discarded_is_named(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="id: no rejected row has the id 'nothing'"):
        discard_row(ledger, "nothing", "a reason")
    import_rejected(ledger, secret_row())
    for reason in ("", " ", "x" * 501, "two\nlines"):
        with pytest.raises(ConfigError, match="reason: expected 1 to 500 printable characters"):
            discard(ledger, "a", ID, reason)
    row = make_row("one", 1)
    import_rejected(ledger, Rejected(row.row, "row", "?"))
    import_page(ledger, row)
    with pytest.raises(ConfigError, match="could be read later and is a flow, whose row is kept"):
        discard(ledger, "a", row_digest(row.row), "a reason")


def test_discarding_again_erases_nothing_and_cleans_up_again(ledger: Ledger) -> None:
    import_rejected(ledger, secret_row())
    assert discard_row(ledger, ID, "a secret").result.copies == 1
    assert discard_row(ledger, ID, "again").result.copies == 0
    assert column(ledger, "batches", "seq") == [(1,), (2,)]


def test_a_damaged_batch_is_not_hidden_by_erasing(ledger: Ledger) -> None:
    import_rejected(ledger, secret_row(), rejected_row("{"))
    with ledger.writing() as connection:
        connection.exec_driver_sql("UPDATE quarantine SET reason = 'forged' WHERE id <> ?", (ID,))
    with pytest.raises(LedgerError, match="batch 1: its facts are not as they were sealed, so nothing was erased"):
        discard(ledger, "a", ID, "a secret")
    assert any(entry.wire == SECRET.encode() for entry in list_quarantined(ledger))


def test_damage_to_a_batch_is_found_after_bytes_of_it_were_erased(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1), rejected=[secret_row(), rejected_row("{")])
    discard(ledger, "a", ID, "a secret")
    import_rejected(ledger, rejected_row("["))
    discard(ledger, "a", row_digest(b"{"), "another one")
    assert_intact(ledger)
    with ledger.writing() as connection:
        connection.exec_driver_sql("UPDATE flows SET note = 'forged'")
    assert {damage.batch for damage in damages(ledger)} == {1}


# ---------------------------------------------------------------- copies, and the files themselves


def test_copies_and_backups_verify(ledger: Ledger, ledger_store: LedgerStore, tmp_path: Path) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1), rejected=[secret_row()])
    discard(ledger, "a", ID, "a secret")
    assert [account.differs for account in copy_ledger(ledger, ledger_store.url("copy.db"))] == [""]
    back_up(ledger, tmp_path / "backup.db")
    restore(tmp_path / "backup.db", str(tmp_path / "restored.db"))
    for url in (ledger_store.url("copy.db"), str(tmp_path / "restored.db")):
        other = open_ledger(url)
        assert all(isinstance(found, Verified) for found in verify(other))
        assert_erased(other)
        other.close()


def files_with(folder: Path, text: bytes) -> list[str]:
    """The names of the files of a ledger that contain some bytes."""
    return sorted(path.name for path in folder.glob("ledger.db*") if text in path.read_bytes())


def test_nothing_of_the_bytes_is_left_in_the_files(file_ledger: Ledger, tmp_path: Path) -> None:
    """They were moved by splits of pages, spilled to overflow pages, and are in the log."""
    long = Rejected(b"{" + SECRET.encode() + b"x" * 60_000 + SECRET.encode(), "row", f"got {SECRET}")
    import_rejected(file_ledger, secret_row(), long)
    for number in range(40):
        filling = [rejected_row(f"{number} {index} " + "y" * 500) for index in range(30)]
        import_rejected(file_ledger, *filling)
    import_rejected(file_ledger, Rejected(f"more {SECRET}".encode(), "row", "?"))
    assert files_with(tmp_path, SECRET.encode())
    reader = open_ledger(str(tmp_path / "ledger.db"))
    assert len(list(list_quarantined(reader))) == 1_203
    for entry in list(list_quarantined(file_ledger)):
        if SECRET.encode() in entry.wire:
            assert discard_row(file_ledger, entry.id, "a secret").remains == ""
    reader.close()
    assert files_with(tmp_path, SECRET.encode()) == []
    assert_intact(file_ledger)


def test_a_reader_of_an_older_state_is_named(file_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    from liushui.ledger.engines import sqlite

    monkeypatch.setattr(sqlite, "_CHECKPOINT_TIMEOUT_S", 0)
    import_rejected(file_ledger, secret_row())
    with file_ledger.reading() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM quarantine").scalar()
        assert "because another process reads the ledger" in discard_row(file_ledger, ID, "a secret").remains
    assert discard_row(file_ledger, ID, "a secret").remains == ""
