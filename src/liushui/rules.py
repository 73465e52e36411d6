"""A provider's documented limits, as data: paging, rates, ranges, clocks. Every number is written down once, here.

The provider's client, its server, the sync planner and the documentation all read the same Rules. Pure.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from liushui.instant import MIN_INSTANT, to_utc


@dataclass(frozen=True)
class PageNumber:
    """Numbered pages of at most `size_max` rows, the first of which is number `first`.

    With `has_total` each answer says how many rows all pages have together. Without it, the last page is an empty page.
    `size_min` is the smallest size that a request may ask for.
    """

    size_default: int
    size_max: int
    first: int = 1
    has_total: bool = False
    size_min: int = 1


@dataclass(frozen=True)
class Cursor:
    """Each answer carries the cursor of the next page, and the last answer none. Any page may be short or empty."""

    size_default: int
    size_max: int


@dataclass(frozen=True)
class IdKeyset:
    """The next page begins after the id of a page's last row. The last page is an empty one, or its answer says that no
    row follows.

    Each row's id is in its `id_field`. Rows without an id, or two rows with the same id, cannot be paged.
    """

    size_default: int
    size_max: int


@dataclass(frozen=True)
class RangeOnly:
    """One answer a range, and no further pages: a full answer means that a smaller range has to be read.

    `partition_by` names filters. Each value of them has to be queried separately. `split_by` names the filters, in this
    order, that divide an answer which is full although its range cannot be made smaller. Both name filters of the same
    Rules.
    """

    size_default: int
    size_max: int
    partition_by: tuple[str, ...] = ()
    split_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class DayDocument:
    """One document for each local day of the Rules' zone and each value of the filters in `partition_by`.

    A document is whole or none: it states control totals and a digest, and the client accepts no other. It has any
    number of rows. A client gives them in pages of at most `size_max`, without asking again.
    """

    size_default: int
    size_max: int
    partition_by: tuple[str, ...] = ()


Paging = PageNumber | Cursor | IdKeyset | RangeOnly | DayDocument
P = TypeVar("P", bound=Paging, covariant=True)


@dataclass(frozen=True)
class Filter:
    """A request parameter that filters rows by the value of `field`. `values` lists its possible values; None: any
    text."""

    parameter: str
    field: str
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rate:
    """A rate limit: at most `calls` in any window of length `per`, and at least `spacing` between two calls."""

    calls: int
    per: timedelta
    spacing: timedelta = timedelta(0)


@dataclass(frozen=True)
class PublishClock:
    """All rows of a local day are published at once, at `at` on the next local day. `zone` is an IANA name."""

    at: time
    zone: str

    def published_until(self, now: datetime) -> datetime:
        """The end of the newest published day: a local midnight, as a UTC instant."""
        local = now.astimezone(ZoneInfo(self.zone))
        days = 0 if local.time() >= self.at else 1
        return _midnight(local - timedelta(days=days), self.zone)

    def next_after(self, now: datetime) -> datetime:
        """The next publication after `now`, as a UTC instant."""
        local = now.astimezone(ZoneInfo(self.zone))
        day = local.date() if local.time() < self.at else local.date() + timedelta(days=1)
        return to_utc(datetime.combine(day, self.at, tzinfo=ZoneInfo(self.zone)))


@dataclass(frozen=True)
class Retention:
    """The provider keeps rows for a number of calendar years and months, by local days. `zone` is an IANA name.

    If the last month lacks a day, such as 29 to 31, the rows of that day are kept until the month's last day,
    inclusive. `doubt` is for providers that answer older requests with an empty list: rows so close to the limit are
    served, but a sync does not read them. The provider may forget them earlier than its document says, and an empty
    list proves nothing.
    """

    years: int = 0
    zone: str = "UTC"
    months: int = 0
    doubt: timedelta = timedelta(0)

    def kept_from(self, now: datetime) -> datetime:
        """The beginning of the oldest local day that is kept, as a UTC instant."""
        local = now.astimezone(ZoneInfo(self.zone))
        year, month = divmod(12 * (local.year - self.years) + local.month - 1 - self.months, 12)
        day = min(local.day, monthrange(year, month + 1)[1])
        return _midnight(local.replace(year=year, month=month + 1, day=day), self.zone)

    def proven_from(self, now: datetime) -> datetime:
        """The beginning of the range that an answer can prove now."""
        return self.kept_from(now) + self.doubt


class RefreshPolicy(NamedTuple):
    """Read rows younger than `age` again when their last complete read is older than `every`."""

    age: timedelta
    every: timedelta


REFRESH_POLICIES: Final = (
    RefreshPolicy(timedelta(weeks=3), timedelta(days=1)),
    RefreshPolicy(timedelta(days=365), timedelta(days=30)),
)
"""The default: the last three weeks every day, the last year every month."""


class WithdrawalBound(NamedTuple):
    """A read that lacks more than `rows` known rows, and more than `percent` of them, is not believed at once.

    It is believed once a read that begins at least `agree_after` later lacks the same rows.
    """

    rows: int = 5
    percent: int = 5
    agree_after: timedelta = timedelta(hours=3)


WITHDRAWAL_BOUND: Final = WithdrawalBound()


class Uniqueness(StrEnum):
    """Whether two rows with the same id are the same record."""

    RECORD = "record"
    """The id belongs to one record of its kind. A row with other facts, at any time, is another version of it."""
    NOT_PROMISED = "not promised"
    """As RECORD, but the provider does not promise it: a row at another time may be another record."""
    SHARED = "shared"
    """Several records have one id: only rows that are equal in all facts can be the same record."""
    STATEMENT = "statement"
    """Rows have no id, and a statement has all rows of a time: the file with the most equal rows decides the count."""


@dataclass(frozen=True)
class RecordId:
    """The meaning of an id in a row (its `ref`) for rows that come from different files.

    Rows belong to one record if their flows have the same identity and the rows have equal `kind_fields`. Rows with
    different values of `part_fields` are different records; a row without these fields may belong to any of them. An id
    that is empty, or equal to the row's time, does not count. `fields` are the fields that form a row's identity, the
    id first; empty: the identity has another source.
    """

    uniqueness: Uniqueness
    kind_fields: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    part_fields: tuple[str, ...] = ()


class LinkRules(NamedTuple):
    """How flows of one provider that belong together are found: see `liushui.reconcile`.

    `fee_window` and `tax_window` are for providers whose rows share no number. None: those flows are not linked by
    their time.
    """

    transfer_window: timedelta = timedelta(days=3)
    """The longest time between the two ends of a transfer. A wire transfer over a weekend takes three days."""
    fee_window: timedelta | None = None
    """How long after a trade its fees are booked, at most."""
    tax_window: timedelta | None = None
    """How long after a dividend its tax is booked, at most."""
    pays_out: bool = False
    """Whether a withdrawal pays out what customers have paid, as a payment platform's does."""
    shows_money_of: str = ""
    """The provider whose accounts have the same money: the flows here are a second view of flows there, with the same
    record numbers. Empty: the money is only here."""


