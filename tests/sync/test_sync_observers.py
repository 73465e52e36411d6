"""Log lines and metrics of a sync, without a secret in either."""

import io
import json
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from liushui.errors import ConfigError, RateLimited, Unavailable
from liushui.instant import to_iso
from liushui.ledger.engine import Ledger
from liushui.provider import Slice
from liushui.providers.longbridge import codec
from liushui.sync.events import CallDelayed, Event, NextSyncDue, SyncEnded, SyncResult, SyncStatus, notify_all
from liushui.sync.options import Options
from liushui.sync.sync_observers import METRICS_HOST, EventLog, LogFormat, Metrics
from liushui.testing.provider_client_double import ClientDouble
from tests.sync.rows import BEGIN, HORIZON, NOW, hourly, new_ledger
from tests.sync.running import World, clock_of

MIDDLE = BEGIN + timedelta(days=4)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


def events_of_a_sync(ledger: Ledger) -> list[Event]:
    """The events of a sync that waits once, fails in one slice, and commits the rest."""

    def fault(call: int, asked: Slice, _page: int) -> None:
        if call == 1:
            raise RateLimited("slow down", retry_after_s=5)
        if asked.since <= MIDDLE < asked.until:
            raise Unavailable("down")

    world = World(clock_of(ledger), {"a": ClientDouble(codec, hourly(10), fault=fault)})
    world.sync(ledger, options=Options(size=48, attempts=2))
    return world.events


def test_each_slice_gap_retry_and_wait_is_a_log_line(ledger: Ledger) -> None:
    events, stream = events_of_a_sync(ledger), io.StringIO()
    log = EventLog(LogFormat.JSON, stream, ledger.clock)
    for event in events:
        log(event)
    log(NextSyncDue("a", NOW))
    log(CallDelayed("a", timedelta(milliseconds=20), "rate"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {line["account"] for line in lines} == {"a"}
    by_event: dict[str, list[dict[str, object]]] = {}
    for line in lines:
        by_event.setdefault(line["event"], []).append(line)
    (gap,) = by_event["gap"]
    assert (gap["reason"], gap["level"]) == ("down", "warning")
    assert str(gap["since"]) <= to_iso(MIDDLE) < str(gap["until"])
    assert [line["wait_ms"] for line in by_event["wait"]] == [5000], "what is shorter than a second is no news"
    assert {line["reason"] for line in by_event["retry"]} == {"slow down", "down"}
    slices = by_event["slice"]
    assert slices[0]["since"] == "2024-01-01T00:00:00Z"
    assert sum(int(str(line["rows"])) for line in slices) < 240
    assert all({"rows", "since", "until", "ms"} <= line.keys() for line in slices)
    (end,) = by_event["end"]
    assert (end["status"], end["gaps"]) == ("incomplete", 1)
    assert by_event["due"][0]["next"] == "2024-01-11T12:00:00.500000Z"


def test_an_event_in_text_is_one_line(ledger: Ledger) -> None:
    stream = io.StringIO()
    EventLog(LogFormat.TEXT, stream, ledger.clock)(
        SyncEnded("a", SyncResult("a", status=SyncStatus.FAILED, error="first line\nsecond line"))
    )
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().startswith("at=2024-01-11T12:00:00.500000Z event=end account=a ")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"liushui_{name}", {"account": "a", **labels})


def test_metrics_count_what_happened(ledger: Ledger) -> None:
    metrics = Metrics(ledger.clock)
    events = events_of_a_sync(ledger)
    for event in events:
        metrics(event)
    (result,) = [event.result for event in events if isinstance(event, SyncEnded)]
    assert value(metrics, "rows_total") == result.rows_in
    assert value(metrics, "slices_total") == result.slices
    assert value(metrics, "gaps_total") == 1
    assert value(metrics, "retries_total") == 2
    assert value(metrics, "waits_total", reason="blocked") == 1
    assert value(metrics, "waited_seconds_total", reason="blocked") == 5
    assert value(metrics, "runs_total", status="incomplete") == 1
    assert value(metrics, "retention_left_seconds") is None


def test_the_age_of_the_proof_grows(ledger: Ledger) -> None:
    metrics = Metrics(ledger.clock)
    metrics(SyncEnded("a", SyncResult("a", proven_until=HORIZON, retention_left=timedelta(days=2))))
    assert value(metrics, "proven_age_seconds") == (NOW - HORIZON).total_seconds()
    clock_of(ledger).move(timedelta(hours=1))
    assert value(metrics, "proven_age_seconds") == (NOW - HORIZON).total_seconds() + 3600
    assert value(metrics, "retention_left_seconds") == 2 * 86400
    metrics(NextSyncDue("a", NOW))
    assert value(metrics, "due_timestamp_seconds") == NOW.timestamp()
    metrics(SyncEnded("a", SyncResult("a", proven_until=HORIZON)))
    assert value(metrics, "retention_left_seconds") is None, "nothing is missing any more"


def test_metrics_are_served_on_loopback(ledger: Ledger) -> None:
    metrics = Metrics(ledger.clock)
    metrics(CallDelayed("a", timedelta(seconds=2), "rate"))
    port = metrics.serve(0)
    text = httpx2.get(f"http://{METRICS_HOST}:{port}/metrics").text
    assert 'liushui_waits_total{account="a",reason="rate"} 1.0' in text
    with pytest.raises(ConfigError, match=f"metrics-port: port {port} of"):
        Metrics(ledger.clock).serve(port)


def test_notify_all_notifies_every_observer(ledger: Ledger) -> None:
    first: list[Event] = []
    second: list[Event] = []
    notify_all([first.append, second.append])(NextSyncDue("a", NOW))
    assert first == second == [NextSyncDue("a", NOW)]
