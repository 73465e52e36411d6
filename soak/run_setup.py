"""The providers of a run: a small seeded world whose rows change, a shared clock, a ledger, and sources for it."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from liushui.flow import Flow
from liushui.instant import Clock, from_us, to_us
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import Source
from liushui.ledger.write.commit import make_account
from liushui.provider import PageRequest, Provider, Slice
from liushui.simulate.faults.faulty_dialects import SKEW
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.simulate.faults.reader import LifecycleReader
from liushui.simulate.faults.row_lifecycle import FOREVER_US, RowVersion, corrupted, row_versions_of
from liushui.simulate.people import institutions_of
from liushui.simulate.random_draw import seeded_random
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import Parameters, World
from liushui.testing.clock import MovableClock
from liushui.testing.deviations import with_small_pages
from liushui.testing.reader import MemoryLimits, MemoryReader
from liushui.testing.transport import HTTPS, DialectTransport, clients_over, system_clock_is
from soak.invariant import ProviderRecord, RowPresence
from soak.scenario import BURST_BEFORE_SESSION, BURST_PAGES_MAX, BURST_WITHIN_S, CHANGE_FACTOR, Scenario
from soak.shared_state import SharedClock

SETTLED_AFTER: Final = timedelta(days=3)
"""This long after the last change of a row, everything is published and no row arrives late any more."""
CLOCKS_APART: Final = SKEW + timedelta(hours=1)
"""The most by which a provider's clock may be ahead. The provider forgets rows that much earlier."""


class RunFolder:
    """The folder of successive runs, and the empty ledger that each of them begins with.

    The ledger is the same file and engine each time, so that SQLAlchemy's compiled statements are reused.
    """

    def __init__(self, folder: Path, providers: Mapping[str, Provider]) -> None:
        self.folder, self.providers = folder, providers
        self._ledger = open_ledger(str(folder / "ledger.db"), create=True)
        self._ledger.close()
        self._empty = self._ledger.path.read_bytes()

    def new_ledger(self, clock: Clock) -> Ledger:
        """An empty ledger. The previous one is deleted."""
        for path in self.folder.iterdir():
            path.unlink()
        self._ledger.path.write_bytes(self._empty)
        return self._ledger.with_clock(clock)


