"""Programs that are no Python packages: found, or installed with apt-get where that is allowed and can be done."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

PACKAGES: Final = {"wrk": "wrk", "nginx": "nginx-light", "hledger": "hledger"}
"""The Debian package of each program."""

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps servers, which is on no ordinary user's path."""
_INSTALL_S: Final = 300


def tool(name: str, *, install: bool, say: Callable[[str], None]) -> str | None:
    """The path of a program; None where it is missing and cannot be installed."""
    found = _found(name)
    if found is None and install and (prefix := _as_root()) is not None:
        say(f"installing {PACKAGES[name]} with apt-get")
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", PACKAGES[name]]):
            command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", *arguments]
            try:
                subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_INSTALL_S, check=False)
            except subprocess.TimeoutExpired:
                return None
        found = _found(name)
    return found


def _found(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), _SYSTEM_PATH]))


def _as_root() -> list[str] | None:
    """What makes a command run as root here without asking; None where nothing does, or there is no apt-get."""
    if not Path("/usr/bin/apt-get").exists():
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    return [sudo, "-n"] if allowed else None
