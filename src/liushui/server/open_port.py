"""The ports of a server: opens them, and finds the process that holds a taken one."""

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from liushui.errors import ConfigError

PORT_OPTION: Final = "--port"
SOCKET_PORT_OPTION: Final = "--socket-port"


def open_listener(host: str, port: int, *, backlog: int) -> socket.socket:
    """A listening socket, which does not block. Raises ConfigError if the port cannot be opened."""
    listener = _bind(host, port, PORT_OPTION)
    listener.listen(backlog)
    listener.settimeout(0)
    return listener


def free_port(host: str, port: int, option: str) -> int:
    """The port, or any free one for 0. Raises ConfigError, which names the option, if it cannot be opened."""
    with _bind(host, port, option) as probe:
        return int(probe.getsockname()[1])


def _bind(host: str, port: int, option: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    except (OSError, OverflowError) as error:
        probe.close()
        raise ConfigError(unusable_port(host, port, option, error)) from error
    return probe


def unusable_port(host: str, port: int, option: str, error: Exception) -> str:
    """Why a port cannot be opened, the process that holds it, and what to do."""
    if not (isinstance(error, OSError) and error.errno == errno.EADDRINUSE):
        return f"port {port} of {host} cannot be opened: {error}"
    holder = port_holder(port)
    who = "" if holder is None else f" ({holder.name}, process {holder.pid})"
    return f"port {port} of {host} is in use by another program{who}: end that, or choose another port with {option}"


# ---------------------------------------------------------------- who holds a port

_LISTENING: Final = "0A"
"""The state of a listening socket in /proc/net/tcp."""
_PROC: Final = Path("/proc")


class Holder(NamedTuple):
    """A process that listens on a port."""

    pid: int
    name: str


def port_holder(port: int) -> Holder | None:
    """The process that listens on a port of this machine, the oldest if there are several.

    None if the system does not report it: Linux shows only processes of the same user.
    """
    names = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not names:
        return None
    pids = sorted(int(folder.name) for folder in _PROC.iterdir() if folder.name.isdecimal())
    for pid in pids:
        with suppress(OSError):  # it has ended, or is another user's
            if not names.isdisjoint(_open_files(pid)):
                return Holder(pid, _PROC.joinpath(str(pid), "comm").read_text().strip())
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on a port."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in _PROC.joinpath("net", table).read_text().splitlines()[1:]:
                fields = line.split()
                local, state, inode = fields[1], fields[3], fields[9]
                if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                    yield inode


def _open_files(pid: int) -> Iterator[str]:
    """The open files of a process, as the system names them. Raises OSError."""
    for file in _PROC.joinpath(str(pid), "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(file.readlink())
