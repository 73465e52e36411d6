"""What needs attention: stale or failed syncs, gaps, rows the provider will delete, rejected rows, findings. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger.read.completeness import Cause, Gap
from liushui.ledger.read.coverage import Day, DayState, deadline
from liushui.ledger.read.model import Account
from liushui.rules import Paging, Rules

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
