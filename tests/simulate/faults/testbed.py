"""A provider with faults and its client, joined in memory. Only faults and waiting move the clock."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, SyncError, Unavailable, WireError
from liushui.provider import Client, Page, PageRequest, Provider, Slice
from liushui.providers import load_providers
from liushui.simulate.faults.fault import FaultSchedule
from liushui.simulate.faults.fault_schedule import SeededSchedule
from liushui.simulate.faults.faulty_dialects import Outages
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.simulate.faults.reader import Truth, with_lifecycles
from liushui.simulate.people import institutions_of
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import Parameters, World
from liushui.testing.clock import NOON, MovableClock
from liushui.testing.conformance.both_ends import fetch_range
from liushui.testing.deviations import with_small_pages
from liushui.testing.reader import MemoryLimits
from liushui.testing.transport import HTTPS, FaultyTransport, clients_over, system_clock_is

BEGIN: Final = datetime(2025, 12, 25, tzinfo=UTC)
END: Final = datetime(2026, 1, 1, tzinfo=UTC)
FLOWS: Final = 200
TRIES_MAX: Final = 12
"""The most tries of one page: a burst of it, a burst of the token request, and calls above the rate."""
READS_MAX: Final = 40
A_MOMENT: Final = timedelta(seconds=1)
A_WHILE: Final = timedelta(seconds=11)

JSON: Final = [("content-type", "application/json")]
OUTAGES: Final[Outages] = {name: provider.outage_responses for name, provider in load_providers().items()}
"""The answers with which each provider says that it is broken or under maintenance."""

T = TypeVar("T")


class FaultyProvider:
    """One account of a provider, with the faults of a profile, or of `schedule` where it is given."""

    def __init__(
        self,
        provider: Provider,
        profile: str | Profile = "none",
        *,
        seed: int = 1,
        flows: int = FLOWS,
        schedule: FaultSchedule | None = None,
    ) -> None:
        self.provider = provider = with_small_pages(provider)
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.clock = MovableClock(NOON)
        known = {provider.name: provider}
        world = World(Parameters(accounts=1, flows=flows, begin=BEGIN, end=END), institutions_of(known))
        base = WorldReader(world, known, self.clock, limits=MemoryLimits(self.clock))
        (self.account,) = base.accounts()
        self.reader = with_lifecycles(base, known, profile=self.profile, seed=seed, opened=NOON)
        schedule = schedule or SeededSchedule(self.profile, seed)
        self.wire = FaultyTransport(known, self.reader, schedule, self.clock, profile=self.profile, outages=OUTAGES)

    whole: Final = Slice(BEGIN, END)

    def run(self, use: Callable[[Client], Awaitable[T]]) -> T:
        """Use a client of the account."""

        async def run() -> T:
            client = self.provider.connect(
                base_url=HTTPS, credentials=self.account.credentials, rate=None, timeout_s=30
            )
            try:
                return await use(client)
            finally:
                await client.close()

        with self._joined():
            return asyncio.run(run())

    def truth(self) -> Truth:
        """What can be read now, in the language that the client asks for."""
        language = self.wire.exchanges[-1].request.headers.get("accept-language") if self.wire.exchanges else None
        return self.reader.truth(self.account.name, *self.whole, self.clock(), language=language)

    def read(self, size: int) -> list[bytes]:
        """Every row, read by a patient client. Repeated until nothing changed during the read."""
        size = min(size, self.provider.rules.paging.size_max)
        for _ in range(READS_MAX):
            before = self.truth().rows if self.wire.exchanges else None
            try:
                rows = self.run(
                    lambda client: fetch_range(PatientClient(client, self), self.provider, self.whole, size)
                )
            except (SyncError, Refused):
                self.clock.move(A_WHILE)
                continue
            if before == self.truth().rows:
                return rows
        raise AssertionError(f"there was no whole read in {READS_MAX}")

    @contextmanager
    def _joined(self) -> Iterator[None]:
        with clients_over(self.wire), system_clock_is(self.clock):
            yield


class PatientClient:
    """A client that tries each page again after a while, TRIES_MAX times at most."""

    def __init__(self, client: Client, faulty: FaultyProvider) -> None:
        self._client, self._stage = client, faulty

    async def fetch_page(self, request: PageRequest) -> Page:
        for _ in range(TRIES_MAX):
            try:
                return await self._client.fetch_page(request)
            except (Unavailable, WireError, AuthError):
                self._stage.clock.move(A_MOMENT)
            except RateLimited:
                self._stage.clock.move(self._stage.provider.rules.rate.per)
        raise AssertionError(f"a page did not come in {TRIES_MAX} tries")

    async def close(self) -> None:
        await self._client.close()


def raised(faulty: FaultyProvider, size: int = 20) -> ProviderError | WireError | None:
    """The error of a page. None: there was none."""
    try:
        faulty.run(lambda client: client.fetch_page(PageRequest(faulty.whole, size)))
    except (ProviderError, WireError) as error:
        return error
    return None
