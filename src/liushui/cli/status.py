"""liushui status: how far each account is proven, what went wrong last, what is next. For people, and for monitors."""

from datetime import datetime, timedelta
from typing import Annotated, Final

import typer

from liushui.cli import EXIT_INCOMPLETE
from liushui.cli.options import AccountsArgument, Format, FormatOption, LedgerOption, format_of, opened
from liushui.cli.output import Record, emit
from liushui.ledger.coverage import Range
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Run, Source, last_runs, list_sources
from liushui.ledger.read import balances
from liushui.ledger.read.balances import AccountStatus
from liushui.ledger.read.coverage_calendar import proven_until
from liushui.provider import Provider
from liushui.providers import load_providers
from liushui.sync.events import Status
from liushui.sync.plan import retention_left
from liushui.sync.scheduler import EVERY_S, Last, next_due

TABLE_COLUMNS: Final = (
    *("account", "provider", "proven_until", "age", "next_sync", "flows", "gaps", "quarantined", "findings"),
    "last_error",
)
COLUMNS: Final = (
    *AccountStatus._fields,
    *("source", "last_sync", "last_error", "last_proven", "age_s", "next_sync", "retention_left_s"),
)
"""For programs: every figure, times in full."""


def status(
    ctx: typer.Context,
    accounts: AccountsArgument = None,
    max_age: Annotated[
        int | None,
        typer.Option(
            "--max-age", metavar="HOURS", min=1, help="Exit with 3 where a source is proven no later than so long ago."
        ),
    ] = None,
    ledger: LedgerOption = None,
    form: FormatOption = None,
) -> None:
    """Print how far each account is proven, how its last sync went, and when the next is due.

    Exit code 3 where a gap is open, a row is in quarantine, or the last sync failed: for monitors.
    """
    book, shape = opened(ctx, ledger), format_of(ctx, form)
    records = [_record(book, account) for account in balances.statuses(book, tuple(accounts or ()))]
    if shape is Format.TABLE:
        emit(map(_shown, records), TABLE_COLUMNS, shape)
    else:
        emit(records, COLUMNS, shape)
    oldest_s = None if max_age is None else max_age * 3600
    if any(_is_wrong(record, oldest_s) for record in records):
        raise typer.Exit(EXIT_INCOMPLETE)


def _record(book: Ledger, account: AccountStatus) -> Record:
    run = last_runs(book).get(account.account)
    source = {source.account: source for source in list_sources(book)}.get(account.account)
    provider, now = load_providers().get(account.provider), book.clock()
    ranges = balances.ranges_of(book, account.account)
    last_proven = proven_until(ranges)
    return {
        **account._asdict(),
        "source": source is not None,
        "last_sync": run.started_at if run else None,
        "last_error": (run.error or None) if run else None,
        "last_proven": last_proven,
        "age_s": None if last_proven is None else (now - last_proven) // timedelta(seconds=1),
        "next_sync": _next_sync(source, provider, ranges, run, now) if source and provider else None,
        "retention_left_s": _retention_left_s(source, provider, ranges, now) if source and provider else None,
    }


def _next_sync(source: Source, provider: Provider, ranges: list[Range], run: Run | None, now: datetime) -> datetime:
    """When `sync --watch` would sync it next, as far as what is kept of its last sync tells."""
    last = None
    if run is not None and run.ended_at is not None:
        failed = bool(run.error or run.gaps)
        last = Last(run.ended_at, Status.INCOMPLETE if failed else Status.DONE, failures=int(failed))
    every = timedelta(seconds=EVERY_S)
    return max(now, next_due(provider.rules, ranges, last, since=source.since, every=every, now=now))


def _retention_left_s(source: Source, provider: Provider, ranges: list[Range], now: datetime) -> int | None:
    """Seconds until the provider forgets something that is not proven. None: it never does, or all of it is."""
    left = retention_left(provider.rules, ranges, since=source.since, now=now)
    return None if left is None else left // timedelta(seconds=1)


def _shown(record: Record) -> Record:
    """A record as people read it."""
    age_s = record["age_s"]
    return {**record, "proven_until": record["last_proven"], "age": None if age_s is None else _ago(int(str(age_s)))}


def _ago(seconds: int) -> str:
    for unit_s, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds // unit_s} {name}"
    return f"{seconds} s"


def _is_wrong(record: Record, oldest_s: int | None) -> bool:
    if record["gaps"] or record["quarantined"] or record["last_error"]:
        return True
    age_s = record["age_s"]
    return oldest_s is not None and bool(record["source"]) and (age_s is None or int(str(age_s)) > oldest_s)
