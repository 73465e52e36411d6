"""What a seed stands for: which accounts and faults, which syncs at which times, and when workers are killed. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Final

from liushui.provider import Provider
from liushui.simulate.faults.fault import NO_DELAY
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.simulate.random_draw import seeded_random

TOGETHER: Final = (1, 1, 1, 1, 1, 2, 2, 3)
"""How many providers one ledger reads."""
FLOWS: Final = (40, 40, 50, 50, 60, 60, 80, 120, 250, 500)
"""Of all accounts together, about: small worlds find as much, and many of them more."""
FLOWS_MIN: Final = 16
DAYS_MIN, DAYS_MAX = 3, 35
TIMES_AS_OFTEN: Final = 4
"""Rows are late, and change, so many times as often as a profile says: these worlds are small."""
SIZES: Final = (5, 8, 13, 20, 30, 60, 100, 200)
"""Rows a page may have: far fewer than providers give, so that pages, halves and parts of ranges are needed."""
PAGES_MIN: Final = (0, 2, 3)
PAGES_MAX: Final = 5
"""How many pages an account has at least, and at most: more of them take longer, and are no harder."""
FIRST_DAY: Final = datetime(2023, 6, 1, tzinfo=UTC)
DAYS_OF_CHOICE: Final = 700
FORGETTING_ONE_IN: Final = 4
DAYS_FORGOTTEN: Final = 30
"""So near to its end, at most, is what a provider keeps in a run about that."""

APART: Final = (
    timedelta(seconds=10),
    timedelta(minutes=5),
    timedelta(hours=1),
    timedelta(hours=9),
    timedelta(days=1),
    timedelta(days=3),
    timedelta(days=8),
)
STEPS: Final = (
    timedelta(0),
    timedelta(seconds=1),
    timedelta(seconds=20),
    timedelta(minutes=2),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
)
"""How long a request may be on its way: rows come, change and go between two pages."""
AT_ONCE_ONE_IN: Final = 2
"""How often requests take no time where a provider lets in less than it documents: else nobody would ever meet that."""
SESSIONS_MIN, SESSIONS_MAX = 2, 4
BURSTS: Final = (0, 0, 0, 1, 1, 2)
BURST_PAGES_MAX: Final = 3
"""How many pages the rows of one burst have, at most."""
BURST_WITHIN_S: Final = (5, 60, 300)
"""So long before the beginning of a session, at most, a burst happens: its rows still come, change and go then."""
LOOKED_AT: Final = (1, 1, 1, 2)
"""It is one of the first sessions: nobody knows how long each of them takes."""
CROWDED: Final = (1, 1, 3)
"""How many times as many rows as one page the largest crowd has."""
CAP_MAX: Final = 5
CAPPED_PAGES: Final = 20
"""The most rows that a provider gives at once which holds less than it was asked for; or as many as make so many
pages of an account, where that is more."""
KILLED_BY_PARENT_ONE_IN: Final = 10
"""Seeds that this number divides: their workers run side by side in real time, and are killed from outside."""


class KilledAt(StrEnum):
    """What a worker that is to be killed counts."""

    REQUEST = "request"
    """Requests, as they are answered."""
    STATEMENT = "statement"
    """Statements that it has SQLite do."""
    COMMIT = "commit"
    """Those that end a transaction."""
    PARENT = "parent"
    """Nothing: it is killed from outside, after so many milliseconds."""


KILLED_BY: Final = {KilledAt.REQUEST: (2, 7), KilledAt.STATEMENT: (5, 12), KilledAt.COMMIT: (2, 7)}
"""Killed at a number below a power of two, the exponent of which is between these: early ones are as likely as late."""
KILLED_WITHIN_MS: Final = 250


@dataclass(frozen=True)
class Kill:
    """When a worker is killed: as it comes to that number of what it counts, from 1."""

    at: KilledAt
    number: int

    def __str__(self) -> str:
        return f"killed at {self.at.value} {self.number}"


@dataclass(frozen=True)
class Worker:
    """A process that syncs every account once."""

    kill: Kill | None
    elsewhere: bool
    """Whether it is of another machine, as far as leases know."""


@dataclass(frozen=True)
class Session:
    """Workers that begin together, so long after the session before."""

    after: timedelta
    wire: str
    """The profile of what goes wrong with requests."""
    step: timedelta
    everything: bool
    leases: bool
    workers: tuple[Worker, ...]
    cap: int | None = None
    """The most rows that a page has, whatever was asked for; some pages on the way are empty. None: as it should be."""

    def __str__(self) -> str:
        options = [name for name, said in (("everything", self.everything), ("no leases", not self.leases)) if said]
        options += [f"{self.cap} rows a page"] if self.cap else []
        workers = [str(worker.kill or "to its end") for worker in self.workers]
        return f"after {self.after}: {self.wire}, {self.step} a request, {', '.join([*options, *workers])}"


@dataclass(frozen=True)
class Script:
    """A run."""

    seed: int
    providers: tuple[str, ...]
    people: int
    flows: int
    begin: datetime
    end: datetime
    start: datetime
    """When the first session begins, unless it is later by its own `after`."""
    rows: str
    """The profile of what befalls rows."""
    sizes: tuple[int, ...]
    """Of the pages of each provider."""
    crowded: int
    """How many times as many rows as one page a crowd has."""
    bursts: int
    """How often, in each account, many rows happen at one instant shortly before a session."""
    paced: bool
    side_by_side: bool
    """Whether two workers run at once in real time, or take turns."""
    sessions: tuple[Session, ...]

    def __str__(self) -> str:
        sized = ", ".join(f"{name} by {size}" for name, size in zip(self.providers, self.sizes, strict=True))
        what = f"{self.people} x {self.flows} flows at {sized}; rows: {self.rows}"
        return f"{what}; {self.begin:%Y-%m-%d} to {self.end:%Y-%m-%d}, first at {self.start:%Y-%m-%d %H:%M}"


def script_of(seed: int, providers: dict[str, Provider]) -> Script:
    """What that seed stands for, with these providers."""
    random = seeded_random("soak", seed)
    side_by_side = seed % KILLED_BY_PARENT_ONE_IN == 0
    names = random.sample(sorted(providers), random.choice(TOGETHER))
    begin = FIRST_DAY + timedelta(days=random.randrange(DAYS_OF_CHOICE))
    end = begin + timedelta(days=random.randint(DAYS_MIN, DAYS_MAX))
    two = random.randrange(2) == 0
    people = random.choice((1, 1, 1, 1, 2)) if len(names) == 1 else 1
    flows = max(FLOWS_MIN, random.choice(FLOWS) // (people * len(names)))
    pages_min = random.choice(PAGES_MIN)
    sizes = [size for size in SIZES if pages_min * size <= flows <= PAGES_MAX * size]
    sizes = sizes or [min(size for size in SIZES if flows <= PAGES_MAX * size)]
    return Script(
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
        side_by_side=side_by_side,
        sessions=tuple(
            _session(random, 2 if two else 1, flows, side_by_side=side_by_side)
            for _ in range(random.randint(SESSIONS_MIN, SESSIONS_MAX))
        ),
    )


def _start(random: Random, begin: datetime, end: datetime, providers: list[Provider]) -> datetime:
    """Some time in the first half of the world, or, once in a while, shortly before the first of it is forgotten."""
    kept = [provider.rules.retention.years for provider in providers if provider.rules.retention]
    if kept and not random.randrange(FORGETTING_ONE_IN):
        forgotten = begin + kept[0] * timedelta(days=365) + (end - begin)
        return forgotten - timedelta(hours=random.randrange(24 * DAYS_FORGOTTEN))
    return begin + timedelta(minutes=random.randrange((end - begin) // timedelta(minutes=2)))


def _session(random: Random, workers: int, flows: int, *, side_by_side: bool) -> Session:
    wire = random.choice(sorted(PROFILES))
    is_at_once = PROFILES[wire].rate_percent < Profile.rate_percent and not random.randrange(AT_ONCE_ONE_IN)
    return Session(
        after=random.choice(APART) + timedelta(seconds=random.randrange(3600)),
        wire=wire,
        step=NO_DELAY if is_at_once else random.choice(STEPS),
        everything=random.randrange(6) == 0,
        leases=random.randrange(3) > 0,
        workers=tuple(_worker(random, number, side_by_side=side_by_side) for number in range(workers)),
        cap=max(random.randint(1, CAP_MAX), flows // CAPPED_PAGES) if not random.randrange(8) else None,
    )


def _worker(random: Random, number: int, *, side_by_side: bool) -> Worker:
    kill = None
    if random.randrange(2):
        kind = random.choice((KilledAt.REQUEST, KilledAt.STATEMENT, KilledAt.STATEMENT, KilledAt.COMMIT))
        kill = Kill(kind, 1 + random.randrange(1 << random.randint(*KILLED_BY[kind])))
        if side_by_side:
            kill = Kill(KilledAt.PARENT, random.randrange(KILLED_WITHIN_MS))
    return Worker(kill, elsewhere=bool(number) and random.randrange(2) == 0)
