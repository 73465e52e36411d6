"""A ledger of two accounts for each test, on SQLite and PostgreSQL, and its API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from tests.api.callers import Api, Caller, open_api
from tests.engines import POSTGRESQL, SQLITE, LedgerStore, store_of
from tests.ledger.ledgers import new_ledger


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def ledger_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    """Makes the ledgers of a test."""
    yield from store_of(request, tmp_path)


@pytest.fixture(scope="module", params=[SQLITE, POSTGRESQL])
def module_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerStore]:
    """The same, shared by the tests of a module."""
    yield from store_of(request, tmp_path_factory.mktemp("ledger_store"))


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """A ledger with the accounts `a` and `b`, under a clock that stands still."""
    ledger_store.fresh()  # a copy, where that is faster than to make one
    ledger = new_ledger(ledger_store, "a", "b")
    yield ledger
    ledger.close()


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The API of the ledger."""
    with open_api(ledger) as api:
        yield api


@pytest.fixture
def caller(api: Api) -> Caller:
    """A caller that sees everything and may do everything."""
    return api.caller()
