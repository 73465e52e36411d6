"""A ledger of two accounts for each test, and its API."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger, open_ledger
from liushui.testing.clock import MovableClock
from tests.api.door import Caller, Door, opened
from tests.ledger.books import new_ledger


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with the accounts `a` and `b`, made once: migrations take their time."""
    folder = tmp_path_factory.mktemp("template")
    new_ledger(folder, "a", "b").close()
    return folder


@pytest.fixture
def ledger(template: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with the accounts `a` and `b`, under a clock that stands still."""
    shutil.copytree(template, tmp_path / "book")
    ledger = open_ledger(str(tmp_path / "book" / "ledger.db"), clock=MovableClock())
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
