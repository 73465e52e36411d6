"""Metrics of a ledger for Prometheus: completeness, alarms, and the age of the newest backup.

They are read from the ledger at each request, so they are right before any sync has run, and equal in every process.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from liushui.errors import LiushuiError
from liushui.instant import from_us
from liushui.ledger.jobs.backups import list_backup_states
from liushui.ledger.jobs.notifications import State, count_states
from liushui.ledger.jobs.sources import last_runs
from liushui.ledger.read.model import Account, ReadModel
from liushui.ledger.read.status import AccountStatus, status_of
from liushui.sync.plan import Plan

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
"""The media type of the text of `ledger_metrics`."""

GAUGES: Final = {
    "flows": "Flows in the ledger.",
    "complete": "1 if everything up to the newest read or flow is in the ledger.",
    "open_gaps": "Ranges that should have been read and were not.",
    "balance_breaks": "Balances that do not follow from those before them, and are not explained.",
    "failed_checks": "Balances that differ from the stated ones, unless explained breaks account for it.",
    "rejected_rows": "Rows that could not be read.",
    "review_findings": "Flows to review that nobody has explained.",
    "proven_age_seconds": "Age of the last instant up to which all is proven.",
    "read_age_seconds": "Age of the end of the newest complete read.",
    "retention_left_seconds": "Until a provider forgets something that is not proven.",
    "last_sync_timestamp_seconds": "When the last sync began.",
    "last_sync_failed": "1 if the last sync failed.",
}
"""The gauges of each account."""

BACKUP_GAUGES: Final = {
    "backup_age_seconds": "Age of the newest good backup in a folder.",
    "backup_size_bytes": "Size of the newest good backup in a folder.",
    "backup_failed": "1 if the last backup failed.",
    "backup_overdue": "1 if a scheduled backup is missing.",
}
"""The gauges of each folder of backups."""


class LedgerCollector(Collector):
    """Collects the metrics of some accounts; of all accounts and of the backups if `names` is None.

    If a ledger cannot be read, the only metric is `liushui_ledger_readable 0`.
    """

    def __init__(self, model: ReadModel, names: Sequence[str] | None = None) -> None:
        self._model, self._names = model, names

    def describe(self) -> list[Metric]:
        """Return nothing: otherwise the registry would collect all metrics only to learn their names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return every metric with its current value."""
        readable = GaugeMetricFamily("liushui_ledger_readable", "1 if the ledger could be read.")
        try:
            metrics = self._of_accounts()
            if self._names is None:
                metrics += [*self._of_backups(), self._of_notifications()]
        except LiushuiError:
            metrics = []
        readable.add_metric([], bool(metrics))
        yield readable
        yield from metrics

    def _of_accounts(self) -> list[Metric]:
        gauges = {name: GaugeMetricFamily(f"liushui_{name}", text, labels=["account"]) for name, text in GAUGES.items()}
        attention = GaugeMetricFamily(
            "liushui_alarms", "What needs attention, by kind.", labels=["account", "kind", "severity"]
        )
        if self._names is None or self._names:
            runs = last_runs(self._model.ledger)
            with self._model.reading(self._names or (), with_runs=True) as reading:
                for name, account in reading.accounts.items():
                    status, run = status_of(reading, account, self._model.rules), runs.get(name)
                    for gauge, value in _values(status, account, self._left_s(account, reading.now), reading.now):
                        gauges[gauge].add_metric([name], value)
                    if run is not None:
                        gauges["last_sync_timestamp_seconds"].add_metric([name], run.started_at.timestamp())
                        gauges["last_sync_failed"].add_metric([name], bool(run.error))
                    kinds = Counter((alarm.kind.value, alarm.severity.value) for alarm in status.alarms)
                    for kind, count in sorted(kinds.items()):
                        attention.add_metric([name, *kind], count)
        return [*gauges.values(), attention]

    def _left_s(self, account: Account, now: datetime) -> int | None:
        """Return the seconds until the provider deletes rows of an unproven range. None: it never does, or everything
        is proven."""
        snapshot, rules = account.snapshot, self._model.rules.get(account.snapshot.provider)
        if rules is None or snapshot.since is None:
            return None
        left = Plan(rules, list(snapshot.ranges), since=snapshot.since, now=now).retention_left()
        return None if left is None else round(left.total_seconds())

    def _of_backups(self) -> list[Metric]:
        labels = ["folder", "machine"]
        gauges = {
            name: GaugeMetricFamily(f"liushui_{name}", text, labels=labels) for name, text in BACKUP_GAUGES.items()
        }
        now = self._model.ledger.clock()
        for state in list_backup_states(self._model.ledger):
            place = [state.folder, state.machine]
            age = state.age(now)
            if age is not None:
                gauges["backup_age_seconds"].add_metric(place, age.total_seconds())
                gauges["backup_size_bytes"].add_metric(place, state.size)
            gauges["backup_failed"].add_metric(place, bool(state.error))
            gauges["backup_overdue"].add_metric(place, state.is_old(now))
        return list(gauges.values())

    def _of_notifications(self) -> Metric:
        gauge = GaugeMetricFamily(
            "liushui_notifications", "Messages of each rule, by what became of them.", labels=["rule", "state"]
        )
        for rule, counts in sorted(count_states(self._model.ledger).items()):
            for state in State:
                gauge.add_metric([rule, state.value], counts.get(state, 0))
        return gauge


def _values(
    status: AccountStatus, account: Account, retention_left_s: int | None, now: datetime
) -> Iterator[tuple[str, int]]:
    """Return the values of an account's gauges, without those of its last sync."""
    yield from (
        ("flows", status.flows),
        ("complete", status.verdict.is_complete),
        ("open_gaps", status.gaps),
        ("balance_breaks", status.breaks),
        ("failed_checks", status.failed_checks),
        ("rejected_rows", status.quarantined),
        ("review_findings", status.findings),
    )
    if status.proven_until is not None:
        yield "proven_age_seconds", round((now - status.proven_until).total_seconds())
    if account.completeness.read_until_us is not None:
        yield "read_age_seconds", round((now - from_us(account.completeness.read_until_us)).total_seconds())
    if retention_left_s is not None:
        yield "retention_left_seconds", retention_left_s


def ledger_metrics(model: ReadModel, names: Sequence[str] | None = None) -> bytes:
    """Return the metrics in the format of Prometheus: of some accounts, or of the whole ledger if `names` is None."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(model, names))
    return generate_latest(registry)
