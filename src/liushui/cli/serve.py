"""liushui serve, liushui simulate, liushui demo: the ways out, and a world to try them on."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from liushui.cli.login import check_exposure
from liushui.cli.options import Format, FormatOption, LedgerOption, format_of, instant_of, ledger_url, opened
from liushui.cli.output import emit, messages
from liushui.cli.sync import print_results, run_sync
from liushui.errors import ConfigError, LiushuiError, SyncError
from liushui.instant import system_clock
from liushui.ledger.access.keys import create_key, list_keys
from liushui.ledger.access.logins import new_code
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read import balances as query
from liushui.ledger.write.commit import make_account
from liushui.provider import Provider
from liushui.providers import get_provider
from liushui.server.child_process import Command
from liushui.server.exposure import is_loopback, login_link
from liushui.server.run import Address, free_address, serve_ledger
from liushui.simulate.faults.profiles import PROFILES
from liushui.simulate.serve import AnnouncedAccount, Faults, Simulator, serve_world, simulated_accounts
from liushui.simulate.world import Parameters
from liushui.sync.runner import Options

PORT, SIMULATOR_PORT = 8700, 8800
WORKERS = 2

HostOption = Annotated[str, typer.Option("--host", help="The address to listen on.")]
SeedOption = Annotated[int, typer.Option("--seed", help="The same seed and providers give the same world.")]
AccountsOption = Annotated[
    int, typer.Option("--accounts", min=1, help="How many traders and shops there are, each at every provider for it.")
]
ProviderOption = Annotated[
    list[str] | None, typer.Option("--provider", metavar="NAME", help="Simulate this one; repeatable. (default: all)")
]
FlowsOption = Annotated[int, typer.Option("--flows", min=0, help="How many flows each account has had.")]
SocketPortOption = Annotated[
    int | None,
    typer.Option("--socket-port", min=0, max=65535, help="For the WebSocket of official clients. (default: port + 1)"),
]


def serve(
    ctx: typer.Context,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = PORT,
    socket_port: SocketPortOption = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that answer.")] = WORKERS,
    sync: Annotated[
        bool,
        typer.Option("--sync", help="Sync each source when something of it is due, too. (default: when asked to)"),
    ] = False,
    ledger: LedgerOption = None,
) -> None:
    """Serve the ledger through every provider's own wire API, and its own under /api/v1, until interrupted.

    A process beside it syncs what the page or the API asks for.
    """
    url = ledger_url(ctx, ledger)
    book = opened(ctx, ledger)
    keys = [key for key in list_keys(book) if key.revoked_at is None]
    address = _address(host, port, socket_port)
    check_exposure(book, address.url)
    link = login_link(address.url, new_code(book)) if is_loopback(address.url) else f"{address.url}/login"
    book.close()

    def started() -> None:
        messages.print(f"serving {escape(book.name)} at [bold]{address.url}[/], WebSocket at {address.socket_url}")
        if not keys:
            messages.print("no key yet: liushui key create --dialect longbridge --account ACCOUNT")
        messages.print(f"open [bold]{link}[/]")

    serve_ledger(url, address, workers=workers, started=started, beside=_syncing(url, scheduled=sync))


def _syncing(url: str, *, scheduled: bool, quiet: bool = False) -> Command:
    """The process that syncs beside a server. The ledger's URL may have a password in it: no argument names it."""
    words = [sys.executable, "-m", "liushui", "sync", "--watch" if scheduled else "--on-request", "--until-eof"]
    return Command([*words, "--log-format", "text"], {"LIUSHUI_LEDGER": url}, quiet)


