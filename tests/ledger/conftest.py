"""A ledger for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from tests.ledger.books import new_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with one account, `a`, under a clock that stands still."""
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.close()
