"""The steps of `liushui demo`: a simulator in a process of its own, a sync of every account, and a server."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from itertools import chain, count
from pathlib import Path
from typing import Final, NoReturn
from zoneinfo import ZoneInfo

import msgspec
from rich.markup import escape

from liushui.cli.balances import BALANCE_TABLE_COLUMNS, balance_row
from liushui.cli.coverage import status_row
from liushui.cli.options import Format, default_ledger
from liushui.cli.output import emit, messages
from liushui.cli.run_sync import print_results, run_sync
from liushui.cli.serve import PORT, listening_address, page_link, sync_command
from liushui.errors import ConfigError, LiushuiError, SyncError
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import Source
from liushui.ledger.read.balances import read_balances
from liushui.ledger.read.finding_decisions import FindingState
from liushui.ledger.read.finding_lists import list_findings
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.status import read_statuses
from liushui.ledger.write.finding_decisions import IDS_MAX, explain_findings
from liushui.provider import Provider
from liushui.providers import ProviderRules, get_provider
from liushui.rules import DayDocument, Paging, Rules
from liushui.server.run import Address, serve_ledger
from liushui.services.access import check_exposure
from liushui.services.sources import add_source
from liushui.simulate.serve import SimulatorInfo
from liushui.sync.options import Options
from liushui.temporary_folder import temporary_folder

DOCUMENTS_KEPT: Final = timedelta(days=18)
"""How far back the demonstration reads daily documents, which a sync reads one after another."""


def run_demo(
    ledger_url: str | None,
    host: str,
    port: int | None,
    *,
    workers: int,
    accounts: int,
    flows: int,
    seed: int,
    is_kept: bool,
) -> None:
    """Run the whole demonstration until a signal ends it, in the ledger at `ledger_url`.

    Without one the ledger is temporary and deleted at the end; with `is_kept` it is a new file in the data folder.
    Raises SyncError if an account cannot be synced, and ConfigError.
    """
    with temporary_folder("demo") as folder:
        if ledger_url is None and is_kept:
            ledger_url = str(_new_demo_file())
        url = ledger_url or str(folder / "ledger.db")
        ledger = open_ledger(url, create=True)
        check_exposure(ledger, Address(host, PORT, PORT).url)
        name = escape(ledger.name)
        if ledger_url is None:
            messages.print(f"The ledger is temporary, {name}: it is deleted when you press Ctrl-C. --keep keeps one.")
        else:
            messages.print(f"The ledger is {name}: it stays when you press Ctrl-C.")
            messages.print(f"Afterwards: liushui --ledger {escape(shlex.quote(ledger.name))} serve")
        messages.print("The page usually opens in half a minute: the sync keeps to the providers' rate limits.\n")
        with _simulator(accounts=accounts, flows=flows, seed=seed) as simulator:
            messages.print(f"1. simulating {len(simulator.accounts)} accounts at {simulator.base_url}")
            for account in simulator.accounts:
                messages.print(f"     {account.name} at {get_provider(account.provider).title}")
            _add_sources(ledger, simulator)
            messages.print("2. syncing them over HTTP, within the providers' documented rate limits")
            results = run_sync(ledger, [account.name for account in simulator.accounts], Options())
            print_results(results, Format.TABLE)
            for result in results:
                if result.error:
                    raise SyncError(f"{result.account}: {result.error}")
            _explain_findings(ledger)
            _print_ledger(ledger)
            _serve(ledger, url, simulator, _demo_address(host, port), workers)


def _new_demo_file() -> Path:
    """Return the path of a new file beside the default ledger. Ledgers of earlier demos are not changed."""
    folder = default_ledger().parent
    names = chain(["demo.db"], (f"demo-{number}.db" for number in count(2)))
    return next(path for path in map(folder.joinpath, names) if not path.exists())


def _add_sources(ledger: Ledger, simulator: SimulatorInfo) -> None:
    for account in simulator.accounts:
        provider = get_provider(account.provider)
        source = Source(
            account=account.name,
            provider=provider.name,
            zone=provider.rules.zone,
            base_url=simulator.base_url,
            credentials=account.credentials,
            since=_first_kept(provider.rules, ledger.clock()),
            paced=True,
        )
        add_source(ledger, source)


def _first_kept(rules: Rules[Paging], now: datetime) -> datetime:
    """Return where a source begins: with the provider's history, or with the first day that it will keep for some time.

    Otherwise a new ledger would for ever lack days that nobody can read any more.
    """
    kept, _ = rules.provable(now)
    if isinstance(rules.paging, DayDocument):  # read one by one within the rate, months of days would take minutes
        kept = max(kept, now - DOCUMENTS_KEPT)
    if kept <= rules.history_start:
        return rules.history_start
    zone = ZoneInfo(rules.zone)
    return datetime.combine(kept.astimezone(zone).date() + timedelta(days=2), time(), zone)


def _explain_findings(ledger: Ledger) -> None:
    """Explain what the simulator does on purpose, so that a new ledger needs no attention."""
    model = ReadModel(ledger, ProviderRules())
    ids = [finding.id for finding in list_findings(model, states=(FindingState.OPEN,))]
    for begin in range(0, len(ids), IDS_MAX):
        reason = "the simulator makes such rows on purpose, because real services have them"
        explain_findings(model, ids[begin : begin + IDS_MAX], by="liushui demo", reason=reason)
    if ids:
        messages.print(f"{len(ids):,} flows to review are simulated on purpose, and explained")


def _print_ledger(ledger: Ledger) -> None:
    messages.print("3. what the ledger holds, and how much of it is complete")
    model = ReadModel(ledger, ProviderRules())
    emit(map(balance_row, read_balances(model).rows), BALANCE_TABLE_COLUMNS, Format.TABLE, title="Balances")
    columns = ("account", "provider", "flows", "gaps", "complete", "reason")
    emit(map(status_row, read_statuses(model)), columns, Format.TABLE, title="Completeness")


def _serve(ledger: Ledger, url: str, simulator: SimulatorInfo, address: Address, workers: int) -> None:
    first = simulator.accounts[0]
    provider = get_provider(first.provider)
    credentials = create_key(ledger, provider, [first.name])
    link = page_link(ledger, address)
    ledger.close()

    def started() -> None:
        messages.print(f"4. serving at [bold]{address.url}[/], WebSocket at {address.socket_url}")
        messages.print(f"   a key for {first.name}, for {provider.title}'s own API:")
        for name, value in credentials.items():
            messages.print(f"     {name} = {value}")
        messages.print("   read it with the official SDK (pip install longbridge):\n")
        sys.stdout.write(snippet(provider, credentials, address) + "\n")
        sys.stdout.flush()
        messages.print("Ctrl-C ends all of it. The web page; the link works once, in one browser:")
        messages.print(f"[bold]{link}[/]")

    syncing = sync_command(url, scheduled=True, quiet=True)
    serve_ledger(url, address, workers=workers, started=started, warn=messages.warn, beside=[syncing])


def snippet(provider: Provider, credentials: dict[str, str], address: Address) -> str:
    """Python that reads the ledger with the provider's official client, ready to paste."""
    return provider.snippet.format(base_url=address.url, socket_url=address.socket_url, **credentials)


@contextmanager
def _simulator(*, accounts: int, flows: int, seed: int) -> Iterator[SimulatorInfo]:
    """Run `liushui simulate` in a child process that ends with the context. Raises LiushuiError if it does not
    start."""
    command = [sys.executable, "-m", "liushui", "simulate", "--format", "json", "--live", "--port", "0"]
    command += ["--socket-port", "0", "--accounts", str(accounts), "--flows", str(flows), "--seed", str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    # SIGTERM would end this process without running the `finally` below, and leave the simulator running.
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise LiushuiError("the simulator did not start")
        yield msgspec.json.decode(line, type=SimulatorInfo)
    finally:
        signal.signal(signal.SIGTERM, previous)
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _demo_address(host: str, port: int | None) -> Address:
    if port is not None:
        return listening_address(host, port, None)
    try:
        return listening_address(host, PORT, None)
    except ConfigError:  # another server, or another demo, has the port
        return listening_address(host, 0, None)
