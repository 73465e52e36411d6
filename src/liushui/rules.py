"""What a provider's documents state, as data: windows, floors, clocks, pages, rates. Pure; each number stands once."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from liushui.instant import MIN_INSTANT, to_utc


@dataclass(frozen=True)
class PageNumber:
    """Pages by number from `first`, `size_max` rows at most.

    `counted`: each answer says how many rows all pages have. Else a reader goes on until a page is empty.
    """

    size_default: int
    size_max: int
    first: int = 1
    has_total: bool = False


@dataclass(frozen=True)
class Cursor:
    """Each answer names the place to go on from, the last one none. A page may be short, or empty, before that."""

    size_default: int
    size_max: int


@dataclass(frozen=True)
class RangeOnly:
    """One page for a range, and no way to a second one: a full page means that a smaller range has to be asked for.

    `always` are the filters each value of which is asked for on its own, `splits` those that part what no smaller
    range can, in the order in which they are tried. Both name filters of the Rules.
    """

    size_default: int
    size_max: int
    partition_by: tuple[str, ...] = ()
    split_by: tuple[str, ...] = ()


Paging = PageNumber | Cursor | RangeOnly
P = TypeVar("P", bound=Paging, covariant=True)


@dataclass(frozen=True)
class Filter:
    """A parameter that filters, and the field of a row that it goes by. `values` None: any text."""

    parameter: str
    field: str
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rate:
    """At most `calls` in any `per`, and `spacing` between two of them, for one key."""

    calls: int
    per: timedelta
    spacing: timedelta = timedelta(0)


@dataclass(frozen=True)
class PublishClock:
    """A local day's rows appear together, at `at` on the next local day. `zone` is an IANA name."""

    at: time
    zone: str

    def published_until(self, now: datetime) -> datetime:
        """The end of the newest day that is out: a local midnight, as a UTC instant."""
        local = now.astimezone(ZoneInfo(self.zone))
        days = 0 if local.time() >= self.at else 1
        return _midnight(local - timedelta(days=days), self.zone)

    def next_after(self, now: datetime) -> datetime:
        """When the next day will be out, as a UTC instant: later than now."""
        local = now.astimezone(ZoneInfo(self.zone))
        day = local.date() if local.time() < self.at else local.date() + timedelta(days=1)
        return to_utc(datetime.combine(day, self.at, tzinfo=ZoneInfo(self.zone)))


@dataclass(frozen=True)
class Retention:
    """Rows are kept for so many calendar years, by local days: on 28 February of a common year those of 29 February are
    still there, on 1 March they are not. `zone` is an IANA name."""

    years: int
    zone: str

    def kept_from(self, now: datetime) -> datetime:
        """The beginning of the oldest local day that is kept, as a UTC instant."""
        local = now.astimezone(ZoneInfo(self.zone))
        year, day = local.year - self.years, local.day
        if (local.month, day) == (2, 29) and not _has_29_february(year):
            day = 28
        return _midnight(local.replace(year=year, day=day), self.zone)


class RefreshPolicy(NamedTuple):
    """What is younger than `age` is read again where its last proof is older than `every`."""

    age: timedelta
    every: timedelta


REFRESH_POLICIES: Final = (
    RefreshPolicy(timedelta(weeks=3), timedelta(days=1)),
    RefreshPolicy(timedelta(days=365), timedelta(days=30)),
)
"""How often older parts are read again, where a provider's rules say nothing of it: weeks daily, a year monthly."""


@dataclass(frozen=True)
class Rules(Generic[P]):
    """What a provider's documents state, and our choices where they are silent: the one place for each number."""

    paging: P
    rate: Rate
    resolution: timedelta
    """The finest step of the provider's clock, and the unit of times in requests, both ends of which are inclusive."""
    history_start: datetime
    """Nothing is older: where a first sync begins when the user names no other instant."""
    lookback: timedelta
    """How far back each sync reads again, for rows that were published late."""
    zone: str
    """The IANA zone of an account's business days where the user names no other."""
    clock_skew_max: timedelta | None = None
    """How far a signed request's clock may be off. None: requests carry no time."""
    filters: tuple[Filter, ...] = ()
    window_max: timedelta | None = None
    """The longest time between the two ends of one request. None: any."""
    window_default: timedelta | None = None
    """How far back a request without times reaches. None: it must name them, or reaches all of time."""
    floor: datetime | None = None
    """A request that begins before this instant is refused. None: it may begin anywhere."""
    retention: Retention | None = None
    publish: PublishClock | None = None
    refresh: tuple[RefreshPolicy, ...] = REFRESH_POLICIES
    """How often what is older than the look-back is read again, for rows that come or change even later."""
    allowed_lateness: timedelta = timedelta(0)
    """How long rows may be on their way after their time, or after a day was to be out; and clocks may differ by."""
    confirmations: int = 1
    """How many further reads must say the same before versions of flows are ended."""

    def filter(self, parameter: str) -> Filter:
        """The filter of that parameter. Raises KeyError where there is none."""
        return {known.parameter: known for known in self.filters}[parameter]

    def allows_skew(self, off: timedelta) -> bool:
        """Whether a signed request's clock may be off by so much, either way."""
        return self.clock_skew_max is None or abs(off) <= self.clock_skew_max

    def readable(self, now: datetime) -> tuple[datetime, datetime]:
        """The beginning and the end of what can be read now: not before the floor or the retention, and not what is not
        published yet."""
        begin = self.floor or MIN_INSTANT
        if self.retention:
            begin = max(begin, self.retention.kept_from(now))
        return begin, self.publish.published_until(now) if self.publish else now

    def provable(self, now: datetime) -> tuple[datetime, datetime]:
        """`readable`, without what may still be on its way: what a read of now can prove."""
        begin, _ = self.readable(now)
        _, end = self.readable(now - self.allowed_lateness)
        return begin, end

    def next_publication(self, now: datetime) -> datetime | None:
        """When the next rows will have been published and settled. None: they are published as they happen."""
        return (
            None
            if self.publish is None
            else self.publish.next_after(now - self.allowed_lateness) + self.allowed_lateness
        )

    @property
    def slice_max(self) -> timedelta | None:
        """The longest slice [since, until) that one request may ask for: both of its own ends are inclusive."""
        return None if self.window_max is None else self.window_max + self.resolution


def first_day(rules: Rules[Paging]) -> date:
    """The first day that a provider has rows of, by the days of its accounts."""
    return rules.history_start.astimezone(ZoneInfo(rules.zone)).date()


def _midnight(local: datetime, zone: str) -> datetime:
    return to_utc(datetime.combine(local.date(), time.min, tzinfo=ZoneInfo(zone)))


def _has_29_february(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
