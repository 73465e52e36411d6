"""Running a server: its address, and the end of all its processes."""

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from liushui.errors import ConfigError, LiushuiError
from liushui.ledger.maintenance.heads_file import SUFFIX, read_heads_file
from liushui.server.run import Address, HeadsRecorder, free_address
from liushui.testing.processes import HOST, Running, is_open, run, serving, simulating
from tests.conftest import Book
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger


def test_urls_of_an_address() -> None:
    address = Address("127.0.0.1", 8700, 8701)
    assert (address.url, address.socket_url) == ("http://127.0.0.1:8700", "ws://127.0.0.1:8701")
    assert Address("::1", 1, 2).url == "http://[::1]:1"
    assert Address("::1", 1, 2).socket_url == "ws://[::1]:2"


def test_free_ports_are_chosen(free_ports: Callable[[int], list[int]]) -> None:
    found = free_address(HOST, 0, 0)
    assert found.port not in (0, found.socket_port)
    port, socket_port = free_ports(2)
    assert free_address(HOST, port, socket_port) == Address(HOST, port, socket_port)


@pytest.mark.parametrize("host", [HOST, "nowhere.invalid", "::g"])
def test_a_port_that_cannot_be_opened_is_an_error(host: str) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"^port {port} of {host} (cannot be opened: |is in use)"):
            free_address(host, port, 0)


def test_a_server_records_where_the_chains_end(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    warnings: list[str] = []
    with HeadsRecorder(ledger, warnings.append):
        commit_read(ledger, hours(0, 1), make_row("one", 0))
    assert read_heads_file(ledger).newest["a"].batch == 1
    path = ledger.local_path(SUFFIX)
    path.write_bytes(path.read_bytes().replace(b'"batch":1', b'"batch":7'))
    with HeadsRecorder(ledger, warnings.append):
        pass
    assert [warning.partition(",")[0] for warning in warnings] == ["account a does not continue from batch 7"]
    ledger.close()


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def forked_processes(pid: int) -> dict[int, str]:
    """The processes that a server's fork server started, with their names."""
    ids = [forked for child in children(pid) for forked in children(child)]
    names = {}
    for forked in ids:
        with suppress(OSError):  # it has just ended
            names[forked] = Path(f"/proc/{forked}/comm").read_text().strip()
    return names


def worker_ids(pid: int) -> list[int]:
    """The processes of a server that answer requests."""
    return [forked for forked, name in forked_processes(pid).items() if name == "liushui-worker"]


def gone(pid: int) -> bool:
    """Whether a process has ended, within a minute."""
    for _ in range(1200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="tells processes apart as Linux does")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process(book: Book, sign: signal.Signals) -> None:
    with serving(book.path, workers=2) as running:
        ports = [int(url.rpartition(":")[2]) for url in (running.url, running.socket_url)]
        names = ["liushui-beside", "liushui-worker", "liushui-worker"]
        end_s = time.monotonic() + 60  # a worker answers, but the others may still be starting
        while sorted(forked_processes(running.pid).values()) != names:
            assert time.monotonic() < end_s, forked_processes(running.pid)
            time.sleep(0.02)
        others = [*children(running.pid), *forked_processes(running.pid)]
        os.kill(running.pid, sign)
        assert all(gone(pid) for pid in [*others, running.pid])
        assert not any(map(is_open, ports))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="tells processes apart as Linux does")
def test_the_processes_share_most_of_their_memory(book: Book) -> None:
    """A worker that were a program of its own would have some 70 MiB for itself."""
    with serving(book.path, workers=1) as running:
        (worker,) = worker_ids(running.pid)
        lines = Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines()
        sizes = {line.partition(":")[0]: int(line.split()[1]) // 1024 for line in lines[1:]}
        assert sizes["Private_Dirty"] < sizes["Rss"] / 2


def test_a_missing_ledger_is_made(tmp_path: Path) -> None:
    with serving(tmp_path / "new.db"):
        assert run("account", "list", "--format", "json", ledger=tmp_path / "new.db").split() == ["[", "]"]


def test_a_taken_port_is_an_error(book: Book, served: Running) -> None:
    port = served.url.rpartition(":")[2]
    error = f"error: port {port} of 127.0.0.1 is in use by another program.*: end that, or .* with --socket-port"
    with pytest.raises(LiushuiError, match=error):
        run("serve", "--port", "0", "--socket-port", port, ledger=book.path)


def test_the_simulator_prints_what_it_serves() -> None:
    with simulating(accounts=2, flows=10, seed=7) as simulator:
        assert [account.name for account in simulator.accounts] == ["trader-1", "trader-2"]
        ports = [int(url.rpartition(":")[2]) for url in (simulator.base_url, simulator.socket_url)]
        assert all(map(is_open, ports))
    assert not any(map(is_open, ports))
