"""A later page may correct the number of equal rows: copies are added and removed at the end of their numbering."""

from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.write.change import RECOUNTED
from tests.importing.flows_digest import flows_digest
from tests.importing.inputs import envelope, import_texts, new_ledger, row
from tests.importing.test_import import assert_intact

CUT = [envelope([row(3), *[row(2)] * 6]), envelope([*[row(2)] * 6, row(1)])]
"""Two pages that look as if they had been cut within twelve equal rows."""


def numbers(ledger: Ledger, table: str = "flows") -> list[int]:
    """The ordinals of the row that there is more than once."""
    with ledger.reading() as connection:
        ids = connection.exec_driver_sql(f"SELECT id FROM {table} WHERE at_us % 10000000 = 2000000").scalars().all()
    return sorted(int(id_.partition("~")[2] or 0) for id_ in ids)


def whole(copies: int) -> bytes:
    """A page that has the second of the equal rows whole."""
    return envelope([row(3), *[row(2)] * copies, row(1)])


@pytest.mark.parametrize("copies", [11, 10, 7, 6])
def test_copies_too_many_go_from_the_end(tmp_path: Path, copies: int) -> None:
    ledger = new_ledger(tmp_path / "ledger.db")
    assert import_texts(ledger, tmp_path, CUT).added == 14
    assert numbers(ledger) == list(range(12))
    imported = import_texts(ledger, tmp_path, [whole(copies)])
    assert (imported.added, imported.withdrawn) == (0, 12 - copies)
    assert numbers(ledger) == list(range(copies))
    assert numbers(ledger, "history") == list(range(copies, 12))
    with ledger.reading() as connection:
        assert set(connection.exec_driver_sql("SELECT ended_as FROM history").scalars()) == {RECOUNTED}
    assert_intact(ledger)


@pytest.mark.parametrize("copies", [13, 25])
def test_copies_too_few_are_added_at_the_end(tmp_path: Path, copies: int) -> None:
    ledger = new_ledger(tmp_path / "ledger.db")
    import_texts(ledger, tmp_path, CUT)
    imported = import_texts(ledger, tmp_path, [whole(copies)])
    assert (imported.added, imported.withdrawn) == (copies - 12, 0)
    assert numbers(ledger) == list(range(copies))
    assert_intact(ledger)


def test_a_page_with_the_whole_second_goes_before_pages_with_its_ends(tmp_path: Path) -> None:
    """Whichever comes first, and also where it came alone and left no count behind but the flows themselves."""
    digests = set()
    for number, pages in enumerate(([whole(8), *CUT], [*CUT, whole(8)], [CUT[1], whole(8), CUT[0]])):
        ledger = new_ledger(tmp_path / f"{number}.db")
        for page in pages:
            import_texts(ledger, tmp_path, [page])
        assert numbers(ledger) == list(range(8))
        digests.add(flows_digest(ledger))
        assert_intact(ledger)
        ledger.close()
    assert len(digests) == 1
