"""A document's rows on their way: in order, equal ones together, whatever the size; and what could not be read."""

import random
import sqlite3
from collections.abc import Iterator

import pytest

from liushui.errors import LedgerError
from liushui.importing import staging as staging
from liushui.importing.staging import Stage
from liushui.providers.longbridge import codec
from tests.importing.inputs import SECOND, row
from tests.system import files_of_at_most


@pytest.fixture
def stage() -> Iterator[Stage]:
    """An empty stage."""
    made = Stage(codec)
    yield made
    made.close()


def test_rows_come_back_in_order_and_equal_ones_together(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "CHUNK", 10)
    rows = [row(number % 13, label="xy"[number % 2]) for number in range(100)]
    random.Random(1).shuffle(rows)
    stage.fill(rows)
    chunks = list(stage.chunks())
    assert stage.ends() == (SECOND * 1_000_000, (SECOND + 12) * 1_000_000)
    assert all(10 <= sum(len(copies.rows) for copies in chunk) < 20 for chunk in chunks[:-1])
    found = [copies for chunk in chunks for copies in chunk]
    assert [copies.at_us for copies in found] == [(SECOND + second) * 1_000_000 for second in range(13)]
    assert len({copies.identity for copies in found}) == 13
    assert sorted(received.row for copies in found for received in copies.rows) == sorted(rows)
    assert all([one.row for one in copies.rows] == sorted(one.row for one in copies.rows) for copies in found)


def test_what_could_not_be_read_comes_back_apart_equal_rows_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "CHUNK", 5)
    bad = [b"{%d}" % (number % 4) for number in range(20)]
    stage.fill([*bad[:10], row(1), *bad[10:]])
    chunks = list(stage.rejected())
    assert [len(chunk) for chunk in chunks] == [5, 5, 5, 5]
    assert all(len({rejected.row for rejected in chunk}) == 1 for chunk in chunks)
    assert sorted(rejected.row for chunk in chunks for rejected in chunk) == sorted(bad)
    assert sum(len(copies.rows) for chunk in stage.chunks() for copies in chunk) == 1


def test_a_document_takes_the_place_of_the_one_before(stage: Stage) -> None:
    stage.fill([row(1), b"bad"])
    stage.fill([row(2)])
    assert [[copies.at_us for copies in chunk] for chunk in stage.chunks()] == [[(SECOND + 2) * 1_000_000]]
    assert list(stage.rejected()) == []
    stage.fill([])
    assert stage.ends() is None
    assert list(stage.chunks()) == []


def test_a_document_that_breaks_off_leaves_a_stage_that_can_be_filled(stage: Stage) -> None:
    def broken() -> Iterator[bytes]:
        yield row(1)
        raise OSError("the disk was pulled out")

    with pytest.raises(OSError, match="pulled out"):
        stage.fill(broken())
    stage.fill([row(2)])
    assert stage.ends() == ((SECOND + 2) * 1_000_000, (SECOND + 2) * 1_000_000)


def test_no_room_for_what_is_set_aside_is_said(stage: Stage) -> None:
    rows = [row(number, note="x" * 1_000) for number in range(12_000)]
    with files_of_at_most(100_000), pytest.raises(LedgerError, match="temporary files") as raised:
        stage.fill(rows)
    assert isinstance(raised.value.__cause__, sqlite3.Error)
