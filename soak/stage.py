"""The providers of a run: a small seeded world whose rows have lives, a shared clock, a ledger, and sources for it."""

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
from liushui.provider import Provider, Slice
from liushui.simulate.faults.faulty_dialects import SKEW
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.simulate.faults.reader import LifecycleReader
from liushui.simulate.faults.row_lifecycle import FOREVER_US, RowVersion, corrupted, row_versions_of
from liushui.simulate.people import institutions_of
from liushui.simulate.random_draw import seeded_random
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import Parameters, World
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits, MemoryReader
from liushui.testing.transport import HTTPS, DialectTransport, clients_over, system_clock_is
from soak.clock import SharedClock
from soak.invariant import Life, Told
from soak.script import BURST_PAGES_MAX, BURST_WITHIN_S, LOOKED_AT, TIMES_AS_OFTEN, Script

SETTLED_AFTER: Final = timedelta(days=3)
"""So long after the last change of any row everything is published, and nothing is on its way any more."""
CLOCKS_APART: Final = SKEW + timedelta(hours=1)
"""By how much a provider's clock may be ahead, at most: so much earlier it forgets."""


class Shelf:
    """The folder of runs that follow each other, and the ledger that each of them begins with, empty.

    It is the same file and the same engine each time: what SQLAlchemy has compiled for one run is there for the next.
    """

    def __init__(self, folder: Path, providers: Mapping[str, Provider]) -> None:
        self.folder, self.providers = folder, providers
        self._ledger = open_ledger(str(folder / "ledger.db"), create=True)
        self._ledger.close()
        self._empty = self._ledger.path.read_bytes()

    def new_ledger(self, clock: Clock) -> Ledger:
        """An empty ledger, in place of the one before."""
        for path in self.folder.iterdir():
            path.unlink()
        self._ledger.path.write_bytes(self._empty)
        return self._ledger.with_clock(clock)


