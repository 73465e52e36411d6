"""Alarms and the status of each account, for people and monitors."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from liushui.instant import BusinessDays, from_us, load_zone, to_iso, to_us
from liushui.ledger.coverage import State
from liushui.ledger.findings import BREAK, finding_id
from liushui.ledger.jobs.backups import BackupState, read_backup_states
from liushui.ledger.read.balances import Balance, CheckStatus, current_balances
from liushui.ledger.read.closed_months import MonthChanges
from liushui.ledger.read.completeness import Cause, Gap, Verdict, end_instant
from liushui.ledger.read.coverage import Day, DayState, deadline
from liushui.ledger.read.finding_decisions import FindingDecision
from liushui.ledger.read.link_decisions import LinkDecision, outdated_links
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.money import exact_sum
from liushui.reconcile.chain import Break
from liushui.rules import Paging, Rules

# ---------------------------------------------------------------- alarms


STALE: Final = timedelta(days=1)
"""How far the newest complete read may lag behind the provider's published data before it raises an alarm."""

SOON_DAYS: Final = 60
"""A gap that the provider deletes within this number of days raises an alarm."""

PRESSING_DAYS: Final = 14
"""A gap that the provider deletes within this number of days raises a severe alarm."""

CLOCK_TOLERANCE: Final = timedelta(minutes=1)
"""How far coverage may end in the future, because machines that write to one ledger have different clocks."""


class Severity(StrEnum):
    """How much an alarm matters."""

    BAD = "bad"
    """A person has to act: there is a fault, or data will be lost."""
    WARN = "warn"
    """Something is missing; the next sync may fetch it."""
    NOTE = "note"
    """Worth a look."""


class AlarmKind(StrEnum):
    """The subject of an alarm."""

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
    BREAK = "break"
    """`number` balances do not follow from the balance before, the first of them at `at`, and nobody explained why."""
    CHANGED_AFTER_CLOSE = "changed_after_close"
    """`number` flows of closed months have changed. `day` is the first day of the first month that `detail` names."""
    LINK_CHANGED = "link_changed"
    """A flow of the account in a confirmed link has changed or was withdrawn, so the link no longer counts. `number`
    counts these links, `detail` names them, and `day` is the day of the first flow of the first link."""
    BALANCE = "balance"
    """`number` balances differ from the stated ones, the first of them at `at`; `detail` says how."""
    FINDING = "finding"
    """`number` flows have the finding named by `detail`, and nobody has explained it."""
    WAITING = "waiting"
    """The provider asked for no calls before `at`; `detail` is its reason."""
    CLOCK = "clock"
    """This machine's clock is `number` seconds behind the provider's (negative: ahead of it), as measured at `at`."""
    DOUBTED = "doubted"
    """A read that began at `at` lacked `number` known rows of `day` and later, and is not believed yet."""
    BEYOND_NOW = "beyond_now"
    """A range is complete up to `at`, which is in the future: a clock was ahead when the range was read."""
    REPEATED = "repeated"
    """The answers of the last sync listed a record twice `number` times. Each counts once."""
    BACKUP_FAILED = "backup_failed"
    """The last backup failed; `detail` is the folder and the error. The alarm is about the ledger, so `account` is
    empty."""
    BACKUP_OLD = "backup_old"
    """A backup in the folder `detail` is overdue: the newest one is from `at`. `account` is empty."""


