"""A temporary nginx for tests: on free ports, in a temporary folder, run by an unprivileged user."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from liushui.errors import LiushuiError
from liushui.testing.processes import is_open

OWNERS: Final = ("nobody", "www-data")
"""Users who may run it in place of root."""
START_S: Final = 60
STOP_S: Final = 30

_MAIN: Final = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


def find_nginx() -> str | None:
    """The program; None where there is none. Debian has it where only root looks for programs."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def running_nginx(server: str, *ports: int) -> Iterator[None]:
    """Run nginx with the text of a server until the block ends. `ports`: those that it listens on.

    The server finds a certificate, which nobody has signed, as certificate.pem and key.pem.
    """
    program = find_nginx()
    if program is None:
        raise LiushuiError("this machine has no nginx: `make servers` installs it")
    # A folder that another user may open; pytest's folders are closed to other users.
    with TemporaryDirectory(prefix="liushui-nginx-", ignore_cleanup_errors=True) as name:
        folder, owner = Path(name), _owner()
        (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, server=server))
        _make_certificate(folder)
        if owner is not None:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, owner.pw_name)
        process = subprocess.Popen(
            [program, "-p", name, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=None if owner is None else owner.pw_uid,
            group=None if owner is None else owner.pw_gid,
            extra_groups=None if owner is None else [],
        )
        try:
            _wait_for(process, ports)
            yield
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _make_certificate(folder: Path) -> None:
    kind = [
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=test",
    ]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(["openssl", "req", *kind, *files], check=True, capture_output=True)


def _wait_for(process: "subprocess.Popen[bytes]", ports: tuple[int, ...]) -> None:
    """Return once every port is open. Raises LiushuiError where that takes too long."""
    end_s = time.monotonic() + START_S
    while not all(map(is_open, ports)):
        if process.poll() is not None or time.monotonic() > end_s:
            process.kill()
            raise LiushuiError(f"nginx did not start: {process.communicate()[1].decode()}")
        time.sleep(0.02)


def _owner() -> pwd.struct_passwd | None:
    """The user who runs it. None: the current user."""
    if os.geteuid() != 0:
        return None
    for name in OWNERS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise LiushuiError(f"there is no user {' or '.join(OWNERS)}")
