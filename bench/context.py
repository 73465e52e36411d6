"""Shared by the measurements: options, a temporary folder, rows, a stub to sync from, a synced ledger."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from bench.process import LIUSHUI, PYTHON, BenchError, Server, run, serving
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.providers import load_providers
from liushui.providers.longbridge import PROVIDER, codec
from liushui.providers.longbridge.codec import LANGUAGE
from liushui.simulate.world import Parameters, World
from liushui.testing.processes import free_port

ACCOUNT: Final = "bench"
ROWS_MIN: Final = 100
SEED: Final = 1
BEGIN: Final = datetime(2021, 1, 1, tzinfo=UTC)
END: Final = datetime(2026, 1, 1, tzinfo=UTC)
PROVIDERS: Final = tuple(sorted(load_providers()))
"""The providers that are measured against each other: all."""
RECENT_DAYS: Final = 80
"""The length of worlds for all providers. Some of them keep rows for three months."""
SETTLED_DAYS: Final = 2
"""How long before today the worlds for all providers end. Every provider has published all rows by then."""


def recent_days() -> tuple[datetime, datetime]:
    """Return the range of a world whose rows every provider has: its length does not depend on today's date."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = midnight - timedelta(days=SETTLED_DAYS)
    return end - timedelta(days=RECENT_DAYS), end


class Data(NamedTuple):
    """Rows in a file: JSON lines, oldest first."""

    file: Path
    flows: int

    def rows(self) -> Iterator[bytes]:
        """The rows, oldest first."""
        with self.file.open("rb") as lines:
            for line in lines:
                yield line.rstrip(b"\n")


def make_data(folder: Path, flows: int) -> Data:
    """Write the rows of a world with this number of flows. `liushui simulate` serves the same world for the same
    seed."""
    world = World(Parameters(accounts=1, flows=flows, seed=SEED, begin=BEGIN, end=END))
    file = folder / f"rows-{flows}.jsonl"
    with file.open("wb") as out:
        for flow in world.flows(world.accounts[0], BEGIN, END):
            out.write(codec.write(flow, LANGUAGE) + b"\n")
    return Data(file, flows)


@dataclass(frozen=True)
class Options:
    """The options of a run."""

    flows: int
    rounds: int
    seconds: float
    memory_flows: tuple[int, int]
    install: bool
    peer_rounds: int = 1
    """The number of rounds for slow peers."""
    growth_flows: tuple[int, ...] = ()


@dataclass
class BenchContext:
    """One run of the benchmarks. `log` shows progress to the user."""

    options: Options
    folder: Path
    log: Callable[[str], None]
    _data: dict[int, Data] = field(default_factory=dict)
    _ledgers: dict[int, Path] = field(default_factory=dict)

    def data(self, flows: int) -> Data:
        """Return the rows of a world of that size. They are made once."""
        if flows not in self._data:
            self.log(f"making {flows:,} rows")
            self._data[flows] = make_data(self.folder, flows)
        return self._data[flows]

    def ledger(self, flows: int | None = None) -> Path:
        """A ledger that was synced from the stub, for reading only. It is made once for each size."""
        flows = flows or self.options.flows
        if flows not in self._ledgers:
            with self.stub(self.data(flows)) as stub:
                ledger = self.new_ledger(f"collected-{flows}", stub.url, credentials())
                self.log(f"syncing a ledger of {flows:,} flows to read from")
                run(sync_command(ledger))
            self._ledgers[flows] = ledger
        return self._ledgers[flows]

    @contextmanager
    def stub(self, data: Data) -> Iterator[Server]:
        """A server of the rows that takes hardly any time, so that only its client is measured."""
        port = free_port()
        command = [PYTHON, "-m", "granian", "--interface", "rsgi", "--workers", "1", "--factory", "--no-ws"]
        command += ["--log-level", "warning", "--host", "127.0.0.1", "--port", str(port), "bench.peers.stub:app"]
        env = {"LIUSHUI_BENCH_ROWS": str(data.file)}
        with serving(command, port=port, env=env, log=self.folder / "stub.log") as server:
            yield server

    def new_ledger(self, name: str, base_url: str, fields: dict[str, str]) -> Path:
        """A new ledger with one source that has no rate limit and has not been synced."""
        path = self.folder / f"{name}.db"
        ledger = open_ledger(str(path), create=True)
        make_account(ledger, ACCOUNT, PROVIDER.name, PROVIDER.rules.zone)
        add_source(ledger, account=ACCOUNT, base_url=base_url, credentials=fields, since=BEGIN, paced=False)
        ledger.close()
        return path

    def new_key(self, ledger: Path) -> dict[str, str]:
        """A key for the ledger's account, without a rate limit."""
        book = open_ledger(str(ledger))
        key = create_key(book, PROVIDER, [ACCOUNT], paced=False)
        book.close()
        return key


def credentials() -> dict[str, str]:
    """Credentials in the provider's format, for servers that do not check them."""
    return PROVIDER.new_credentials(bytes)


def sync_command(ledger: Path) -> list[str]:
    """The command that syncs a ledger."""
    return [*LIUSHUI, "--ledger", str(ledger), "--format", "json", "sync"]


def check_rows(who: str, got: int, expected: int) -> None:
    """Raise BenchError if a contestant did not handle every row: its speed would be meaningless."""
    if got != expected:
        raise BenchError(f"{who}: expected {expected:,} rows, got {got:,}")
