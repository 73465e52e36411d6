"""Wheels for a clean environment: the project's own, and those of the installed packages that it needs.

An installed package is packed again from the files that it installed. The tests therefore need no package index, and
the other environment gets exactly the versions in the lock file.
"""

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution
from itertools import chain
from pathlib import Path
from subprocess import run
from zipfile import ZipFile

from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]


def build(folder: Path) -> Path:
    """Build the project's wheel into a folder. Its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("liushui-*.whl")
    return wheel


def repack(package: Distribution, folder: Path) -> Path:
    """Pack an installed package into a wheel again. Its scripts are made anew from its entry points."""
    tags = [line.partition(": ")[2] for line in (package.read_text("WHEEL") or "").splitlines() if "Tag: " in line]
    parts = [".".join(sorted(set(column))) for column in zip(*(tag.split("-") for tag in tags), strict=True)]
    name = canonicalize_name(package.name).replace("-", "_")
    wheel = folder / f"{name}-{package.version}-{'-'.join(parts)}.whl"
    with ZipFile(wheel, "w") as archive:
        files = list(_files(package))
        for path in files:
            archive.write(str(package.locate_file(path)), path)
        (info,) = {path.partition("/")[0] for path in files if path.partition("/")[0].endswith(".dist-info")}
        record = f"{info}/RECORD"
        archive.writestr(record, "".join(f"{path},,\n" for path in chain(files, [record])))
    return wheel


def _files(package: Distribution) -> Iterator[str]:
    for file in package.files or ():
        is_outside = file.parts[0] == ".." or file.is_absolute()
        is_made_by_installer = "__pycache__" in file.parts or file.name in ("RECORD", "INSTALLER", "REQUESTED")
        if not is_outside and not is_made_by_installer:
            yield file.as_posix()
