"""Runs a server until a signal: Granian's workers on one port, the WebSocket on another, and child processes."""

import http.client
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from liushui.errors import ConfigError
from liushui.instant import system_clock
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.maintenance.heads_file import try_record_heads
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.provider import FlowReader, RateLimiter
from liushui.providers import load_providers
from liushui.ratelimit import IncomingLimits
from liushui.server.fork_server import ForkedProcess, ForkServer, ForkServerEnded, Job
from liushui.server.health import Health, check_ledger
from liushui.server.open_port import PORT_OPTION, SOCKET_PORT_OPTION, free_port, unusable_port
from liushui.server.public_address import PublicAddress, PublicSite, parse_networks
from liushui.server.rsgi_app import App, AsgiBridge, DialectRouter, MountedApis
from liushui.server.running import PURPOSE, RunningServer, record_server
from liushui.server.websocket import Reply, SocketServer
from liushui.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from liushui.server.context import AppContext

START_TIMEOUT_S: Final = 60
"""How long the workers may take to start. After that, `started` is no longer called."""


@dataclass(frozen=True)
class Address:
    """The address on which a server listens."""

    host: str
    port: int
    socket_port: int

    @property
    def url(self) -> str:
        """The base URL of the providers' APIs."""
        return f"http://{self._name}:{self.port}"

    @property
    def socket_url(self) -> str:
        """The URL of the WebSocket that `longport` connects to."""
        return f"ws://{self._name}:{self.socket_port}"

    @property
    def _name(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def free_address(host: str, port: int, socket_port: int) -> Address:
    """Return an address in which 0 is replaced by free ports. Raises ConfigError if a port is taken."""
    return Address(host, free_port(host, port, PORT_OPTION), free_port(host, socket_port, SOCKET_PORT_OPTION))


# ---------------------------------------------------------------- the child process

RESTART_PAUSE_S: Final = 5
CHILD_STOP_TIMEOUT_S: Final = 10


class Command(NamedTuple):
    """A command that runs together with a server: `run` returns or raises SystemExit. Secrets belong into
    `environment`.

    It must end when its standard input ends, which happens when the server ends.
    """

    run: Callable[[], object]
    environment: Mapping[str, str]
    quiet: bool = False
    """Whether its standard error is discarded."""

    def job(self) -> Job:
        """The command as the job of a forked process."""
        return Job("liushui-beside", self._run)

    def _run(self) -> None:
        os.setsid()  # Ctrl-C at the terminal goes to the server, which then stops this process
        os.environ.update(self.environment)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2) if self.quiet else (1,):
            os.dup2(nowhere, stream)
        self.run()


class ChildProcess:
    """Keeps a command running until the context ends: if it ends by itself, it is started again."""

    def __init__(self, start: Callable[[], ForkedProcess]) -> None:
        self._start = start
        self._stopped = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def __enter__(self) -> "ChildProcess":
        self._process = self._start()
        self._supervisor.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        _stop(self._process)
        self._supervisor.join()
        _stop(self._process)  # in case the supervisor was just starting another one

    def _supervise(self) -> None:
        while True:
            self._process.join()
            if self._stopped.wait(RESTART_PAUSE_S):
                return
            try:
                self._process = self._start()
            except ForkServerEnded:  # the server is ending too
                return


def _stop(process: ForkedProcess) -> None:
    process.terminate()
    process.join(CHILD_STOP_TIMEOUT_S)
    if process.is_alive():
        process.kill()
        process.join()


# ---------------------------------------------------------------- the heads file

HEADS_INTERVAL_S: Final = 60
"""How often a server records where the chains end."""


class HeadsRecorder:
    """Records the heads of a ledger's chains: at once, every minute, and when the context ends.

    Problems are passed to `warn`, each sentence once.
    """

    def __init__(self, ledger: Ledger, warn: Callable[[str], None]) -> None:
        self._ledger, self._warn = ledger, warn
        self._told: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heads", daemon=True)

    def __enter__(self) -> "HeadsRecorder":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            is_last = self._stopped.is_set()
            for warning in try_record_heads(self._ledger):
                if warning not in self._told:
                    self._told.add(warning)
                    self._warn(warning)
            if is_last:
                return
            self._stopped.wait(HEADS_INTERVAL_S)


# ---------------------------------------------------------------- the server


