"""Rows are inserted many at a time. A row that is refused refuses all of them."""

from contextlib import closing
from pathlib import Path

import pytest

from liushui.errors import LedgerError
from liushui.ledger.engine import open_ledger
from liushui.ledger.engines.bulk_insert import STATEMENT_ROWS, insert_rows

ROWS = 3 * STATEMENT_ROWS + 2


@pytest.mark.parametrize("index", [1, STATEMENT_ROWS - 1, STATEMENT_ROWS + 1, ROWS - 1])
def test_a_row_that_is_refused_leaves_none_of_the_others(tmp_path: Path, index: int) -> None:
    rows = [("a", f"identity {number}", "within", number, 1, None) for number in range(ROWS)]
    with closing(open_ledger(str(tmp_path / "ledger.db"), create=True)) as ledger:
        with ledger.writing() as connection:
            insert_rows(connection, "page_edges", rows[:1])
        with pytest.raises(LedgerError, match="UNIQUE"), ledger.writing() as connection:
            insert_rows(connection, "page_edges", rows[1:index] + rows[:1] + rows[index:])
        with ledger.writing() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM page_edges").scalar() == 1
            insert_rows(connection, "page_edges", rows[1:])
        with ledger.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM page_edges").scalar() == ROWS
