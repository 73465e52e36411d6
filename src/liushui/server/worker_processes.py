"""The worker processes of a server, which accept connections from one socket."""

from granian._granian import SocketHolder
from granian.server.mp import MPServer

from liushui.errors import LiushuiError
from liushui.server.open_port import open_listener


class WorkersFailed(LiushuiError):
    """A worker ended again within seconds after it was replaced."""

    def __init__(self) -> None:
        super().__init__(
            "a worker ended twice within seconds, and the server with it: see the messages above. If there are none, "
            "the system may have ended it for want of memory: try --workers 1"
        )


class WorkerServer(MPServer):
    """Granian, whose workers accept connections from one socket that this process holds.

    On Linux, Granian lets each worker open a socket of its own (SO_REUSEPORT). While none runs, connections are
    refused, and those that wait for a worker that dies are reset. Here they wait in the kernel for the next worker.
    """

    # Granian does the same on other systems, but has no public option for it. Should a later version not call this, its
    # own way takes over, and a test fails.
    def _init_shared_socket(self) -> None:
        listener = open_listener(self.bind_addr, self.bind_port, backlog=self.backlog)
        self._sso = listener  # it is sent to each worker, under the same number
        # Granian's types do not know of these.
        self._shd = SocketHolder(listener.fileno(), False, self.backlog)  # type: ignore[assignment, call-arg] # noqa: FBT003
        self._ssp = None

    def run(self) -> None:
        """Serve until a signal. Raises ConfigError for a port that cannot be opened, and WorkersFailed."""
        try:
            self.serve()
        except SystemExit as error:
            if self.interrupt_children:
                raise WorkersFailed from error
            raise
