"""A killed server leaves no process and no used port. Its folder disappears at the next start at the latest."""

import http.client
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryFile
from time import monotonic, sleep
from typing import IO

import pytest

from liushui.testing.processes import HOST, command_of, free_port, is_open, process_of
from tests.cli.commands import run
from tests.ledger.ledgers import new_ledger
from tests.server.test_run import children, worker_ids

PATIENCE_S = 60


def until(condition: object, what: str) -> None:
    """Wait until a condition holds; fail if it does not for a long time."""
    assert callable(condition)
    end_s = monotonic() + PATIENCE_S
    while not condition():
        assert monotonic() < end_s, f"{what}: not after {PATIENCE_S} s"
        sleep(0.02)


def answers(port: int) -> bool:
    """Whether a server answers on the port."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/login")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def is_running(pid: int) -> bool:
    """Whether a process runs: one that has ended is a zombie until its parent has noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the server's temporary folders are."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@contextmanager
def serving(folder: Path, port: int, *, workers: int) -> Iterator[tuple[Popen[str], IO[str]]]:
    """A server with so many workers, that answers, and its messages."""
    new_ledger(folder, "a").close()
    command = [*command_of(folder / "ledger.db"), "serve", "--workers", str(workers), "--host", HOST]
    with TemporaryFile("w+") as messages, process_of([*command, "--port", str(port)], messages) as process:
        until(lambda: answers(port), "the server answers")
        until(lambda: len(worker_ids(process.pid)) == workers, "the workers")
        yield process, messages


@pytest.fixture
def server(tmp_path: Path, port: int, temporary: Path) -> Iterator[Popen[str]]:
    """A server with two workers, that answers."""
    assert temporary.is_dir()
    with serving(tmp_path, port, workers=2) as (process, _):
        yield process


def test_a_killed_server_leaves_no_workers(server: Popen[str], port: int, tmp_path: Path, temporary: Path) -> None:
    workers = worker_ids(server.pid)
    server.kill()
    server.wait()
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), "the workers have ended")
    until(lambda: not is_open(port), "the port is free")
    left = set(temporary.glob("liushui-serve-*"))
    assert left, "a killed process cannot clean up"
    assert run(
        tmp_path / "ledger.db", "import", str(tmp_path / "none"), "--provider", "longbridge", "--account", "a"
    ).returncode
    assert not set(temporary.glob("liushui-serve-*")) & left, "the next program with such a folder does"


def test_without_its_fork_server_a_server_ends_and_says_why(tmp_path: Path, port: int, temporary: Path) -> None:
    assert temporary.is_dir()
    with serving(tmp_path, port, workers=2) as (process, messages):
        workers = worker_ids(process.pid)
        (fork_server,) = children(process.pid)
        os.kill(fork_server, signal.SIGKILL)
        assert process.wait(PATIENCE_S) == 1
        messages.seek(0)
        said = messages.read()
        assert "error: the process that starts the workers has ended" in said
        assert "Traceback" not in said
        until(lambda: not any(map(is_running, workers)), "the workers have ended")
        until(lambda: not is_open(port), "the port is free")


def test_a_worker_that_is_killed_is_replaced(server: Popen[str], port: int) -> None:
    before = worker_ids(server.pid)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(set(worker_ids(server.pid)) - {before[0]}) == 2, "there are two workers again")
    assert [answers(port) for _ in range(20)] == [True] * 20


def test_no_connection_is_refused_while_the_only_worker_is_replaced(tmp_path: Path, port: int, temporary: Path) -> None:
    assert temporary.is_dir()
    with serving(tmp_path, port, workers=1) as (process, _), ExitStack() as connections:
        (worker,) = worker_ids(process.pid)
        os.kill(worker, signal.SIGKILL)
        until(lambda: not is_running(worker), "the worker has ended")
        waiting = [connections.enter_context(socket.create_connection((HOST, port), PATIENCE_S)) for _ in range(50)]
        for connection in waiting:
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert {connection.recv(12) for connection in waiting} == {b"HTTP/1.1 200"}
        assert worker_ids(process.pid) not in ([], [worker])


def test_a_server_whose_workers_end_again_and_again_says_so(tmp_path: Path, port: int, temporary: Path) -> None:
    assert temporary.is_dir()
    with serving(tmp_path, port, workers=1) as (process, messages):
        while process.poll() is None:
            for worker in worker_ids(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            sleep(0.02)
        assert process.returncode == 1
        messages.seek(0)
        said = messages.read()
        assert "error: a worker ended twice within seconds, and the server with it" in said
        assert "Traceback" not in said
        until(lambda: not is_open(port), "the port is free")


def test_a_running_server_keeps_its_folder(server: Popen[str], tmp_path: Path, temporary: Path) -> None:
    assert server.poll() is None
    (folder,) = temporary.glob("liushui-serve-*")
    run(tmp_path / "ledger.db", "import", str(tmp_path / "none"), "--provider", "longbridge", "--account", "a")
    assert (folder / "lock").exists()


def test_a_busy_port_is_named_with_the_option(server: Popen[str], port: int, tmp_path: Path) -> None:
    assert server.poll() is None
    done = run(tmp_path / "ledger.db", "serve", "--host", HOST, "--port", str(port))
    assert done.returncode == 2
    name = Path(f"/proc/{server.pid}/comm").read_text().strip()
    said = f"port {port} of {HOST} is in use by another program ({name}, process {server.pid})"
    assert f"error: {said}: end that, or choose another port with --port\n" in done.stderr
