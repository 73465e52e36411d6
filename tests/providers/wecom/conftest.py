"""A reader in memory, its clock, and a caller with a key of one account; a ledger, also served."""

from collections.abc import Iterator

import pytest

from liushui.providers.wecom import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.processes import Running, serving
from liushui.testing.reader import MemoryReader
from tests.providers.wecom.caller import Caller
from tests.providers.wecom.shop import ACCOUNT, Shop, open_shop


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def reader(clock: MovableClock) -> MemoryReader:
    return MemoryReader(clock)


@pytest.fixture
def caller(reader: MemoryReader, clock: MovableClock) -> Caller:
    return Caller(reader, clock, reader.create_key(PROVIDER, ACCOUNT))


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop(tmp_path_factory.mktemp("shop") / "ledger.db")


@pytest.fixture(scope="session")
def served(shop: Shop) -> Iterator[Running]:
    """The shop, served by two workers."""
    with serving(shop.path, workers=2) as running:
        yield running
