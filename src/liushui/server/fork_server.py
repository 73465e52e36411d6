"""Processes that are copies of this one, so that they share its memory and need not import anything again."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from liushui.errors import LiushuiError


class Job(NamedTuple):
    """The work of a process. It ends when `run` returns. On Linux, `ps -o comm` shows the first 15 bytes of its
    name."""

    name: str
    run: Callable[[], object]


_STARTED: Final = 0
_ENDED: Final = 1


class ForkServerEnded(LiushuiError):
    """The fork server has ended, so no further process can be started."""

    def __init__(self) -> None:
        super().__init__("the process that starts the workers has ended: the system may have killed it to free memory")


class ForkServer:
    """Starts processes. Each does one of the jobs that were given to the constructor.

    A process with several threads cannot be forked safely: if another thread holds a lock, the lock stays locked in the
    copy. Servers have threads, and start processes at any time, because a worker that dies is replaced. So `start`
    forks a small process, the fork server, while there is one thread only, and the fork server forks all others.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._processes: dict[int, ForkedProcess] = {}
        self._starting = threading.Lock()
        self._replies: list[ForkedProcess] = []
        self._connection, self._far_end = Pipe()
        # Only this process keeps the write end. So when this process ends, the read end ends for all copies.
        self._alive_read, self._alive_write = os.pipe()

    def start(self) -> None:
        """Fork the fork server. Call it once, before any thread is started and any file of a database is open."""
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        gc.freeze()  # existing objects stay shared as long as no copy's garbage collector writes to them
        if os.fork() == 0:
            self._connection.close()
            os.close(self._alive_write)
            _Forks(self._jobs, self._far_end, self._alive_read).run()
        self._far_end.close()
        os.close(self._alive_read)
        threading.Thread(target=self._listen, name="fork-server", daemon=True).start()

    def process(self, job: int) -> "ForkedProcess":
        """Return a process, not yet started, for the job with this index."""
        return ForkedProcess(self, job)

    def run(self, job: int) -> "ForkedProcess":
        """Start a process for the job with this index. Raises ForkServerEnded."""
        process = self.process(job)
        process.start()
        return process

    def fork(self, process: "ForkedProcess", job: int) -> int:
        """Start a process, and return its id. Raises ForkServerEnded."""
        with self._starting:
            self._replies.append(process)
            try:
                self._connection.send(job)
            except OSError as error:
                raise ForkServerEnded from error
            process.answered.wait()
        if process.pid is None:
            raise ForkServerEnded
        return process.pid

    def _listen(self) -> None:
        try:
            while True:
                event, pid, exit_code = self._connection.recv()
                if event == _STARTED:
                    process = self._replies.pop()
                    process.pid = pid
                    self._processes[pid] = process
                    process.answered.set()
                elif (ended := self._processes.pop(pid, None)) is not None:
                    ended.end(exit_code)
        except (EOFError, OSError):
            for process in [*self._processes.values(), *self._replies]:
                process.end(1)
                process.answered.set()


class ForkedProcess:
    """A process, with the methods of multiprocessing.Process that Granian calls."""

    def __init__(self, server: ForkServer, job: int) -> None:
        self._server, self._job = server, job
        self._ended = threading.Event()
        self.answered = threading.Event()
        self.pid: int | None = None
        self.exitcode: int | None = None

    def start(self) -> None:
        """Return once the process exists. Raises ForkServerEnded."""
        self._server.fork(self, self._job)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the process has ended, or for `timeout` seconds."""
        self._ended.wait(timeout)

    def is_alive(self) -> bool:
        """Whether the process was started and has not ended."""
        return self.pid is not None and not self._ended.is_set()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._send(signal.SIGKILL)

    def end(self, exit_code: int) -> None:
        """Record that the process has ended."""
        self.exitcode = exit_code
        self._ended.set()

    def _send(self, number: signal.Signals) -> None:
        if self.pid is not None and not self._ended.is_set():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:  # it has just ended
                return


class _Forks:
    """The fork server itself: it forks a process for each requested job, and reports which processes end."""

    def __init__(self, jobs: Sequence[Job], connection: Connection, alive: int) -> None:
        self._jobs, self._connection, self._alive = jobs, connection, alive

    def run(self) -> NoReturn:
        """Serve until the process that started it ends or closes its side."""
        # Ctrl-C at the terminal reaches every process of the group. The process that started this one decides what to
        # do.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # an ignored signal would not interrupt the wait below
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        try:
            while True:
                ready = wait([self._connection, wake_read])
                if wake_read in ready:
                    os.read(wake_read, 512)
                if self._connection in ready:
                    self._fork(self._connection.recv(), (wake_read, wake_write))
                self._tell_ended()
        except (EOFError, OSError):
            os._exit(0)

    def _fork(self, job: int, wake: tuple[int, int]) -> None:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for file in wake:
                os.close(file)
            self._connection.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            _run(self._jobs[job], self._alive)
        self._connection.send((_STARTED, pid, 0))

    def _tell_ended(self) -> None:
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
                self._connection.send((_ENDED, ended[0], os.waitstatus_to_exitcode(ended[1])))
        except ChildProcessError:  # there are no processes
            return


def _run(job: Job, alive: int) -> NoReturn:
    """Do a job and end the process in any case, so that it never returns into the copied server code."""
    code = 1
    # It becomes standard input, because commands next to a server end with SIGTERM when their standard input ends.
    os.dup2(alive, 0)
    os.close(alive)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(job.name, encoding="ascii")
    try:
        job.run()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def end_with_standard_input() -> None:
    """End this process when its standard input ends: then the process that it belongs to has ended, perhaps killed."""

    def watch() -> None:
        while os.read(0, 512):
            pass
        os._exit(1)  # at any point of its work: no caller waits for it, and the ledger rolls back uncommitted changes

    threading.Thread(target=watch, name="parent", daemon=True).start()
