"""Rows read in chunks and written by column: the same rows, and the same bytes as the simple way."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.export.rows import InstantTexts, csv_text, without_formulas
from liushui.export.selection import ExportQuery, selecting
from liushui.flow import Flow
from liushui.instant import MAX_INSTANT, MIN_INSTANT, to_us, us_to_iso
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.output_text import spreadsheet_text
from liushui.provider import DecodedRow
from tests.export.books import BEGIN, SHOP, books, model_of
from tests.ledger.ledgers import import_page

TEXTS = st.text(st.sampled_from("ab ,;\"'\r\n\t=-+@＝\\入\x0b\x85\u2028"), max_size=4)
CELLS = st.one_of(st.none(), TEXTS)
COLUMNS = st.integers(1, 5).flatmap(
    lambda rows: st.lists(
        st.one_of(
            st.lists(CELLS, min_size=rows, max_size=rows),
            st.lists(st.integers(-3, 3), min_size=rows, max_size=rows),
            CELLS.map(lambda cell: [cell] * rows),
        ),
        min_size=2,
        max_size=6,
    )
)


@given(COLUMNS)
def test_lines_are_those_of_csv_writer(columns: list[list[str | int | None]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(zip(*columns, strict=True))
    assert csv_text(columns) == out.getvalue()


@given(st.lists(CELLS, max_size=6))
def test_formulas_of_a_column_are_those_of_its_texts(texts: list[str | None]) -> None:
    assert list(without_formulas(texts)) == [text if text is None else spreadsheet_text(text) for text in texts]


_FIRST_US, _LAST_US = to_us(MIN_INSTANT), to_us(MAX_INSTANT)
INSTANTS = st.one_of(
    st.none(),
    st.integers(_FIRST_US, _LAST_US),
    st.integers(-200_000, 200_000).map(lambda second: second * 1_000_000),
    st.sampled_from((_FIRST_US, _LAST_US, 0, -1, -1_000_000, 86_400_000_000)),
)


@given(st.lists(INSTANTS, min_size=1, max_size=6))
def test_texts_of_many_instants(instants: list[int | None]) -> None:
    expected = [None if at_us is None else us_to_iso(at_us) for at_us in instants]
    assert InstantTexts().of_many(instants) == expected


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with books(tmp_path) as ledger:
        yield ledger


def tied_rows() -> Iterator[DecodedRow]:
    """Rows of few instants, whose balances imply another order than their ids."""
    balance = Decimal(0)
    for number in range(12):  # the first has the largest id
        amount = Decimal(number + 1)
        balance += amount
        at = BEGIN + timedelta(days=300, seconds=number // 4)
        flow = Flow(f"t{99 - number}", at, amount, "SGD", balance_after=balance)
        yield DecodedRow(flow, b"%d" % number, None)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1_000])
def test_chunks_of_any_size_are_the_rows(ledger: Ledger, size: int, newest_first: bool) -> None:
    import_page(ledger, *tied_rows(), account=SHOP)
    query = ExportQuery(FlowFilter(newest_first=newest_first))
    with selecting(model_of(ledger), query) as selection:
        expected = [tuple(row) for row in selection.rows()]
        chunks = list(selection.chunks(size))
    assert [tuple(row) for chunk in chunks for row in chunk] == expected
    assert all(chunks)
    assert [row[2] for row in expected if row[2].startswith("t")] != sorted(
        (row[2] for row in expected if row[2].startswith("t")), reverse=newest_first
    )