class RunSetup:
    """The providers, the clock, the ledger and the sources of one run, made before its workers are forked."""

    def __init__(self, scenario: Scenario, run_folder: RunFolder) -> None:
        self.scenario, self.folder = scenario, run_folder.folder
        self.providers = {
            name: with_small_pages(run_folder.providers[name], size)
            for name, size in zip(scenario.providers, scenario.sizes, strict=True)
        }
        self.clock = SharedClock(scenario.start)
        self.ledger = run_folder.new_ledger(self.clock)
        """Closed before a fork. It opens again in each process that uses it."""
        world = World(
            Parameters(
                accounts=scenario.people,
                flows=scenario.flows,
                seed=scenario.seed,
                begin=scenario.begin,
                end=scenario.end,
            ),
            institutions_of(self.providers),
        )
        limits = MemoryLimits(self.clock) if scenario.paced else None
        base = WorldReader(world, self.providers, self.clock, limits=limits)
        self.sources = [
            Source(
                account=account.name,
                provider=account.provider.name,
                zone=account.provider.rules.zone,
                base_url=HTTPS,
                credentials=dict(account.credentials),
                since=scenario.begin - timedelta(days=1),
                paced=scenario.paced,
            )
            for account in base.accounts()
        ]
        profile = _with_more_changes(PROFILES[scenario.rows])
        self._flows = {source.account: self._with_bursts(source, world) for source in self.sources}
        self._crowded_providers = {source.account: self._crowded_provider(source) for source in self.sources}
        self.correct_reader = self._reader(base, replace(profile, miscounts=0))
        self.reader = self._reader(base, profile) if profile.miscounts else self.correct_reader
        self.versions = {
            account: row_versions_of(
                account, flows, provider=self._crowded_providers[account], profile=profile, seed=scenario.seed
            )
            for account, flows in self._flows.items()
        }
        self.rows_present = {source.account: list(self._rows_present(source)) for source in self.sources}

    def new_ledger(self) -> None:
        """Create the accounts in the ledger."""
        for source in self.sources:
            make_account(self.ledger, source.account, source.provider, source.zone)
        self.ledger.close()

    def provider_of(self, source: Source) -> Provider:
        """A source's provider, with the page size of this run."""
        return self.providers[source.provider]

    def record(self, source: Source, after: int) -> ProviderRecord:
        """Return every row that the source's provider has at any time. Proofs up to batch `after` are already
        checked."""
        provider = self.provider_of(source)

        def kept_from_us(now_us: int) -> int:
            return to_us(provider.rules.readable(from_us(now_us) + CLOCKS_APART)[0])

        return ProviderRecord(
            source.account, provider.codec, self.rows_present[source.account], kept_from_us=kept_from_us, after=after
        )

    def record_now(self, source: Source, proven: Sequence[tuple[int, int]]) -> ProviderRecord:
        """Return the rows of the proven ranges that the source's provider has now, if it still keeps them."""
        provider = self.provider_of(source)
        kept_us = to_us(provider.rules.readable(self.clock())[0])
        within = [(max(since_us, kept_us), until_us) for since_us, until_us in proven if until_us > kept_us]
        rows = [
            row for since_us, until_us in within for row in self._rows_now(source, from_us(since_us), from_us(until_us))
        ]
        return ProviderRecord(source.account, provider.codec, [RowPresence(row, 0) for row in rows], within=within)

    def _rows_now(self, source: Source, since: datetime, until: datetime) -> list[bytes]:
        language = client_language(self.provider_of(source))
        return self.correct_reader.truth(source.account, since, until, self.clock(), language=language).rows

    def settle(self) -> None:
        """Let time pass until no row changes any more."""
        last_us = max(
            (
                edge
                for rows in self.rows_present.values()
                for row in rows
                for edge in (row.at_us, row.from_us, row.until_us)
                if edge < FOREVER_US
            ),
            default=0,
        )
        self.clock.move(max(from_us(last_us) - self.clock(), timedelta(0)) + SETTLED_AFTER)

    def close(self) -> None:
        """Release the clock."""
        self.clock.close()

    def _with_bursts(self, source: Source, world: World) -> list[Flow]:
        """Return an account's flows. Some of them are moved to one instant shortly before a session begins."""
        scenario = self.scenario
        flows = list(world.flows(source.account, scenario.begin, scenario.end))
        random = seeded_random("bursts", scenario.seed, source.account)
        rules = self.provider_of(source).rules
        size = rules.paging.size_max
        for _ in range(scenario.bursts):
            sessions = scenario.sessions[: random.choice(BURST_BEFORE_SESSION)]
            begins = scenario.start + sum((session.after for session in sessions), timedelta())
            at = begins - rules.allowed_lateness - timedelta(seconds=random.randrange(random.choice(BURST_WITHIN_S)))
            last = bisect_left(flows, at, key=lambda flow: flow.at)
            first = max(0, last - random.randint(size + 1, BURST_PAGES_MAX * size))
            flows[first:last] = [flow._replace(at=at) for flow in flows[first:last]]
        return flows

    def _crowded_provider(self, source: Source) -> Provider:
        """Return the provider with a page size that gives crowds the size that the scenario asks for."""
        provider = self.provider_of(source)
        return with_small_pages(provider, self.scenario.crowded * provider.rules.paging.size_max)

    def _reader(self, base: WorldReader, profile: Profile) -> LifecycleReader:
        reader = LifecycleReader(
            base,
            lambda account: self._flows[account],
            self._crowded_providers,
            profile=profile,
            seed=self.scenario.seed,
        )
        for source in self.sources:  # generates the rows once, before the workers are forked
            reader.truth(source.account, self.scenario.begin, self.scenario.begin, self.scenario.start)
        return reader

    def _rows_present(self, source: Source) -> Iterator[RowPresence]:
        provider = self.provider_of(source)
        language = client_language(provider)
        for version in self.versions[source.account]:
            row = provider.codec.write(version.flow, language)
            if version.corruption is not None:
                row = corrupted(row, version.corruption, provider.codec)
            yield RowPresence(row, version.at_us, version.from_us, version.until_us)


def versions_of_row(setup: RunSetup, account: str, row: bytes) -> list[RowVersion]:
    """Every version of every row that has these bytes at any time."""
    numbers = {
        version.number
        for version, present in zip(setup.versions[account], setup.rows_present[account], strict=True)
        if present.row == row
    }
    return [version for version in setup.versions[account] if version.number in numbers]


def _with_more_changes(profile: Profile) -> Profile:
    return replace(profile, rows={change: CHANGE_FACTOR * rate for change, rate in profile.rows.items()})


_languages: dict[str, str | None] = {}


def client_language(provider: Provider) -> str | None:
    """Return the language that a provider's client requests, or None if it requests none."""
    if provider.name not in _languages:
        _languages[provider.name] = _requested_language(provider)
    return _languages[provider.name]


def _requested_language(provider: Provider) -> str | None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    key = reader.create_key(provider, "anybody")
    transport = DialectTransport({provider.name: provider}, reader)

    async def fetch() -> None:
        client = provider.connect(base_url=HTTPS, credentials=key.credentials, rate=None, timeout_s=1)
        try:
            await client.fetch_page(PageRequest(Slice(clock() - timedelta(days=9), clock() - timedelta(days=8)), 1))
        finally:
            await client.close()

    with clients_over(transport), system_clock_is(clock):
        asyncio.run(fetch())
    return transport.exchanges[-1].request.headers.get("accept-language")
