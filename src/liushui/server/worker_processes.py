"""The worker processes of a server, which accept connections from one socket."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess

from liushui.errors import LiushuiError
from liushui.server.fork_server import ForkedProcess, ForkServer, Job, end_with_standard_input
from liushui.server.open_port import open_listener

STOP_TIMEOUT_S: Final = 5
"""How long a worker may take to stop before it is killed."""


class WorkersFailed(LiushuiError):
    """A worker ended again within seconds after it was replaced."""

    def __init__(self) -> None:
        super().__init__(
            "a worker ended twice within seconds, and the server with it: see the messages above. If there are none, "
            "the system may have ended it for want of memory: try --workers 1"
        )


class WorkerServer(MPServer):
    """Granian, whose workers accept connections from one socket that this process holds.

    On Linux, Granian lets each worker open its own socket (SO_REUSEPORT). While no worker runs, connections are
    refused, and waiting connections of a dying worker are reset. Here they wait in the kernel for the next worker.

    Granian starts each worker as a new Python program. Here a worker is a copy of this process (see ForkServer), which
    has the application already: it starts at once, and shares most of its memory.
    """

    def __init__(self, application: object, host: str, port: int, workers: int) -> None:
        """`application` has Granian's RSGI interface. Raises ConfigError for a port that cannot be opened."""
        super().__init__(
            "",
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            workers=workers,
            http=HTTPModes.http1,  # all official clients use it; detecting HTTP/2 would cost time at each connection
            runtime_mode=RuntimeModes.st,  # what Granian chooses itself, but only when it serves
            log_level=LogLevels.warning,
            respawn_failed_workers=True,
            workers_kill_timeout=STOP_TIMEOUT_S,  # a worker that is still starting misses the signal to stop
        )
        self._application = application
        self._fork_server: ForkServer | None = None
        listener = open_listener(self.bind_addr, self.bind_port, backlog=self.backlog)
        self._sso = listener
        # Granian's types do not know of these.
        self._shd = SocketHolder(listener.fileno(), False, self.backlog)  # type: ignore[assignment, call-arg] # noqa: FBT003
        self._ssp = None

    def jobs(self) -> list[Job]:
        """The workers' jobs. They must be the first jobs of the fork server that `run` gets."""
        return [Job("liushui-worker", partial(self._work, index)) for index in range(self.workers)]

    def run(self, fork_server: ForkServer) -> None:
        """Serve until a signal. Raises WorkersFailed, and ForkServerEnded if a worker cannot be replaced."""
        self._fork_server = fork_server
        try:
            self.serve()
        except SystemExit as error:
            if self.interrupt_children:
                raise WorkersFailed from error
            raise

    # Granian's own methods, of which none is public. Should a later version not call these, its own way takes over,
    # and a test fails.

    def _init_shared_socket(self) -> None:
        """The socket is open already: the fork server has it, too."""

    def _spawn_worker(  # type: ignore[override] # MPServer's signature is another than its superclass's
        self,
        idx: int,
        target: object,  # noqa: ARG002
        callback_loader: object,  # noqa: ARG002 - Granian's signature
    ) -> WorkerProcess:
        if self._fork_server is None:
            raise TypeError("a worker is started by `run` only")
        return ForkedWorker(self, idx, self._fork_server.process(idx))

    def _work(self, index: int) -> None:
        end_with_standard_input()
        # Granian's own process has the arguments of its target. It is not started: this process does its work.
        worker = super()._spawn_worker(index, self._spawn_rsgi_worker, self._load)
        worker.inner.run()

    def _load(self) -> Callable[..., Any]:
        """The application, as Granian gets it from a module."""
        application: Any = self._application
        return application  # type: ignore[no-any-return]


class ForkedWorker(WorkerProcess):
    """A worker of Granian's whose process comes from the fork server."""

    def __init__(self, parent: WorkerServer, idx: int, process: ForkedProcess) -> None:
        self._process = process
        super().__init__(parent, idx, None, None)  # type: ignore[no-untyped-call]

    def _spawn(self, target: object, args: object) -> None:  # noqa: ARG002 - Granian's signature
        self.inner = self._process
