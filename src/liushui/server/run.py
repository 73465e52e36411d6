"""Running a server: Granian's workers on one port, the WebSocket on another, until a signal ends both."""

import gc
import http.client
import multiprocessing
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from liushui.errors import ConfigError
from liushui.instant import system_clock
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.providers import load_providers
from liushui.ratelimit.shared_limits import IncomingLimits
from liushui.server.app import App
from liushui.server.asgi_bridge import AsgiBridge
from liushui.server.child_process import ChildProcess, Command
from liushui.server.router import DialectRouter
from liushui.server.websocket import Reply, SocketServer

ENVIRONMENT: Final = "LIUSHUI_SERVE"
"""Tells worker processes what they serve."""

STOP_MAX_S: Final = 5
"""How long a worker may take to end before it is made to."""

START_MAX_S: Final = 60
"""How long the workers may take before nobody is told that they have started."""


class Serving(msgspec.Struct, frozen=True):
    """What a worker process needs to know."""

    ledger: str
    limits: str
    url: str
    socket_url: str


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int
    socket_port: int

    @property
    def url(self) -> str:
        """The base URL of the wire APIs."""
        return f"http://{self._name}:{self.port}"

    @property
    def socket_url(self) -> str:
        """The URL of the WebSocket that `longport` connects to."""
        return f"ws://{self._name}:{self.socket_port}"

    @property
    def _name(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def free_address(host: str, port: int, socket_port: int) -> Address:
    """The address with free ports in place of 0. Raises ConfigError where a port named is taken."""
    return Address(host, _free(host, port), _free(host, socket_port))


def serve_ledger(
    ledger_url: str, address: Address, *, workers: int, started: Callable[[], None], beside: Command | None = None
) -> None:
    """Serve a ledger until a signal ends it, and what runs beside the server."""
    ledger = open_ledger(ledger_url)
    with tempfile.TemporaryDirectory(prefix="liushui-") as folder, _running(beside):
        serving = Serving(ledger_url, str(Path(folder) / "limits.db"), address.url, address.socket_url)
        os.environ[ENVIRONMENT] = msgspec.json.encode(serving).decode()
        reply = dialects_of(serving, ledger).reply
        serve("liushui.server.run:ledger_app", reply, address, workers=workers, started=started)


def _running(beside: Command | None) -> AbstractContextManager[object]:
    return nullcontext() if beside is None else ChildProcess(beside)


def serve(target: str, reply: Reply, address: Address, *, workers: int, started: Callable[[], None]) -> None:
    """Run the application that `target` makes, and the WebSocket, until a signal ends it."""
    from granian import Granian  # inside: who asks for help waits for no server
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels

    sockets = SocketServer(reply, address.host, address.socket_port)
    try:
        sockets.start()
    except OSError as error:
        raise ConfigError(f"port {address.socket_port} of {address.host} cannot be opened: {error.strerror}") from error
    # Workers begin as fresh processes: a fork would take half of the WebSocket's thread and of earlier loops along.
    multiprocessing.set_start_method("spawn", force=True)
    server = Granian(
        target,
        address=address.host,
        port=address.port,
        interface=Interfaces.RSGI,
        workers=workers,
        http=HTTPModes.http1,  # what every official client speaks; telling it apart from 2 takes a little each time
        factory=True,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_MAX_S,  # one that is told to end while it begins may not hear it
    )
    announcer = threading.Thread(target=_announce, args=(address, started), name="announcer", daemon=True)
    server.on_startup(announcer.start)
    try:
        server.serve()
    except RuntimeError as error:  # Granian's, with the inner life of its own in it
        if "Address already in use" not in str(error):
            raise
        raise ConfigError(f"port {address.port} of {address.host} cannot be opened: somebody else took it") from error
    finally:
        sockets.stop()


def _announce(address: Address, started: Callable[[], None]) -> None:
    """Say that the server has started once a worker answers: the port is open before any of them can."""
    deadline = time.monotonic() + START_MAX_S
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


def ledger_app() -> App:
    """The application of a worker that serves a ledger."""
    serving = msgspec.json.decode(os.environ[ENVIRONMENT], type=Serving)
    ledger = open_ledger(serving.ledger)
    limits = IncomingLimits(Path(serving.limits), system_clock)
    from liushui.server.context import (
        AppContext,
    )  # inside: Litestar takes a third of a second, which no command require_scope
    from liushui.server.site import make_site
    from liushui.server.web.auth.sessions import BrowserSessions

    site = make_site(
        AppContext(ledger, load_providers(), serving.url, serving.socket_url, limits, BrowserSessions(ledger).principal)
    )
    app = App(DialectRouter(load_providers(), LedgerReader(ledger, limits)), load_providers(), AsgiBridge(site))
    gc.freeze()  # what is here now stays: the collector need not look at it again
    return app


def dialects_of(serving: Serving, ledger: Ledger) -> DialectRouter:
    """Every provider's server over one ledger."""
    limits = IncomingLimits(Path(serving.limits), system_clock)
    return DialectRouter(load_providers(), LedgerReader(ledger, limits))


def _free(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise ConfigError(f"port {port} of {host} cannot be opened: {error}") from error
        return int(probe.getsockname()[1])
