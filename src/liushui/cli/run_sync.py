"""Running a sync from the command line: progress bars or logs, signals, and the table of results."""

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, NamedTuple

from liushui.cli.options import Format
from liushui.cli.output import emit, messages
from liushui.cli.progress import sync_bars
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import find_sources
from liushui.ledger.read.model import ReadModel
from liushui.providers import ProviderRules
from liushui.sync.events import Observer, SyncResult, SyncStatus, notify_all
from liushui.sync.options import Environment, Options
from liushui.sync.plan import INTERVAL_S
from liushui.sync.runner import sync_sources
from liushui.sync.scheduler import Scheduler
from liushui.sync.sync_observers import EventLog, LogFormat, ProgressWriter

RESULT_COLUMNS: Final = (
    *("source", "status", "slices", "rows", "added", "restated", "withdrawn", "quarantined", "gaps", "error"),
)


class WatchOptions(NamedTuple):
    """How sources are watched, and what is printed meanwhile."""

    every_s: float | None
    log_format: str | None
    metrics_port: int | None
    format: Format
    scheduled: bool
    """Whether a source is synced when it is due, and not only when the page or the API requests it."""


def run_sync(ledger: Ledger, names: list[str], options: Options, log_format: str = "none") -> list[SyncResult]:
    """Sync sources (without names: all) once, with progress bars or log lines. Raises ConfigError."""
    gc.freeze()  # imported modules stay: the collector need not examine them again
    with _observer(ledger, LogFormat(log_format)) as notify:
        return asyncio.run(sync_sources(ledger, find_sources(ledger, names), options, notify))


def run_watch(ledger: Ledger, names: list[str], options: Options, watch_options: WatchOptions) -> None:
    """Sync sources whenever they are due or a sync is requested, until SIGTERM (returns) or SIGINT (raises
    KeyboardInterrupt)."""
    from liushui.notify.notifier import Notifier
    from liushui.sync import sync_observers  # metrics are imported only by watches, which serve them
    from liushui.sync.ledger_metrics import LedgerCollector

    gc.freeze()  # imported modules stay: the collector need not examine them again
    default = LogFormat.NONE if messages.is_terminal else LogFormat.TEXT
    metrics = sync_observers.Metrics(ledger.clock, LedgerCollector(ReadModel(ledger, ProviderRules())))
    log_format = LogFormat(watch_options.log_format or default)
    # First in, last out: the last events of a sync still wake it.
    with (
        Notifier(ledger, messages.warn) as notifier,
        _observer(ledger, log_format, metrics, notifier.observe) as notify,
    ):
        if watch_options.metrics_port is not None:
            port = metrics.serve(watch_options.metrics_port)
            messages.print(f"metrics at http://{sync_observers.METRICS_HOST}:{port}/metrics")
        watch = Scheduler(
            ledger,
            names,
            options,
            Environment(),
            every=timedelta(seconds=INTERVAL_S if watch_options.every_s is None else watch_options.every_s),
            notify=notify,
            on_result=lambda result: print_results([result], watch_options.format),
            scheduled=watch_options.scheduled,
            requests=True,
        )
        asyncio.run(_until_terminated(watch.run()))


async def _until_terminated(work: Coroutine[None, None, None]) -> None:
    """Run a coroutine; SIGTERM cancels it and then this returns normally."""
    task = asyncio.create_task(work)
    terminated = asyncio.Event()

    def end() -> None:
        terminated.set()
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        await task
    except asyncio.CancelledError:
        if not terminated.is_set():
            raise


@contextmanager
def _observer(ledger: Ledger, log_format: LogFormat, *others: Observer) -> Iterator[Observer]:
    """Return the observer of a sync's events: bars on a terminal, or logs, and the progress that the page shows."""
    logs = [] if log_format is LogFormat.NONE else [EventLog(log_format, sys.stderr, ledger.clock)]
    with sync_bars(shown=not logs) as bars, ProgressWriter(ledger) as progress:
        yield notify_all([bars, *logs, progress, *others])


def print_results(results: Sequence[SyncResult], form: Format) -> None:
    """Print a row for each source, and the reasons of its gaps as messages."""
    records = [
        vars(result)
        | {
            "source": result.account,
            "status": result.status.value,
            "rows": result.rows_in,
            "gaps": len(result.gaps),
            "error": result.error or None,
        }
        for result in results
    ]
    emit(records, RESULT_COLUMNS, form)
    for result in results:
        told = f"{result.error} {result.note}"
        for gap in result.gaps:
            if gap.partition(": ")[2] not in told:  # one line says it
                messages.warn(f"{result.account}: open gap {gap}")
        if result.note:
            skipped = "skipped: " if result.status is SyncStatus.BUSY else ""
            messages.warn(f"{result.account}: {skipped}{result.note}")
