"""liushui serve, simulate, demo: the ledger over HTTP, and simulated providers to try it with."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from liushui.cli import EXIT_INTERRUPTED, main, options
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, messages
from liushui.instant import parse_instant, system_clock

if TYPE_CHECKING:
    from liushui.ledger.engine import Ledger
    from liushui.server.run import Address, Command
    from liushui.simulate.serve import AnnouncedAccount

F = TypeVar("F", bound=Callable[..., Any])

PORT: Final = 8700
SIMULATOR_PORT: Final = 8800
WORKERS: Final = 2
FLOWS: Final = 10_000
PASSWORD_VARIABLE: Final = "LIUSHUI_PAGE_PASSWORD"  # noqa: S105 - its name
"""The environment variable with the password of a page that has none yet."""
KEY_NOT_SHOWN: Final = "(a key: see --credentials-dir)"
"""What a table shows instead of a key."""
FIRST_STEPS: Final = "/welcome"
"""The path of the page for an empty ledger."""

_PORTS: Final = click.IntRange(min=0, max=65535)

host_option = click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="The address to listen on.")
socket_port_option = click.option(
    "--socket-port",
    type=_PORTS,
    metavar="PORT",
    help="The port of the official clients' WebSocket. (default: port + 1)",
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), default=WORKERS, metavar="N", help="Processes that answer requests."
)
flows_option = click.option(
    "--flows", type=click.IntRange(min=0), default=FLOWS, metavar="N", help="The number of flows of each account."
)
seed_option = click.option(
    "--seed", type=int, default=1, metavar="N", help="The same seed and providers give the same accounts and flows."
)


def port_option(default: int) -> Callable[[F], F]:
    """The option for the HTTP port."""
    return click.option("--port", type=_PORTS, default=default, metavar="PORT", help="The port; 0 takes a free one.")


def accounts_option(default: int) -> Callable[[F], F]:
    """The option for the size of the simulated world."""
    return click.option(
        "--accounts",
        type=click.IntRange(min=1),
        default=default,
        metavar="N",
        help="The number of traders and of shops, each with an account at every provider of its kind.",
    )


@click.command()
@host_option
@port_option(PORT)
@socket_port_option
@workers_option
@click.option("--sync", is_flag=True, help="Also sync each source when it is due. (default: only when asked to)")
@click.option(
    "--public-url",
    default="",
    show_default=False,
    metavar="URL",
    help="The address of a proxy through which others reach this server: https://HOST or https://HOST/PREFIX.",
)
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    metavar="ADDRESS",
    help="A proxy, or a network of proxies (10.0.0.0/8), whose X-Forwarded-For and X-Forwarded-Proto are believed; "
    "repeatable.",
)
@click.option(
    "--backup-to",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Also make backups of the ledger in this folder.",
)
@click.option("--backup-every", default="6h", metavar="DURATION", help="How often: 30min, 6h, 1d.")
@click.option(
    "--backup-keep",
    default="7d,4w,12m",
    metavar="COUNTS",
    help="As `db backup --keep`: how many hours (h), days, weeks, months and years keep their newest backup.",
)
@options.ledger_only
def serve(
    settings: Settings,
    host: str,
    port: int,
    socket_port: int | None,
    workers: int,
    sync: bool,
    public_url: str,
    trusted_proxies: tuple[str, ...],
    backup_to: Path | None,
    backup_every: str,
    backup_keep: str,
) -> None:
    """Serve the web page, liushui's API and the provider APIs.

    If there is no ledger, the command creates one, and the printed link opens the first steps. liushui's own API is
    under /api/v1. A second process syncs what the page or the API asks for, and with --backup-to a third one makes
    backups, as `liushui db backup` does. Ctrl-C ends all of them. A page without a password gets the one in
    LIUSHUI_PAGE_PASSWORD, or in the file that LIUSHUI_PAGE_PASSWORD_FILE names.

    \b
    Example: liushui serve --sync
    Example: liushui serve --sync --backup-to /backup --backup-every 6h --backup-keep 7d,4w,12m
    """
    from rich.markup import escape

    from liushui.environment import read_secret
    from liushui.ledger.access.keys import list_keys
    from liushui.server.public_address import parse_networks, parse_public_url
    from liushui.server.run import serve_ledger
    from liushui.services.access import check_exposure, set_initial_password
    from liushui.services.accounts import has_accounts

    public_url = parse_public_url(public_url) if public_url else ""
    parse_networks(trusted_proxies)
    address = listening_address(host, port, socket_port)
    url, ledger = settings.ledger_url, open_or_make(settings)
    set_initial_password(ledger, read_secret(PASSWORD_VARIABLE))
    has_key = any(key.revoked_at is None for key in list_keys(ledger))
    is_empty = not has_accounts(ledger)
    check_exposure(ledger, address.url)
    if public_url:
        check_exposure(ledger, public_url)
    beside = [sync_command(url, scheduled=sync)]
    if backup_to is not None:
        beside.append(backup_command(ledger, backup_to, backup_every, backup_keep))
    link = page_link(ledger, address, next_page=FIRST_STEPS if is_empty else None)
    ledger.close()

    def started() -> None:
        messages.print(f"serving {escape(ledger.name)} at [bold]{address.url}[/], WebSocket at {address.socket_url}")
        if is_empty:
            messages.print("the ledger is empty: the page shows the first steps")
        elif not has_key:
            messages.print("no key yet: liushui key create --dialect longbridge --account ACCOUNT")
        messages.print(f"open [bold]{link}[/]")
        if public_url:
            messages.print(f"or, through the proxy, [bold]{public_url}/login[/]")

    serve_ledger(
        url,
        address,
        workers=workers,
        started=started,
        warn=messages.warn,
        beside=beside,
        public_url=public_url,
        trusted_proxies=trusted_proxies,
    )


def open_or_make(settings: Settings) -> "Ledger":
    """Open the ledger, or create it. The user is told if it is created, because a mistyped path should be noticed."""
    from rich.markup import escape

    from liushui.errors import LedgerNotFound

    try:
        return settings.open_ledger()
    except LedgerNotFound:
        ledger = settings.open_ledger(create=True)
        messages.print(f"there was no ledger yet: made {escape(ledger.name)}")
        return ledger


def sync_command(ledger_url: str, *, scheduled: bool, quiet: bool = False) -> "Command":
    """Return the process that syncs next to a server. The ledger's URL is passed in the environment, because it may
    contain a password and other users can read a process's arguments."""
    # The process is a copy of this one, so it shares the modules that are imported here.
    from liushui.cli import run_sync, sync  # noqa: F401
    from liushui.server.run import Command

    words = ["sync", "--watch" if scheduled else "--on-request", "--until-eof", "--log-format", "text"]
    return Command(partial(_run, words), _environment(ledger_url), quiet)


