"""A temporary PostgreSQL for tests: in a temporary folder, on a free port, run by an unprivileged user."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypedDict

import psycopg

from liushui.errors import LiushuiError
from liushui.testing.processes import HOST, free_port

USER: Final = "liushui"
PROGRAMS: Final = ("initdb", "postgres")
INSTALLATIONS: Final = "/usr/lib/postgresql"
"""The folder in which Debian has a folder for each version."""

OWNERS: Final = ("postgres", "nobody")
"""Users who may run the server in place of root: PostgreSQL refuses to be run by root."""

START_S: Final = 60
STOP_S: Final = 30
POLL_S: Final = 0.02


class _Owner(TypedDict, total=False):
    """The arguments of subprocess that choose a user."""

    user: int
    group: int
    extra_groups: list[int]


class Postgres:
    """A server and its databases."""

    def __init__(self, programs: Path, folder: Path, *, source: "Postgres | None" = None) -> None:
        """With `source`, it is what a base backup of that server recovers to."""
        self._programs, self._folder, self._owner = programs, folder, _owner()
        self._data = folder / "data"
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        if self._owner is not None:
            shutil.chown(folder, self._owner.pw_name)
        if source is None:
            self._run(
                "initdb", "--pgdata", self._data, "--username", USER, "--auth", "trust", "--encoding", "UTF8", *_LOCALE
            )
        else:
            self._run("pg_basebackup", "--pgdata", self._data, "--checkpoint=fast", "--dbname", source.url())
            self._run("pg_verifybackup", self._data)

    @property
    def pid(self) -> int:
        """The process id of the server."""
        if self._process is None:
            raise LiushuiError("the server is not running")
        return self._process.pid

    def url(self, database: str = "postgres", user: str = USER) -> str:
        """The URL of a database."""
        return f"postgresql://{user}@{HOST}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, and return once it accepts connections."""
        listen = ["-p", str(self.port), "-k", str(self._folder), "-c", f"listen_addresses={HOST}"]
        # The operating system survives the tests, so even a killed server loses nothing.
        listen += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *listen],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_owner(),
            )
        end_s = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end_s:
                raise LiushuiError(f"PostgreSQL did not start: {self.log()[-500:]}")
            time.sleep(POLL_S)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server. SIGINT ends every connection and shuts down cleanly; SIGQUIT leaves it as after a crash."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop and start again."""
        self.stop(how)
        self.start()

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the server's owner, in its own transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of a template that nobody is connected to."""
        name = f"ledger_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        name = url.rpartition("/")[2]
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def cut(self, url: str) -> None:
        """End every connection to a database."""
        name = url.rpartition("/")[2]
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def trust_first(self, line: str) -> None:
        """Put a line at the top of pg_hba.conf."""
        path = self._data / "pg_hba.conf"
        path.write_text(f"{line}\n{path.read_text()}")
        self.execute("SELECT pg_reload_conf()")

    def log(self) -> str:
        """The server's log."""
        return (self._folder / "log").read_text(errors="replace")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._programs.joinpath(program), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            **self._as_owner(),
        )
        if done.returncode:
            raise LiushuiError(f"{program} ended with {done.returncode}: {done.stderr.strip()}")

    def _as_owner(self) -> "_Owner":
        if self._owner is None:
            return {}
        return {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}


@contextmanager
def running(source: Postgres | None = None) -> Iterator[Postgres]:
    """A server, until the block ends. Raises LiushuiError where PostgreSQL is not installed.

    Without `source` it is empty; otherwise it is recovered from a base backup of that server, made now.
    """
    programs = find_programs()
    if programs is None:
        raise LiushuiError("this machine has no PostgreSQL: `make servers` installs it")
    with TemporaryDirectory(prefix="liushui-postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(programs, Path(folder), source=source)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def find_programs() -> Path | None:
    """The folder with the programs of the newest installed PostgreSQL."""
    versions = sorted(Path(INSTALLATIONS).glob("*/bin"), key=lambda path: int("0" + path.parent.name.partition(".")[0]))
    found = [Path(path).parent for path in filter(None, [shutil.which("initdb")])]
    for folder in [*reversed(versions), *found]:
        if all((folder.joinpath(program)).exists() for program in PROGRAMS):
            return folder.resolve()
    return None


def _owner() -> pwd.struct_passwd | None:
    """The user who runs the server. None: the current user."""
    if os.geteuid() != 0:
        return None
    for name in OWNERS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise LiushuiError(f"root may not run PostgreSQL, and there is no user {' or '.join(OWNERS)}")


_LOCALE: Final = ("--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US")
"""A collation that differs from the order of bytes, as on most servers."""