def simulate(
    ctx: typer.Context,
    accounts: AccountsOption = 3,
    flows: FlowsOption = 10_000,
    seed: SeedOption = 1,
    provider: ProviderOption = None,
    begin: Annotated[str, typer.Option("--begin", metavar="DAY", help="The world's first day.")] = "2021-01-01",
    end: Annotated[str, typer.Option("--end", metavar="DAY", help="The day after its last.")] = "2026-01-01",
    live: Annotated[bool, typer.Option("--live", help="Go on after that day, at the same pace.")] = False,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = SIMULATOR_PORT,
    socket_port: SocketPortOption = None,
    rate_limit: Annotated[
        bool, typer.Option("--rate-limit/--no-rate-limit", help="Hold the documented rates against the keys.")
    ] = True,
    credentials_dir: Annotated[
        Path | None,
        typer.Option("--credentials-dir", metavar="DIR", help="Write each account's credentials to DIR/NAME.json."),
    ] = None,
    faults: Annotated[
        str | None, typer.Option("--faults", metavar="PROFILE", help=f"How they misbehave: {', '.join(PROFILES)}.")
    ] = None,
    fault_seed: Annotated[
        int, typer.Option("--fault-seed", help="The same seed and requests meet the same faults.")
    ] = 1,
    form: FormatOption = None,
) -> None:
    """Serve a seeded world of accounts through the providers' wire APIs, until interrupted.

    A trader has an account at each broker and futures exchange, a shop one at each provider for shops. The same seed
    and providers give the same world. Credentials are printed, or written where --credentials-dir says.

    With --faults, connections and answers fail, and rows come late, are restated, withdrawn or damaged. What a reader
    must have nevertheless is at /simulator/truth?account=NAME&at=INSTANT: a row a line.
    """
    parameters = _parameters(accounts, flows, seed, begin, end, live=live)
    names = provider or []
    address = _address(host, port, socket_port)
    simulated = [
        AnnouncedAccount(found.name, found.provider.name, found.flows, dict(found.credentials))
        for found in simulated_accounts(parameters, names)
    ]
    if credentials_dir is not None:
        _write_credentials(credentials_dir, simulated)
    shape = format_of(ctx, form)

    def started() -> None:
        if shape in (Format.JSON, Format.JSONL):
            sys.stdout.write(msgspec.json.encode(Simulator(address.url, address.socket_url, simulated)).decode() + "\n")
            sys.stdout.flush()
            return
        records = [_simulated_record(account, credentials_dir) for account in simulated]
        emit(records, list(records[0]), shape)
        messages.print(f"simulating at [bold]{address.url}[/], WebSocket at {address.socket_url}")

    how = None if faults is None else Faults(faults, fault_seed, system_clock())
    serve_world(parameters, address, names, rate_limit=rate_limit, faults=how, started=started)


def demo(
    ctx: typer.Context,
    accounts: AccountsOption = 1,
    flows: FlowsOption = 10_000,
    seed: SeedOption = 1,
    host: HostOption = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help=f"(default: {PORT}, a free one where it is taken)")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that answer.")] = WORKERS,
    ledger: LedgerOption = None,
) -> None:
    """Simulate the providers, sync every account, serve them: the whole journey, with nothing to configure.

    The ledger is a temporary one, gone at the end, unless --ledger names another. Ctrl-C ends all of it.
    """
    before = ctx.obj.ledger if ctx.obj else None
    with tempfile.TemporaryDirectory(prefix="liushui-demo-") as folder:
        url = ledger or before or str(Path(folder) / "ledger.db")
        with _simulator(accounts=accounts, flows=flows, seed=seed) as simulator:
            messages.print(f"1. simulating {len(simulator.accounts)} accounts at {simulator.base_url}")
            for account in simulator.accounts:
                messages.print(f"     {account.name} at {get_provider(account.provider).title}")
            book = open_ledger(url, create=True)
            check_exposure(book, Address(host, PORT, PORT).url)
            _add_sources(book, simulator)
            messages.print("2. syncing them over HTTP, at the providers' documented rates")
            results = run_sync(book, [account.name for account in simulator.accounts], Options())
            print_results(results, Format.TABLE)
            for result in results:
                if result.error:
                    raise SyncError(f"{result.account}: {result.error}")
            _show(book)
            _serve_demo(book, url, simulator, _demo_address(host, port), workers)


