"""Observers of a sync: they turn its events into log lines, metrics, and the progress in the ledger."""

import threading
from collections.abc import MutableMapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TextIO

from liushui.errors import ConfigError, LiushuiError
from liushui.instant import Clock, to_iso
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.workers import RUNNING, Progress, new_holder, write_progress
from liushui.output_text import terminal_text
from liushui.provider import Slice
from liushui.sync import events
from liushui.sync.events import Event

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge

    from liushui.sync.ledger_metrics import LedgerCollector

WAIT_MIN: Final = timedelta(seconds=1)
"""Shorter waits are the normal pace of a sync and are not reported."""
METRICS_HOST: Final = "127.0.0.1"
"""Metrics contain names of accounts, so only this machine may read them."""
WRITE_INTERVAL_S: Final = 0.5
"""How often progress is written while something happens, in seconds."""
ALIVE_INTERVAL: Final = timedelta(seconds=15)
"""How often progress is written while nothing happens, because a silent sync counts as killed."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_SECOND: Final = timedelta(seconds=1)


# ---------------------------------------------------------------- log lines


class LogFormat(StrEnum):
    """How log lines are written."""

    NONE = "none"
    TEXT = "text"
    JSON = "json"


class EventLog:
    """Writes a line for each slice, gap, repeated call, longer wait, and end of a sync."""

    def __init__(self, form: LogFormat, stream: TextIO, clock: Clock) -> None:
        import structlog  # imported here, because most syncs show progress bars and write no lines

        renderer: structlog.typing.Processor = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if form is LogFormat.JSON
            else structlog.processors.LogfmtRenderer(key_order=["at", "event", "account"])
        )
        self._clock = clock
        self._logger = structlog.wrap_logger(structlog.PrintLogger(stream), processors=[self._stamp, renderer])

    def __call__(self, event: Event) -> None:
        match event:
            case events.SliceCommitted(account, slice_, rows, committed, took):
                changes = {name: count for name, count in committed._asdict().items() if name != "seq" and count}
                milliseconds = took // _MILLISECOND
                self._logger.info("slice", account=account, **_times(slice_), rows=rows, **changes, ms=milliseconds)
            case events.SliceFailed(account, slice_, reason, took):
                self._logger.warning("gap", account=account, **_times(slice_), reason=reason, ms=took // _MILLISECOND)
            case events.CallRetried(account, slice_, reason, attempt, wait):
                times, wait_ms = _times(slice_), wait // _MILLISECOND
                self._logger.warning("retry", account=account, **times, reason=reason, attempt=attempt, wait_ms=wait_ms)
            case events.CallDelayed(account, wait, reason) if wait >= WAIT_MIN:
                self._logger.info("wait", account=account, reason=reason, wait_ms=wait // _MILLISECOND)
            case events.SyncEnded(account, result):
                message = result.error or result.note
                self._logger.info(
                    "end",
                    account=account,
                    status=result.status.value,
                    slices=result.slices,
                    rows=result.rows_in,
                    gaps=len(result.gaps),
                    **({"said": message} if message else {}),
                )
            case events.NextSyncDue(account, at):
                self._logger.info("due", account=account, next=to_iso(at))
            case _:
                pass

    def _stamp(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        shown = {name: terminal_text(value) if isinstance(value, str) else value for name, value in event.items()}
        return {"at": to_iso(self._clock()), "level": method, **shown}


def _times(slice_: Slice) -> dict[str, str]:
    return {"since": to_iso(slice_.since), "until": to_iso(slice_.until)}


# ---------------------------------------------------------------- metrics


class Metrics:
    """Counts events in its own Prometheus registry.

    `ledger`: also collect the metrics of the ledger, among them the age of the proof and the remaining retention.
    Without it, these two come from the last sync.
    """

    def __init__(self, clock: Clock, ledger: "LedgerCollector | None" = None) -> None:
        from prometheus_client import CollectorRegistry  # imported here, because only watches have metrics

        self.registry = CollectorRegistry()
        self._clock = clock
        self._rows = self._counter("rows", "Rows read from providers and committed.")
        self._slices = self._counter("slices", "Slices committed.")
        self._gaps = self._counter("gaps", "Slices that failed.")
        self._retries = self._counter("retries", "Calls that were made again.")
        self._waits = self._counter("waits", "Times that a call was held back.", "reason")
        self._waited = self._counter("waited_seconds", "How long calls were held back.", "reason")
        self._runs = self._counter("runs", "Syncs, by how they ended.", "status")
        self._age = self._left = None
        if ledger is None:
            self._age = self._gauge("proven_age_seconds", "Age of the last instant up to which all is proven.")
            self._left = self._gauge("retention_left_seconds", "Until a provider forgets something that is not proven.")
        else:
            self.registry.register(ledger)
        self._due = self._gauge("due_timestamp_seconds", "When the next sync begins.")

    def serve(self, port: int) -> int:
        """Serve the metrics to this machine, from a thread that ends with the process.

        Returns the port; 0 takes a free one. Raises ConfigError if the port is taken.
        """
        from prometheus_client import start_http_server

        try:
            server, _ = start_http_server(port, addr=METRICS_HOST, registry=self.registry)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"metrics-port: port {port} of {METRICS_HOST} cannot be opened: {error}") from error
        return int(server.server_port)

    def __call__(self, event: Event) -> None:
        match event:
            case events.SliceCommitted(account, _, rows):
                self._rows.labels(account).inc(rows)
                self._slices.labels(account).inc()
            case events.SliceFailed(account):
                self._gaps.labels(account).inc()
            case events.CallRetried(account):
                self._retries.labels(account).inc()
            case events.CallDelayed(account, wait, reason):
                self._waits.labels(account, reason).inc()
                self._waited.labels(account, reason).inc(wait.total_seconds())
            case events.SyncEnded(account, result):
                self._runs.labels(account, result.status.value).inc()
                if self._age is None or self._left is None:
                    return
                if result.proven_until is not None:
                    self._set_age(self._age, account, result.proven_until)
                if result.retention_left is not None:
                    self._left.labels(account).set(result.retention_left.total_seconds())
                else:
                    self._left.remove_by_labels({"account": account})
            case events.NextSyncDue(account, at):
                self._due.labels(account).set(at.timestamp())
            case _:
                pass

    def _set_age(self, age: "Gauge", account: str, proven_until: datetime) -> None:
        # A function, because the age grows between two syncs and is computed at each request.
        age.labels(account).set_function(lambda: (self._clock() - proven_until).total_seconds())

    def _counter(self, name: str, help_: str, *labels: str) -> "Counter":
        from prometheus_client import Counter

        return Counter(f"liushui_{name}", help_, ["account", *labels], registry=self.registry)

    def _gauge(self, name: str, help_: str) -> "Gauge":
        from prometheus_client import Gauge

        return Gauge(f"liushui_{name}", help_, ["account"], registry=self.registry)


# ---------------------------------------------------------------- progress


class ProgressWriter:
    """Writes the progress of syncs to the ledger, so that every process can show it. Use it as a context: its end
    writes the rest.

    It writes in its own thread, so that no sync waits for it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._holder = new_holder()
        self._lock = threading.Lock()
        self._progress: dict[str, Progress] = {}
        self._unwritten: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> "ProgressWriter":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._write()

    def __call__(self, event: Event) -> None:
        now = self._ledger.clock()
        with self._lock:
            after = self._after(self._progress.get(event.account), event, now)
            if after is not None:
                self._progress[event.account] = after._replace(updated_at=now)
                self._unwritten.add(event.account)

    def _after(self, before: Progress | None, event: Event, now: datetime) -> Progress | None:
        """Return the progress after an event. None: the event changes nothing."""
        started = Progress(event.account, self._holder, now, now, None, RUNNING)
        before = before or started
        match event:
            case events.SyncStarted():
                return started
            case events.SyncAdvanced():
                return before._replace(slices_left=event.slices_left, message="")
            case events.SliceCommitted():
                committed = event.committed
                return before._replace(
                    slices=before.slices + 1,
                    rows_in=before.rows_in + event.rows,
                    added=before.added + committed.added,
                    restated=before.restated + committed.restated,
                    withdrawn=before.withdrawn + committed.withdrawn,
                    quarantined=before.quarantined + committed.quarantined,
                )
            case events.SliceFailed():
                return before._replace(gaps=before.gaps + 1, message=event.reason)
            case events.CallRetried():
                return before._replace(message=event.reason)
            case events.CallDelayed(_, wait, reason) if wait >= WAIT_MIN:
                return before._replace(message=f"waits {wait // _SECOND} s: {reason}")
            case events.SyncEnded():
                result = event.result
                return before._replace(
                    ended_at=now,
                    status=result.status.value,
                    slices_left=0,
                    gaps=len(result.gaps),
                    message=result.error or result.note or "; ".join(result.gaps[:1]),
                )
        return None

    def _run(self) -> None:
        while not self._stop.wait(WRITE_INTERVAL_S):
            self._write()

    def _write(self) -> None:
        """Write the changed progress, and the syncs that are running without a change. Data that cannot be written now
        is written the next time."""
        now = self._ledger.clock()
        with self._lock:
            for account, progress in self._progress.items():
                if progress.ended_at is None and now >= progress.updated_at + ALIVE_INTERVAL:
                    self._progress[account] = progress._replace(updated_at=now)
                    self._unwritten.add(account)
            due = [self._progress[account] for account in self._unwritten]
            self._unwritten.clear()
        if not due:
            return
        try:
            write_progress(self._ledger, due)
        except LiushuiError:
            with self._lock:
                self._unwritten.update(progress.account for progress in due)
