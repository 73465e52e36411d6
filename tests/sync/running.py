"""Running syncs against doubles in virtual time: a sleep moves the clock and takes no real time."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import TypeVar

from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source
from liushui.ledger.maintenance.verify import Verified, verify
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.provider import Client, Provider
from liushui.providers import get_provider
from liushui.providers.longbridge import codec
from liushui.rules import Retention
from liushui.sync.events import Event, SyncResult
from liushui.sync.options import Environment, Options
from liushui.sync.runner import sync_sources
from liushui.testing.clock import MovableClock
from liushui.testing.provider_client_double import ClientDouble
from tests.ledger.reading import coverage_of
from tests.sync.rows import source

QUICK = Options(attempts=3)

E = TypeVar("E")


@dataclass
class World:
    """A sync's environment, which records what happens. The clock has to be the ledger's."""

    clock: MovableClock
    clients: dict[str, Client]
    provider: Callable[[str], Provider] = get_provider
    slept: list[timedelta] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def environment(self) -> Environment:
        return Environment(
            sleep=self.sleep,
            random=Random(1),
            connect=lambda _provider, of, _options: self.clients[of.account],
            provider=self.provider,
        )

    async def sleep(self, time: timedelta) -> None:
        await asyncio.sleep(0)
        self.slept.append(time)
        self.clock.move(time)

    def events_of(self, kind: type[E]) -> list[E]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def sync(self, ledger: Ledger, *sources: Source, options: Options = QUICK) -> list[SyncResult]:
        """Sync sources; without any, the one of account `a`."""
        chosen = list(sources) or [source()]
        return asyncio.run(sync_sources(ledger, chosen, options, self.events.append, self.environment))


def clock_of(ledger: Ledger) -> MovableClock:
    """The movable clock of a ledger."""
    assert isinstance(ledger.clock, MovableClock)
    return ledger.clock


def synced(
    ledger: Ledger,
    client: ClientDouble,
    options: Options = QUICK,
    *,
    provider: Callable[[str], Provider] = get_provider,
) -> SyncResult:
    """Sync account `a` once with a client."""
    (result,) = World(clock_of(ledger), {"a": client}, provider).sync(ledger, options=options)
    assert client.closed
    return result


def forgetting(name: str) -> Provider:
    """A provider that keeps its rows for one year only."""
    real = get_provider(name)
    return replace(real, rules=replace(real.rules, retention=Retention(years=1, zone="UTC")))


def amounts(ledger: Ledger) -> Counter[str]:
    """The amounts that a ledger holds."""
    return Counter(str(found.flow.amount) for found in list_flows(ledger, FlowFilter()))


def amounts_of(rows: list[bytes]) -> Counter[str]:
    """The amounts of rows."""
    return Counter(str(codec.read(one).flow.amount) for one in rows)


def states(ledger: Ledger, account: str = "a") -> list[tuple[State, str]]:
    """The state and the reason of each range of an account."""
    return [(known.state, known.reason) for known in coverage_of(ledger)[account]]


def assert_intact(ledger: Ledger) -> None:
    """Check that `verify` finds no damage."""
    assert all(isinstance(found, Verified) for found in verify(ledger))
