"""Public clients that cannot share an environment: each is installed once, into a folder of its own."""

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.system import leave_out, require

CACHE: Final = Path(__file__).parents[2] / ".cache" / "clients"

_INSTALL_S: Final = 240


def installed(requirements: Path) -> Path:
    """A folder to put on PYTHONPATH, with all that a requirements file names. Without an index the test is left out."""
    version = str(sys.implementation.cache_tag).encode()
    name = f"{requirements.stem}-{sha256(requirements.read_bytes() + version).hexdigest()[:16]}"
    return _cached(name, lambda made: _install(requirements, made))


def installed_npm(package: str, version: str) -> Path:
    """A folder for NODE_PATH, with one package of npm's in this version. Without a registry the test is left out."""
    npm = require("npm", "npm")
    return _cached(f"npm-{package}-{version}", lambda made: _install_npm(npm, f"{package}@{version}", made))


def locked_npm(folder: Path) -> Path:
    """A folder for NODE_PATH, with all that a `package.json` and its `package-lock.json` name. Without a registry the
    test is left out."""
    npm = require("npm", "npm")
    files = [folder / "package.json", folder / "package-lock.json"]
    digest = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    def install(made: Path) -> None:
        made.mkdir()
        for file in files:
            shutil.copy(file, made)
        _run_npm([npm, "ci", "--prefix", str(made), "--ignore-scripts", "--no-audit", "--no-fund"], folder.name, made)

    return _cached(f"npm-{folder.parent.name}-{digest[:16]}", install)


def packed_npm(package: str, version: str) -> Path:
    """The folder of one package of npm's in this version, without what it needs. Without a registry the test is left
    out."""
    npm = require("npm", "npm")
    name = f"npm-packed-{package.strip('@').replace('/', '-')}-{version}"
    return _cached(name, lambda made: _pack_npm(npm, f"{package}@{version}", made)) / "package"


def _cached(name: str, install: Callable[[Path], None]) -> Path:
    folder = CACHE / name
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE) as temporary:
            made = Path(temporary) / "made"
            install(made)
            try:
                made.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was faster, and what it made is the same
                    raise
    return folder


def _install(requirements: Path, folder: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        leave_out(f"{requirements.stem} cannot be installed: uv is missing")
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", str(folder)]
    try:
        done = subprocess.run(
            [*command, "-r", str(requirements)], capture_output=True, text=True, timeout=_INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        leave_out(f"{requirements.stem} cannot be installed: the package index did not answer in {_INSTALL_S} s")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        leave_out(f"{requirements.stem} cannot be installed: {reason}")


def _install_npm(npm: str, package: str, folder: Path) -> None:
    folder.mkdir()
    command = [npm, "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
    _run_npm([*command, package], package, folder)


def _run_npm(command: list[str], package: str, folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        leave_out(f"{package} cannot be installed: the registry did not answer in {_INSTALL_S} s")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        leave_out(f"{package} cannot be installed: {reason}")


def _pack_npm(npm: str, package: str, folder: Path) -> None:
    folder.mkdir()
    command = [npm, "pack", "--silent", "--pack-destination", str(folder), package]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        leave_out(f"{package} cannot be downloaded: the registry did not answer in {_INSTALL_S} s")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        leave_out(f"{package} cannot be downloaded: {reason}")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
