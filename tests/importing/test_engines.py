"""Records of files and dry runs are the same on every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.importing.run import Imported, import_files
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.commit import make_account
from liushui.providers import get_provider
from liushui.testing.empty_ledger import create_ledger
from tests.engines import ENGINES, LedgerStore, store_of
from tests.importing.test_import import assert_intact
from tests.importing.test_same_record import SECOND, answer, hkus


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    """A place for a ledger, on each engine."""
    yield from store_of(request, tmp_path)


def add(ledger: Ledger, folder: Path, *rows: bytes) -> Imported:
    file = folder / "rows.json"
    file.write_bytes(answer("hkus", rows))
    return import_files(ledger, "a", get_provider("hkus"), [file], lambda _read: None)


def amounts(ledger: Ledger) -> list[str]:
    return [f"{found.flow.amount:.2f}" for found in list_flows(ledger, FlowFilter())]


def test_restated_and_moved_records_and_a_dry_run_of_them(store: LedgerStore, tmp_path: Path) -> None:
    ledger = create_ledger(store.url())
    make_account(ledger, "a", "hkus", "UTC")
    add(ledger, tmp_path, *map(hkus, range(1, 8)))
    corrected = hkus(2, "15.00"), hkus(3, date=SECOND + 86_400), hkus(4), hkus(9)
    with ledger.rehearsing() as rehearsed:
        shown = add(rehearsed, tmp_path, *corrected)
        assert amounts(rehearsed) == ["10.00", "15.00", *["10.00"] * 6]
        assert add(rehearsed, tmp_path, *corrected).known == 4
    assert amounts(ledger) == ["10.00"] * 7
    done = add(ledger, tmp_path, *corrected)
    assert (done.added, done.restated, done.known) == (shown.added, shown.restated, shown.known) == (1, 2, 1)
    assert amounts(ledger) == ["10.00", "15.00", *["10.00"] * 6]
    assert_intact(ledger)
    ledger.close()
