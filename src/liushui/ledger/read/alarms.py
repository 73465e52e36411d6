"""What needs an eye: old proofs, gaps, what a provider will forget, syncs that failed, rows set aside. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger.coverage import State
from liushui.ledger.read.account_snapshot import AccountFacts
from liushui.ledger.read.cover import Cover, Hole
from liushui.ledger.read.coverage_calendar import Day, DayState, deadline
from liushui.rules import Paging, Rules

STALE: Final = timedelta(days=1)
"""How much that could have been proven may be missing at the newer end before it is an alarm."""

SOON_DAYS: Final = 60
"""How long before a provider forgets something that is open it is an alarm."""

PRESSING_DAYS: Final = 14
"""The same, when it is a grave one."""


class Grave(StrEnum):
    """How much an alarm matters."""

    BAD = "bad"
    """Something is wrong, or will be lost: somebody has to act."""
    WARN = "warn"
    """Something is missing, and may come by itself."""
    NOTE = "note"
    """Worth a look."""


class Sign(StrEnum):
    """What an alarm says."""

    REFUSED = "refused"
    """The provider refuses the credentials: `words` say how."""
    FAILED = "failed"
    """The last sync failed: `words` say why."""
    NEVER = "never"
    """The source has never been synced."""
    FORGETTING = "forgetting"
    """In `number` days the provider forgets `day`, which is open."""
    GAP = "gap"
    """`number` days from `day` on are not proven; `words` say why, where a read of them failed."""
    STALE = "stale"
    """Nothing after `at` is proven."""
    LOST = "lost"
    """`number` days from `day` on are not proven, and the provider keeps them no more."""
    QUARANTINE = "quarantine"
    """`number` rows could not be read."""
    FINDING = "finding"
    """`number` flows have the finding that `words` name."""


class Alarm(NamedTuple):
    """Something that needs an eye. What the values mean, its sign says."""

    grave: Grave
    sign: Sign
    account: str
    number: int = 0
    day: date | None = None
    at: datetime | None = None
    words: str = ""


_ORDER: Final = tuple(Grave)


def alarms(
    accounts: Sequence[AccountFacts], covers: Mapping[str, Cover], rules: Mapping[str, Rules[Paging]], now: datetime
) -> list[Alarm]:
    """Every alarm, the gravest first. `rules` by provider."""
    found = [
        alarm
        for account in accounts
        for alarm in _of_account(account, covers[account.account], rules.get(account.provider), now)
    ]
    return sorted(found, key=lambda alarm: _ORDER.index(alarm.grave))


def _of_account(account: AccountFacts, cover: Cover, rules: Rules[Paging] | None, now: datetime) -> Iterator[Alarm]:
    name = account.account
    if account.run is not None and account.run.error:
        sign = Sign.REFUSED if account.run.is_refused else Sign.FAILED
        yield Alarm(Grave.BAD, sign, name, at=account.run.started_at, words=account.run.error)
    if cover.claimed and rules is not None:
        yield from _of_cover(account, cover, rules, now)
    if account.quarantined:
        yield Alarm(Grave.WARN, Sign.QUARANTINE, name, number=account.quarantined)
    for finding, flows in sorted(account.findings.items()):
        yield Alarm(Grave.NOTE, Sign.FINDING, name, number=flows, words=finding)


def _of_cover(account: AccountFacts, cover: Cover, rules: Rules[Paging], now: datetime) -> Iterator[Alarm]:
    name, days = account.account, BusinessDays(load_zone(account.zone))
    proven = [known.until_us for known in account.ranges if known.state is State.PROVEN]
    if not proven:
        if account.run is None:
            yield Alarm(Grave.WARN, Sign.NEVER, name)
        return
    kept, settled = rules.provable(now)
    if settled - from_us(max(proven)) > STALE:
        yield Alarm(Grave.BAD, Sign.STALE, name, at=from_us(max(proven)))
    kept_us = to_us(kept)
    opened = [hole for hole in cover.holes if hole.until_us > kept_us]
    lost = [hole for hole in cover.holes if hole.until_us <= kept_us]
    if opened:
        first = date.fromisoformat(days.day_of(max(opened[0].since_us, kept_us)))
        limit = deadline(rules, [Day(first, DayState.OPEN)], now)
        if limit is not None and limit.days_left <= SOON_DAYS:
            grave = Grave.BAD if limit.days_left <= PRESSING_DAYS else Grave.WARN
            yield Alarm(grave, Sign.FORGETTING, name, number=limit.days_left, day=first)
        yield Alarm(
            Grave.WARN, Sign.GAP, name, number=_days_in(opened, days, kept_us), day=first, words=_why(account, opened)
        )
    if lost:
        first = date.fromisoformat(days.day_of(lost[0].since_us))
        yield Alarm(Grave.NOTE, Sign.LOST, name, number=_days_in(lost, days), day=first)


def _days_in(holes: Sequence[Hole], days: BusinessDays, begin_us: int | None = None) -> int:
    """How many days holes touch."""
    touched = 0
    last: date | None = None
    for hole in holes:
        since_us = hole.since_us if begin_us is None else max(hole.since_us, begin_us)
        first = date.fromisoformat(days.day_of(since_us))
        end = date.fromisoformat(days.day_of(hole.until_us - 1))
        touched += (end - first).days + (last != first)
        last = end
    return touched


def _why(account: AccountFacts, holes: Sequence[Hole]) -> str:
    """Why the last of the holes that a read failed in is open."""
    reasons = [
        known.reason
        for known in account.ranges
        if known.state is State.OPEN
        and any(known.since_us < hole.until_us and known.until_us > hole.since_us for hole in holes)
    ]
    return reasons[-1] if reasons else ""
