"""Peers that are Python packages, each in an environment of its own under .cache: we depend on none of them."""

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
}
"""What each environment is made of."""

_INSTALL_S: Final = 600


def environment(name: str, *, install: bool, say: Callable[[str], None]) -> str | None:
    """The Python of a peer's environment; None where it is not there and cannot be made.

    One that was made stays in .cache. Its packages' versions are those that the registry gave that day.
    """
    folder = CACHE / "peers" / name
    python, ready = folder / "bin" / "python", folder / ".ready"
    if ready.exists():
        return str(python)
    uv = _uv()
    if not install or uv is None:
        return None
    say(f"installing {name} into an environment of its own")
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
    """The uv beside our own Python, or on the path."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")
