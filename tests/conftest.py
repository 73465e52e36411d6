"""Fixtures for several areas: UTC, no settings from outside, free ports, and a ledger made with the commands."""

import gc
import json
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import pytest
from argon2 import PasswordHasher
from hypothesis import settings

from liushui.cli import GC_THRESHOLDS
from liushui.ledger.access import sessions
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import Ledger, open_ledger
from liushui.providers import get_provider
from liushui.testing.processes import Running, free_port, run, serving, simulating
from tests.compiled import compiling_once_for_files
from tests.engines import CITUS_URL, DatabasePool, SchemaPool, keep_out_of_home, pooling, pooling_schemas
from tests.postgres import find_programs

SETTINGS = ("LIUSHUI_", "LONGBRIDGE_", "LONGPORT_")
"""Prefixes of environment variables that configure liushui or an official client."""

FOR_TESTS = "LIUSHUI_TEST_"
"""The prefix of environment variables that configure the tests themselves."""


def pytest_configure() -> None:
    """Make tests independent of the machine's time zone, settings and speed."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    for name in [name for name in os.environ if name.startswith(SETTINGS) and not name.startswith(FOR_TESTS)]:
        del os.environ[name]
    settings.register_profile("house", deadline=None, print_blob=True)
    settings.load_profile("house")
    gc.set_threshold(*GC_THRESHOLDS)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect without the garbage collector, which would go through a million growing objects again and again, and
    leave what exists after it, which lives as long as the process, out of all later collections."""
    gc.disable()
    try:
        if session.config.args == session.config.getini("testpaths"):
            _import_from_a_share_on()
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _import_from_a_share_on() -> None:
    """Let each worker of pytest-xdist begin with other files. pytest compiles a file on its first import, which takes
    longer than all else of a first collection, and the other workers read the result."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        return
    begin, workers = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    folder = Path(__file__).parent
    files = sorted(folder.rglob("test_*.py"))
    for path in files[begin * len(files) // workers :]:
        with suppress(Exception):  # the collection reports it
            import_module(".".join(path.relative_to(folder.parent).with_suffix("").parts))


LONGEST: Final = (
    "proof/test_soak.py",
    "ledger/test_kill.py",
    "providers/test_conformance.py",
    "wire/test_hostile_services.py",
    "hostile/test_extreme_rows.py",
    "web/test_month_end.py",
    "bench/test_benchmark.py",
    "proof/test_mutations.py",
    "ledger/test_verify.py",
    "ledger/test_postgres_faults.py",
    "simulate/faults/test_clients.py",
    "web/test_browser.py",
    "packaging/test_wheel.py",
)
"""The files whose tests take longest, which come first: at the end no process should wait long for another."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first. Give tests that drive a browser a second try, which the summary shows: it is a
    program of others, and starves on a machine that does much else. No other test has one."""
    position = {Path(__file__).parent / file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: position.get(item.path, len(LONGEST)))
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session", autouse=True)
def compiled() -> Iterator[None]:
    """All ledgers share what SQLAlchemy compiles for them."""
    with compiling_once_for_files():
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Passwords are hashed as fast as Argon2 can: the costs are the library's, and one test compares them."""
    with patch.object(sessions, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)):
        yield


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabasePool]:
    """Databases of a PostgreSQL that runs while the tests do."""
    if find_programs() is None:
        pytest.skip("there is no PostgreSQL on this machine: `make servers` installs it")
    keep_out_of_home(tmp_path_factory.mktemp("home"))
    with pooling() as found:
        yield found


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchemaPool]:
    """Schemas on the Citus that the environment names."""
    if CITUS_URL is None:
        pytest.skip("LIUSHUI_TEST_CITUS_URL names no Citus")
    keep_out_of_home(tmp_path_factory.mktemp("home"))
    with pooling_schemas(CITUS_URL) as found:
        yield found


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """A function that gives so many ports that nobody listens on."""
    return lambda many: [free_port() for _ in range(many)]


class Book(NamedTuple):
    """A ledger with one account of ten thousand flows, synced over HTTP from a simulator with the commands."""

    path: Path
    account: str
    flows: list[dict[str, Any]]
    """What `liushui flows --format jsonl` prints."""

    def ledger(self) -> Ledger:
        """Open the ledger."""
        return open_ledger(str(self.path))

    def key(self, *accounts: str, dialect: str = "longbridge", paced: bool = False) -> dict[str, str]:
        """The credentials of a new key, by default for the ledger's one account."""
        ledger = self.ledger()
        try:
            return create_key(ledger, get_provider(dialect), list(accounts or (self.account,)), paced=paced)
        finally:
            ledger.close()


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """Simulate, add the source, sync: with the commands of a user."""
    path = tmp_path_factory.mktemp("book") / "ledger.db"
    with simulating(flows=10_000) as simulator:
        (account,) = simulator.accounts
        arguments = ["--base-url", simulator.base_url, "--credentials", "-", "--since", "2021-01-01", "--unpaced"]
        run(
            "source",
            "add",
            account.provider,
            account.name,
            *arguments,
            ledger=path,
            given=json.dumps(account.credentials),
        )
        run("sync", ledger=path)
    flows = [json.loads(line) for line in run("flows", "--format", "jsonl", ledger=path).splitlines()]
    assert len(flows) == account.flows == 10_000
    return Book(path, account.name, flows)


@pytest.fixture(scope="session")
def served(book: Book) -> Iterator[Running]:
    """The ledger of `book`, served by two workers."""
    with serving(book.path, workers=2) as running:
        yield running
