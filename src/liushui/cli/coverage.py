"""liushui coverage, liushui status: how far each account is complete, what is missing, and what a sync does next."""

import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.flows import exit_with
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, messages, terminal_console
from liushui.instant import from_us, to_iso

if TYPE_CHECKING:
    from rich.console import Console

    from liushui.ledger.coverage import Range
    from liushui.ledger.engine import Ledger
    from liushui.ledger.jobs.backups import BackupState
    from liushui.ledger.jobs.sources import Run, Source
    from liushui.ledger.read.coverage import Day
    from liushui.ledger.read.model import Account
    from liushui.ledger.read.status import AccountStatus, Alarm
    from liushui.provider import Provider

RANGE_COLUMNS: Final = ("account", "since", "until", "state", "reason", "checked_at", "cause")
DAY_COLUMNS: Final = ("account", "day", "state", "reason")
MONTHS_ALWAYS_DRAWN: Final = 13
"""The number of newest months that are always drawn. Older months are drawn only if they have an open day."""
REASONS_MAX: Final = 12
"""The most spans of open days that are listed below a calendar."""

MARKS: Final = {
    "proven": ("■", "green", "complete"),
    "open": ("□", "bold red", "gap"),
    "unpublished": ("·", "dim", "not published yet"),
    "lost": ("×", "yellow", "no longer available from the provider"),
}
"""How a day is drawn, by state: the mark, its colour and its meaning."""
LEGEND: Final = "  ".join(f"{mark} {meaning}" for mark, _, meaning in MARKS.values())


ALARMS_OF_EXIT_3: Final = frozenset(
    {"waiting", "doubted", "beyond_now", "break", "balance", "changed_after_close", "link_changed"}
)
"""The kinds of alarms with which `status` exits with 3, in addition to gaps, rejected rows and failed syncs."""


class Calendar(NamedTuple):
    """An account's days, and a warning if rows will soon be no longer available."""

    account: str
    provider: str
    days: "Sequence[Day]"
    warning: str


@click.command()
@options.accounts
@click.option("--days", "by_day", is_flag=True, help="Print a row for each day of the account, not for each range.")
@options.ledger_and_format
def coverage(settings: Settings, accounts: tuple[str, ...], by_day: bool) -> None:
    """Show which days are complete, which are not, and why.

    A table is a calendar; the other formats have a row for each range of time or, with --days, for each day. The exit
    code is 3 if flows may be missing.

    \b
    Example: liushui coverage broker --days --format csv
    """
    from liushui.ledger.read.completeness import combine

    model, form = settings.open_read_model(), settings.format
    found, now = list(model.accounts(accounts).values()), model.ledger.clock()
    if by_day:
        emit(_day_records(found, now), DAY_COLUMNS, form)
    elif form is Format.TABLE:
        for account in found:
            draw(calendar_of(account, now))
        messages.print(f"[dim]{LEGEND}[/]")
    else:
        emit(_range_records(found), RANGE_COLUMNS, form)
    exit_with(combine([account.verdict() for account in found]))


def calendar_of(account: "Account", now: datetime) -> Calendar:
    """The days of an account from the beginning of its source."""
    from liushui.ledger.read.coverage import days_of, deadline
    from liushui.providers import load_providers

    name = account.name
    provider = load_providers().get(name.provider)
    if provider is None or not account.completeness.has_source:
        return Calendar(name.account, name.provider, (), _without_source(account))
    days = list(days_of(account.completeness, provider.rules, now))
    last = deadline(provider.rules, days, now)
    warning = ""
    if last is not None:
        days_left = f"{last.days_left} day" if last.days_left == 1 else f"{last.days_left} days"
        warning = f"{days_left} until rows of {last.day:%Y-%m} can no longer be fetched"
    return Calendar(name.account, provider.title, days, warning)


def _without_source(account: "Account") -> str:
    """Return why there is no calendar, and the newest days that statement files prove."""
    from liushui.instant import to_local

    zone, reason = account.name.tz, "no source to check it against"
    spans = [
        _span(to_local(from_us(known.since_us), zone).date(), to_local(from_us(known.until_us - 1), zone).date())
        for known in account.snapshot.stated[-REASONS_MAX:]
    ]
    return f"complete by its statements: {', '.join(spans)}; otherwise {reason}" if spans else reason


