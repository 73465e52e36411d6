"""`liushui sync --watch` as a service runs it, and several syncs of one ledger at once."""

import io
import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from rich.console import Console

from liushui.cli import progress
from liushui.cli.output import messages
from liushui.sync.events import CallDelayed, SyncAdvanced, SyncEnded, SyncResult, SyncStarted, SyncStatus
from tests.cli.commands import Done, result, run, simulator, start

FLOWS = 300


class Watched(NamedTuple):
    """A ledger with a source, and the simulator behind it."""

    ledger: Path


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    ledger = tmp_path / "ledger.db"
    words = ("--accounts", "1", "--flows", str(FLOWS), "--provider", "longbridge", "--no-rate-limit")
    with simulator(tmp_path, *words) as simulated:
        add = ("source", "add", "longbridge", "mine", "--base-url", simulated["base_url"], "--since", "2020-12-01")
        done = run(ledger, *add, "--unpaced", "--credentials", str(tmp_path / "trader-1.json"))
        assert done.returncode == 0, done.stderr
        yield Watched(ledger)


@pytest.mark.parametrize(("ending", "codes"), [(signal.SIGTERM, {0}), (signal.SIGINT, {130, -signal.SIGINT})])
def test_a_watch_syncs_again_and_ends_when_it_is_told_to(
    watched: Watched, ending: signal.Signals, codes: set[int]
) -> None:
    words = ("sync", "--watch", "--every", "1", "--format", "jsonl", "--log-format", "json", "--metrics-port", "0")
    process = start(watched.ledger, *words)
    assert process.stdout is not None
    assert process.stderr is not None
    place = process.stderr.readline()
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    assert (first["status"], first["added"]) == ("done", FLOWS)
    assert (second["status"], second["added"]) == ("done", 0)
    metrics = httpx2.get(place.split()[-1]).text
    assert f'liushui_rows_total{{account="mine"}} {FLOWS}.0' in metrics
    assert 'liushui_runs_total{account="mine",status="done"}' in metrics
    process.send_signal(ending)
    _, said = process.communicate(timeout=30)
    assert process.returncode in codes
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert {"slice", "end", "due"} <= {line["event"] for line in lines}
    credentials = json.loads((watched.ledger.parent / "trader-1.json").read_text())
    for name in ("app_secret", "access_token", "app_key"):
        assert credentials[name] not in said + metrics
    assert leases(watched.ledger) == 0


def test_a_watch_without_a_terminal_says_what_it_does(watched: Watched) -> None:
    process = start(watched.ledger, "sync", "--watch")
    assert process.stderr is not None
    lines = [process.stderr.readline()]
    while "event=due" not in lines[-1]:
        lines.append(process.stderr.readline())
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "mine" in printed
    assert any("event=slice account=mine" in line for line in lines)


def test_an_account_that_another_process_syncs_is_skipped(watched: Watched) -> None:
    slow = start(watched.ledger, "sync", "--page-size", "1")
    try:
        wait_for_lease(watched.ledger)
        done = run(watched.ledger, "sync", "--format", "json")
        (record,) = json.loads(done.stdout)
        assert (done.returncode, record["status"], record["slices"]) == (3, "busy", 0)
        assert "mine: skipped:" in done.stderr
    finally:
        slow.kill()
        slow.communicate(timeout=30)
    assert leases(watched.ledger) == 1
    (record,) = result(watched.ledger, "sync")
    assert record["status"] == "done", "who is dead holds nothing"
    assert sum(balance["flows"] for balance in result(watched.ledger, "balances")) == FLOWS


def test_metrics_are_for_a_watch(watched: Watched) -> None:
    done: Done = run(watched.ledger, "sync", "--metrics-port", "0")
    assert done.returncode == 2
    assert "metrics-port: expected with --watch only" in done.stderr


def test_bars_show_every_source_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, their rate, the slices and the time that are left; and why nothing moves."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, color_system=None)
    monkeypatch.setattr(messages, "console", console)
    second = timedelta(seconds=1)
    with progress.sync_bars() as bars:
        for account in ("first", "second"):
            bars(SyncStarted(account, 100 * second))
        bars(SyncAdvanced("first", 40 * second, 1_234, 7))
        bars(CallDelayed("second", 9 * second, "rate"))
        bars._bars.refresh()  # else a timer draws them
        bars(SyncEnded("first", SyncResult("first", rows_in=4_321)))
        bars(SyncEnded("second", SyncResult("second", status=SyncStatus.CREDENTIALS)))
        bars._bars.refresh()  # else a timer draws them
        bars(SyncStarted("second", 100 * second))
    shown = screen.getvalue()
    for said in ("1,234 rows", "/s", "7 slices left", "keeps the rate: 9 s", "4,321 rows", "done", "credentials"):
        assert said in shown
    last = [line for line in shown.splitlines() if "second" in line][-1]
    assert "credentials" not in last, "it has begun again"


def test_no_bars_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(messages, "console", Console(file=screen))
    with progress.sync_bars() as bars:
        bars(SyncStarted("first", timedelta(seconds=1)))
    assert screen.getvalue().strip() == ""


def leases(ledger: Path) -> int:
    with closing(sqlite3.connect(ledger)) as database:
        (count,) = database.execute("SELECT count(*) FROM leases").fetchone()
    return int(count)


def wait_for_lease(ledger: Path) -> None:
    for _ in range(3_000):
        if leases(ledger):
            return
        time.sleep(0.01)
    raise AssertionError("nobody took a lease in half a minute")
