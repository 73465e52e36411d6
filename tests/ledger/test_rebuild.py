"""Rebuilding: the preview equals what a rebuild changes, and the result equals a new read."""

import dataclasses
from typing import Any

import pytest

from liushui.flow import Kind
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import FACTS_END, WIRE, Row
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.read.quarantine import list_quarantined
from liushui.ledger.write import reprocess as rebuilding
from liushui.ledger.write.change import REDERIVED, Committed
from liushui.ledger.write.commit import commit_change
from liushui.ledger.write.quarantine import Interval
from liushui.ledger.write.reprocess import RebuildReport, preview_rebuild, rebuild
from liushui.provider import DecodedRow
from tests.engines import LedgerStore
from tests.ledger.learning_codec import LearningCodec, read, toy_row
from tests.ledger.ledgers import (
    assert_intact,
    column,
    decode_and_commit,
    hour,
    hours,
    import_page,
    import_rejected,
    new_ledger,
    tables,
)

FIRST = LearningCodec()
GIFTS = LearningCodec(kinds={"gift": Kind.REBATE})
ROWS = (
    toy_row("one", 1, label="gift"),
    toy_row("two", 2),
    toy_row("two", 2),
    toy_row("three", 3, "-4.00", "gift"),
    toy_row("four", 20, "9.00"),
)


def told_and_made(ledger: Ledger, codec: LearningCodec) -> RebuildReport:
    """Preview a rebuild and check that it does the same, and that a second one changes nothing."""
    expected = preview_rebuild(ledger, "a", codec, lambda _flows: None)
    advanced: list[int] = []
    made = rebuild(ledger, "a", codec, advanced.append)
    assert sum(advanced) == made.flows >= expected.flows, "a flow that becomes later is met again"
    assert dataclasses.replace(made, flows=expected.flows) == expected
    assert not preview_rebuild(ledger, "a", codec, lambda _flows: None).changed
    assert_intact(ledger)
    return expected


def facts(ledger: Ledger) -> list[Row]:
    return [row[:FACTS_END] for row in tables(ledger)["flows"]]


def test_an_unchanged_codec_commits_nothing(ledger: Ledger) -> None:
    decode_and_commit(ledger, hours(0, 24), FIRST, *ROWS)
    before = tables(ledger)
    assert told_and_made(ledger, FIRST) == RebuildReport("a", flows=5)
    assert tables(ledger) == before


def test_flows_that_are_decoded_differently_get_new_versions(ledger: Ledger) -> None:
    decode_and_commit(ledger, hours(0, 24), FIRST, *ROWS)
    before = tables(ledger)
    found = told_and_made(ledger, GIFTS)
    assert (found.flows, found.changed, found.unreadable, found.identities) == (5, 2, 0, 0)
    assert found.fields == {"kind": 2}
    assert [(one.id, one.field, one.old, one.new) for one in found.examples] == [
        ("one", "kind", "other", "rebate"),
        ("three", "kind", "other", "rebate"),
    ]
    after = tables(ledger)
    assert [(row[2], *row[-2:]) for row in after["history"]] == [("one", 2, REDERIVED), ("three", 2, REDERIVED)]
    assert column(ledger, "batches", "state", "rows_in", "added", "restated", "withdrawn")[1:] == [
        ("rebuilt", 0, 0, 2, 0)
    ]
    assert after["coverage"] == before["coverage"]
    assert column(ledger, "flows", "wire") == [(row[WIRE],) for row in before["flows"]]
    assert decode_and_commit(ledger, hours(0, 24), GIFTS, *ROWS) == Committed(3, 0, 0, 0, 0), "a read says the same"


@pytest.mark.parametrize(
    "codec",
    [
        LearningCodec(identity=lambda row: f"{row.id} {row.label}"),
        LearningCodec(identity=lambda _row: "same"),
        LearningCodec(identity=lambda row: str(row.at), kinds={"gift": Kind.TAX}),
        LearningCodec(late_hours=1),
        LearningCodec(late_hours=1, unreadable=frozenset({"gift"}), identity=lambda row: row.id[0]),
    ],
    ids=["told apart", "one", "by hour", "later", "all at once"],
)
def test_a_rebuilt_ledger_equals_one_read_with_the_new_codec(ledger_store: LedgerStore, codec: LearningCodec) -> None:
    """With slices of an hour, the rows of one identity in a slice are those at one instant."""
    rebuilt, fresh = new_ledger(ledger_store, name="rebuilt.db"), new_ledger(ledger_store, name="fresh.db")
    rows = [*ROWS, toy_row("two", 2, "1.00", "gift"), toy_row("more", 2, "3.00"), toy_row("t", 3), toy_row("two", 1)]
    decode_and_commit(rebuilt, hours(0, 24), FIRST, *rows)
    told_and_made(rebuilt, codec)
    for at in range(24):
        decode_and_commit(fresh, hours(at, at + 1), codec, *[row for row in rows if instant(codec, row) == at])
    assert facts(rebuilt) == facts(fresh)
    assert len(list(list_quarantined(rebuilt))) == len(rows) - len(facts(rebuilt))
    for ledger in (rebuilt, fresh):
        ledger.close()


def instant(codec: LearningCodec, row: bytes) -> int:
    """The hour that the first of two codecs decodes in a row, or else the second."""
    received, _ = read(codec, row)
    at = (received or read(FIRST, row)[0])[0].flow.at
    return next(number for number in range(24) if hour(number) == at)