def draw(calendar: Calendar) -> None:
    """Print a calendar: the newest months, and older ones that have an open day."""
    from rich.markup import escape

    from liushui.ledger.read.coverage import DayState, day_runs

    console = terminal_console(soft_wrap=True)
    console.print(f"[bold]{escape(calendar.account)}[/]  {escape(calendar.provider)}")
    months = [(month, list(days)) for month, days in groupby(calendar.days, key=lambda day: f"{day.day:%Y-%m}")]
    hidden: list[tuple[str, str]] = []
    for number, (month, days) in enumerate(months):
        states = {day.state for day in days}
        if number < len(months) - MONTHS_ALWAYS_DRAWN and len(states) == 1 and DayState.OPEN not in states:
            hidden.append((month, days[0].state))
            continue
        _draw_hidden(console, hidden)
        cells = "".join("[{1}]{0}[/]".format(*MARKS[day.state]) for day in days)
        console.print(f"  {month}  {' ' * (days[0].day.day - 1)}{cells}")
    _draw_hidden(console, hidden)
    open_spans = [span for span in day_runs(calendar.days) if span.state is DayState.OPEN]
    for span in open_spans[-REASONS_MAX:]:
        console.print(f"  [red]{_span(span.since, span.until)}[/]  {escape(span.reason)}")
    if calendar.warning:
        console.print(f"  [yellow]{escape(calendar.warning)}[/]")


def _draw_hidden(console: "Console", hidden: list[tuple[str, str]]) -> None:
    """Print months that are not drawn as one line for each state, and clear the list."""
    for state, group in groupby(hidden, key=lambda pair: pair[1]):
        months = [month for month, _ in group]
        mark, style, meaning = MARKS[state]
        console.print(f"  {_span(months[0], months[-1])}  [{style}]{mark}[/] {meaning}")
    hidden.clear()


def _span(first: date | str, last: date | str) -> str:
    return str(first) if first == last else f"{first} … {last}"


def _range_records(accounts: "list[Account]") -> Iterator[Record]:
    from liushui.ledger.read.completeness import end_instant
    from liushui.ledger.read.coverage import coverage_ranges

    for account in accounts:
        for known in coverage_ranges(account):
            yield {
                "account": known.account,
                "since": from_us(known.since_us),
                "until": end_instant(known.until_us),
                "state": known.state.value,
                "reason": None if known.gap is None else known.gap.reason,
                "checked_at": None if known.checked_at_us is None else from_us(known.checked_at_us),
                "cause": None if known.gap is None else known.gap.cause.value,
            }


def _day_records(accounts: "list[Account]", now: datetime) -> Iterator[Record]:
    for account in accounts:
        for day in calendar_of(account, now).days:
            yield {
                "account": account.name.account,
                "day": day.day.isoformat(),
                "state": day.state.value,
                "reason": day.reason or None,
            }


# ---------------------------------------------------------------- status

STATUS_TABLE_COLUMNS: Final = (
    *("account", "provider", "read_until", "age", "next_sync", "flows", "gaps", "rejected_rows", "breaks"),
    *("to_review", "needs_attention"),
)
STATUS_FIELDS: Final = (
    *("account", "provider", "flows", "quarantined", "findings", "proven_from", "proven_until", "gaps", "batches"),
    *("breaks", "failed_checks", "explained", "complete", "reason"),
)
STATUS_COLUMNS: Final = (
    *STATUS_FIELDS,
    *("source", "last_sync", "last_error", "last_proven", "age_s", "next_sync", "retention_left_s", "alarms"),
    "backup_age_s",
)