def backup_command(ledger: "Ledger", folder: Path, every: str, keep: str) -> "Command":
    """The process that makes backups beside a server. Raises ConfigError, LedgerError if it could not work."""
    from liushui.ledger.maintenance.backup_folder import BackupFolder
    from liushui.ledger.maintenance.kept_backups import parse_duration, parse_retention
    from liushui.server.run import Command

    path = folder.expanduser().absolute()
    BackupFolder(ledger, path, parse_duration("backup-every", every), parse_retention("backup-keep", keep)).check()
    words = ["db", "backup", str(path), "--every", every, "--keep", keep, "--until-eof"]
    return Command(partial(_run, words), _environment(ledger.url))


def _run(words: Sequence[str]) -> None:
    """Run a command of liushui in this process, and exit."""
    sys.argv = ["liushui", *words]
    main()


def _environment(ledger_url: str) -> dict[str, str]:
    """Return the variables that name the ledger to a process next to a server."""
    from liushui.environment import FILE_SUFFIX

    return {options.LEDGER_VARIABLE: ledger_url, f"{options.LEDGER_VARIABLE}{FILE_SUFFIX}": ""}


def listening_address(host: str, port: int, socket_port: int | None) -> "Address":
    """The address to listen on. Without `socket_port` the WebSocket gets the next port, or a free one if `port` is 0 or
    the last. Raises ConfigError if a port is taken."""
    from liushui.server.run import free_address

    if socket_port is None:
        socket_port = 0 if port in (0, 65535) else port + 1
    return free_address(host, port, socket_port)


def page_link(ledger: "Ledger", address: "Address", *, next_page: str | None = None) -> str:
    """The link to the web page. On loopback it logs one browser in, once. `next_page`: the path after the login."""
    from liushui.ledger.access.sessions import create_login_code
    from liushui.services.access import is_loopback, login_link

    code = create_login_code(ledger) if is_loopback(address.url) else None
    return login_link(address.url, code, next_page)


# ---------------------------------------------------------------- simulated providers


def fault_profiles_help() -> str:
    """The profiles of faults, for the help."""
    from liushui.simulate.faults.profiles import PROFILES

    return f"One of {', '.join(PROFILES)}, or the name of a deviation, such as page-cap-50."