def test_a_row_that_cannot_be_decoded_any_more_is_quarantined(ledger: Ledger) -> None:
    decode_and_commit(ledger, hours(0, 10), FIRST, *ROWS[:4])
    import_page(ledger, *read(FIRST, ROWS[4])[0])
    found = told_and_made(ledger, LearningCodec(unreadable=frozenset({"gift", "x"})))
    assert (found.changed, found.unreadable) == (5, 5)
    assert {one.field for one in found.examples} == {"label"}
    assert "expected one that is known, got 'gift'" in str(found.examples[0].new)
    assert facts(ledger) == []
    spans = [entry.span for entry in list_quarantined(ledger)]
    assert spans.count(None) == 1, "the imported one"
    assert spans.count((Interval(to_us(hour(0)), to_us(hour(10))),)) == 4
    assert column(ledger, "batches", "added", "restated", "withdrawn", "quarantined")[-1] == (0, 0, 5, 5)


def test_an_imported_entry_of_equal_bytes_stands_for_the_undecodable_flow(ledger: Ledger) -> None:
    strict = LearningCodec(unreadable=frozenset({"gift"}))
    decode_and_commit(ledger, hours(0, 10), FIRST, ROWS[0])
    import_rejected(ledger, *read(strict, ROWS[0])[1])
    told_and_made(ledger, strict)
    assert len(list(list_quarantined(ledger))) == 1


def test_a_copy_that_keeps_its_number_is_not_changed(ledger: Ledger) -> None:
    decode_and_commit(ledger, hours(0, 24), FIRST, toy_row("a", 2), toy_row("a", 2), toy_row("b", 2))
    told_and_made(ledger, LearningCodec(identity=lambda _row: "a"))
    assert column(ledger, "flows", "id", "batch") == [("a", 1), ("a~1", 1), ("a~2", 2)]
    assert column(ledger, "history", "id") == [("b",)]


def test_at_most_ten_examples_are_reported(ledger: Ledger) -> None:
    decode_and_commit(ledger, hours(0, 24), FIRST, *[toy_row(f"row {number}", 1, label="gift") for number in range(30)])
    found = told_and_made(ledger, GIFTS)
    assert (found.changed, len(found.examples)) == (30, rebuilding.EXAMPLES_MAX)


def test_the_served_row_is_derived_again_too(ledger: Ledger) -> None:
    @dataclasses.dataclass(frozen=True)
    class Serving(LearningCodec):
        def read(self, row: bytes) -> DecodedRow:
            return super().read(row)._replace(served=b"{}")

    decode_and_commit(ledger, hours(0, 24), FIRST, *ROWS)
    assert told_and_made(ledger, Serving()).fields == {"served": 5}
    assert set(column(ledger, "flows", "served")) == {("{}",)}


def test_flows_without_a_received_row_are_not_changed(ledger: Ledger) -> None:
    decode_and_commit(ledger, hours(0, 24), FIRST, *ROWS)
    with ledger.writing() as connection:
        connection.exec_driver_sql("UPDATE flows SET wire = NULL WHERE id = 'one'")
    found = preview_rebuild(ledger, "a", GIFTS, lambda _flows: None)
    assert (found.flows, found.changed) == (4, 1)
    assert rebuild(ledger, "a", GIFTS, lambda _flows: None).changed == 1
    kinds = {flow.id: flow.flow.kind for flow in list_flows(ledger, FlowFilter())}
    assert (kinds["one"], kinds["three"]) == (Kind.OTHER, Kind.REBATE)


# ---------------------------------------------------------------- chunk by chunk


class Killed(Exception):
    """Interrupts a rebuild."""


@pytest.mark.parametrize("codec", [GIFTS, LearningCodec(identity=lambda row: row.label, late_hours=2)])
def test_an_interrupted_rebuild_can_be_continued(
    ledger_store: LedgerStore, monkeypatch: pytest.MonkeyPatch, codec: LearningCodec
) -> None:
    rows = [toy_row(f"row {number:02}", number % 9, label="gift" if number % 2 else "x") for number in range(40)]
    monkeypatch.setattr(rebuilding, "CHUNK", 7)
    monkeypatch.setattr(rebuilding._chunk, "__kwdefaults__", {"limit": 7, "until": None})
    ended, whole = new_ledger(ledger_store, name="ended.db"), new_ledger(ledger_store, name="whole.db")
    for ledger in (ended, whole):
        decode_and_commit(ledger, hours(0, 24), FIRST, *rows)
    rebuild(whole, "a", codec, lambda _flows: None)
    assert len(column(whole, "batches", "seq")) > 4

    for chunks in (1, 2, 3):
        told_of = iter(range(chunks))

        def advance(_flows: int, told_of: object = told_of) -> None:
            assert hasattr(told_of, "__next__")
            if next(told_of, None) is None:
                raise Killed

        with pytest.raises(Killed):
            rebuild(ended, "a", codec, advance)
        assert_intact(ended)
        assert len(facts(ended)) == len(rows)
    rebuild(ended, "a", codec, lambda _flows: None)
    assert facts(ended) == facts(whole)
    for ledger in (ended, whole):
        assert_intact(ledger)
        ledger.close()


def test_a_flow_that_was_changed_meanwhile_is_not_overwritten(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    decode_and_commit(ledger, hours(0, 24), FIRST, *ROWS)

    def late(*words: Any) -> Committed | None:  # noqa: ANN401 - handed on
        decode_and_commit(ledger, hours(0, 24), GIFTS, *ROWS[1:])
        return commit_change(*words)

    monkeypatch.setattr(rebuilding, "commit_change", late)
    assert rebuild(ledger, "a", GIFTS, lambda _flows: None).changed == 0
    assert column(ledger, "batches", "state") == [("proven",), ("proven",)]
    assert_intact(ledger)
