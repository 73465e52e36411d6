"""The journey of a new user, and of a user who is interrupted on the way."""

import json
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from liushui.simulate.world import Parameters, World
from tests.cli.commands import result, run, simulator, start

FLOWS = 3_000
WORLD = World(Parameters(accounts=1, flows=FLOWS))
WORLD_WORDS = ("--accounts", "1", "--flows", str(FLOWS), "--provider", "longbridge", "--no-rate-limit")
TRUTH = Counter(
    (str(int(flow.at.timestamp())), format(flow.amount, "f"), flow.currency)
    for flow in WORLD.flows("trader-1", WORLD.parameters.begin, WORLD.parameters.end)
)


def held(ledger: Path) -> Counter[Any]:
    """What the ledger holds, in the form of TRUTH."""
    rows = run(ledger, "flows", "--format", "jsonl").stdout.splitlines()
    return Counter(
        (str(_seconds(flow["at"])), flow["amount"], flow["currency"]) for flow in (json.loads(row) for row in rows)
    )


def _seconds(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp())


def wait_for_batches(ledger: Path, more: int, process: subprocess.Popen[str]) -> None:
    """Return once a sync has committed so many slices more."""
    with closing(sqlite3.connect(ledger)) as database:
        (before,) = database.execute("SELECT count(*) FROM batches").fetchone()
        for _ in range(6_000):
            (now,) = database.execute("SELECT count(*) FROM batches").fetchone()
            if now >= before + more:
                return
            assert process.poll() is None, "the sync was done before it could be ended"
            time.sleep(0.01)  # so it returns at any place in the slice that comes after
    raise AssertionError(f"no {more} slices within a minute")


def add_source(folder: Path, ledger: Path, simulated: dict[str, Any]) -> None:
    words = ("source", "add", "longbridge", "mine", "--base-url", simulated["base_url"], "--since", "2020-12-01")
    done = run(ledger, *words, "--unpaced", "--credentials", str(folder / "trader-1.json"))
    assert done.returncode == 0, done.stderr


