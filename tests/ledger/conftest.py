"""A ledger for each test, on every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from tests.engines import ENGINES, LedgerStore, store_of
from tests.ledger.books import new_ledger


@pytest.fixture(params=ENGINES)
def ledger_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    """Where a test's ledgers stand, on each engine."""
    yield from store_of(request, tmp_path)


@pytest.fixture(scope="module", params=ENGINES)
def module_shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerStore]:
    """The same for all tests of a module."""
    yield from store_of(request, tmp_path_factory.mktemp("ledger_store"))


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """A ledger with one account, `a`, under a clock that stands still."""
    ledger = new_ledger(ledger_store)
    yield ledger
    ledger.close()


@pytest.fixture
def file_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The same in a file, for what only files have."""
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.close()
