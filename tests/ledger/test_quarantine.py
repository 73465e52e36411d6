"""The evidence of reads about undecodable rows: where they are, how many exist, and that one has disappeared."""

from unittest.mock import patch

import pytest

from liushui.errors import ConfigError, ConfirmationRequired
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import Rejected
from liushui.ledger.read.quarantine import Quarantined, list_quarantined, quarantined_named
from liushui.ledger.write.batch_writer import BatchWriter
from liushui.ledger.write.change import Committed
from liushui.ledger.write.commit import commit_slice
from liushui.ledger.write.quarantine import GONE, NARROWED, READ
from liushui.ledger.write.reprocess import retry
from liushui.provider import Slice
from tests.ledger.learning_codec import LearningCodec, toy_row
from tests.ledger.ledgers import (
    DAY_ONE,
    assert_intact,
    column,
    commit_read,
    decode_and_commit,
    hours,
    import_page,
    import_rejected,
    make_row,
    rejected_row,
    tables,
)
from tests.ledger.reading import statuses

STRICT = LearningCodec(unreadable=frozenset({"strange"}))
LEARNED = LearningCodec()


def in_hours(entry: Quarantined) -> list[tuple[int, int]] | None:
    """The span of an entry, in hours after DAY_ONE."""
    if entry.span is None:
        return None
    begin, hour_us = to_us(DAY_ONE), 3_600_000_000
    return [((piece.since_us - begin) // hour_us, (piece.until_us - begin) // hour_us) for piece in entry.span]


def spans(ledger: Ledger) -> list[list[tuple[int, int]] | None]:
    """The spans of the open entries."""
    return [in_hours(entry) for entry in list_quarantined(ledger)]


def endings(ledger: Ledger) -> list[object]:
    """How versions of entries ended."""
    return [how for (how,) in column(ledger, "quarantine", "ended_as") if how is not None]


class Kept(Exception):
    """Raised in place of writing a read."""


def would_end(ledger: Ledger, asked: Slice, *rejected: Rejected) -> bool:
    """Whether committing such a read needs a confirmation. It is not committed."""
    before = tables(ledger)
    try:
        with patch.object(BatchWriter, "write", side_effect=Kept):
            commit_slice(ledger, "a", asked, read_at=ledger.clock(), received=[], rejected=rejected, may_end=False)
    except ConfirmationRequired:
        assert tables(ledger) == before
        return True
    except Kept:
        return False
    raise AssertionError("neither refused nor kept")


# ---------------------------------------------------------------- where it is


def test_a_row_seen_in_two_ranges_is_in_their_intersection(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 20), rejected=[rejected_row("{")])
    assert commit_read(ledger, hours(5, 30), rejected=[rejected_row("{")]) == Committed(2, 0, 0, 0, 0)
    assert spans(ledger) == [[(5, 20)]]
    assert endings(ledger) == [NARROWED]
    assert_intact(ledger)


def test_a_row_that_is_not_seen_is_outside_the_range(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 20), rejected=[rejected_row("{")])
    assert not would_end(ledger, hours(5, 10))
    commit_read(ledger, hours(5, 10))
    assert spans(ledger) == [[(0, 5), (10, 20)]]
    commit_read(ledger, hours(0, 3))
    commit_read(ledger, hours(15, 40))
    assert spans(ledger) == [[(3, 5), (10, 15)]]
    commit_read(ledger, hours(4, 12), rejected=[rejected_row("{")])
    assert spans(ledger) == [[(4, 5), (10, 12)]]
    assert_intact(ledger)


def test_a_row_whose_span_becomes_empty_is_withdrawn(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 20), rejected=[rejected_row("{")])
    commit_read(ledger, hours(0, 5))
    assert would_end(ledger, hours(5, 20))
    assert not would_end(ledger, hours(5, 20), rejected_row("{"))
    commit_read(ledger, hours(5, 20))
    assert spans(ledger) == []
    assert endings(ledger) == [NARROWED, GONE]
    (gone,) = list_quarantined(ledger, resolved=True)
    assert (gone.resolved_batch, gone.resolved_as, gone.wire) == (3, GONE, b"{")
    assert quarantined_named(ledger, "a", gone.id) == gone
    assert statuses(ledger)[0].quarantined == 0
    assert_intact(ledger)


def test_a_withdrawn_row_can_come_back(ledger: Ledger) -> None:
    for number in range(4):
        commit_read(ledger, hours(0, 20), rejected=[rejected_row("{")] if number % 2 == 0 else [])
    commit_read(ledger, hours(0, 20), rejected=[rejected_row("{")])
    assert column(ledger, "quarantine", "batch", "ended_batch") == [(1, 2), (3, 4), (5, None)]
    (entry,) = list_quarantined(ledger)
    assert quarantined_named(ledger, "a", entry.id).batch == 5
    assert_intact(ledger)


def test_a_read_of_another_range_does_not_change_an_entry(ledger: Ledger) -> None:
    commit_read(ledger, hours(5, 10), rejected=[rejected_row("{")])
    assert not would_end(ledger, hours(0, 5))
    commit_read(ledger, hours(0, 5))
    commit_read(ledger, hours(10, 20), rejected=[rejected_row("[")])
    assert sorted(map(str, spans(ledger))) == ["[(10, 20)]", "[(5, 10)]"]
    assert endings(ledger) == []


