"""A reader in memory, its clock, and a caller with a key; and a ledger, served by another process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.providers import longbridge
from liushui.providers.longbridge_legacy import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.processes import Running, run, serving
from liushui.testing.reader import MemoryReader
from tests.providers.longbridge import rows as current
from tests.providers.longbridge.rows import Row
from tests.providers.longbridge_legacy.caller import Caller
from tests.providers.longbridge_legacy.rows import row

ACCOUNT = "trader-1"
SYMBOLS = ("AAPL.US", "700.HK", "", "流水.CN")
FLOWS = 2_345


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def reader(clock: MovableClock) -> MemoryReader:
    return MemoryReader(clock)


@pytest.fixture
def caller(reader: MemoryReader, clock: MovableClock) -> Caller:
    return Caller(reader, clock, reader.create_key(PROVIDER, ACCOUNT))


# ---------------------------------------------------------------- a ledger in another process


class Shelf(NamedTuple):
    """A ledger of two accounts with the same flows: `early` came through the first draft, `late` through the other."""

    path: Path
    rows: list[Row]
    """As the first draft has them, newest first."""

    def key(self, *accounts: str, paced: bool = False) -> dict[str, str]:
        """The credentials of a new key of the first draft."""
        ledger = open_ledger(str(self.path))
        try:
            return create_key(ledger, PROVIDER, list(accounts), paced=paced)
        finally:
            ledger.close()


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Saved answers of both generations, imported by the command line: the first draft's without an envelope."""
    folder = tmp_path_factory.mktemp("shelf")
    path, drafts = folder / "ledger.db", [_numbered(number) for number in range(FLOWS, 0, -1)]
    currents = [current.row(**{**values, "business_time": str(values["business_time"])}) for values in drafts]
    _import(path, "early", PROVIDER.name, {"list": drafts})
    _import(path, "late", longbridge.PROVIDER.name, {"code": 0, "message": "success", "data": {"list": currents}})
    return Shelf(path, drafts)


@pytest.fixture(scope="session")
def shop(shelf: Shelf) -> Iterator[Running]:
    """The shelf, served by two workers."""
    with serving(shelf.path, workers=2) as running:
        yield running


def _import(path: Path, account: str, provider: str, answer: object) -> None:
    saved = path.with_name(f"{account}.json")
    saved.write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")
    run("import", str(saved), "--provider", provider, "--account", account, ledger=path)


def _numbered(number: int) -> Row:
    """A flow that no other is equal to, three in each second."""
    return row(
        direction=1 + number % 2,
        business_type=number % 4,
        balance=f"{'-' if number % 2 == 0 else ''}{number}.{number % 100:02}0",
        business_time=1_600_000_000 + number // 3,
        symbol=SYMBOLS[number % 3 if number % 7 else 3],
        description=f"the flow of number {number}",
    )