@click.command()
@accounts_option(3)
@flows_option
@seed_option
@click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="PROVIDER",
    help="A provider to simulate; repeatable. (default: all)",
)
@click.option("--begin", default="2021-01-01", metavar="DAY", help="The first day with flows (UTC).")
@click.option("--end", metavar="DAY", help="The day after the last day with flows (UTC). (default: none)")
@click.option(
    "--live/--no-live",
    default=None,
    help="Continue after --end, or after 2025: add flows up to now, at the same rate. (default: unless --end is given)",
)
@host_option
@port_option(SIMULATOR_PORT)
@socket_port_option
@click.option("--rate-limit/--no-rate-limit", default=True, help="Enforce the providers' documented rate limits.")
@click.option(
    "--credentials-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write each account's credentials to DIR/NAME.json instead of printing them.",
)
@click.option(
    "--faults",
    metavar="PROFILE",
    cls=options.LazyHelpOption,
    more_help=fault_profiles_help,
    help="Make the providers misbehave.",
)
@click.option("--fault-seed", type=int, default=1, metavar="N", help="The same seed and requests meet the same faults.")
@options.format_only
def simulate(
    settings: Settings,
    accounts: int,
    flows: int,
    seed: int,
    providers: tuple[str, ...],
    begin: str,
    end: str | None,
    live: bool | None,
    host: str,
    port: int,
    socket_port: int | None,
    rate_limit: bool,
    credentials_dir: Path | None,
    faults: str | None,
    fault_seed: int,
) -> None:
    """Serve simulated accounts through the provider APIs.

    A trader has an account at each broker and futures exchange, a shop an account at each provider for shops. An
    account has --flows flows between --begin and --end. Without --end, these end with 2025, and further flows follow up
    to now. With --faults, connections and answers fail, and rows arrive late, change, disappear or are damaged. The
    rows that a client must end up with are at /simulator/truth?account=NAME&at=INSTANT, one row a line. Ctrl-C ends the
    server.

    \b
    Example: liushui simulate --accounts 1 --provider longbridge --credentials-dir credentials
    """
    import msgspec

    from liushui.simulate.serve import AnnouncedAccount, FaultOptions, SimulatorInfo, serve_world, simulated_accounts
    from liushui.simulate.world import Parameters

    first = parse_instant("begin", begin)
    after = Parameters.end if end is None else parse_instant("end", end)
    is_live = end is None if live is None else live
    parameters = Parameters(accounts=accounts, flows=flows, seed=seed, begin=first, end=after, live=is_live)
    address = listening_address(host, port, socket_port)
    simulated = [
        AnnouncedAccount(account.name, account.provider.name, account.flows, dict(account.credentials))
        for account in simulated_accounts(parameters, providers)
    ]
    if credentials_dir is not None:
        _write_credentials(credentials_dir, simulated)
    form = settings.format

    def started() -> None:
        if form in (Format.JSON, Format.JSONL):
            sys.stdout.write(
                msgspec.json.encode(SimulatorInfo(address.url, address.socket_url, simulated)).decode() + "\n"
            )
            sys.stdout.flush()
            return
        is_table = form is Format.TABLE
        records = [_simulated_record(account, credentials_dir, is_table=is_table) for account in simulated]
        columns = tuple(dict.fromkeys(name for record in records for name in record))
        emit(({name: record.get(name) for name in columns} for record in records), columns, form)
        messages.print(f"simulating at [bold]{address.url}[/], WebSocket at {address.socket_url}")

    schedule = None if faults is None else FaultOptions(faults, fault_seed, system_clock())
    serve_world(parameters, address, providers, rate_limit=rate_limit, faults=schedule, started=started)


def _write_credentials(folder: Path, simulated: "list[AnnouncedAccount]") -> None:
    import msgspec

    folder.mkdir(parents=True, exist_ok=True)
    for account in simulated:
        path = folder / f"{account.name}.json"
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(account.credentials)) + b"\n")


def _simulated_record(account: "AnnouncedAccount", folder: Path | None, *, is_table: bool) -> Record:
    record: Record = {"account": account.name, "provider": account.provider, "flows": account.flows}
    if folder is None:
        values = account.credentials.items()
        # A key in PEM has some thirty lines.
        return {**record, **{name: KEY_NOT_SHOWN if is_table and "\n" in value else value for name, value in values}}
    return {**record, "credentials": str(folder / f"{account.name}.json")}


@click.command()
@accounts_option(1)
@flows_option
@seed_option
@host_option
@click.option(
    "--port", type=_PORTS, metavar="PORT", help=f"The port. (default: {PORT}, or a free one if that is taken)"
)
@workers_option
@click.option("--keep", is_flag=True, help="Keep the ledger, in a new file in your data folder.")
@options.ledger_only
def demo(
    settings: Settings, accounts: int, flows: int, seed: int, host: str, port: int | None, workers: int, keep: bool
) -> None:
    """Simulate the providers, sync every account and serve the result.

    Nothing needs to be configured. The ledger is temporary and deleted at the end, unless --keep or --ledger is given.
    Ctrl-C ends everything. `liushui login` prints another link to the page meanwhile.
    """
    # Before the imports, which take most of a second, so that the user sees at once that something happens.
    messages.print("liushui demo: simulated providers, a ledger that is synced from them, and its web page.")
    from liushui.cli.demo import run_demo

    try:
        run_demo(settings.ledger, host, port, workers=workers, accounts=accounts, flows=flows, seed=seed, is_kept=keep)
    except KeyboardInterrupt:
        messages.print("\nthe demo has ended")
        sys.exit(EXIT_INTERRUPTED)