# ---------------------------------------------------------------- how many there are


def test_the_open_copies_are_as_many_as_the_last_reads_saw(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 20), rejected=[rejected_row("{")] * 3)
    assert not would_end(ledger, hours(0, 10), rejected_row("{"))
    commit_read(ledger, hours(0, 10), rejected=[rejected_row("{")])
    assert spans(ledger) == [[(0, 10)], [(10, 20)], [(10, 20)]]
    assert would_end(ledger, hours(10, 20), rejected_row("{"))
    commit_read(ledger, hours(10, 20), rejected=[rejected_row("{")])
    assert spans(ledger) == [[(0, 10)], [(10, 20)]]
    assert commit_read(ledger, hours(0, 20), rejected=[rejected_row("{")] * 4).quarantined == 2
    assert spans(ledger).count([(0, 20)]) == 2
    assert_intact(ledger)


def test_copies_that_can_only_be_in_the_slice_are_matched_first(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 10), rejected=[rejected_row("{")])
    commit_read(ledger, hours(10, 30), rejected=[rejected_row("{")])
    assert not would_end(ledger, hours(0, 20), rejected_row("{"))
    commit_read(ledger, hours(0, 20), rejected=[rejected_row("{")])
    assert spans(ledger) == [[(0, 10)], [(20, 30)]]
    assert_intact(ledger)


# ---------------------------------------------------------------- imports


def test_a_read_gives_an_imported_row_a_span(ledger: Ledger) -> None:
    import_rejected(ledger, rejected_row("{"), rejected_row("{"))
    assert import_rejected(ledger, rejected_row("{"), rejected_row("{")) is None
    assert not would_end(ledger, hours(0, 10))
    commit_read(ledger, hours(0, 10))
    assert spans(ledger) == [None, None]
    assert commit_read(ledger, hours(0, 10), rejected=[rejected_row("{")]).quarantined == 0
    assert spans(ledger) == [[(0, 10)], None]
    assert import_rejected(ledger, rejected_row("{"), rejected_row("{"), rejected_row("{")) is not None
    assert spans(ledger) == [[(0, 10)], None, None]
    assert_intact(ledger)


def test_an_imported_row_that_can_be_decoded_now_is_resolved(ledger: Ledger) -> None:
    row = make_row("one", 5)
    other = make_row("two", 6)
    import_rejected(ledger, *[Rejected(row.row, "row", "?")] * 2, Rejected(other.row, "row", "?"))
    commit_read(ledger, hours(0, 4), rejected=[Rejected(other.row, "row", "?")])
    import_page(ledger, row, other)
    assert spans(ledger) == [[(0, 4)], None] or spans(ledger) == [None, [(0, 4)]], "the row of hour 6 is not in there"
    assert endings(ledger).count(READ) == 1
    commit_read(ledger, hours(4, 10), row, other)
    assert endings(ledger).count(READ) == 2
    assert_intact(ledger)


# ---------------------------------------------------------------- codecs that learned


def test_a_slice_read_with_a_better_codec_resolves_its_rows(ledger: Ledger) -> None:
    rows = [toy_row("one", 1), toy_row("two", 2, label="strange"), toy_row("two", 2, label="strange")]
    assert decode_and_commit(ledger, hours(0, 20), STRICT, *rows).quarantined == 2
    assert decode_and_commit(ledger, hours(0, 20), LEARNED, *rows) == Committed(2, 2, 0, 0, 0)
    assert endings(ledger) == [READ, READ]
    assert decode_and_commit(ledger, hours(0, 20), STRICT, *rows) == Committed(3, 0, 0, 2, 2)
    assert spans(ledger) == [[(0, 20)], [(0, 20)]]
    assert_intact(ledger)


def test_a_retry_turns_decodable_rows_into_flows(ledger: Ledger) -> None:
    rows = [toy_row("one", 1), toy_row("two", 2, label="strange"), toy_row("two", 2, label="strange"), b"{"]
    decode_and_commit(ledger, hours(0, 20), STRICT, *rows)
    before = column(ledger, "quarantine", "id", "wire")
    nothing = retry(ledger, "a", STRICT)
    assert (nothing.tried, nothing.read, nothing.unreadable) == (3, 0, 3)
    assert column(ledger, "batches", "seq") == [(1,)]

    done = retry(ledger, "a", LEARNED)
    assert (done.tried, done.read, done.unreadable, done.outside) == (3, 2, 1, 0)
    assert column(ledger, "flows", "id", "batch") == [("one", 1), ("two", 2), ("two~1", 2)]
    assert column(ledger, "batches", "state", "added", "quarantined") == [("proven", 1, 3), ("retried", 2, 0)]
    assert column(ledger, "quarantine", "id", "wire") == before, "nothing is deleted"
    assert endings(ledger) == [READ, READ]
    assert_intact(ledger)
    assert decode_and_commit(ledger, hours(0, 20), LEARNED, *rows) == Committed(3, 0, 0, 0, 0), "a read says the same"
    assert retry(ledger, "a", LEARNED).read == 0


