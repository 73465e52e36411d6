"""What the syncs of a process did, as Prometheus metrics. Labels name accounts, statuses and reasons, and no secret."""

from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from liushui.errors import ConfigError
from liushui.instant import Clock
from liushui.sync.events import Due, Ended, Event, Failed, Kept, Retried, Waited

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
            case Kept(account, _, rows):
                self._rows.labels(account).inc(rows)
                self._slices.labels(account).inc()
            case Failed(account):
                self._gaps.labels(account).inc()
            case Retried(account):
                self._retries.labels(account).inc()
            case Waited(account, wait, reason):
                self._waits.labels(account, reason).inc()
                self._waited.labels(account, reason).inc(wait.total_seconds())
            case Ended(account, result):
                self._runs.labels(account, result.status.value).inc()
                if result.proven_until is not None:
                    self._keep_age(account, result.proven_until)
                if result.pressing is not None:
                    self._left.labels(account).set(result.pressing.total_seconds())
                else:
                    self._left.remove_by_labels({"account": account})
            case Due(account, at):
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
