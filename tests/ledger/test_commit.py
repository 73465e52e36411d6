"""Committing a slice adds, restates and withdraws flows and keeps history, completely or not at all."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, StaleRead
from liushui.flow import Kind
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import to_row
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.change import RESTATED, WITHDRAWN, Change, Committed
from liushui.ledger.write.commit import commit_rows, compare, make_account
from liushui.provider import DecodedRow
from tests.engines import LedgerStore
from tests.ledger.ledgers import (
    READ_AT,
    assert_intact,
    column,
    commit_read,
    hour,
    hours,
    make_full_row,
    make_row,
    new_ledger,
    rejected_row,
    tables,
)
from tests.ledger.reading import balances

LATER = READ_AT + timedelta(days=1)


def balance(ledger: Ledger) -> Decimal:
    return sum((found.amount for found in balances(ledger)), Decimal(0))


# ---------------------------------------------------------------- what comes in


def test_flows_are_read_back_as_they_were_committed(ledger: Ledger) -> None:
    rows = [make_full_row("full", 1), make_row("bare", 2, "-0.00"), make_row("exact", 3, "1.230")]
    assert commit_read(ledger, hours(0, 24), *rows) == Committed(1, added=3, restated=0, withdrawn=0, quarantined=0)
    found = list(list_flows(ledger, FlowFilter()))
    assert [kept.flow for kept in found] == [row.flow for row in rows]
    assert [str(kept.flow.amount) for kept in found] == ["-12.50", "-0.00", "1.230"]
    assert [(kept.account, kept.id, kept.batch) for kept in found] == [("a", row.flow.identity, 1) for row in rows]
    assert column(ledger, "flows", "wire", "served") == [
        (row.row.decode(), row.served.decode() if row.served else None) for row in rows
    ]
    assert_intact(ledger)


def test_committing_a_slice_again_changes_no_fact(ledger: Ledger) -> None:
    rows = [make_full_row("one", 1), make_row("two", 2), make_row("two", 2)]
    commit_read(ledger, hours(0, 24), *rows, rejected=[rejected_row("{")])
    before = tables(ledger)
    assert commit_read(ledger, hours(0, 24), *rows, rejected=[rejected_row("{")], read_at=LATER) == Committed(
        2, 0, 0, 0, 0
    )
    after = tables(ledger)
    for name in ("flows", "history", "quarantine", "day_totals"):
        assert after[name] == before[name]
    assert column(ledger, "coverage", "checked_at_us", "batch") == [(to_us(LATER), 2)]
    assert_intact(ledger)


def test_a_slice_includes_its_beginning_and_not_its_end(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 1), make_row("first", 0))
    commit_read(ledger, hours(1, 2), make_row("second", 1))
    assert commit_read(ledger, hours(0, 1)).withdrawn == 1
    assert column(ledger, "flows", "id") == [("second",)]


def test_a_commit_does_not_touch_other_accounts(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, "a", "b")
    commit_read(ledger, hours(0, 24), make_row("one", 1), account="a")
    commit_read(ledger, hours(0, 24), make_row("one", 1), account="b")
    before = [row for row in tables(ledger)["flows"] if row[0] == "b"]
    assert commit_read(ledger, hours(0, 24), account="a", read_at=LATER).withdrawn == 1
    assert tables(ledger)["flows"] == before
    assert column(ledger, "accounts", "account", "head") == [("a", 2), ("b", 1)]
    assert_intact(ledger)


# ---------------------------------------------------------------- what changes


@pytest.mark.parametrize(
    ("again", "amount"),
    [
        (make_row("one", 1, "5.00", label="in other words"), "5.00"),
        (make_row("one", 1, "7.25"), "7.25"),
        (make_row("one", 3, "5.00"), "5.00"),
        (make_row("one", 1, "5.000"), "5.000"),
        (make_row("one", 1, "5.00", kind=Kind.REFUND), "5.00"),
    ],
    ids=["label", "amount", "time", "exponent", "kind"],
)
def test_a_row_that_changed_is_restated(ledger: Ledger, again: DecodedRow, amount: str) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1, "5.00"), make_row("two", 2, "1.00"))
    (old,) = [row for row in tables(ledger)["flows"] if row[2] == "one"]
    committed = commit_read(ledger, hours(0, 24), again, make_row("two", 2, "1.00"))
    assert committed == Committed(2, added=0, restated=1, withdrawn=0, quarantined=0)
    assert tables(ledger)["history"] == [(*old, 2, RESTATED)]
    (kept,) = [found for found in list_flows(ledger, FlowFilter()) if found.id == "one"]
    assert (kept.flow, kept.batch, str(kept.flow.amount)) == (again.flow, 2, amount)
    assert balance(ledger) == Decimal(amount) + 1
    assert_intact(ledger)


def test_different_bytes_of_an_equal_flow_change_nothing(ledger: Ledger) -> None:
    row = make_row("one", 1)
    commit_read(ledger, hours(0, 24), row)
    before = tables(ledger)["flows"]
    assert commit_read(ledger, hours(0, 24), row._replace(row=b" " + row.row, served=b"{}")) == Committed(2, 0, 0, 0, 0)
    assert tables(ledger)["flows"] == before


def test_a_row_that_is_no_longer_there_is_withdrawn(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1, "5.00"), make_row("two", 2, "1.00"))
    (old,) = [row for row in tables(ledger)["flows"] if row[2] == "one"]
    assert commit_read(ledger, hours(0, 2), read_at=LATER) == Committed(
        2, added=0, restated=0, withdrawn=1, quarantined=0
    )
    assert tables(ledger)["history"] == [(*old, 2, WITHDRAWN)]
    assert column(ledger, "flows", "id") == [("two",)]
    assert balance(ledger) == 1
    assert_intact(ledger)


def test_a_withdrawn_row_can_come_back_and_be_withdrawn_again(ledger: Ledger) -> None:
    for number in range(4):
        commit_read(ledger, hours(0, 24), *([make_row("one", 1)] if number % 2 == 0 else []))
    assert column(ledger, "history", "batch", "ended_batch", "ended_as") == [(1, 2, WITHDRAWN), (3, 4, WITHDRAWN)]
    assert column(ledger, "day_totals", "day") == []
    assert commit_read(ledger, hours(0, 24), make_row("one", 1)).added == 1
    assert_intact(ledger)


def test_a_row_that_moves_to_another_slice_exists_once(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 10), make_row("one", 1))
    commit_read(ledger, hours(10, 20), make_row("one", 11))
    assert column(ledger, "flows", "id") == [("one",), ("one",)], "the earlier slice was not read again yet"
    assert commit_read(ledger, hours(0, 20), make_row("one", 11)) == Committed(
        3, added=0, restated=0, withdrawn=1, quarantined=0
    )
    assert column(ledger, "flows", "id", "at_us") == [("one", to_us(hour(11)))]
    assert commit_read(ledger, hours(0, 20), make_row("one", 5)).restated == 1
    assert column(ledger, "flows", "id", "at_us") == [("one", to_us(hour(5)))]
    assert_intact(ledger)


def test_comparing_equals_the_commit_and_writes_nothing(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("same", 1), make_row("old", 2), make_row("gone", 3))
    before = tables(ledger)
    received = [make_row("same", 1), make_row("old", 2, label="new"), make_row("more", 4)]
    with ledger.reading() as connection:
        change = compare(connection, "a", hours(0, 24), received)
    assert [(row[2], ended) for row, ended in change.ended] == [("old", RESTATED), ("gone", WITHDRAWN)]
    assert [row[2] for row in change.added] == ["old", "more"]
    assert tables(ledger) == before


# ---------------------------------------------------------------- equal rows


def test_equal_rows_are_numbered(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), *[make_row("twin", 1)] * 3, make_row("other", 1))
    assert column(ledger, "flows", "id") == [("other",), ("twin",), ("twin~1",), ("twin~2",)]
    assert {found.flow.identity for found in list_flows(ledger, FlowFilter())} == {"twin", "other"}
    assert commit_read(ledger, hours(0, 24), *[make_row("twin", 1)] * 3, make_row("other", 1)) == Committed(
        2, 0, 0, 0, 0
    )
    assert commit_read(ledger, hours(0, 24), *[make_row("twin", 1)] * 2, make_row("other", 1)).withdrawn == 1
    assert column(ledger, "flows", "id") == [("other",), ("twin",), ("twin~1",)]
    assert_intact(ledger)


def test_eleven_equal_rows_keep_their_numbers(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), *[make_row("twin", 1)] * 12)
    assert commit_read(ledger, hours(0, 24), *[make_row("twin", 1)] * 12) == Committed(2, 0, 0, 0, 0)
    assert commit_read(ledger, hours(0, 24), *[make_row("twin", 1)] * 11).withdrawn == 1
    assert ("twin~11",) not in column(ledger, "flows", "id")


rows_with_twins = st.lists(
    st.builds(make_row, st.sampled_from("pqr"), st.just(1.0), st.just("1.00"), label=st.sampled_from(["x", "y"])),
    max_size=8,
)


@settings(max_examples=30, deadline=None)
@given(rows_with_twins, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[DecodedRow], random: Random) -> None:
    def committed(received: Sequence[DecodedRow]) -> dict[str, list[tuple[object, ...]]]:
        with TemporaryDirectory() as folder:
            ledger = new_ledger(Path(folder))
            commit_read(ledger, hours(0, 24), *received)
            found = tables(ledger)
            ledger.close()
            return found

    assert committed(rows) == committed(random.sample(rows, len(rows)))


# ---------------------------------------------------------------- what cannot be read


def test_rows_in_counts_flows_and_quarantined_rows(ledger: Ledger) -> None:
    rejected = [rejected_row("{", "cut off"), rejected_row("[]"), rejected_row("{", "cut off")]
    committed = commit_read(ledger, hours(0, 24), make_row("one", 1), make_row("two", 2), rejected=rejected)
    assert (committed.added, committed.quarantined) == (2, 3)
    assert column(ledger, "batches", "rows_in") == [(5,)]
    found = column(ledger, "quarantine", "field", "reason", "wire", "since_us", "until_us", "batch")
    span = (to_us(hour(0)), to_us(hour(24)), 1)
    assert sorted(found, key=repr) == sorted(
        [("row", "cut off", b"{", *span)] * 2 + [("row", "expected a row", b"[]", *span)], key=repr
    )
    assert commit_read(ledger, hours(0, 24), make_row("one", 1), make_row("two", 2), rejected=rejected).quarantined == 0
    assert commit_read(ledger, hours(0, 24), rejected=[*rejected, rejected_row("{", "cut off")]).quarantined == 1
    assert_intact(ledger)


# ---------------------------------------------------------------- older reads


def test_a_read_older_than_the_proof_is_stale(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("new", 1), read_at=LATER)
    before = tables(ledger)
    for asked in (hours(0, 24), hours(23, 48), hours(-1, 1), hours(3, 4)):
        with pytest.raises(StaleRead):
            commit_read(ledger, asked, make_row("old", 3.5), read_at=READ_AT)
    assert tables(ledger) == before


def test_a_read_of_another_range_or_of_the_same_instant_is_not_stale(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("new", 1), read_at=LATER)
    assert commit_read(ledger, hours(24, 48), make_row("next", 25), read_at=READ_AT).added == 1
    assert commit_read(ledger, hours(0, 24), make_row("new", 1), make_row("more", 2), read_at=LATER).added == 1
    assert_intact(ledger)


# ---------------------------------------------------------------- rows that prove nothing


def test_imported_rows_do_not_change_coverage(ledger: Ledger) -> None:
    def change_of(_connection: Connection, batch: int) -> Change:
        return Change(added=[to_row("a", id_, make_row(id_, 1), batch) for id_ in "zba"], rows_in=3)

    committed = commit_rows(ledger, "a", change_of)
    assert committed == Committed(1, added=3, restated=0, withdrawn=0, quarantined=0)
    assert column(ledger, "coverage", "since_us") == []
    (batch,) = column(ledger, "batches", "state", "since_us", "rows_in")
    assert batch == ("added", to_us(make_row("z", 1).flow.at), 3), "where its rows stand, but no range"
    assert_intact(ledger)


def test_an_import_without_anything_new_writes_no_batch(ledger: Ledger) -> None:
    before = tables(ledger)
    assert commit_rows(ledger, "a", lambda _connection, _batch: Change(rows_in=7)) is None
    assert tables(ledger) == before


# ---------------------------------------------------------------- accounts


def test_making_an_account_again_changes_nothing(ledger: Ledger) -> None:
    before = tables(ledger)
    make_account(ledger, "a", "longbridge", "UTC")
    assert tables(ledger) == before
    with pytest.raises(ConfigError, match="holds flows of longbridge, not of wecom"):
        make_account(ledger, "a", "wecom", "UTC")
    with pytest.raises(ConfigError, match="expected an IANA time zone"):
        make_account(ledger, "b", "longbridge", "Atlantis/Capital")
    with pytest.raises(ConfigError, match="there is none named 'nobody'"):
        commit_read(ledger, hours(0, 24), account="nobody")
    assert tables(ledger) == before


# ---------------------------------------------------------------- whole or not at all


STATEMENTS_MAX: Final = 200


class Broken(Exception):
    """Raised by a test inside a commit."""


def test_an_error_at_any_statement_rolls_the_commit_back(ledger: Ledger) -> None:
    commit_read(
        ledger, hours(0, 24), make_row("same", 1), make_row("old", 2), make_row("gone", 3), rejected=[rejected_row("{")]
    )
    before = tables(ledger)
    received = [make_row("same", 1), make_row("old", 2, label="new"), make_row("more", 4)]
    for number in range(1, STATEMENTS_MAX):
        statements = itertools.count(1)

        def break_one(*about: object, number: int = number, statements: Iterator[int] = statements) -> None:
            if next(statements) == number:
                raise Broken(about[2])

        event.listen(ledger.engine, "after_cursor_execute", break_one)
        try:
            commit_read(ledger, hours(0, 24), *received, rejected=[rejected_row("["), rejected_row("{")])
            break
        except Broken:
            pass
        finally:
            event.remove(ledger.engine, "after_cursor_execute", break_one)
        assert tables(ledger) == before
    assert 15 < number < STATEMENTS_MAX - 1, "a commit that touches every table has more statements, and an end"
    assert column(ledger, "flows", "id") == [("same",), ("old",), ("more",)]
    assert_intact(ledger)