def test_a_row_with_a_time_outside_its_span_stays_in_quarantine(ledger: Ledger) -> None:
    decode_and_commit(ledger, hours(0, 5), STRICT, toy_row("one", 7, label="strange"))
    done = retry(ledger, "a", LEARNED)
    assert (done.read, done.outside) == (0, 1)
    assert spans(ledger) == [[(0, 5)]]
    assert column(ledger, "flows", "id") == []


def test_a_retried_row_is_numbered_among_its_copies(ledger: Ledger) -> None:
    rows = [toy_row("one", 1, label="strange"), toy_row("one", 1, label="known"), toy_row("one", 1, label="tame")]
    decode_and_commit(ledger, hours(0, 5), STRICT, *rows)
    retry(ledger, "a", LEARNED)
    expected = column(ledger, "flows", "id", "label")
    assert decode_and_commit(ledger, hours(0, 5), LEARNED, *rows) == Committed(3, 0, 0, 0, 0)
    assert column(ledger, "flows", "id", "label") == expected
    assert_intact(ledger)


def test_an_unknown_entry_is_named_in_the_error(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="there is no entry named 'x' in the quarantine of a"):
        quarantined_named(ledger, "a", "x")
    with pytest.raises(ConfigError, match="expected one of a, got 'b'"):
        list(list_quarantined(ledger, ("b",)))


# ---------------------------------------------------------------- rows without a readable time, at the edges of slices


def timeless(row: str = "{", *, is_record: bool = False) -> Rejected:
    """A row that may lie up to two hours beside the slice that it came with."""
    return rejected_row(row)._replace(margin_us=2 * 3_600_000_000, is_record=is_record)


def test_a_row_without_a_time_may_lie_beside_the_slice_that_it_came_with(ledger: Ledger) -> None:
    assert commit_read(ledger, hours(10, 20), rejected=[timeless()]) == Committed(1, 0, 0, 0, 1)
    assert spans(ledger) == [[(8, 22)]]
    commit_read(ledger, hours(0, 10))
    assert spans(ledger) == [[(10, 22)]]
    commit_read(ledger, hours(20, 30))
    assert spans(ledger) == [[(10, 20)]]
    assert_intact(ledger)


def test_it_does_not_lie_in_what_was_proven_without_it(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 9))
    commit_read(ledger, hours(20, 30))
    commit_read(ledger, hours(9, 20), rejected=[timeless()])
    assert spans(ledger) == [[(9, 20)]]
    assert_intact(ledger)


def test_a_record_that_came_with_two_neighbours_lies_where_they_meet(ledger: Ledger) -> None:
    """A service that answers wider than it was asked gives it with both. It is one row, and one entry."""
    commit_read(ledger, hours(0, 10), rejected=[timeless(is_record=True)])
    assert commit_read(ledger, hours(10, 20), rejected=[timeless(is_record=True)]).quarantined == 0
    assert spans(ledger) == [[(8, 12)]]
    commit_read(ledger, hours(11, 30))
    assert spans(ledger) == [[(8, 11)]]
    assert not would_end(ledger, hours(0, 10), timeless(is_record=True))
    assert_intact(ledger)


def test_a_record_of_a_neighbour_is_not_a_row_of_the_slice_that_it_came_with_too(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 9))
    commit_read(ledger, hours(9, 20), rejected=[timeless(is_record=True)])
    commit_read(ledger, hours(0, 9), rejected=[timeless(is_record=True)])
    assert spans(ledger) == [[(9, 11)]]
    assert column(ledger, "batches", "rows_in") == [(0,), (1,), (0,)]
    assert_intact(ledger)


def test_a_record_that_comes_with_any_slice_may_be_anywhere_in_them(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 10), rejected=[timeless(is_record=True)])
    commit_read(ledger, hours(30, 40), rejected=[timeless(is_record=True)])
    assert spans(ledger) == [[(-2, 12), (28, 42)]]
    commit_read(ledger, hours(0, 10))
    assert spans(ledger) == [[(-2, 0), (10, 12), (28, 42)]]
    assert_intact(ledger)


def test_rows_without_an_id_may_be_two_where_slices_meet(ledger: Ledger) -> None:
    """So nothing of the two slices is complete. Equal rows that came with one answer are two in any case."""
    commit_read(ledger, hours(0, 10), rejected=[timeless(), timeless()])
    assert commit_read(ledger, hours(10, 20), rejected=[timeless()]).quarantined == 0
    assert sorted(spans(ledger), key=str) == [[(-2, 10)], [(-2, 22)]]
    commit_read(ledger, hours(0, 10), rejected=[timeless()])
    assert_intact(ledger)


def test_a_row_without_an_id_in_slices_that_overlap_is_where_they_do(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 20), rejected=[timeless()])
    commit_read(ledger, hours(10, 30), rejected=[timeless()])
    assert spans(ledger) == [[(8, 22)]]
    assert_intact(ledger)
