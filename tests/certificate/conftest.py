"""Ledgers for certificates, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import POSTGRESQL, SQLITE, LedgerStore, store_of


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def ledger_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    """Makes the ledgers of a test."""
    yield from store_of(request, tmp_path)
