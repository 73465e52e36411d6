"""A ledger for each test, on every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from tests.engines import ENGINES, LedgerStore, store_of
from tests.ledger.ledgers import new_ledger


@pytest.fixture(params=ENGINES)
def ledger_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    """A place for a test's ledgers, on each engine."""
    yield from store_of(request, tmp_path)


@pytest.fixture(scope="module", params=ENGINES)
def module_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerStore]:
    """The same, shared by the tests of a module."""
    yield from store_of(request, tmp_path_factory.mktemp("ledger_store"))


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """A ledger with one account, `a`, and a clock that stands still."""
    ledger = new_ledger(ledger_store)
    yield ledger
    ledger.close()


@pytest.fixture
def file_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The same in a file."""
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.close()
