"""Undoing an import withdraws the flows that only this import brought, and no others."""

import pytest

from liushui.errors import ConfigError
from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import Rejected
from liushui.ledger.read.imports import list_imports
from liushui.ledger.read.quarantine import list_quarantined
from liushui.ledger.write import undo
from liushui.ledger.write.change import ADDED, Change
from liushui.ledger.write.commit import commit_rows
from liushui.ledger.write.imports import ImportRecord
from liushui.ledger.write.quarantine import UNDONE
from liushui.ledger.write.reprocess import rebuild, retry
from liushui.ledger.write.undo import AlreadyUndone, ImportNotFound, undo_import
from tests.ledger.learning_codec import LearningCodec, toy_row
from tests.ledger.ledgers import (
    assert_intact,
    column,
    commit_read,
    hours,
    import_page,
    import_recorded,
    make_row,
    rejected_row,
)

ONE, TWO, THREE = make_row("one", 1), make_row("two", 2), make_row("three", 3)
ZERO, LAST = make_row("zero", 0), make_row("last", 9)
"""The ends of a page. What stands between them is there as often as the page has it."""


def ids(ledger: Ledger) -> list[object]:
    """The ids of the current flows, by time."""
    return [row[0] for row in column(ledger, "flows", "id")]


def test_the_flows_of_an_import_are_withdrawn_as_one_batch(ledger: Ledger) -> None:
    import_page(ledger, make_row("before", 0))
    import_id = import_recorded(ledger, ONE, TWO, THREE, rejected=[rejected_row("{")])
    result = undo_import(ledger, import_id)
    assert (result.account, result.withdrawn, result.kept, result.rejected, result.batches) == ("a", 3, 0, 1, 1)
    assert ids(ledger) == ["before"]
    assert list(list_quarantined(ledger)) == []
    assert column(ledger, "history", "id", "ended_as") == [(name, UNDONE) for name in ("one", "two", "three")]
    assert column(ledger, "batches", "state", "reason") == [
        (ADDED, ""), (ADDED, import_id), (ADDED, import_id), (UNDONE, import_id)
    ]  # fmt: skip
    assert_intact(ledger)
    (known,) = list_imports(ledger)
    assert known.undone_at == ledger.clock()


def test_an_import_is_undone_once(ledger: Ledger) -> None:
    import_id = import_recorded(ledger, ONE)
    undo_import(ledger, import_id)
    before = column(ledger, "batches", "seq")
    with pytest.raises(AlreadyUndone, match=f"import: {import_id} was undone before, at 20"):
        undo_import(ledger, import_id)
    with pytest.raises(ImportNotFound, match="there is none with the id 'nothing'"):
        undo_import(ledger, "nothing")
    assert column(ledger, "batches", "seq") == before


def test_an_import_that_brought_nothing_is_undone_as_well(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), ONE)
    result = undo_import(ledger, import_recorded(ledger, ONE))
    assert (result.withdrawn, result.batches) == (0, 1)
    assert ids(ledger) == ["one"]
    assert_intact(ledger)


def test_undone_rows_can_be_imported_again(ledger: Ledger) -> None:
    undo_import(ledger, import_recorded(ledger, ONE, TWO, rejected=[rejected_row("{")]))
    again = import_recorded(ledger, ONE, TWO, rejected=[rejected_row("{")])
    assert ids(ledger) == ["one", "two"]
    assert len(list(list_quarantined(ledger))) == 1
    assert undo_import(ledger, again).withdrawn == 2
    assert_intact(ledger)


# ---------------------------------------------------------------- what stays


def test_what_another_import_had_too_stays_in_whatever_order_they_are_undone(ledger: Ledger) -> None:
    first = import_recorded(ledger, ZERO, ONE, TWO, LAST, rejected=[rejected_row("{")])
    second = import_recorded(ledger, ZERO, TWO, THREE, LAST, rejected=[rejected_row("{")])
    result = undo_import(ledger, first)
    assert (result.withdrawn, result.kept, result.rejected) == (1, 3, 0)
    assert ids(ledger) == ["zero", "two", "three", "last"]
    assert len(list(list_quarantined(ledger))) == 1
    result = undo_import(ledger, second)
    assert (result.withdrawn, result.kept, result.rejected) == (4, 0, 1)
    assert ids(ledger) == []
    assert list(list_quarantined(ledger)) == []
    assert_intact(ledger)


def test_undoing_the_later_import_leaves_the_first_one(ledger: Ledger) -> None:
    import_recorded(ledger, ZERO, ONE, TWO, LAST)
    second = import_recorded(ledger, ZERO, TWO, THREE, LAST)
    assert undo_import(ledger, second).withdrawn == 1
    assert ids(ledger) == ["zero", "one", "two", "last"]


def test_an_earlier_import_that_is_not_recorded_keeps_its_flows(ledger: Ledger) -> None:
    import_page(ledger, ONE)
    assert undo_import(ledger, import_recorded(ledger, ONE, TWO)).withdrawn == 1
    assert ids(ledger) == ["one"]


def test_what_a_sync_has_read_since_stays(ledger: Ledger) -> None:
    import_id = import_recorded(ledger, ONE, make_row("two", 30))
    commit_read(ledger, hours(0, 24), ONE)
    result = undo_import(ledger, import_id)
    assert (result.withdrawn, result.kept) == (1, 1)
    assert ids(ledger) == ["one"]
    assert column(ledger, "coverage", "state") == [("proven",)]
    assert_intact(ledger)


