"""A failed read leaves an open range with its reason, but only in ranges that are not proven."""

from datetime import timedelta

import pytest

from liushui.errors import ConfigError
from liushui.instant import to_us
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.commit import commit_gap
from tests.ledger.ledgers import DAY_ONE, READ_AT, assert_intact, column, commit_read, hours, make_row, tables
from tests.ledger.reading import coverage_of, statuses

LATER = READ_AT + timedelta(hours=1)


def gap(ledger: Ledger, since: float, until: float, reason: str = "HTTP 500") -> None:
    commit_gap(ledger, "a", hours(since, until), tried_at=LATER, reason=reason)


def ranges(ledger: Ledger) -> list[tuple[float, float, str, str]]:
    """The account's coverage, in hours."""
    begin_us = to_us(DAY_ONE)
    return [
        ((known.since_us - begin_us) / 3.6e9, (known.until_us - begin_us) / 3.6e9, known.state.value, known.reason)
        for known in coverage_of(ledger)["a"]
    ]


def test_a_gap_has_a_reason_and_no_flows(ledger: Ledger) -> None:
    gap(ledger, 0, 24)
    assert ranges(ledger) == [(0, 24, "open", "HTTP 500")]
    assert column(ledger, "batches", "seq", "state", "reason", "read_at_us", "rows_in") == [
        (1, "open", "HTTP 500", to_us(LATER), 0)
    ]
    assert list(list_flows(ledger, FlowFilter())) == []
    assert_intact(ledger)


def test_a_gap_opens_only_what_is_not_proven(ledger: Ledger) -> None:
    commit_read(ledger, hours(6, 12), make_row("one", 7))
    commit_read(ledger, hours(18, 20))
    gap(ledger, 0, 24)
    assert ranges(ledger) == [
        (0, 6, "open", "HTTP 500"),
        (6, 12, "proven", ""),
        (12, 18, "open", "HTTP 500"),
        (18, 20, "proven", ""),
        (20, 24, "open", "HTTP 500"),
    ]
    assert [row[0] for row in column(ledger, "coverage", "checked_at_us")] == [
        to_us(READ_AT if state == State.PROVEN else LATER) for _, _, state, _ in ranges(ledger)
    ]
    assert_intact(ledger)


def test_a_proof_closes_the_part_of_a_gap_that_it_covers(ledger: Ledger) -> None:
    gap(ledger, 0, 24)
    commit_read(ledger, hours(6, 12), read_at=LATER)
    assert ranges(ledger) == [(0, 6, "open", "HTTP 500"), (6, 12, "proven", ""), (12, 24, "open", "HTTP 500")]
    commit_read(ledger, hours(0, 24), read_at=LATER)
    assert ranges(ledger) == [(0, 24, "proven", "")]
    assert_intact(ledger)


def test_a_gap_makes_no_read_stale(ledger: Ledger) -> None:
    gap(ledger, 0, 24)
    assert commit_read(ledger, hours(0, 24), make_row("one", 1), read_at=READ_AT).added == 1


@pytest.mark.parametrize(("since", "until"), [(0, 24), (3, 5), (6, 12), (0, 6)])
def test_the_same_failure_again_writes_no_batch(ledger: Ledger, since: float, until: float) -> None:
    commit_read(ledger, hours(6, 12))
    gap(ledger, 0, 24)
    before = tables(ledger)
    commit_gap(ledger, "a", hours(since, until), tried_at=LATER + timedelta(days=1), reason="HTTP 500")
    assert {name: rows for name, rows in tables(ledger).items() if rows != before[name]} == {}


def test_a_failure_in_a_proven_range_writes_no_batch(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    before = tables(ledger)
    gap(ledger, 3, 12)
    assert tables(ledger) == before


def test_a_new_reason_replaces_the_old_one_in_its_range(ledger: Ledger) -> None:
    gap(ledger, 0, 24)
    gap(ledger, 6, 12, "the pages shifted")
    assert ranges(ledger) == [
        (0, 6, "open", "HTTP 500"),
        (6, 12, "open", "the pages shifted"),
        (12, 24, "open", "HTTP 500"),
    ]
    assert_intact(ledger)


def test_adjacent_gaps_of_one_reason_are_shown_as_one(ledger: Ledger) -> None:
    gap(ledger, 0, 6)
    gap(ledger, 6, 12)
    assert ranges(ledger) == [(0, 12, "open", "HTTP 500")]
    (status,) = statuses(ledger)
    assert (status.gaps, status.proven_until, status.batches) == (1, None, 2)


def test_a_gap_of_an_unknown_account_is_refused(ledger: Ledger) -> None:
    before = tables(ledger)
    with pytest.raises(ConfigError, match="there is none named 'b'"):
        commit_gap(ledger, "b", hours(0, 1), tried_at=LATER, reason="HTTP 500")
    assert tables(ledger) == before
