"""A reader in memory, its clock, and an app that calls with a key of one account."""

from datetime import UTC, datetime

import pytest

from liushui.providers.alipay import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.alipay.caller import ACCOUNT, Caller


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(datetime(2026, 11, 30, 4, 21, 50, tzinfo=UTC))


@pytest.fixture
def reader(clock: MovableClock) -> MemoryReader:
    return MemoryReader(clock)


@pytest.fixture
def caller(reader: MemoryReader, clock: MovableClock) -> Caller:
    return Caller(reader, clock, reader.create_key(PROVIDER, ACCOUNT))
