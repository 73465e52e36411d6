"""The programs of peers: Python packages in environments under .cache, and Debian packages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.process import CACHE, PYTHON

PEERS: Final = {
    "datasette": ("datasette>=0.65", "uvicorn[standard]>=0.45"),
    "dlt": ("dlt[duckdb,parquet,sqlalchemy]>=1.31",),
    "beancount": ("beancount>=3.2", "beanquery>=0.2"),
    "duckdb": ("duckdb>=2",),
}
"""The packages of each environment."""

_INSTALL_S: Final = 600


def peer_environment(name: str, *, install: bool, log: Callable[[str], None]) -> str | None:
    """The Python of a peer's environment. Returns None if it is missing and cannot be made.

    An environment stays in .cache once it is made. Its packages have the versions that the registry gave on that day.
    """
    folder = CACHE / "peers" / name
    python, ready = folder / "bin" / "python", folder / ".ready"
    if ready.exists():
        return str(python)
    uv = _uv()
    if not install or uv is None:
        return None
    log(f"installing {name} into an environment of its own")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", PYTHON, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *PEERS[name]],
    ):
        try:
            done = subprocess.run(command, capture_output=True, timeout=_INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            return None
        if done.returncode:
            return None
    ready.touch()
    return str(python)


def version_of(python: str, package: str) -> str:
    """The version of a package in an environment."""
    asked = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True, env=dict(os.environ))
    return done.stdout.strip()


def _uv() -> str | None:
    """The path of uv: next to this Python, or on the PATH."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


# ---------------------------------------------------------------- Debian packages

DEBIAN_PACKAGES: Final = {"wrk": "wrk", "nginx": "nginx-light", "hledger": "hledger"}
"""The Debian package of each program."""

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"
"""Debian's folders for servers, which are not on the PATH of an ordinary user."""
_APT_S: Final = 300


def find_program(name: str, *, install: bool, log: Callable[[str], None]) -> str | None:
    """The path of a program. Returns None if it is missing and cannot be installed."""
    found = _found(name)
    if found is None and install and (prefix := _as_root()) is not None:
        log(f"installing {DEBIAN_PACKAGES[name]} with apt-get")
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", DEBIAN_PACKAGES[name]]):
            command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", *arguments]
            try:
                subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_APT_S, check=False)
            except subprocess.TimeoutExpired:
                return None
        found = _found(name)
    return found


def _found(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), _SYSTEM_PATH]))


def _as_root() -> list[str] | None:
    """The prefix that runs a command as root without a password. Returns None if there is none, or no apt-get."""
    if not Path("/usr/bin/apt-get").exists():
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    return [sudo, "-n"] if allowed else None