def test_what_was_added_to_a_range_after_a_sync_had_read_it_is_withdrawn(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), ONE)
    assert undo_import(ledger, import_recorded(ledger, ONE, TWO)).withdrawn == 1
    assert ids(ledger) == ["one"]


def test_as_many_equal_rows_stay_as_another_import_had(ledger: Ledger) -> None:
    first = import_recorded(ledger, ZERO, LAST, *[TWO] * 3)
    import_recorded(ledger, ZERO, LAST, *[TWO] * 2)
    undo_import(ledger, first)
    assert ids(ledger).count("two") == 1
    assert ids(ledger).count("two~1") == 1
    assert "two~2" not in ids(ledger)
    assert_intact(ledger)


# ---------------------------------------------------------------- what comes back


def test_counts_of_equal_rows_are_those_of_the_other_imports(ledger: Ledger) -> None:
    """Two pages that end and begin with a row hold it twice. Without the second page it is there once."""
    newest, oldest = make_row("newest", 5), make_row("oldest", 1)
    import_recorded(ledger, newest, THREE)
    second = import_recorded(ledger, THREE, oldest)
    assert ids(ledger) == ["oldest", "three", "three~1", "newest"]
    undo_import(ledger, second)
    assert ids(ledger) == ["three", "newest"]
    import_recorded(ledger, newest, THREE)
    assert ids(ledger) == ["three", "newest"]
    import_recorded(ledger, THREE, oldest)
    assert ids(ledger) == ["oldest", "three", "three~1", "newest"]
    assert_intact(ledger)


def test_copies_that_an_import_had_recounted_come_back(ledger: Ledger) -> None:
    newest, oldest = make_row("newest", 5), make_row("oldest", 1)
    first = import_recorded(ledger, newest, THREE)
    second = import_recorded(ledger, THREE, oldest)
    whole = import_recorded(ledger, newest, THREE, oldest)
    assert ids(ledger) == ["oldest", "three", "newest"]
    assert undo_import(ledger, whole).restored == 1
    assert ids(ledger) == ["oldest", "three", "three~1", "newest"]
    undo_import(ledger, second)
    assert ids(ledger) == ["three", "newest"]
    undo_import(ledger, first)
    assert ids(ledger) == []
    assert_intact(ledger)


def test_a_rejected_row_that_an_import_resolved_is_open_again(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), rejected=[Rejected(ONE.row, "row", "?")])
    import_id = import_recorded(ledger, ONE)
    assert list(list_quarantined(ledger)) == []
    undo_import(ledger, import_id)
    (entry,) = list_quarantined(ledger)
    assert (entry.wire, entry.reason, entry.span is None) == (ONE.row, "?", False)
    assert_intact(ledger)


# ---------------------------------------------------------------- rows that were decoded again

STRICT = LearningCodec(unreadable=frozenset({"strange"}))
LEARNED = LearningCodec()


def test_flows_that_a_rebuild_decoded_again_are_withdrawn(ledger: Ledger) -> None:
    rows = [LEARNED.read(toy_row("one", 1)), LEARNED.read(toy_row("two", 2))]
    commit_read(ledger, hours(0, 1), LEARNED.read(toy_row("read", 0)))
    import_id = import_recorded(ledger, *rows)
    rebuilt = rebuild(ledger, "a", LearningCodec(kinds={"x": Kind.FEE}), lambda _rows: None)
    assert rebuilt.changed == 3
    assert undo_import(ledger, import_id).withdrawn == 2
    assert ids(ledger) == ["read"]
    assert_intact(ledger)


def test_rejected_rows_that_were_read_later_are_withdrawn(ledger: Ledger) -> None:
    bytes_ = toy_row("one", 1, label="strange")
    import_id = import_recorded(ledger, rejected=[Rejected(bytes_, "label", "?")])
    assert retry(ledger, "a", LEARNED).read == 1
    assert undo_import(ledger, import_id).withdrawn == 1
    assert ids(ledger) == []
    assert_intact(ledger)


# ---------------------------------------------------------------- size and interruptions


def test_a_large_import_is_undone_in_batches_of_one_transaction(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "CHUNK", 4)
    rows = [make_row(f"row {number:02}", number / 10) for number in range(10)]
    import_id = import_recorded(ledger, *rows)
    result = undo_import(ledger, import_id)
    assert (result.withdrawn, result.batches) == (10, 3)
    assert ids(ledger) == []
    assert_intact(ledger)


def test_an_import_that_goes_on_after_it_was_undone_is_refused(ledger: Ledger) -> None:
    record = ImportRecord(ledger, "a", ["one.json"])
    record.commit_rejected([rejected_row("{")])
    (known,) = list_imports(ledger)
    assert (known.ended_at, known.rows, known.rejected) == (None, 1, 1)
    undo_import(ledger, record.id)
    with pytest.raises(ConfigError, match=f"import {record.id} was undone while it was running"):
        record.commit(lambda _connection, _batch: Change(), list)
    assert commit_rows(ledger, "a", lambda _connection, _batch: Change()) is None
