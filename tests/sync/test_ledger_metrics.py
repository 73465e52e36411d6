"""Metrics of a ledger: they always agree with `status`, and cover only accounts that the caller sees."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.backups import record_backup, record_failed_backup
from liushui.ledger.jobs.notifications import Channel, Rule, add_rule, claim_notifications, record_alarms, settle
from liushui.ledger.jobs.sources import Run, add_source, record_run
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.status import Alarm, AlarmKind, Severity, read_statuses
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import Slice
from liushui.providers import ProviderRules
from liushui.sync.ledger_metrics import BACKUP_GAUGES, CONTENT_TYPE, GAUGES, LedgerCollector, ledger_metrics
from liushui.sync.sync_observers import Metrics
from liushui.testing.clock import MovableClock
from liushui.testing.empty_ledger import create_ledger
from tests.api.callers import open_api
from tests.engines import LedgerStore
from tests.ledger.conftest import ledger_store  # noqa: F401 - a fixture
from tests.ledger.ledgers import make_row, rejected_row

NOW: Final = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:  # noqa: F811
    """A source that is five days behind after a gap, a shop whose balances break, and an account without a source."""
    ledger = create_ledger(ledger_store.fresh(), clock=MovableClock(NOW))
    for name, provider in (("a", "longbridge"), ("shop", "wecom"), ("file", "longbridge")):
        make_account(ledger, name, provider, "UTC")
    for name in ("a", "shop"):
        add_source(ledger, account=name, base_url="https://p.test", credentials={}, since=NOW - 9 * DAY, paced=True)
    commit_slice(
        ledger, "a", Slice(NOW - 9 * DAY, NOW - 8 * DAY), read_at=NOW, received=[make_row("one", NOW - 8.5 * DAY)]
    )
    commit_slice(ledger, "a", Slice(NOW - 6 * DAY, NOW - 5 * DAY), read_at=NOW, received=[])
    rows = [
        make_row(str(number), NOW - 3 * DAY + number * HOUR, "1.00", balance=balance, currency="CNY")
        for number, balance in enumerate(["1.00", "2.00", "9.00"])
    ]
    commit_slice(ledger, "shop", Slice(NOW - 9 * DAY, NOW - HOUR), read_at=NOW, received=rows)
    record_run(ledger, Run("a", NOW - 2 * HOUR, NOW - HOUR, 1, 1, 1, 1, "HTTP 500"))
    yield ledger
    ledger.close()


def samples(text: bytes) -> Samples:
    """Every sample, by name and the values of its labels."""
    return {
        (sample.name.removeprefix("liushui_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def model_of(ledger: Ledger) -> ReadModel:
    return ReadModel(ledger, ProviderRules())


def test_metrics_say_what_status_says(ledger: Ledger) -> None:
    found = samples(ledger_metrics(model_of(ledger)))
    statuses = {status.account: status for status in read_statuses(model_of(ledger))}
    for name, status in statuses.items():
        assert found["flows", name] == status.flows
        assert found["complete", name] == status.verdict.is_complete
        assert found["open_gaps", name] == status.gaps
        assert found["balance_breaks", name] == status.breaks
        assert found["failed_checks", name] == status.failed_checks
        assert found["rejected_rows", name] == status.quarantined
        assert {key[2:]: value for key, value in found.items() if key[:2] == ("alarms", name)} == {
            (alarm.kind.value, alarm.severity.value): 1 for alarm in status.alarms
        }
    assert found["open_gaps", "a"] >= 1
    assert found["balance_breaks", "shop"] == 1
    assert found["alarms", "a", "stale", "bad"] == 1
    assert found["alarms", "shop", "break", "bad"] == 1
    assert found["read_age_seconds", "a"] == 5 * 86400
    assert found["proven_age_seconds", "a"] == 8 * 86400
    assert found["last_sync_timestamp_seconds", "a"] == (NOW - 2 * HOUR).timestamp()
    assert found["last_sync_failed", "a"] == 1
    assert ("read_age_seconds", "file") not in found
    assert found["ledger_readable",] == 1


def test_retention_that_runs_out(ledger: Ledger) -> None:
    """Of a gap it is known until when the provider keeps its rows."""
    name = next(name for name, rules in ProviderRules().items() if rules.retention is not None)
    make_account(ledger, "kept", name, "UTC")
    add_source(ledger, account="kept", base_url="https://p.test", credentials={}, since=NOW - 9 * DAY, paced=True)
    before = samples(ledger_metrics(model_of(ledger)))["retention_left_seconds", "kept"]
    assert before > 0
    later = model_of(ledger.with_clock(MovableClock(NOW + DAY)))
    assert samples(ledger_metrics(later))["retention_left_seconds", "kept"] == before - 86400
    commit_slice(ledger, "kept", Slice(NOW - 9 * DAY, NOW + DAY), read_at=NOW, received=[])
    assert ("retention_left_seconds", "kept") not in samples(ledger_metrics(model_of(ledger)))


def test_rejected_rows_are_counted(ledger: Ledger) -> None:
    commit_slice(ledger, "a", Slice(NOW - 5 * DAY, NOW - HOUR), read_at=NOW, received=[], rejected=[rejected_row("{}")])
    assert samples(ledger_metrics(model_of(ledger)))["rejected_rows", "a"] == 1


def test_the_age_of_backups(ledger: Ledger) -> None:
    assert not [key for key in samples(ledger_metrics(model_of(ledger))) if key[0].startswith("backup")]
    record_backup(ledger, "/good", file="x.db", saved_at=NOW - HOUR, size=5_000, every=HOUR)
    record_backup(ledger, "/old", file="x.db", saved_at=NOW - 3 * HOUR, size=1, every=HOUR)
    record_failed_backup(ledger, "/new", error="no space", every=HOUR)
    found = {key[:2]: value for key, value in samples(ledger_metrics(model_of(ledger))).items()}
    assert found["backup_age_seconds", "/good"] == 3600
    assert found["backup_size_bytes", "/good"] == 5_000
    assert [found["backup_overdue", folder] for folder in ("/good", "/old", "/new")] == [0, 1, 1]
    assert [found["backup_failed", folder] for folder in ("/good", "/old", "/new")] == [0, 0, 1]
    assert ("backup_age_seconds", "/new") not in found


def test_messages_that_were_given_up(ledger: Ledger) -> None:
    rule = Rule("ops", Channel.NTFY, "x", {"url": "x"}, frozenset({AlarmKind.STALE}), None, 0, NOW)
    add_rule(ledger, rule)
    record_alarms(ledger, [rule], [Alarm(Severity.BAD, AlarmKind.STALE, name) for name in ("a", "shop")])
    (one, _) = claim_notifications(ledger, 2)
    settle(ledger, one, "HTTP 410", wait=timedelta(0), is_final=True)
    found = samples(ledger_metrics(model_of(ledger)))
    assert [found["notifications", "ops", state] for state in ("pending", "sent", "dead")] == [1, 0, 1]


def test_a_ledger_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    ledger = create_ledger(str(tmp_path / "ledger.db"))
    model = model_of(ledger)
    assert samples(ledger_metrics(model))["ledger_readable",] == 1
    ledger.close()
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / "ledger.db").write_bytes(b"not a database")
    assert samples(ledger_metrics(model)) == {("ledger_readable",): 0}


def test_a_watch_serves_them_beside_its_own(ledger: Ledger) -> None:
    metrics = Metrics(ledger.clock, LedgerCollector(model_of(ledger)))
    assert metrics.registry.get_sample_value("liushui_proven_age_seconds", {"account": "a"}) == 8 * 86400
    assert metrics.registry.get_sample_value("liushui_ledger_readable") == 1


def test_the_api_shows_a_token_its_accounts_only(ledger: Ledger) -> None:
    record_backup(ledger, "/good", file="x.db", saved_at=NOW, size=1, every=HOUR)
    with open_api(ledger) as api:
        answer = api.caller().ask("GET", "/metrics")
        assert answer.headers["content-type"] == f"{CONTENT_TYPE}; charset=utf-8"
        everything = samples(answer.content)
        assert everything == samples(ledger_metrics(model_of(ledger)))
        assert any(key[0] == "backup_age_seconds" for key in everything)
        one = samples(api.caller("a").ask("GET", "/metrics").content)
        assert one == {key: value for key, value in everything.items() if key[1:2] in ((), ("a",))}


def test_every_metric_is_documented(ledger: Ledger) -> None:
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    metrics = Metrics(ledger.clock, LedgerCollector(model_of(ledger)))
    for name in (*GAUGES, *BACKUP_GAUGES, "alarms", "ledger_readable", "notifications"):
        assert f"| `liushui_{name}` |" in page
    for family in metrics.registry.collect():
        assert f"`{family.name}" in page, family.name