class Alarm(NamedTuple):
    """Something that needs attention. Its kind determines the meaning of the other values."""

    severity: Severity
    kind: AlarmKind
    account: str
    number: int = 0
    day: date | None = None
    at: datetime | None = None
    detail: str = ""

    @property
    def reason(self) -> str:
        """The alarm as an English sentence. The page has its own, in the reader's language."""
        at = "" if self.at is None else to_iso(self.at)
        match self.kind:
            case AlarmKind.REFUSED | AlarmKind.FAILED:
                return self.detail
            case AlarmKind.NEVER:
                return "it was never synced"
            case AlarmKind.FORGETTING:
                return f"the provider deletes the flows of {self.day} in {self.number} days, and it is not complete"
            case AlarmKind.GAP:
                why = f": {self.detail}" if self.detail else ""
                return f"{self.number} days from {self.day} on are not complete{why}"
            case AlarmKind.STALE:
                return f"nothing after {at} is complete"
            case AlarmKind.LOST:
                return f"{self.number} days from {self.day} on are not complete, and the provider has deleted them"
            case AlarmKind.QUARANTINE:
                return f"{self.number} rejected rows"
            case AlarmKind.BREAK:
                return f"balances do not follow from those before them, {self.number} times, first at {at}"
            case AlarmKind.CHANGED_AFTER_CLOSE:
                flows = (
                    "1 flow of a closed month has" if self.number == 1 else f"{self.number} flows of closed months have"
                )
                return f"{flows} changed: {self.detail}"
            case AlarmKind.LINK_CHANGED:
                links = "1 confirmed link" if self.number == 1 else f"{self.number} confirmed links"
                return (
                    f"flows of {links} have changed or were withdrawn since: reject what is wrong with `link reject "
                    f"--replace`, and confirm what is right: {self.detail}"
                )
            case AlarmKind.BALANCE:
                differ = "balance differs" if self.number == 1 else "balances differ"
                return f"{self.number} {differ} from what is stated: {self.detail}"
            case AlarmKind.FINDING:
                return f"{self.number} flows to review: {self.detail}"
            case AlarmKind.WAITING:
                return f"the provider wants no calls before {at}: {self.detail}"
            case AlarmKind.CLOCK:
                side = "behind" if self.number > 0 else "ahead of"
                return f"the clock of this machine is {abs(self.number)} s {side} the provider's"
            case AlarmKind.DOUBTED:
                return (
                    f"a read at {at} lacked {self.number} known flows of {self.day} or later, and is not believed yet"
                )
            case AlarmKind.BEYOND_NOW:
                return f"a range was called complete up to {at}, which has not come yet: it is read again"
            case AlarmKind.REPEATED:
                return f"answers listed a record twice, {self.number} times: each counts once"
            case AlarmKind.BACKUP_FAILED:
                return f"the last backup failed: {self.detail}"
            case AlarmKind.BACKUP_OLD:
                newest = f"the newest one is of {at}" if at else "there is none yet"
                return f"a backup in {self.detail} is overdue: {newest}"


LINKS_NAMED: Final = 10
"""The most changed links that an alarm names."""
_ORDER: Final = tuple(Severity)


def alarms(reading: Reading, accounts: Iterable[Account], rules: Mapping[str, Rules[Paging]]) -> list[Alarm]:
    """Return every alarm of some accounts of a reading, the most severe first. `rules` by provider."""
    found: list[Alarm] = []
    for account in accounts:
        found += _of_account(account, rules.get(account.snapshot.provider), reading.now)
        found += _of_findings(account, open_findings(reading, account))
        found += _of_chains(account, open_breaks(reading, account))
        found += _of_balances(account, failed_balances(reading, account))
        found += _of_closed_months(account, reading.month_changes(account))
        found += _of_links(account, outdated_links(reading.connection, account.name.account))
    return sorted(found, key=lambda alarm: _ORDER.index(alarm.severity))


def open_findings(reading: Reading, account: Account) -> dict[str, int]:
    """Return the number of an account's flows with each finding that nobody has explained. Breaks are not included."""
    explained = Counter(one.kind for one in reading.explained(account).values())
    counts = {kind: count - explained[kind] for kind, count in account.snapshot.findings.items()}
    return {kind: count for kind, count in counts.items() if count > 0}


def open_breaks(reading: Reading, account: Account) -> list[Break]:
    """Return the breaks of an account's chains that nobody has explained, by time."""
    return _without_explained(account, reading.breaks(account), reading.explained(account))


def _without_explained(
    account: Account, breaks: Sequence[Break], explained: Mapping[str, FindingDecision]
) -> list[Break]:
    if not explained:
        return list(breaks)
    name = account.name.account
    return [one for one in breaks if finding_id(name, BREAK, *one.after) not in explained]


def failed_balances(reading: Reading, account: Account) -> list[Balance]:
    """Return the balances of an account that differ from the stated ones, unless explained breaks account for the
    difference.

    Explained breaks account for a balance if their differences add up to exactly its difference.
    """
    failed = [row for row in current_balances(reading, account) if row.check.status is CheckStatus.FAIL]
    return [row for row in failed if not _is_explained(reading, account, row)]


def read_failed_balances(model: ReadModel, names: Sequence[str] = ()) -> list[Balance]:
    """Return `failed_balances` for these accounts, or for all if no name is given. Raises AccountNotFound."""
    with model.reading(names) as reading:
        return [row for account in reading.accounts.values() for row in failed_balances(reading, account)]


