"""What a sync does, as structured log lines: one a slice, gap, repeated call and longer wait."""

from collections.abc import MutableMapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from liushui.errors import ConfigError
from liushui.instant import Clock, to_iso
from liushui.sync.events import CallDelayed, CallRetried, Event, NextSyncDue, SliceCommitted, SliceFailed, SyncEnded

WAIT_MIN: Final = timedelta(seconds=1)
"""Shorter waits are the pace of a sync, and no news."""

_MILLISECOND = timedelta(milliseconds=1)


class LogFormat(StrEnum):
    """How lines are written."""

    NONE = "none"
    TEXT = "text"
    JSON = "json"


class EventLog:
    """Writes a line for each event that is worth one."""

    def __init__(self, form: LogFormat, stream: TextIO, clock: Clock) -> None:
        import structlog  # inside: most syncs show bars, and write no lines

        shown: structlog.typing.Processor = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if form is LogFormat.JSON
            else structlog.processors.LogfmtRenderer(key_order=["at", "event", "account"])
        )
        self._clock = clock
        self._logger = structlog.wrap_logger(structlog.PrintLogger(stream), processors=[self._stamp, shown])

    def __call__(self, event: Event) -> None:
        match event:
            case SliceCommitted(account, asked, rows, committed, took):
                self._logger.info(
                    "slice",
                    account=account,
                    since=to_iso(asked.since),
                    until=to_iso(asked.until),
                    rows=rows,
                    **{name: count for name, count in committed._asdict().items() if name != "seq" and count},
                    ms=took // _MILLISECOND,
                )
            case SliceFailed(account, asked, reason, took):
                self._logger.warning(
                    "gap",
                    account=account,
                    since=to_iso(asked.since),
                    until=to_iso(asked.until),
                    reason=reason,
                    ms=took // _MILLISECOND,
                )
            case CallRetried(account, asked, reason, attempt, wait):
                self._logger.warning(
                    "retry",
                    account=account,
                    since=to_iso(asked.since),
                    until=to_iso(asked.until),
                    reason=reason,
                    attempt=attempt,
                    wait_ms=wait // _MILLISECOND,
                )
            case CallDelayed(account, wait, reason) if wait >= WAIT_MIN:
                self._logger.info("wait", account=account, reason=reason, wait_ms=wait // _MILLISECOND)
            case SyncEnded(account, result):
                said = result.error or result.note
                self._logger.info(
                    "end",
                    account=account,
                    status=result.status.value,
                    slices=result.slices,
                    rows=result.rows_in,
                    gaps=len(result.gaps),
                    **({"said": said} if said else {}),
                )
            case NextSyncDue(account, at):
                self._logger.info("due", account=account, next=to_iso(at))
            case _:
                pass

    def _stamp(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"at": to_iso(self._clock()), "level": method, **event}


HOST: Final = "127.0.0.1"
"""Account names are nobody else's business."""


class Metrics:
    """Counts events in a registry of its own."""

    def __init__(self, clock: Clock) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._rows = self._counter("rows", "Rows read from providers and committed.")
        self._slices = self._counter("slices", "Slices committed.")
        self._gaps = self._counter("gaps", "Slices that failed.")
        self._retries = self._counter("retries", "Calls that were made again.")
        self._waits = self._counter("waits", "Times that a call was held back.", "reason")
        self._waited = self._counter("waited_seconds", "How long calls were held back.", "reason")
        self._runs = self._counter("runs", "Syncs, by how they ended.", "status")
        self._age = self._gauge("proven_age_seconds", "Age of the last instant up to which all is proven.")
        self._left = self._gauge("retention_left_seconds", "Until a provider forgets something that is not proven.")
        self._due = self._gauge("due_timestamp_seconds", "When the next sync begins.")

    def serve(self, port: int) -> int:
        """Serve the metrics on loopback, from a thread that ends with the process. The port; 0 takes a free one.

        Raises ConfigError where the port is taken.
        """
        try:
            server, _ = start_http_server(port, addr=HOST, registry=self.registry)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"metrics-port: port {port} of {HOST} cannot be opened: {error}") from error
        return int(server.server_port)

    def __call__(self, event: Event) -> None:
        match event:
            case SliceCommitted(account, _, rows):
                self._rows.labels(account).inc(rows)
                self._slices.labels(account).inc()
            case SliceFailed(account):
                self._gaps.labels(account).inc()
            case CallRetried(account):
                self._retries.labels(account).inc()
            case CallDelayed(account, wait, reason):
                self._waits.labels(account, reason).inc()
                self._waited.labels(account, reason).inc(wait.total_seconds())
            case SyncEnded(account, result):
                self._runs.labels(account, result.status.value).inc()
                if result.proven_until is not None:
                    self._keep_age(account, result.proven_until)
                if result.pressing is not None:
                    self._left.labels(account).set(result.pressing.total_seconds())
                else:
                    self._left.remove_by_labels({"account": account})
            case NextSyncDue(account, at):
                self._due.labels(account).set(at.timestamp())
            case _:
                pass

    def _keep_age(self, account: str, proven_until: datetime) -> None:
        """The age goes on growing until more is proven, whenever it is looked at."""
        self._age.labels(account).set_function(lambda: (self._clock() - proven_until).total_seconds())

    def _counter(self, name: str, said: str, *labels: str) -> Counter:
        return Counter(f"liushui_{name}", said, ["account", *labels], registry=self.registry)

    def _gauge(self, name: str, said: str) -> Gauge:
        return Gauge(f"liushui_{name}", said, ["account"], registry=self.registry)
