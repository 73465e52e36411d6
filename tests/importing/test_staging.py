"""The staged rows of a document: in order, equal rows together, at any size; and rows that could not be read."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from liushui.errors import LedgerError
from liushui.importing import staging as module
from liushui.importing.read_rows import Chunk
from liushui.importing.staging import OVERLAP_MAX, Block, Staging
from liushui.ledger.flow_row import COLUMNS, WIRE, read_batch, read_rows
from liushui.providers.longbridge import codec
from tests.importing.inputs import SECOND, row
from tests.system import files_of_at_most


@pytest.fixture
def staging() -> Iterator[Staging]:
    """Staging without a document."""
    made = Staging(codec)
    yield made
    made.close()


def stage(staging: Staging, rows: list[bytes], *, size: int = 10) -> None:
    """Stage a document that is read in chunks of so many rows."""
    staging.clear()
    for begin in range(0, len(rows), size):
        chunk = rows[begin : begin + size]
        staging.add(Chunk(chunk, read_batch(codec, chunk)))


def wires(block: Block) -> list[str]:
    return [str(values[WIRE]) for values in block.rows("a", 1)]


ORDERS: Final[dict[str, Callable[[list[bytes]], list[bytes]]]] = {
    "oldest first": lambda rows: rows,
    "newest first": lambda rows: rows[::-1],
    "nearly in order": lambda rows: sorted(rows, key=lambda one: codec.read(one).flow.at.second // 3),
    "in no order": lambda rows: random.Random(1).sample(rows, len(rows)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_rows_come_back_in_order_and_equal_ones_together(
    staging: Staging, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 10)
    rows = sorted(row(number % 30, label="xy"[number % 2]) for number in range(300))
    stage(staging, ORDERS[order](rows))
    assert staging.ends() == (SECOND * 1_000_000, (SECOND + 29) * 1_000_000)
    blocks = list(staging.blocks())
    assert all(len(block) >= 10 for block in blocks[:-1])
    times = [at_us for block in blocks for at_us in block.at_us]
    assert times == sorted(times)
    assert set(times) == {(SECOND + second) * 1_000_000 for second in range(30)}
    keys = [set(zip(block.at_us, block.identity, strict=True)) for block in blocks]
    assert sum(map(len, keys)) == len(set().union(*keys)) == 30, "no key is in two blocks"
    assert sorted(wire for block in blocks for wire in wires(block)) == sorted(one.decode() for one in rows)


def test_rows_in_no_order_at_one_time_are_not_all_in_memory(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 10)
    stage(staging, [row(1, f"-{number}.00") for number in range(10 * (OVERLAP_MAX + 5))])
    assert max(map(len, staging.blocks())) == 10


def test_rows_that_are_decoded_one_by_one_are_the_same_rows(staging: Staging) -> None:
    """Some of a chunk cannot be decoded together with the others, and are served otherwise than they came."""
    rows = [row(number) for number in range(100)]
    rows[30:70] = [one.replace(b'"symbol":"",', b"") for one in rows[30:70]]
    stage(staging, rows, size=100)
    decoded, _ = read_rows(codec, rows)
    (block,) = staging.blocks()
    assert block.rows("a", 7) == Block.of_decoded(decoded).rows("a", 7)
    served = COLUMNS.index("served")
    assert sum(values[served] is not None for values in block.rows("a", 7)) == 40


def test_what_could_not_be_read_comes_back_apart_equal_rows_together(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 5)
    bad = [b"{%d}" % (number % 4) for number in range(20)]
    stage(staging, [*bad[:10], row(1), *bad[10:]])
    lists = list(staging.rejected())
    assert [len(rejected) for rejected in lists] == [5, 5, 5, 5]
    assert all(len({one.row for one in rejected}) == 1 for rejected in lists)
    assert sorted(one.row for rejected in lists for one in rejected) == sorted(bad)
    assert sum(map(len, staging.blocks())) == 1


def test_a_document_takes_the_place_of_the_one_before(staging: Staging) -> None:
    stage(staging, [row(1), b"bad"])
    stage(staging, [row(2)])
    assert [list(block.at_us) for block in staging.blocks()] == [[(SECOND + 2) * 1_000_000]]
    assert list(staging.rejected()) == []
    stage(staging, [])
    assert staging.ends() is None
    assert list(staging.blocks()) == []


def test_a_document_that_breaks_off_leaves_nothing_behind(staging: Staging) -> None:
    staging.clear()
    staging.add(Chunk([row(1)], None))
    stage(staging, [row(2)])
    assert staging.ends() == ((SECOND + 2) * 1_000_000, (SECOND + 2) * 1_000_000)


@pytest.mark.parametrize("rows", [[row(number, note="x" * 1_000) for number in range(12_000)], [b"x" * 1_000] * 12_000])
def test_no_room_for_what_is_set_aside_is_said(staging: Staging, rows: list[bytes]) -> None:
    with files_of_at_most(100_000), pytest.raises(LedgerError, match="temporary files") as raised:
        stage(staging, rows, size=1_000)
    assert isinstance(raised.value.__cause__, OSError | sqlite3.Error)