LINK_RULES: Final = LinkRules()


@dataclass(frozen=True)
class BalanceRules:
    """How far the balances that a provider states on its rows can be trusted.

    Balances may follow from each other in an order that differs from the times of their rows. This is not a break of
    the chain if the rows are within `window` of each other, and at most `window_rows`. `tolerance`: by how much a
    stated balance may differ from the sum, if a provider computes with more digits than it states. `advisory`: the
    provider calls its balances indicative, so they prove nothing. `hides_rows`: it leaves out rows that the credentials
    may not see, while their amounts are in the balances.
    """

    window: timedelta = timedelta(seconds=10)
    window_rows: int = 2_000
    tolerance: Decimal = Decimal(0)
    advisory: bool = False
    hides_rows: bool = False


BALANCE_RULES: Final = BalanceRules()


class FeeLeg(NamedTuple):
    """A fee that is part of a row's amount, in the row's currency. `key`: where `Flow.detail` has the fee as text.

    A negative fee was charged to the account; with `is_charge_positive`, a positive one was.
    """

    key: str
    is_charge_positive: bool = False


@dataclass(frozen=True)
class Rules(Generic[P]):
    """A provider's documented limits, and our own choices where its documents are silent."""

    paging: P
    rate: Rate
    resolution: timedelta
    """The smallest step of the provider's clock, and the unit of the times in its requests. Both ends of a request's
    range are inclusive, unless `end_exclusive`."""
    history_start: datetime
    """No row is older, or none that a request can reach: see `floor`. The first sync begins here unless the user names
    another instant."""
    lookback: timedelta
    """How far back every sync reads again, to find rows that were published late."""
    zone: str
    """Default IANA time zone of an account's business days."""
    clock_skew_max: timedelta | None = None
    """How far the time in a signed request may be off. None: requests carry no time, or it is not checked."""
    clock_ahead_max: timedelta | None = None
    """How far that time may be ahead of the provider's. None: as far as it may be behind."""
    filters: tuple[Filter, ...] = ()
    end_exclusive: bool = False
    """Whether a request's range does not include its end."""
    window_max: timedelta | None = None
    """The longest range of one request. None: unlimited."""
    window_default: timedelta | None = None
    """The range of a request without times, counted back from now. None: such a request is refused, or has no limit."""
    floor: datetime | None = None
    """A request whose range begins earlier is refused, whether or not there were rows. None: it may begin at any
    time."""
    retention: Retention | None = None
    publish: PublishClock | None = None
    refresh: tuple[RefreshPolicy, ...] = REFRESH_POLICIES
    """How often ranges older than the look-back are read again, for rows that appear or change even later."""
    allowed_lateness: timedelta = timedelta(0)
    """How long a row may take to appear: after its own time, or after its day's publication. It also absorbs the
    difference between the provider's clock and ours."""
    time_field: str | None = None
    """The field of a row that has its time in steps of the clock, as a number or text. With it, a sync compares the
    rows with the requested range, and does not rely on the ends of a range. None: rows have no such field."""
    time_zone: str | None = None
    """The IANA zone of `time_field`, if that is local time such as `2026-11-01 09:15:02`. None: it is a number."""
    id_field: str | None = None
    """The field of a row that has the record's id, if one id means one record. Rows of one answer that are equal and
    have an id are then the same record, listed again. An id that is missing, empty or 0 does not count. None: ids
    identify nothing, and each listed row counts."""
    record_id: RecordId | None = None
    """The meaning of the rows' ids when rows are imported. None: rows have no ids."""
    currencies: frozenset[str] | None = None
    """The currencies that the provider can have. None: any."""
    confirmations: int = 1
    """How many further reads must agree before a sync ends versions of flows."""

    withdrawals: WithdrawalBound = WITHDRAWAL_BOUND

    observations_kept: timedelta = timedelta(days=30)
    """How long syncs rely on their measurements: the largest page of the service, and the longest range that it answers
    in full. Then a sync measures them again, because the service may have changed."""
    links: LinkRules = LINK_RULES
    balances: BalanceRules | None = BALANCE_RULES
    """How far the balances on its rows can be trusted. None: its rows state no balances."""
    fee_legs: tuple[FeeLeg, ...] = ()
    """The fees within its rows."""

    def filter(self, parameter: str) -> Filter:
        """The filter of that request parameter. Raises KeyError."""
        return {known.parameter: known for known in self.filters}[parameter]

    def allows_skew(self, skew: timedelta) -> bool:
        """Whether the time in a signed request may be behind the provider's by this much; below zero: ahead of it."""
        if self.clock_skew_max is None:
            return True
        ahead_max = self.clock_skew_max if self.clock_ahead_max is None else self.clock_ahead_max
        return -ahead_max <= skew <= self.clock_skew_max

    def readable(self, now: datetime) -> tuple[datetime, datetime]:
        """The range [begin, end) that can be read now, limited by floor, retention and the publish clock."""
        begin = self.floor or MIN_INSTANT
        if self.retention:
            begin = max(begin, self.retention.kept_from(now))
        return begin, self.publish.published_until(now) if self.publish else now

    def provable(self, now: datetime) -> tuple[datetime, datetime]:
        """The part of the readable range to which no more rows can be added: the part that a read can prove now."""
        begin, _ = self.readable(now)
        if self.retention:
            begin = max(begin, self.retention.proven_from(now))
        _, end = self.readable(now - self.allowed_lateness)
        return begin, end

    def next_publication(self, now: datetime) -> datetime | None:
        """When the provable range will next grow by a day. None: it grows continuously."""
        if self.publish is None:
            return None
        return self.publish.next_after(now - self.allowed_lateness) + self.allowed_lateness

    @property
    def answers_from_first_row(self) -> bool:
        """Whether requests can reach times before `history_start`, so that certainly no row is older than that.

        If the provider's floor is not earlier, it may have had rows before the floor that cannot be read.
        """
        return self.floor is None or self.floor < self.history_start

    @property
    def size_min(self) -> int:
        """The fewest rows of a page that a request may ask for."""
        return self.paging.size_min if isinstance(self.paging, PageNumber) else 1

    @property
    def slice_max(self) -> timedelta | None:
        """The longest half-open range [since, until) that one request can ask for. None: unlimited.

        It is one step longer than `window_max` if both ends of a request's range are inclusive.
        """
        if self.window_max is None or self.end_exclusive:
            return self.window_max
        return self.window_max + self.resolution


def first_day(rules: Rules[Paging]) -> date:
    """The local date of `history_start`."""
    return rules.history_start.astimezone(ZoneInfo(rules.zone)).date()


def day_after(at: datetime, zone: str) -> datetime:
    """The end of the local day that an instant lies in, as a UTC instant."""
    return _midnight(at.astimezone(ZoneInfo(zone)) + timedelta(days=1), zone)


def day_begin(at: datetime, zone: str) -> datetime:
    """The beginning of the local day that an instant lies in, as a UTC instant."""
    return _midnight(at.astimezone(ZoneInfo(zone)), zone)


def _midnight(local: datetime, zone: str) -> datetime:
    return to_utc(datetime.combine(local.date(), time.min, tzinfo=ZoneInfo(zone)))
