"""What measurements share: options, a temporary folder, rows, a stub to collect from, a ledger that was collected."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.data import BEGIN, Data, make_data
from bench.process import LIUSHUI, PYTHON, BenchError, Server, run, serving
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.providers.longbridge import PROVIDER
from liushui.testing.server import free_port

ACCOUNT: Final = "bench"
ROWS_MIN: Final = 100


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    flows: int
    rounds: int
    seconds: float
    memory_flows: tuple[int, int]
    install: bool
    peer_rounds: int = 1
    """How often peers are measured that take long, as they do on a large ledger."""
    growth_flows: tuple[int, ...] = ()


@dataclass
class Setting:
    """One run of the benchmarks. `say` tells the user how it goes on."""

    options: Options
    folder: Path
    say: Callable[[str], None]
    _data: dict[int, Data] = field(default_factory=dict)
    _ledgers: dict[int, Path] = field(default_factory=dict)

    def data(self, flows: int) -> Data:
        """The rows of a world of that size; made once."""
        if flows not in self._data:
            self.say(f"making {flows:,} rows")
            self._data[flows] = make_data(self.folder, flows)
        return self._data[flows]

    def ledger(self, flows: int | None = None) -> Path:
        """A ledger that was collected from the stub; made once for each size, for reading only."""
        flows = flows or self.options.flows
        if flows not in self._ledgers:
            with self.stub(self.data(flows)) as stub:
                ledger = self.new_ledger(f"collected-{flows}", stub.url, credentials())
                self.say(f"collecting a ledger of {flows:,} flows to read from")
                run(sync_command(ledger))
            self._ledgers[flows] = ledger
        return self._ledgers[flows]

    @contextmanager
    def stub(self, data: Data) -> Iterator[Server]:
        """A server of the rows that costs nearly nothing: what is measured is the one that asks it."""
        port = free_port()
        command = [PYTHON, "-m", "granian", "--interface", "rsgi", "--workers", "1", "--factory", "--no-ws"]
        command += ["--log-level", "warning", "--host", "127.0.0.1", "--port", str(port), "bench.peers.stub:app"]
        env = {"LIUSHUI_BENCH_ROWS": str(data.file)}
        with serving(command, port=port, env=env, log=self.folder / "stub.log") as server:
            yield server

    def new_ledger(self, name: str, base_url: str, fields: dict[str, str]) -> Path:
        """A fresh ledger of one source that has collected nothing yet and keeps to no rate."""
        path = self.folder / f"{name}.db"
        ledger = open_ledger(str(path), create=True)
        make_account(ledger, ACCOUNT, PROVIDER.name, PROVIDER.rules.zone)
        add_source(ledger, account=ACCOUNT, base_url=base_url, credentials=fields, since=BEGIN, paced=False)
        ledger.close()
        return path

    def new_key(self, ledger: Path) -> dict[str, str]:
        """A key that reads the ledger's account, held to no rate."""
        book = open_ledger(str(ledger))
        key = create_key(book, PROVIDER, [ACCOUNT], paced=False)
        book.close()
        return key


def credentials() -> dict[str, str]:
    """Credentials of the provider's shape that open nothing, for servers that ask for none or take any."""
    return PROVIDER.new_credentials(bytes)


def sync_command(ledger: Path) -> list[str]:
    """What collects a ledger."""
    return [*LIUSHUI, "--ledger", str(ledger), "--format", "json", "sync"]


def check_rows(who: str, got: int, expected: int) -> None:
    """Raise BenchError where a contestant did not handle every row: its speed would mean nothing."""
    if got != expected:
        raise BenchError(f"{who}: expected {expected:,} rows, got {got:,}")
