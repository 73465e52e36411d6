"""Runs a server until a signal: Granian's workers on one port, the WebSocket on another, and child processes."""

import gc
import http.client
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from liushui.errors import ConfigError
from liushui.instant import system_clock
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.maintenance.heads_file import try_record_heads
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.provider import FlowReader
from liushui.providers import load_providers
from liushui.ratelimit import IncomingLimits
from liushui.server.health import Health, check_ledger
from liushui.server.open_port import PORT_OPTION, SOCKET_PORT_OPTION, free_port, unusable_port
from liushui.server.public_address import PublicAddress, PublicSite, parse_networks
from liushui.server.rsgi_app import App, AsgiBridge, DialectRouter, MountedApis
from liushui.server.running import PURPOSE, RunningServer, record_server
from liushui.server.websocket import Reply, SocketServer
from liushui.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from liushui.server.context import AppContext

ENVIRONMENT: Final = "LIUSHUI_SERVE"
"""The environment variable with the configuration of worker processes."""

STOP_TIMEOUT_S: Final = 5
"""How long a worker may take to stop before it is killed."""

START_TIMEOUT_S: Final = 60
"""How long the workers may take to start. After that, `started` is not called any more."""


class WorkerConfig(msgspec.Struct, frozen=True):
    """The configuration of a worker process. `ledger` is a URL, `limits` a path."""

    ledger: str
    limits: str
    url: str
    socket_url: str
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()

    @property
    def public(self) -> PublicAddress:
        """How clients reach the server through proxies."""
        return PublicAddress(self.public_url, parse_networks(self.trusted_proxies))


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

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
    """An address with free ports in place of 0. Raises ConfigError for a port that is taken."""
    return Address(host, free_port(host, port, PORT_OPTION), free_port(host, socket_port, SOCKET_PORT_OPTION))


# ---------------------------------------------------------------- the child process

RESTART_PAUSE_S: Final = 5
CHILD_STOP_TIMEOUT_S: Final = 10


class Command(NamedTuple):
    """A command that runs beside a server. It must end when its standard input does. Secrets go into `environment`."""

    words: Sequence[str]
    environment: Mapping[str, str]
    quiet: bool = False
    """Whether its standard error is discarded."""


