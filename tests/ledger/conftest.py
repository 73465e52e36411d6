"""A ledger for each test, on every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from tests.engines import ENGINES, POSTGRESQL, Databases, Files, Pool, Shelf
from tests.ledger.books import new_ledger


@pytest.fixture(params=ENGINES)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """Where a test's ledgers stand, on each engine."""
    if request.param != POSTGRESQL:
        yield Files(tmp_path)
        return
    pool: Pool = request.getfixturevalue("pool")
    databases = Databases(pool)
    yield databases
    databases.give_back()


@pytest.fixture(scope="module", params=ENGINES)
def module_shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """The same for all tests of a module."""
    if request.param != POSTGRESQL:
        yield Files(tmp_path_factory.mktemp("shelf"))
        return
    pool: Pool = request.getfixturevalue("pool")
    databases = Databases(pool)
    yield databases
    databases.give_back()


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
