"""What every group of checks has: the provider, and its two ends joined in three ways."""

from collections.abc import Iterator
from typing import ClassVar

import pytest

from liushui.provider import Provider
from liushui.testing.conformance.ends import Ends, Memory, Served, served
from liushui.testing.transport import clients_over


class Checks:
    """A group of checks of one provider."""

    provider: ClassVar[Provider]

    @pytest.fixture
    def memory(self) -> Iterator[Memory]:
        """Both ends in memory."""
        memory = Memory(self.provider)
        with clients_over(memory.wire):
            yield memory

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
        """A real ledger behind a real port."""
        with served(cls.provider, tmp_path_factory.mktemp(cls.provider.name)) as found:
            yield found

    @pytest.fixture(params=["memory", "received", "foreign"])
    def ends(self, request: pytest.FixtureRequest) -> Ends:
        """Both ends, over the same rows in memory and behind a port."""
        if request.param == "memory":
            memory: Memory = request.getfixturevalue("memory")
            return memory.ends
        found: Served = request.getfixturevalue("served")
        return found.received if request.param == "received" else found.foreign