def _add_sources(book: Ledger, simulator: Simulator) -> None:
    for account in simulator.accounts:
        provider = get_provider(account.provider)
        make_account(book, account.name, provider.name, provider.rules.zone)
        add_source(
            book,
            account=account.name,
            base_url=simulator.base_url,
            credentials=account.credentials,
            since=provider.rules.history_start,
            paced=True,
        )


def _show(book: Ledger) -> None:
    messages.print("3. what the ledger holds, and what it has proven")
    emit((balance._asdict() for balance in query.balances(book)), query.Balance._fields, Format.TABLE, title="Balances")
    statuses = (status._asdict() for status in query.statuses(book))
    emit(statuses, query.AccountStatus._fields, Format.TABLE, title="Coverage")


def _serve_demo(book: Ledger, url: str, simulator: Simulator, address: Address, workers: int) -> None:
    first = simulator.accounts[0]
    provider = get_provider(first.provider)
    credentials = create_key(book, provider, [first.name])
    link = login_link(address.url, new_code(book)) if is_loopback(address.url) else f"{address.url}/login"
    book.close()

    def started() -> None:
        messages.print(f"4. serving at [bold]{address.url}[/], WebSocket at {address.socket_url}")
        messages.print(f"   a key for {first.name}, in {provider.title}'s own dialect:")
        for name, value in credentials.items():
            messages.print(f"     {name} = {value}")
        messages.print("   read it with the official SDK (pip install longbridge):\n")
        sys.stdout.write(snippet(provider, credentials, address) + "\n")
        sys.stdout.flush()
        messages.print("Ctrl-C ends all of it. The page, for one browser, once:")
        messages.print(f"[bold]{link}[/]")

    syncing = _syncing(url, scheduled=True, quiet=True)
    serve_ledger(url, address, workers=workers, started=started, beside=syncing)


def snippet(provider: Provider, credentials: dict[str, str], address: Address) -> str:
    """Python that reads the ledger with a provider's official client, ready to paste."""
    return provider.snippet.format(base_url=address.url, socket_url=address.socket_url, **credentials)


@contextmanager
def _simulator(*, accounts: int, flows: int, seed: int) -> Iterator[Simulator]:
    """A simulator in a process of its own, gone at the end."""
    command = [sys.executable, "-m", "liushui", "simulate", "--format", "json", "--live", "--port", "0"]
    command += ["--socket-port", "0", "--accounts", str(accounts), "--flows", str(flows), "--seed", str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    ended = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise LiushuiError("the simulator did not start")
        yield msgspec.json.decode(line, type=Simulator)
    finally:
        signal.signal(signal.SIGTERM, ended)
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _demo_address(host: str, port: int | None) -> Address:
    if port is not None:
        return _address(host, port, None)
    try:
        return _address(host, PORT, None)
    except ConfigError:
        return _address(host, 0, None)


def _address(host: str, port: int, socket_port: int | None) -> Address:
    """The address, the WebSocket's port the one after the other's unless it is named or that is taken."""
    if socket_port is not None:
        return free_address(host, port, socket_port)
    if port in (0, 65535):
        return free_address(host, port, 0)
    return free_address(host, port, port + 1)


def _parameters(accounts: int, flows: int, seed: int, begin: str, end: str, *, live: bool) -> Parameters:
    first, after = instant_of("begin", begin), instant_of("end", end)
    if first is None or after is None:
        raise ConfigError("begin, end: expected two days")
    return Parameters(accounts=accounts, flows=flows, seed=seed, begin=first, end=after, live=live)


def _write_credentials(folder: Path, simulated: list[AnnouncedAccount]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for account in simulated:
        path = folder / f"{account.name}.json"
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(account.credentials)) + b"\n")


def _simulated_record(account: AnnouncedAccount, folder: Path | None) -> dict[str, object]:
    record: dict[str, object] = {"account": account.name, "provider": account.provider, "flows": account.flows}
    if folder is not None:
        return record | {"credentials": str(folder / f"{account.name}.json")}
    return record | account.credentials
