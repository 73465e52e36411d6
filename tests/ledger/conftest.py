"""A ledger for each test, on every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from tests.engines import ENGINES, Shelf, shelf_of
from tests.ledger.books import new_ledger


@pytest.fixture(params=ENGINES)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """Where a test's ledgers stand, on each engine."""
    yield from shelf_of(request, tmp_path)


@pytest.fixture(scope="module", params=ENGINES)
def module_shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """The same for all tests of a module."""
    yield from shelf_of(request, tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def ledger(shelf: Shelf) -> Iterator[Ledger]:
    """A ledger with one account, `a`, under a clock that stands still."""
    ledger = new_ledger(shelf)
    yield ledger
    ledger.close()


@pytest.fixture
def file_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The same in a file, for what only files have."""
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.close()
