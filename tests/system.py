"""Parts of the system that tests need: installed programs, and files that cannot grow. On CI no test is skipped."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final, NoReturn

import pytest

_INSTALL_S: Final = 240


def require(program: str, debian_package: str) -> str:
    """The path of a program, installed from its Debian package if it is missing. Skips the test where that fails."""
    found = shutil.which(program)
    if found is None and _install(debian_package):
        found = shutil.which(program)
    if found is None:
        leave_out(f"{program} is missing: `apt-get install {debian_package}` enables this test")
    return found


def leave_out(reason: str) -> NoReturn:
    """Skip the running test because of the machine. With CI=true it fails instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"no test is skipped on CI: {reason}", pytrace=False)
    pytest.skip(reason)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Inside, a write beyond so many bytes of a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@cache
def _install(debian_package: str) -> bool:
    apt = shutil.which("apt-get")
    if apt is None:
        return False
    command = [apt] if os.geteuid() == 0 else ["sudo", "-n", apt]
    if shutil.which(command[0]) is None:
        return False
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", debian_package]):
        try:
            done = subprocess.run(
                [*command, *arguments], env=environment, capture_output=True, timeout=_INSTALL_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        if done.returncode and arguments[0] == "install":
            return False
    return True
