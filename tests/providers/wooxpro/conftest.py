"""A reader in memory, its clock, and a caller with a key of one account."""

import pytest

from liushui.providers.wooxpro import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.wooxpro.caller import ACCOUNT, Caller


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def reader(clock: MovableClock) -> MemoryReader:
    return MemoryReader(clock)


@pytest.fixture
def caller(reader: MemoryReader, clock: MovableClock) -> Caller:
    return Caller(reader, clock, reader.create_key(PROVIDER, ACCOUNT))
