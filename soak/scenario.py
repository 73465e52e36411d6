"""The meaning of a seed: accounts, faults, the times of syncs, and when workers are killed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Final

from liushui.provider import Provider
from liushui.simulate.faults import deviation as faults
from liushui.simulate.faults.deviations import DEVIATIONS
from liushui.simulate.faults.fault import NO_DELAY
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.simulate.random_draw import seeded_random

PROVIDERS_PER_LEDGER: Final = (1, 1, 1, 1, 1, 2, 2, 3)
FLOWS: Final = (40, 40, 50, 50, 60, 60, 80, 120, 250, 500)
"""The approximate number of flows of all accounts together. Small worlds find as many faults as large ones, and run
faster."""
FLOWS_MIN: Final = 16
DAYS_MIN, DAYS_MAX = 3, 35
CHANGE_FACTOR: Final = 4
"""How much more often rows change than their profile says. These worlds are small."""
SIZES: Final = (5, 8, 13, 20, 30, 60, 100, 200)
"""Rows of a page. These are far fewer than real providers return, so that pages, halves and parts of ranges are
needed."""
PAGES_MIN: Final = (0, 2, 3)
PAGES_MAX: Final = 5
"""The smallest and the largest number of pages of an account. More pages take longer and are not harder."""
FIRST_DAY: Final = datetime(2023, 6, 1, tzinfo=UTC)
DAYS_OF_CHOICE: Final = 700
RETENTION_ONE_IN: Final = 4
"""One run in this number is about retention, if the provider has one."""
RETENTION_DAYS: Final = 30
"""In such a run, the first rows are forgotten within this number of days."""

SESSIONS_APART: Final = (
    timedelta(seconds=10),
    timedelta(minutes=5),
    timedelta(hours=1),
    timedelta(hours=9),
    timedelta(days=1),
    timedelta(days=3),
    timedelta(days=8),
)
REQUEST_TIMES: Final = (
    timedelta(0),
    timedelta(seconds=1),
    timedelta(seconds=20),
    timedelta(minutes=2),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
)
"""How long a request takes. It is long enough that rows appear, change and disappear between two pages."""
INSTANT_ONE_IN: Final = 2
"""How often requests take no time, if a provider admits less than its documented rate. Slow requests would never exceed
that rate."""
SESSIONS_MIN, SESSIONS_MAX = 2, 4
BURSTS: Final = (0, 0, 0, 1, 1, 2)
BURST_PAGES_MAX: Final = 3
"""The most pages that the rows of one burst fill."""
BURST_WITHIN_S: Final = (5, 60, 300)
"""A burst happens within one of these times before a session begins. Its rows still appear and change during the
session."""
BURST_BEFORE_SESSION: Final = (1, 1, 1, 2)
"""The session before which a burst happens. It is one of the first two, because the length of a session is not known in
advance."""
CROWDED: Final = (1, 1, 3)
"""The rows of the largest crowd, as a multiple of a page."""
CAP_MAX: Final = 5
CAPPED_PAGES: Final = 20
"""Providers that return fewer rows than requested return at most CAP_MAX rows, or enough for this number of pages of an
account."""
DEVIATIONS_PER_SESSION: Final = (0, 0, 1, 1, 2)
SOAKED_DEVIATIONS: Final = sorted(
    name
    for name, deviation in DEVIATIONS.items()
    if deviation.is_drawn
    and deviation.works_per_request
    and deviation.group != "rows"
    and deviation.scenario not in (faults.Scenario.OUTAGE, faults.Scenario.CLOCK)
)
"""The deviations that a soak mixes in. The conformance suite covers the others, because their runs could not be judged.
These are: deviations that change rows; wrong clocks, because the times of reads are then not those of the rows; and
outages that answer with empty lists, because a first read cannot distinguish them from a range without rows."""
IN_REAL_TIME_ONE_IN: Final = 10
"""The workers of one seed in this number run at the same time in real time, and their parent kills them."""


class KillPoint(StrEnum):
    """The events that a worker counts before it is killed."""

    REQUEST = "request"
    """Requests, as they are answered."""
    STATEMENT = "statement"
    """SQL statements."""
    COMMIT = "commit"
    """Statements that end a transaction."""
    PARENT = "parent"
    """No event: its parent kills it after this number of milliseconds."""


KILL_NUMBER_BITS: Final = {KillPoint.REQUEST: (2, 7), KillPoint.STATEMENT: (5, 12), KillPoint.COMMIT: (2, 7)}
"""A worker is killed at a number below a power of two. The exponent is drawn from this range, so that early kills are
as likely as late ones."""
KILLED_WITHIN_MS: Final = 250


@dataclass(frozen=True)
class Kill:
    """When a worker is killed: at that number of the counted events, from 1."""

    at: KillPoint
    number: int

    def __str__(self) -> str:
        return f"killed at {self.at.value} {self.number}"


@dataclass(frozen=True)
class WorkerPlan:
    """A process that syncs every account once."""

    kill: Kill | None
    on_other_machine: bool
    """Whether leases treat it as a worker of another machine."""


@dataclass(frozen=True)
class Session:
    """Workers that begin together, `after` the previous session."""

    after: timedelta
    wire: str
    """The name of the profile of wire faults."""
    request_time: timedelta
    everything: bool
    leases: bool
    workers: tuple[WorkerPlan, ...]
    cap: int | None = None
    """The most rows of a page, regardless of the requested number. Some follow-up pages are then empty too. None: no
    cap."""
    deviations: tuple[str, ...] = ()
    """The names of the ways in which services deviate from their documents."""

    def __str__(self) -> str:
        options = [name for name, chosen in (("everything", self.everything), ("no leases", not self.leases)) if chosen]
        options += [f"{self.cap} rows a page"] if self.cap else []
        options += self.deviations
        workers = [str(worker.kill or "to its end") for worker in self.workers]
        return f"after {self.after}: {self.wire}, {self.request_time} a request, {', '.join([*options, *workers])}"


@dataclass(frozen=True)
class Scenario:
    """A run."""

    seed: int
    providers: tuple[str, ...]
    people: int
    flows: int
    begin: datetime
    end: datetime
    start: datetime
    """The first session begins at this instant plus its own `after`."""
    rows: str
    """The name of the profile of row changes."""
    sizes: tuple[int, ...]
    """The page size of each provider."""
    crowded: int
    """The rows of a crowd, as a multiple of a page."""
    bursts: int
    """How often, in each account, many rows occur at one instant shortly before a session."""
    paced: bool
    in_real_time: bool
    """Whether two workers run at the same time in real time. Otherwise they take turns."""
    sessions: tuple[Session, ...]

    def __str__(self) -> str:
        sized = ", ".join(f"{name} by {size}" for name, size in zip(self.providers, self.sizes, strict=True))
        what = f"{self.people} x {self.flows} flows at {sized}; rows: {self.rows}"
        return f"{what}; {self.begin:%Y-%m-%d} to {self.end:%Y-%m-%d}, first at {self.start:%Y-%m-%d %H:%M}"


def scenario_of(seed: int, providers: dict[str, Provider], *, deviations: bool = False) -> Scenario:
    """Return the scenario of a seed, for these providers. `deviations` says whether services deviate; everything else
    stays the same."""
    scenario = _scenario_of(seed, providers)
    if not deviations:
        return scenario
    random = seeded_random("deviations", seed)
    counts = [random.choice(DEVIATIONS_PER_SESSION) for _ in scenario.sessions]
    sessions = tuple(
        replace(session, deviations=_without_contradictions(random.sample(SOAKED_DEVIATIONS, count)))
        for session, count in zip(scenario.sessions, counts, strict=True)
    )
    return replace(scenario, sessions=sessions)


def _without_contradictions(names: Sequence[str]) -> tuple[str, ...]:
    """The first deviation of each group.

    Two of one group can hide rows from every answer, which no sync can notice: a service that ignores times and returns
    only the newest days never returns an older row.
    """
    by_group = {DEVIATIONS[name].group or name: name for name in reversed(names)}
    return tuple(name for name in names if name in by_group.values())


def _scenario_of(seed: int, providers: dict[str, Provider]) -> Scenario:
    random = seeded_random("soak", seed)
    in_real_time = seed % IN_REAL_TIME_ONE_IN == 0
    names = random.sample(sorted(providers), random.choice(PROVIDERS_PER_LEDGER))
    begin = FIRST_DAY + timedelta(days=random.randrange(DAYS_OF_CHOICE))
    end = begin + timedelta(days=random.randint(DAYS_MIN, DAYS_MAX))
    two = random.randrange(2) == 0
    people = random.choice((1, 1, 1, 1, 2)) if len(names) == 1 else 1
    flows = max(FLOWS_MIN, random.choice(FLOWS) // (people * len(names)))
    pages_min = random.choice(PAGES_MIN)
    sizes = [size for size in SIZES if pages_min * size <= flows <= PAGES_MAX * size]
    sizes = sizes or [min(size for size in SIZES if flows <= PAGES_MAX * size)]
    return Scenario(
        seed=seed,
        providers=tuple(names),
        people=people,
        flows=flows,
        begin=begin,
        end=end,
        start=_start(random, begin, end, [providers[name] for name in names]),
        rows=random.choice(sorted(PROFILES)),
        sizes=tuple(min(random.choice(sizes), providers[name].rules.paging.size_max) for name in names),
        crowded=random.choice(CROWDED),
        bursts=random.choice(BURSTS),
        paced=random.randrange(2) == 0,
        in_real_time=in_real_time,
        sessions=tuple(
            _session(random, 2 if two else 1, flows, in_real_time=in_real_time)
            for _ in range(random.randint(SESSIONS_MIN, SESSIONS_MAX))
        ),
    )


def _start(random: Random, begin: datetime, end: datetime, providers: list[Provider]) -> datetime:
    """Return a time in the first half of the world. In some runs, it is shortly before the world's first rows are
    forgotten."""
    kept = [provider.rules.retention.years for provider in providers if provider.rules.retention]
    if kept and not random.randrange(RETENTION_ONE_IN):
        retention_ends = begin + kept[0] * timedelta(days=365) + (end - begin)
        return retention_ends - timedelta(hours=random.randrange(24 * RETENTION_DAYS))
    return begin + timedelta(minutes=random.randrange((end - begin) // timedelta(minutes=2)))


def _session(random: Random, workers: int, flows: int, *, in_real_time: bool) -> Session:
    wire = random.choice(sorted(PROFILES))
    is_instant = PROFILES[wire].rate_percent < Profile.rate_percent and not random.randrange(INSTANT_ONE_IN)
    return Session(
        after=random.choice(SESSIONS_APART) + timedelta(seconds=random.randrange(3600)),
        wire=wire,
        request_time=NO_DELAY if is_instant else random.choice(REQUEST_TIMES),
        everything=random.randrange(6) == 0,
        leases=random.randrange(3) > 0,
        workers=tuple(_worker_plan(random, number, in_real_time=in_real_time) for number in range(workers)),
        cap=max(random.randint(1, CAP_MAX), flows // CAPPED_PAGES) if not random.randrange(8) else None,
    )


def _worker_plan(random: Random, number: int, *, in_real_time: bool) -> WorkerPlan:
    kill = None
    if random.randrange(2):
        kind = random.choice((KillPoint.REQUEST, KillPoint.STATEMENT, KillPoint.STATEMENT, KillPoint.COMMIT))
        kill = Kill(kind, 1 + random.randrange(1 << random.randint(*KILL_NUMBER_BITS[kind])))
        if in_real_time:
            kill = Kill(KillPoint.PARENT, random.randrange(KILLED_WITHIN_MS))
    return WorkerPlan(kill, on_other_machine=bool(number) and random.randrange(2) == 0)