def serve_ledger(
    ledger_url: str,
    address: Address,
    *,
    workers: int,
    started: Callable[[], None],
    warn: Callable[[str], None],
    beside: Sequence[Command] = (),
    public_url: str = "",
    trusted_proxies: Sequence[str] = (),
) -> None:
    """Serve a ledger until a signal. `beside`: commands that run at the same time as the server.

    `public_url` and `trusted_proxies`: how clients reach the server, see PublicAddress.

    While the server runs, the heads of the chains are recorded in the heads file; `warn` gets problems with it.
    """
    ledger, public = open_ledger(ledger_url), PublicAddress(public_url, parse_networks(trusted_proxies))
    with temporary_folder(PURPOSE) as folder:
        limits = IncomingLimits(folder / "limits.db", system_clock)
        reader = LedgerReader(ledger, limits)
        dialects = DialectRouter(load_providers(), reader)
        application = ledger_app(ledger, dialects, reader, limits, address, public)
        ledger.close()  # the workers are copies of this process, and processes must not share a connection

        def answers() -> None:
            record_server(folder, RunningServer(address.url, ledger.name, public_url))
            started()

        serve(
            application,
            dialects.reply,
            address,
            workers=workers,
            started=answers,
            beside=beside,
            meanwhile=HeadsRecorder(ledger, warn),
        )


def serve(
    application: object,
    reply: Reply,
    address: Address,
    *,
    workers: int,
    started: Callable[[], None],
    beside: Sequence[Command] = (),
    meanwhile: AbstractContextManager[object] | None = None,
) -> None:
    """Run an RSGI application in worker processes, and the WebSocket in this one, until a signal.

    The workers and the commands in `beside` are copies of this process. No other thread may run yet, and no connection
    to a ledger may be open. `meanwhile` is entered after they were forked. Raises ConfigError if a port cannot be
    opened, WorkersFailed if a worker ends twice within seconds, ForkServerEnded if no further one can be started.
    """
    # Imported here: `liushui --help` should not pay for importing Granian.
    from liushui.server.worker_processes import WorkerServer

    server = WorkerServer(application, address.host, address.port, workers)
    fork_server = ForkServer([*server.jobs(), *(command.job() for command in beside)])
    fork_server.start()
    sockets = SocketServer(reply, address.host, address.socket_port)
    try:
        sockets.start()
    except OSError as error:
        raise ConfigError(unusable_port(address.host, address.socket_port, SOCKET_PORT_OPTION, error)) from error
    announcer = threading.Thread(target=_announce, args=(address, started), name="announcer", daemon=True)
    server.on_startup(announcer.start)
    with ExitStack() as running:
        running.callback(sockets.stop)
        running.enter_context(meanwhile or nullcontext())
        for index in range(len(beside)):
            running.enter_context(ChildProcess(partial(fork_server.run, workers + index)))
        server.run(fork_server)


def _announce(address: Address, started: Callable[[], None]) -> None:
    """Call `started` when a worker answers. An open port is not enough, because it is open before any worker runs."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            started()
            return
        finally:
            connection.close()


def ledger_app(
    ledger: Ledger,
    dialects: DialectRouter,
    reader: FlowReader,
    limits: RateLimiter,
    address: Address,
    public: PublicAddress,
) -> App:
    """Return the application of a server's workers. It opens connections only when it answers requests."""
    # Imported here: importing Litestar takes a third of a second.
    from liushui.server.context import AppContext
    from liushui.server.litestar_app import make_site
    from liushui.server.web.sessions import BrowserSessions

    providers, sessions = load_providers(), BrowserSessions(ledger).principal
    url = public.url or address.url
    app_context = AppContext(ledger, providers, url, address.socket_url, limits, sessions, address.url)
    site = make_site(app_context)
    bridge = AsgiBridge(PublicSite(site, public) if public.url or public.trusted else site)
    health, mounted = Health(partial(check_ledger, ledger)), mounted_apis(app_context, reader)
    return App(dialects, providers, bridge, health, public, mounted)


def mounted_apis(app_context: "AppContext", reader: FlowReader) -> MountedApis:
    """Return the APIs that are served and belong to no provider."""
    # Imported here: a command that starts a server does not need Babel and SQLAlchemy.
    from liushui.server.simplefin import SimpleFinServer
    from liushui.services.dialects import SIMPLEFIN

    titles = {name: provider.title for name, provider in app_context.providers.items()}
    url, is_public = app_context.url, app_context.url != app_context.listening_url
    server = SimpleFinServer(app_context.ledger, app_context.read_model, url, is_public=is_public, titles=titles)
    return MountedApis({SIMPLEFIN.name: server}, reader)