def _is_explained(reading: Reading, account: Account, balance: Balance) -> bool:
    explained, check = reading.explained(account), balance.check
    if not explained or check.at is None or check.difference is None:
        return False
    chain = reading.chains(account).get((balance.subaccount, balance.currency))
    breaks = [] if chain is None else [one for one in chain.breaks if one.after[0] <= to_us(check.at)]
    if _without_explained(account, breaks, explained):
        return False
    return bool(breaks) and exact_sum(one.difference for one in breaks) == check.difference


def backup_alarms(states: Iterable[BackupState], now: datetime) -> list[Alarm]:
    """Return the alarms about the backups of a ledger."""
    found = []
    for state in states:
        if state.error:
            detail = f"{state.folder}: {state.error}"
            found.append(Alarm(Severity.BAD, AlarmKind.BACKUP_FAILED, "", at=state.tried_at, detail=detail))
        if state.is_old(now):
            found.append(Alarm(Severity.BAD, AlarmKind.BACKUP_OLD, "", at=state.saved_at, detail=state.folder))
    return found


def _of_account(account: Account, rules: Rules[Paging] | None, now: datetime) -> Iterator[Alarm]:
    snapshot = account.snapshot
    name, run = snapshot.account, snapshot.run
    if run is not None and run.error:
        kind = AlarmKind.REFUSED if run.is_refused else AlarmKind.FAILED
        yield Alarm(Severity.BAD, kind, name, at=run.started_at, detail=run.error)
    if account.completeness.has_source and rules is not None:
        yield from _of_coverage(account, rules, now)
    if account.completeness.has_source:
        yield from _of_service(account, now)
    if snapshot.rejected_rows:
        yield Alarm(Severity.WARN, AlarmKind.QUARANTINE, name, number=snapshot.rejected_rows)


def _of_findings(account: Account, counts: Mapping[str, int]) -> Iterator[Alarm]:
    for finding, count in sorted(counts.items()):
        yield Alarm(Severity.NOTE, AlarmKind.FINDING, account.snapshot.account, number=count, detail=finding)


def _of_chains(account: Account, breaks: Sequence[Break]) -> Iterator[Alarm]:
    if breaks:
        first_us = min(one.after[0] for one in breaks)
        name = account.snapshot.account
        yield Alarm(Severity.BAD, AlarmKind.BREAK, name, number=len(breaks), at=from_us(first_us))


def _of_closed_months(account: Account, changes: Sequence[MonthChanges]) -> Iterator[Alarm]:
    if changes:
        yield Alarm(
            Severity.BAD,
            AlarmKind.CHANGED_AFTER_CLOSE,
            account.snapshot.account,
            number=sum(len(month.changes) for month in changes),
            day=min(month.closed.first for month in changes),
            detail=", ".join(month.closed.period for month in changes),
        )


def _of_links(account: Account, links: Sequence[LinkDecision]) -> Iterator[Alarm]:
    if links:
        names = ", ".join(link.link for link in links[:LINKS_NAMED]) + (", …" if len(links) > LINKS_NAMED else "")
        name, days = account.snapshot.account, BusinessDays(load_zone(account.snapshot.zone))
        first = date.fromisoformat(days.day_of(min(flow.at_us for link in links for flow in link.flows)))
        yield Alarm(Severity.BAD, AlarmKind.LINK_CHANGED, name, number=len(links), day=first, detail=names)


def _of_balances(account: Account, failed: Sequence[Balance]) -> Iterator[Alarm]:
    if failed:
        first = min(failed, key=lambda balance: balance.check.at or from_us(0))
        detail = " ".join(filter(None, (first.subaccount, f"{first.currency}:", first.check.reason)))
        name = account.snapshot.account
        yield Alarm(Severity.BAD, AlarmKind.BALANCE, name, number=len(failed), at=first.check.at, detail=detail)


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