class Stage:
    """What a run's workers meet, made before they are forked."""

    def __init__(self, script: Script, shelf: "Shelf") -> None:
        self.script, self.folder = script, shelf.folder
        self.providers = {
            name: _with_pages_of(shelf.providers[name], size)
            for name, size in zip(script.providers, script.sizes, strict=True)
        }
        self.clock = SharedClock(script.start)
        self.ledger = shelf.new_ledger(self.clock)
        """Whoever forks has closed it before; it opens itself again."""
        world = World(
            Parameters(
                accounts=script.people, flows=script.flows, seed=script.seed, begin=script.begin, end=script.end
            ),
            institutions_of(self.providers),
        )
        limits = MemoryLimits(self.clock) if script.paced else None
        base = WorldReader(world, self.providers, self.clock, limits=limits)
        self.sources = [
            Source(
                account=account.name,
                provider=account.provider.name,
                zone=account.provider.rules.zone,
                base_url=HTTPS,
                credentials=dict(account.credentials),
                since=script.begin - timedelta(days=1),
                paced=script.paced,
            )
            for account in base.accounts()
        ]
        profile = _often(PROFILES[script.rows])
        self._flows = {source.account: self._with_bursts(source, world) for source in self.sources}
        self._crowding = {source.account: self._crowded(source) for source in self.sources}
        self.honest = self._reader(base, replace(profile, miscounts=0))
        self.reader = self._reader(base, profile) if profile.miscounts else self.honest
        self.versions = {
            account: row_versions_of(
                account, flows, provider=self._crowding[account], profile=profile, seed=script.seed
            )
            for account, flows in self._flows.items()
        }
        self.lives = {source.account: list(self._lives(source)) for source in self.sources}

    def new_ledger(self) -> None:
        """Give the ledger its accounts."""
        for source in self.sources:
            make_account(self.ledger, source.account, source.provider, source.zone)
        self.ledger.close()

    def provider_of(self, source: Source) -> Provider:
        """A source's provider, with the pages of this run."""
        return self.providers[source.provider]

    def told(self, source: Source, after: int) -> Told:
        """All that the source's provider ever tells."""
        rules = self.provider_of(source).rules

        def kept_from_us(now_us: int) -> int:
            return to_us(rules.readable(from_us(now_us) + CLOCKS_APART)[0])

        return Told(source.account, self.provider_of(source).codec, self.lives[source.account], kept_from_us, after)

    def told_now(self, source: Source, proven: Sequence[tuple[int, int]]) -> Told:
        """What the source's provider tells now of what is proven, as far as it keeps it."""
        provider = self.provider_of(source)
        kept_us = to_us(provider.rules.readable(self.clock())[0])
        within = [(max(since_us, kept_us), until_us) for since_us, until_us in proven if until_us > kept_us]
        rows = [
            row for since_us, until_us in within for row in self._rows_now(source, from_us(since_us), from_us(until_us))
        ]
        return Told(source.account, provider.codec, [Life(row, 0) for row in rows], within=within)

    def _rows_now(self, source: Source, since: datetime, until: datetime) -> list[bytes]:
        language = spoken(self.provider_of(source))
        return self.honest.truth(source.account, since, until, self.clock(), language=language).rows

    def settle(self) -> None:
        """Let time pass until no row changes any more."""
        last_us = max(
            (
                edge
                for lives in self.lives.values()
                for life in lives
                for edge in (life.at_us, life.from_us, life.until_us)
                if edge < FOREVER_US
            ),
            default=0,
        )
        self.clock.move(max(from_us(last_us) - self.clock(), timedelta(0)) + SETTLED_AFTER)

    def close(self) -> None:
        """Let the clock go."""
        self.clock.close()

    def _with_bursts(self, source: Source, world: World) -> list[Flow]:
        """What happens to an account, some of it at one instant, shortly before somebody looks."""
        script = self.script
        flows = list(world.flows(source.account, script.begin, script.end))
        random = seeded_random("bursts", script.seed, source.account)
        rules = self.provider_of(source).rules
        size = rules.paging.size_max
        for _ in range(script.bursts):
            sessions = script.sessions[: random.choice(LOOKED_AT)]
            looked_at = script.start + sum((one.after for one in sessions), timedelta())
            at = looked_at - rules.allowed_lateness - timedelta(seconds=random.randrange(random.choice(BURST_WITHIN_S)))
            last = bisect_left(flows, at, key=lambda flow: flow.at)
            first = max(0, last - random.randint(size + 1, BURST_PAGES_MAX * size))
            flows[first:last] = [flow._replace(at=at) for flow in flows[first:last]]
        return flows

    def _crowded(self, source: Source) -> Provider:
        """The provider, as far as crowds go by the size of its pages."""
        provider = self.provider_of(source)
        return _with_pages_of(provider, self.script.crowded * provider.rules.paging.size_max)

    def _reader(self, base: WorldReader, profile: Profile) -> LifecycleReader:
        reader = LifecycleReader(
            base, lambda account: self._flows[account], self._crowding, profile=profile, seed=self.script.seed
        )
        for source in self.sources:  # made here, once, and not by each worker
            reader.truth(source.account, self.script.begin, self.script.begin, self.script.start)
        return reader

    def _lives(self, source: Source) -> Iterator[Life]:
        provider = self.provider_of(source)
        language = spoken(provider)
        for version in self.versions[source.account]:
            row = provider.codec.write(version.flow, language)
            if version.corruption is not None:
                row = corrupted(row, version.corruption, provider.codec)
            yield Life(row, version.at_us, version.from_us, version.until_us)


def showings_of(stage: Stage, account: str, row: bytes) -> list[RowVersion]:
    """The lives of a row: every version of every row that is like it at any time."""
    like = {
        version.number
        for version, life in zip(stage.versions[account], stage.lives[account], strict=True)
        if life.row == row
    }
    return [version for version in stage.versions[account] if version.number in like]


def _with_pages_of(provider: Provider, size: int) -> Provider:
    """The provider, as one whose pages are so small."""
    rules = provider.rules
    return replace(provider, rules=replace(rules, paging=replace(rules.paging, size_max=size)))


def _often(profile: Profile) -> Profile:
    """The profile, as one of rows that are late and change more often."""
    return replace(profile, rows={change: TIMES_AS_OFTEN * rate for change, rate in profile.rows.items()})


_languages: dict[str, str | None] = {}


def spoken(provider: Provider) -> str | None:
    """The language that a provider's client asks for."""
    if provider.name not in _languages:
        _languages[provider.name] = _asked_for(provider)
    return _languages[provider.name]


def _asked_for(provider: Provider) -> str | None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    key = reader.create_key(provider, "anybody")
    transport = DialectTransport({provider.name: provider}, reader)

    async def ask() -> None:
        client = provider.connect(base_url=HTTPS, credentials=key.credentials, rate=None, timeout_s=1)
        try:
            await client.fetch_page(Slice(clock() - timedelta(days=9), clock() - timedelta(days=8)), 1)
        finally:
            await client.close()

    with clients_over(transport), system_clock_is(clock):
        asyncio.run(ask())
    return transport.answered[-1].request.headers.get("accept-language")
