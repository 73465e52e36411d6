"""A ledger of two accounts for each test, and its API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from tests.api.door import Caller, Door, opened
from tests.ledger.books import new_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with the accounts `a` and `b`, under a clock that stands still."""
    ledger = new_ledger(tmp_path, "a", "b")
    yield ledger
    ledger.close()


@pytest.fixture
def door(ledger: Ledger) -> Iterator[Door]:
    """The API of the ledger."""
    with opened(ledger) as door:
        yield door


@pytest.fixture
def caller(door: Door) -> Caller:
    """Somebody who sees everything, and may do everything."""
    return door.caller()