def _of_service(account: Account, now: datetime) -> Iterator[Alarm]:
    """Return the alarms about what syncs have recorded about the provider's service."""
    name, service = account.snapshot.account, account.snapshot.service
    if service.wait is not None:
        yield Alarm(Severity.WARN, AlarmKind.WAITING, name, at=service.wait.until, detail=service.wait.reason)
    if service.clock_offset:
        seconds = round(service.clock_offset.total_seconds())
        yield Alarm(Severity.WARN, AlarmKind.CLOCK, name, number=seconds, at=service.clock_checked_at)
    doubts = [doubt for doubt in service.doubts if not doubt.believed]
    if doubts:
        days = BusinessDays(load_zone(account.snapshot.zone))
        yield Alarm(
            Severity.BAD,
            AlarmKind.DOUBTED,
            name,
            number=sum(len(doubt.missing) for doubt in doubts),
            day=date.fromisoformat(days.day_of(min(doubt.since_us for doubt in doubts))),
            at=from_us(min(doubt.first_read_us for doubt in doubts)),
        )
    # Ranges are proven by the provider's time, which may be later than ours.
    latest_us = to_us(now + max(service.clock_offset or timedelta(0), timedelta(0)) + CLOCK_TOLERANCE)
    ends = [known.until_us for known in account.snapshot.ranges if known.state is State.PROVEN]
    if ends and max(ends) > latest_us:
        yield Alarm(Severity.BAD, AlarmKind.BEYOND_NOW, name, at=from_us(max(ends)))
    if service.repeated_rows:
        yield Alarm(Severity.NOTE, AlarmKind.REPEATED, name, number=service.repeated_rows, at=service.repeated_at)


def _days_in(gaps: Sequence[Gap], days: BusinessDays) -> int:
    """Count the days that gaps touch."""
    count = 0
    last: date | None = None
    for gap in gaps:
        first = date.fromisoformat(days.day_of(gap.since_us))
        end = date.fromisoformat(days.day_of(gap.until_us - 1))
        count += (end - first).days + (last != first)
        last = end
    return count


# ---------------------------------------------------------------- status


class AccountStatus(NamedTuple):
    """The status of an account's collection. `gaps`: the number of ranges that should have been read and were not.

    `proven_until`: everything from the account's beginning up to this time is in the ledger; None: not even its
    beginning.
    """

    account: str
    provider: str
    flows: int
    quarantined: int
    findings: int
    """Flows to review that nobody has explained."""
    breaks: int
    """The number of balances on rows that do not follow from the one before, and that nobody has explained."""
    failed_checks: int
    """The balances that differ from the stated ones, by subaccount and currency, unless explained breaks account for
    it."""
    explained: int
    """Findings that people explained, breaks among them."""
    proven_from: datetime | None
    proven_until: datetime | None
    gaps: int
    batches: int
    zone: str
    verdict: Verdict
    alarms: tuple[Alarm, ...] = ()
    """The account's alarms, the most severe first."""


def read_statuses(model: ReadModel, names: Sequence[str] = ()) -> list[AccountStatus]:
    """Return the status of these accounts, or of all if no name is given. Raises AccountNotFound."""
    with model.reading(names, with_runs=True) as reading:
        return [status_of(reading, account, model.rules) for account in reading.accounts.values()]


def read_alarms(model: ReadModel) -> list[Alarm]:
    """Return every alarm of all accounts and of the backups, in one state of the ledger."""
    with model.reading(with_runs=True) as reading:
        statuses = [status_of(reading, account, model.rules) for account in reading.accounts.values()]
        backups = backup_alarms(read_backup_states(reading.connection), reading.now)
        return [*backups, *(alarm for status in statuses for alarm in status.alarms)]


def status_of(reading: Reading, account: Account, rules: Mapping[str, Rules[Paging]]) -> AccountStatus:
    """Return the status of one account of a reading. `rules` by provider."""
    snapshot, verdict = account.snapshot, account.verdict()
    proven = [known for known in snapshot.ranges if known.state is State.PROVEN]
    unread = [gap for gap in verdict.gaps if gap.cause not in (Cause.REJECTED_ROWS, Cause.NO_SOURCE)]
    failed = [known for known in snapshot.ranges if known.state is State.OPEN]
    return AccountStatus(
        snapshot.account,
        snapshot.provider,
        flows=snapshot.flows,
        quarantined=snapshot.rejected_rows,
        findings=sum(open_findings(reading, account).values()),
        breaks=len(open_breaks(reading, account)),
        failed_checks=len(failed_balances(reading, account)),
        explained=len(reading.explained(account)),
        proven_from=from_us(proven[0].since_us) if proven else None,
        proven_until=end_instant(verdict.until_us),
        gaps=len(unread) if account.completeness.has_source else len(failed),
        batches=snapshot.head,
        zone=snapshot.zone,
        verdict=verdict,
        alarms=tuple(alarms(reading, [account], rules)),
    )
