"""Undoing an import that restated records makes the remaining versions current again."""

from itertools import permutations
from pathlib import Path

import pytest

from liushui.ledger.write.undo import undo_import
from tests.importing.test_same_record import RESTATING, ROWS, SECOND, TIMES, Book

VERSIONS = ("10.00", "20.00", "30.00")


@pytest.mark.parametrize("provider", RESTATING)
@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_of_three_versions_the_newest_that_is_left_is_current(
    tmp_path: Path, provider: str, order: tuple[int, ...]
) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    ids = [book.add_answer(make(1), make(2, amount), make(3), restate=True).id for amount in VERSIONS]
    left = [0, 1, 2]
    for number in order:
        undo_import(book.ledger, ids[number])
        left.remove(number)
        expected = ["10.00", VERSIONS[max(left)], "10.00"] if left else []
        assert book.amounts() == expected


@pytest.mark.parametrize("provider", RESTATING)
def test_a_version_at_another_time_comes_back_to_its_own(tmp_path: Path, provider: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    first = book.add_answer(make(1), make(2), make(3)).id
    moved = make(2, "20.00", **TIMES[provider](SECOND + 86_400))
    second = book.add_answer(moved, restate=True).id
    assert book.amounts() == ["10.00", "10.00", "20.00"]
    assert undo_import(book.ledger, second).restored == 1
    assert book.amounts() == ["10.00"] * 3
    assert undo_import(book.ledger, first).withdrawn == 3
    assert book.amounts() == []


@pytest.mark.parametrize("provider", RESTATING)
def test_what_a_sync_had_comes_back(tmp_path: Path, provider: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    book.sync(make(1), make(2))
    restated = book.add_answer(make(2, "20.00"), restate=True).id
    assert book.amounts() == ["10.00", "20.00"]
    assert undo_import(book.ledger, restated).restored == 1
    assert book.amounts() == ["10.00"] * 2
    again = book.add_answer(make(2, "20.00"), restate=True).id
    book.sync(make(1), make(2, "20.00"))
    result = undo_import(book.ledger, again)
    assert (result.kept, result.withdrawn, result.restored) == (1, 0, 0)
    assert book.amounts() == ["10.00", "20.00"]


@pytest.mark.parametrize("provider", RESTATING)
def test_an_import_keeps_only_the_version_that_it_had(tmp_path: Path, provider: str) -> None:
    make, book = ROWS[provider], Book(tmp_path, provider)
    book.add_answer(make(1), make(2), make(3))
    for _ in range(3):
        restated = book.add_answer(make(2, "20.00"), restate=True).id
        assert book.amounts() == ["10.00", "20.00", "10.00"]
        undo_import(book.ledger, restated)
        assert book.amounts() == ["10.00"] * 3