@click.command()
@options.accounts
@click.option(
    "--max-age",
    type=click.IntRange(min=1),
    metavar="HOURS",
    help="Exit with code 3 if the newest complete data of a source is older than this.",
)
@options.ledger_and_format
def status(settings: Settings, accounts: tuple[str, ...], max_age: int | None) -> None:
    """Print up to when each account is complete, and its last and next sync.

    For monitoring, the exit code is 3 if something needs attention: a gap is open, a row is in quarantine, the last
    sync failed, or the provider asked for a wait. It is also 3 if a flow of a closed month (`liushui close --changes`)
    or of a confirmed link has changed, or if a balance breaks its chain (`liushui breaks`) or differs from a stated one
    (`liushui balances`) and nobody has explained it (`liushui finding explain`). `alarms` says what needs attention,
    and since when. The exit code is also 3 if the last backup failed or a scheduled one is overdue. `backup_age_s` is
    the age of the newest successful backup.

    \b
    Example: liushui status --max-age 24 --format json
    """
    from rich.markup import escape

    from liushui.ledger.jobs.backups import list_backup_states
    from liushui.ledger.read.completeness import combine
    from liushui.ledger.read.status import backup_alarms, read_statuses

    model, form = settings.open_read_model(), settings.format
    statuses = read_statuses(model, accounts)
    states, now = list_backup_states(model.ledger), model.ledger.clock()
    backup_age_s = min((age // timedelta(seconds=1) for state in states if (age := state.age(now))), default=None)
    records = [{**_status_record(model.ledger, account), "backup_age_s": backup_age_s} for account in statuses]
    if form is Format.TABLE:
        emit(map(_as_table_row, records, statuses), STATUS_TABLE_COLUMNS, form)
    else:
        emit(records, STATUS_COLUMNS, form)
    if form is Format.TABLE and (summary := _backup_summary(states, now)):
        messages.print(escape(summary))
    missing = backup_alarms(states, now)
    for alarm in missing:
        messages.warn(alarm.reason)
    oldest_s = None if max_age is None else max_age * 3600
    exit_with(combine([account.verdict for account in statuses]))
    if missing or any(map(needs_exit_3, statuses)) or any(_is_wrong(record, oldest_s) for record in records):
        sys.exit(EXIT_INCOMPLETE)


def _status_record(ledger: "Ledger", account: "AccountStatus") -> Record:
    from liushui.ledger.jobs.sources import last_runs, list_sources
    from liushui.ledger.read.accounts import ranges_of
    from liushui.ledger.read.coverage import read_until
    from liushui.providers import load_providers

    run = last_runs(ledger).get(account.account)
    source = {source.account: source for source in list_sources(ledger)}.get(account.account)
    provider, now = load_providers().get(account.provider), ledger.clock()
    ranges = ranges_of(ledger, account.account)
    last_proven = read_until(ranges)
    return {
        **status_row(account),
        "source": source is not None,
        "last_sync": run.started_at if run else None,
        "last_error": (run.error or None) if run else None,
        "last_proven": last_proven,
        "age_s": None if last_proven is None else (now - last_proven) // timedelta(seconds=1),
        "next_sync": _next_sync(source, provider, ranges, run, now) if source and provider else None,
        "retention_left_s": _retention_left_s(source, provider, ranges, now) if source and provider else None,
        "alarms": [_alarm_record(alarm) for alarm in account.alarms],
    }


def _alarm_record(alarm: "Alarm") -> Record:
    return {
        "severity": alarm.severity.value,
        "kind": alarm.kind.value,
        "at": None if alarm.at is None else to_iso(alarm.at),
        "day": None if alarm.day is None else alarm.day.isoformat(),
        "number": alarm.number,
        "reason": alarm.reason,
    }


def status_row(account: "AccountStatus") -> Record:
    """The fields of an account's status that do not depend on its source."""
    return {
        **{name: getattr(account, name) for name in STATUS_FIELDS[:-2]},
        "complete": account.verdict.is_complete,
        "reason": account.verdict.reason or None,
    }


def _next_sync(
    source: "Source", provider: "Provider", ranges: "list[Range]", run: "Run | None", now: datetime
) -> datetime:
    """Return when `sync --watch` would sync the source next, estimated from its last recorded run."""
    from liushui.sync.events import SyncStatus
    from liushui.sync.plan import INTERVAL_S, LastSync, Plan, next_sync_at

    last = None
    if run is not None and run.ended_at is not None:
        failed = bool(run.error or run.gaps)
        last = LastSync(run.ended_at, SyncStatus.INCOMPLETE if failed else SyncStatus.DONE, failures=int(failed))
    every = timedelta(seconds=INTERVAL_S)
    return max(now, next_sync_at(Plan(provider.rules, ranges, since=source.since, now=now), last, every=every))


def _retention_left_s(source: "Source", provider: "Provider", ranges: "list[Range]", now: datetime) -> int | None:
    """Return the seconds until the provider deletes something unproven. None: it never does, or everything is
    proven."""
    from liushui.sync.plan import Plan

    left = Plan(provider.rules, ranges, since=source.since, now=now).retention_left()
    return None if left is None else left // timedelta(seconds=1)


def needs_exit_3(account: "AccountStatus") -> bool:
    """Whether an alarm means that something is missing or cannot be read now."""
    return any(alarm.kind.value in ALARMS_OF_EXIT_3 for alarm in account.alarms)


def _backup_summary(states: "Sequence[BackupState]", now: datetime) -> str:
    """The newest good backup of all folders in a sentence. Empty if there is none."""
    ages = [(age, state) for state in states if (age := state.age(now)) is not None]
    if not ages:
        return ""
    age, newest = min(ages)
    path = f"{newest.folder}/{newest.file}"
    return f"newest backup: {_ago(age // timedelta(seconds=1))} old, {path} on {newest.machine}"


def _as_table_row(record: Record, account: "AccountStatus") -> Record:
    age_s = record["age_s"]
    return {
        **record,
        "read_until": record["last_proven"],
        "age": None if age_s is None else _ago(int(str(age_s))),
        "rejected_rows": record["quarantined"],
        "to_review": record["findings"],
        "needs_attention": "; ".join(alarm.reason for alarm in account.alarms) or None,
    }


def _ago(seconds: int) -> str:
    for unit_s, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds // unit_s} {name}"
    return f"{seconds} s"


def _is_wrong(record: Record, oldest_s: int | None) -> bool:
    if record["last_error"]:
        return True
    age_s = record["age_s"]
    return oldest_s is not None and bool(record["source"]) and (age_s is None or int(str(age_s)) > oldest_s)