class ChildProcess:
    """Keeps a command running until the context is left: one that ends by itself is started again.

    Its standard input is a pipe from this process, so that it ends with this process however that ends.
    """

    def __init__(self, command: Command) -> None:
        self._command = command
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def __enter__(self) -> "ChildProcess":
        self._process = self._start()
        self._supervisor.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        if self._process is not None:
            _stop(self._process)
        self._supervisor.join()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own program
            self._command.words,
            env={**os.environ, **self._command.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if self._command.quiet else None,
            start_new_session=True,  # Ctrl-C at the terminal goes to the server, which then stops this process
        )

    def _supervise(self) -> None:
        while self._process is not None:
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            if self._stopped.wait(RESTART_PAUSE_S):
                return
            self._process = self._start()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(CHILD_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---------------------------------------------------------------- the heads file

HEADS_INTERVAL_S: Final = 60
"""How often a server records where the chains end."""


class HeadsRecorder:
    """Records where the chains of a ledger end, at once, every minute, and when the context is left.

    What is wrong is told to `warn`, each sentence once.
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
    """Serve a ledger until a signal. `beside`: commands that run as long as the server does.

    `public_url` and `trusted_proxies`: how clients reach the server, as PublicAddress has it.

    Meanwhile the ends of the ledger's chains are recorded in its heads file; what is wrong there is told to `warn`.
    """
    ledger = open_ledger(ledger_url)
    with temporary_folder(PURPOSE) as folder, HeadsRecorder(ledger, warn), ExitStack() as children:
        for command in beside:
            children.enter_context(ChildProcess(command))
        config = WorkerConfig(
            ledger_url,
            str(folder / "limits.db"),
            address.url,
            address.socket_url,
            public_url,
            tuple(trusted_proxies),
        )
        os.environ[ENVIRONMENT] = msgspec.json.encode(config).decode()
        reply = _dialects(config, ledger).reply

        def answers() -> None:
            record_server(folder, RunningServer(address.url, ledger.name, public_url))
            started()

        serve("liushui.server.run:ledger_app", reply, address, workers=workers, started=answers)


def serve(target: str, reply: Reply, address: Address, *, workers: int, started: Callable[[], None]) -> None:
    """Run the application that the function `target` makes, and the WebSocket, until a signal.

    Raises ConfigError for a port that cannot be opened, WorkersFailed if a worker ends twice within seconds.
    """
    # Imported here: `liushui --help` should not pay for importing Granian.
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels

    from liushui.server.worker_processes import WorkerServer

    sockets = SocketServer(reply, address.host, address.socket_port)
    try:
        sockets.start()
    except OSError as error:
        raise ConfigError(unusable_port(address.host, address.socket_port, SOCKET_PORT_OPTION, error)) from error
    # Not forked: a fork would copy the WebSocket's event loop without the thread that runs it.
    multiprocessing.set_start_method("spawn", force=True)
    server = WorkerServer(
        target,
        address=address.host,
        port=address.port,
        interface=Interfaces.RSGI,
        workers=workers,
        http=HTTPModes.http1,  # all official clients use it; detecting HTTP/2 would cost time at each connection
        factory=True,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_TIMEOUT_S,  # a worker that is still starting misses the signal to stop
    )
    announcer = threading.Thread(target=_announce, args=(address, started), name="announcer", daemon=True)
    server.on_startup(announcer.start)
    try:
        server.run()
    finally:
        sockets.stop()


def _announce(address: Address, started: Callable[[], None]) -> None:
    """Call `started` once a worker answers. It does not suffice that the port is open: it is before any worker runs."""
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


def end_with_parent() -> None:
    """End this worker process when the one that started it ends, even if that was killed and could not stop it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)  # whatever the worker is doing: nobody waits for it, and the ledger undoes what is not committed

    threading.Thread(target=watch, name="parent", daemon=True).start()


def ledger_app() -> App:
    """The application of a worker process."""
    end_with_parent()
    # Imported here: Litestar takes a third of a second, which no command needs to wait for.
    from liushui.server.context import AppContext
    from liushui.server.litestar_app import make_site
    from liushui.server.web.sessions import BrowserSessions

    config = msgspec.json.decode(os.environ[ENVIRONMENT], type=WorkerConfig)
    ledger, providers = open_ledger(config.ledger), load_providers()
    sessions = BrowserSessions(ledger).principal
    public, url = config.public, config.public_url or config.url
    app_context = AppContext(ledger, providers, url, config.socket_url, _limits(config), sessions, config.url)
    site = make_site(app_context)
    bridge = AsgiBridge(PublicSite(site, public) if public.url or public.trusted else site)
    health, mounted = Health(partial(check_ledger, ledger)), mounted_apis(app_context, _reader(config, ledger))
    app = App(_dialects(config, ledger), providers, bridge, health, public, mounted)
    gc.freeze()  # what exists now lives as long as the process: the collector need not look at it again
    return app


def mounted_apis(app_context: "AppContext", reader: FlowReader) -> MountedApis:
    """The APIs that are served and that no provider has."""
    # Imported here: a command that starts a server need not wait for Babel and SQLAlchemy.
    from liushui.server.simplefin import SimpleFinServer
    from liushui.services.dialects import SIMPLEFIN

    titles = {name: provider.title for name, provider in app_context.providers.items()}
    url, is_public = app_context.url, app_context.url != app_context.listening_url
    server = SimpleFinServer(app_context.ledger, app_context.read_model, url, is_public=is_public, titles=titles)
    return MountedApis({SIMPLEFIN.name: server}, reader)


def _dialects(config: WorkerConfig, ledger: Ledger) -> DialectRouter:
    return DialectRouter(load_providers(), _reader(config, ledger))


def _reader(config: WorkerConfig, ledger: Ledger) -> FlowReader:
    return LedgerReader(ledger, _limits(config))


def _limits(config: WorkerConfig) -> IncomingLimits:
    return IncomingLimits(Path(config.limits), system_clock)
