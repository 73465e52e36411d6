"""The overview: balances, what moved, alarms and calendars, from one state of a ledger."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger.day_totals import Total, exact_sums, parse_sum
from liushui.ledger.read.accounts import currencies_of
from liushui.ledger.read.balances import Balance, balances_of
from liushui.ledger.read.completeness import Cause, Gap
from liushui.ledger.read.coverage import Day, DayState, days_of, deadline
from liushui.ledger.read.flows import DAY
from liushui.ledger.read.model import Account, ReadModel, verdict_on
from liushui.ledger.read.money_in_out import Move, Streams, streams_of
from liushui.ledger.read.own_transfers import OwnTransfer, leg_total, legs_in
from liushui.ledger.read.summaries import ChartPeriod, Span, Unit, beginning, last_day
from liushui.ledger.schema import day_totals
from liushui.rules import Paging, Rules

# ---------------------------------------------------------------- alarms


STALE: Final = timedelta(days=1)
"""How far the newest complete read may lag behind what the provider has published before it is an alarm."""

SOON_DAYS: Final = 60
"""A gap that the provider deletes within so many days is an alarm."""

PRESSING_DAYS: Final = 14
"""The same, as a severe alarm."""


class Severity(StrEnum):
    """How much an alarm matters."""

    BAD = "bad"
    """Something is wrong, or will be lost: somebody has to act."""
    WARN = "warn"
    """Something is missing; the next sync may fetch it."""
    NOTE = "note"
    """Worth a look."""


class AlarmKind(StrEnum):
    """What an alarm is about."""

    REFUSED = "refused"
    """The provider refuses the credentials; `detail` is its error."""
    FAILED = "failed"
    """The last sync failed; `detail` is the error."""
    NEVER = "never"
    """The source has never been synced."""
    FORGETTING = "forgetting"
    """In `number` days the provider deletes `day`, which is open."""
    GAP = "gap"
    """`number` days from `day` on are not complete; `detail` is the error of a failed read."""
    STALE = "stale"
    """Nothing after `at` has been read."""
    LOST = "lost"
    """`number` days from `day` on are not complete, and the provider no longer keeps them."""
    QUARANTINE = "quarantine"
    """`number` rows were rejected."""
    FINDING = "finding"
    """`number` flows have the finding named by `detail`."""


class Alarm(NamedTuple):
    """Something that needs attention. Its kind says what the other values mean."""

    severity: Severity
    kind: AlarmKind
    account: str
    number: int = 0
    day: date | None = None
    at: datetime | None = None
    detail: str = ""


_ORDER: Final = tuple(Severity)


def alarms(accounts: Iterable[Account], rules: Mapping[str, Rules[Paging]], now: datetime) -> list[Alarm]:
    """Every alarm, the most severe first. `rules` by provider."""
    found = [alarm for account in accounts for alarm in _of_account(account, rules.get(account.snapshot.provider), now)]
    return sorted(found, key=lambda alarm: _ORDER.index(alarm.severity))


def _of_account(account: Account, rules: Rules[Paging] | None, now: datetime) -> Iterator[Alarm]:
    snapshot = account.snapshot
    name, run = snapshot.account, snapshot.run
    if run is not None and run.error:
        kind = AlarmKind.REFUSED if run.is_refused else AlarmKind.FAILED
        yield Alarm(Severity.BAD, kind, name, at=run.started_at, detail=run.error)
    if account.completeness.has_source and rules is not None:
        yield from _of_coverage(account, rules, now)
    if snapshot.rejected_rows:
        yield Alarm(Severity.WARN, AlarmKind.QUARANTINE, name, number=snapshot.rejected_rows)
    for finding, count in sorted(snapshot.findings.items()):
        yield Alarm(Severity.NOTE, AlarmKind.FINDING, name, number=count, detail=finding)


def _of_coverage(account: Account, rules: Rules[Paging], now: datetime) -> Iterator[Alarm]:
    completeness = account.completeness
    name, days = completeness.name, BusinessDays(load_zone(completeness.zone))
    if completeness.read_until_us is None:
        if account.snapshot.run is None:
            yield Alarm(Severity.WARN, AlarmKind.NEVER, name)
        return
    kept, settled = rules.provable(now)
    read_until = from_us(completeness.read_until_us)
    if settled - read_until > STALE:
        yield Alarm(Severity.BAD, AlarmKind.STALE, name, at=read_until)
    gaps = account.verdict().gaps
    opened = [gap for gap in gaps if gap.cause in (Cause.NOT_READ, Cause.READ_FAILED)]
    lost = [gap for gap in gaps if gap.cause is Cause.NOT_KEPT]
    if opened:
        first = date.fromisoformat(days.day_of(max(opened[0].since_us, to_us(kept))))
        limit = deadline(rules, [Day(first, DayState.OPEN)], now)
        if limit is not None and limit.days_left <= SOON_DAYS:
            severity = Severity.BAD if limit.days_left <= PRESSING_DAYS else Severity.WARN
            yield Alarm(severity, AlarmKind.FORGETTING, name, number=limit.days_left, day=first)
        failed = [gap.detail for gap in opened if gap.cause is Cause.READ_FAILED]
        yield Alarm(
            Severity.WARN,
            AlarmKind.GAP,
            name,
            number=_days_in(opened, days),
            day=first,
            detail=failed[-1] if failed else "",
        )
    if lost:
        first = date.fromisoformat(days.day_of(lost[0].since_us))
        yield Alarm(Severity.NOTE, AlarmKind.LOST, name, number=_days_in(lost, days), day=first)


def _days_in(gaps: Sequence[Gap], days: BusinessDays) -> int:
    """How many days gaps touch."""
    count = 0
    last: date | None = None
    for gap in gaps:
        first = date.fromisoformat(days.day_of(gap.since_us))
        end = date.fromisoformat(days.day_of(gap.until_us - 1))
        count += (end - first).days + (last != first)
        last = end
    return count


# ---------------------------------------------------------------- the overview


SPANS: Final[Mapping[Unit, timedelta]] = {
    Unit.DAY: timedelta(days=45),
    Unit.WEEK: timedelta(weeks=26),
    Unit.MONTH: timedelta(days=365),
}
"""How long, about, a span is by default: it begins with a period."""


class OverviewQuery(NamedTuple):
    """What an overview is about. None: the default. Days are included at both ends."""

    unit: Unit = Unit.MONTH
    currency: str | None = None
    first: date | None = None
    last: date | None = None
    accounts: tuple[str, ...] = ()


class Overview(NamedTuple):
    """What a person wants to see first. `currency` None: there are no flows, and so no periods."""

    accounts: Sequence[Account]
    alarms: Sequence[Alarm]
    balances: Sequence[Balance]
    currencies: Sequence[str]
    currency: str | None
    span: Span
    periods: Sequence[ChartPeriod]


def read_overview(model: ReadModel, query: OverviewQuery) -> Overview:
    """The overview as of now."""
    with model.reading(with_runs=True) as reading:
        accounts = list(reading.accounts.values())
        currencies = currencies_of([account.snapshot for account in accounts])
        currency = query.currency or next(iter(currencies), None)
        chosen = [account for account in accounts if not query.accounts or account.snapshot.account in query.accounts]
        span = _span(query, chosen, reading.now)
        found: list[Move] = []
        own: Sequence[OwnTransfer] = ()
        if currency is not None:
            names = [account.snapshot.account for account in chosen]
            found = read_moves(reading.connection, names, currency, span, by_month=query.unit is Unit.MONTH)
            own = model.own_transfers.read(reading.connection, model.rules, names, span.first, span.last)
    return Overview(
        accounts,
        alarms(accounts, model.rules, reading.now),
        [balance for account in accounts for balance in balances_of(account, account.verdict(), account.snapshot.sums)],
        currencies,
        currency,
        span,
        _periods(found, own, span, chosen, currency, is_open=query.last is None),
    )


def read_streams(model: ReadModel, currency: str, span: Span, names: Sequence[str]) -> Streams:
    """Where one currency of these accounts came from and went in a span."""
    with model.ledger.reading() as connection:
        found = read_moves(connection, names, currency, span, by_month=True)
        own = model.own_transfers.read(connection, model.rules, names, span.first, span.last)
    return streams_of(found, own, currency, span.first, span.last)


def read_calendar(account: Account, rules: Rules[Paging] | None, *, first: date, now: datetime) -> list[Day]:
    """The state of each day of an account from `first` on; none of an account without a source."""
    if rules is None:
        return []
    midnight = datetime(first.year, first.month, first.day, tzinfo=account.name.tz)
    return list(days_of(account.completeness, rules, now, since_us=to_us(midnight)))


def read_moves(
    connection: Connection, names: Sequence[str], currency: str, span: Span, *, by_month: bool
) -> list[Move]:
    """What moved in one currency in a span, by account, day or month, and kind."""
    t = day_totals.c
    period = sa.func.substr(t.day, 1, 7) if by_month else t.day
    money_in, money_out = exact_sums(connection, t.money_in, t.money_out)
    query = sa.select(t.account, period, t.kind, sa.func.sum(t.flows), money_in, money_out).where(
        t.account.in_(names),
        t.currency == currency,
        t.day >= span.first.isoformat(),
        t.day <= span.last.isoformat(),
    )
    found = connection.execute(query.group_by(t.account, period, t.kind))
    return [
        Move(account, day, kind, Total(int(count), parse_sum(inward), parse_sum(outward)))
        for account, day, kind, count, inward, outward in found
    ]


def _periods(
    found: Iterable[Move],
    own: Iterable[OwnTransfer],
    span: Span,
    accounts: Sequence[Account],
    currency: str | None,
    *,
    is_open: bool,
) -> list[ChartPeriod]:
    """What moved in each period of a span, without own transfers.

    `is_open`: the span has no end of its own, so its last period is whole.
    """
    sums: dict[date, dict[str, Total]] = defaultdict(dict)
    left_out: dict[date, Total] = defaultdict(Total)
    for move in found:
        begin = beginning(date.fromisoformat(f"{move.period}-01"[:10]), span.unit)
        kinds = sums[begin]
        kinds[move.kind] = kinds.get(move.kind, Total()).plus(move.total)
    for leg in legs_in(own, currency, span.first, span.last):
        begin = beginning(date.fromisoformat(leg.day), span.unit)
        kinds = sums[begin]
        kinds[leg.kind] = kinds[leg.kind].plus(leg_total(leg).negative())
        if not kinds[leg.kind].flows:
            del kinds[leg.kind]
        left_out[begin] = left_out[begin].plus(leg_total(leg))
    periods = []
    for first, last in span.periods():
        begin = beginning(first, span.unit)
        end = last_day(begin, span.unit) if is_open and last == span.last else last
        verdict = verdict_on(accounts, first, None if end == date.max else end + DAY, currency)
        periods.append(ChartPeriod(first, last, sums.get(begin, {}), verdict, left_out.get(begin, Total())))
    return periods


def _span(query: OverviewQuery, accounts: Sequence[Account], now: datetime) -> Span:
    """The days that are asked for; by default those up to the newest day that has a flow, or up to today."""
    newest = [account.snapshot.last_day for account in accounts]
    days = [date.fromisoformat(day) for day in newest if day is not None]
    last = query.last or max(days, default=now.date())
    first = query.first or beginning(last - SPANS[query.unit] + DAY, query.unit)
    return Span(query.unit, min(first, last), last)