def test_from_source_to_balances(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    with simulator(tmp_path, *WORLD_WORDS) as simulated:
        add_source(tmp_path, ledger, simulated)
        assert result(ledger, "source", "test")[0]["works"] is True
        (synced,) = result(ledger, "sync")
        assert (synced["added"], synced["gaps"], synced["error"]) == (FLOWS, 0, None)
        (again,) = result(ledger, "sync", "--verify")
        assert (again["rows"], again["added"], again["withdrawn"]) == (FLOWS, 0, 0)
    assert held(ledger) == TRUTH

    (source,) = result(ledger, "source", "list")
    assert source["source"] == "mine"
    assert "app_secret" not in source["credentials"]
    by_currency = {balance["currency"]: balance for balance in result(ledger, "balances")}
    assert sum(balance["flows"] for balance in by_currency.values()) == FLOWS
    assert all(balance["proven"] and isinstance(balance["amount"], str) for balance in by_currency.values())
    net = Counter[str]()
    for total in result(ledger, "summary", "--by", "year"):
        net[total["currency"]] += total["flows"]
    assert net == {currency: balance["flows"] for currency, balance in by_currency.items()}
    (known,) = result(ledger, "coverage")
    assert known["state"] == "proven"
    (status,) = result(ledger, "status")
    assert (status["flows"], status["gaps"], status["source"]) == (FLOWS, 0, True)
    (verified,) = result(ledger, "verify")
    assert (verified["result"], verified["anchored"]) == ("intact", verified["batch"])

    credentials = result(ledger, "key", "create", "--dialect", "longbridge", "--account", "mine")
    assert set(credentials) == {"app_key", "app_secret", "access_token"}
    (key,) = result(ledger, "key", "list")
    assert (key["key"], key["accounts"]) == (credentials["app_key"], ["mine"])
    assert run(ledger, "key", "revoke", credentials["app_key"]).returncode == 0
    assert result(ledger, "key", "list")[0]["revoked_at"] is not None


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_every_format_of_every_view(tmp_path: Path, form: str) -> None:
    ledger = tmp_path / "ledger.db"
    file = tmp_path / "rows.json"
    row = {
        "transaction_flow_name": "現金股息", "direction": 2, "business_type": 1, "balance": "1.230", "currency": "USD",
        "business_time": "1621507957", "symbol": "AAPL.US", "description": 'a "quoted", note',
    }  # fmt: skip
    file.write_text(json.dumps([row]))
    assert run(ledger, "import", str(file), "--provider", "longbridge", "--account", "a").returncode == 0
    for view in ("flows", "balances", "summary", "coverage", "status", "verify"):
        for words in ([view, "--format", form], ["--format", form, view]):
            done = run(ledger, *words)
            # Sums of an account without a source are never complete.
            assert done.returncode == (3 if view in ("balances", "summary") else 0), done.stderr
            if form == "json":
                json.loads(done.stdout)
            elif form == "jsonl":
                assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())
            if view == "flows":
                assert "1.230" in done.stdout
                assert "2021-05-20T10:52:37Z" in done.stdout


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_sync_that_is_ended_again_and_again_loses_and_doubles_nothing(tmp_path: Path, ending: signal.Signals) -> None:
    ledger = tmp_path / "ledger.db"
    with simulator(tmp_path, *WORLD_WORDS) as simulated:
        add_source(tmp_path, ledger, simulated)
        for number in range(6):
            process = start(ledger, "sync", "--page-size", "10")
            wait_for_batches(ledger, 3 + 5 * number, process)
            process.send_signal(ending)
            _, said = process.communicate(timeout=30)
            assert "Traceback" not in said
            assert process.returncode in ((-signal.SIGKILL,) if ending is signal.SIGKILL else (130, -signal.SIGINT))
            assert held(ledger) < TRUTH
            assert run(ledger, "verify").returncode == 0
        assert run(ledger, "sync").returncode == 0
    assert held(ledger) == TRUTH
    assert run(ledger, "coverage").returncode == 0


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_says_what_it_serves_and_ends_with_all_it_started(tmp_path: Path, ending: signal.Signals) -> None:
    process = start(tmp_path / "ledger.db", "demo", "--accounts", "2", "--flows", "500", "--port", "0")
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if "Ctrl-C ends all of it" in line:
            break
    process.send_signal(ending)
    printed, rest = process.communicate(timeout=30)
    assert "Traceback" not in said + rest
    assert "Config.from_apikey(" in printed
    assert "trader-2" in printed
    first, second, *_ = said.splitlines()
    assert first.startswith("liushui demo:")
    assert "The ledger is temporary, /" in second
    assert "usually opens in half a minute" in said.partition("1. simulating")[0]
    assert "serving at http://127.0.0.1:" in said
    assert process.returncode in (0, 130, -signal.SIGINT)  # a shell shows the last as 130 too
    assert not list(Path("/proc").glob(f"[0-9]*/task/*/children/{process.pid}"))


@pytest.mark.parametrize("form", ["table", "csv"])
def test_the_simulator_prints_the_credentials_of_every_provider(tmp_path: Path, form: str) -> None:
    words = ("--accounts", "1", "--flows", "5", "--port", "0", "--socket-port", "0", "--format", form)
    process = start(tmp_path / "none.db", "simulate", *words)
    assert process.stderr is not None
    assert "simulating at http://127.0.0.1:" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    for name in ("app key" if form == "table" else "app_key", "corpid", "trader-1", "shop-1"):
        assert name in printed


@pytest.mark.parametrize(
    ("words", "grows"),
    [
        pytest.param((), True, id="default"),
        pytest.param(("--no-live",), False, id="no-live"),
        pytest.param(("--end", "2025-07-01"), False, id="end"),
        pytest.param(("--end", "2025-07-01", "--live"), True, id="end-live"),
    ],
)
def test_a_simulated_world_ends_only_where_that_is_asked_for(
    tmp_path: Path, words: tuple[str, ...], grows: bool
) -> None:
    chosen = ("--accounts", "1", "--provider", "okx", "--flows", "500", "--port", "0", "--socket-port", "0")
    process = start(tmp_path / "none.db", "simulate", *chosen, "--format", "json", *words)
    assert process.stdout is not None
    (account,) = json.loads(process.stdout.readline())["accounts"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert (account["flows"] > 500) == grows
    assert account["flows"] >= 500
