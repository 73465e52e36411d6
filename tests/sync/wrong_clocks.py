"""A machine with a wrong clock: its syncs are processes under libfaketime; the simulator's clock is correct."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from liushui.cli import EXIT_INCOMPLETE
from liushui.flow import Flow
from liushui.instant import to_us
from liushui.ledger.coverage import Range, State, uncovered
from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import to_flow
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.schema import flows
from liushui.provider import Provider, Slice
from liushui.providers import load_providers
from liushui.simulate.people import institutions_of
from liushui.simulate.serve import SimulatorInfo
from liushui.simulate.world import Parameters, World
from liushui.sync.plan import provable_range
from liushui.testing.deviations import Facts, facts_of
from liushui.testing.processes import command_of, run, simulating
from tests.system import require

OFFSETS: Final = {
    "2 hours behind": timedelta(hours=-2),
    "2 hours ahead": timedelta(hours=2),
    "a day ahead": timedelta(days=1),
    "10 years ahead": timedelta(days=3652),
}
RIGHT: Final = timedelta(0)
DAYS: Final = 10
BEGIN: Final = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
END: Final = BEGIN + timedelta(days=DAYS + 3)
FLOWS: Final = 600
"""In [BEGIN, END). Some of them are in the hours that a wrong clock adds or lacks."""
SYNC_S: Final = 120
PROVIDERS: Final = tuple(load_providers())
FAKED: Final = {
    "LD_PRELOAD": "/usr/$LIB/faketime/libfaketimeMT.so.1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "NO_FAKE_STAT": "1",
}
"""The library without its command. The command fails if an earlier one with its process id was killed: that one's
semaphore is left. The library goes on without one. The loader replaces `$LIB` by the folder of this machine's type."""


class Machine:
    """A machine with a ledger and one source, at a simulated provider whose clock is right."""

    def __init__(self, provider: Provider, simulator: SimulatorInfo, ledger: Path, *, paced: bool = False) -> None:
        (account,) = simulator.accounts
        self.provider, self.account, self.ledger = provider, account.name, ledger
        parameters = Parameters(accounts=1, flows=FLOWS, begin=BEGIN, end=END)
        self._world = World(parameters, institutions_of({provider.name: provider}))
        arguments = ["--base-url", simulator.base_url, "--credentials", "-", "--since", BEGIN.date().isoformat()]
        arguments += [] if paced else ["--unpaced"]
        credentials = json.dumps(account.credentials)
        run("source", "add", provider.name, self.account, *arguments, ledger=ledger, given=credentials)

    def sync(self, offset: timedelta) -> str:
        """Sync with a clock that is off by so much, check the ledger, and return what the sync said."""
        started_at = datetime.now(UTC)
        with self.syncing(offset) as process:
            output, messages = process.communicate(timeout=SYNC_S)
        said = f"{output}{messages}"
        assert process.returncode in (0, *([] if offset == RIGHT else [EXIT_INCOMPLETE])), said
        self.check_proven()
        if offset == RIGHT:
            known = self.provable(started_at)
            assert uncovered(self.proven(), (to_us(known.since), to_us(known.until))) == [], said
        return said

    @contextmanager
    def syncing(self, offset: timedelta) -> Iterator[subprocess.Popen[str]]:
        """Run a sync with a clock that is off by `offset`. The clock that measures waits is right."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LIUSHUI_")}
        if offset:
            require("faketime", "faketime")
            environment |= FAKED | {"FAKETIME": f"{offset.total_seconds():+.0f}"}
        with subprocess.Popen(
            [*command_of(self.ledger), "sync", "--format", "json"],
            env=environment | {"TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            yield process

    def check_proven(self) -> None:
        """What is called complete can be known by now, and has every row of the provider once."""
        known, proven = self.provable(datetime.now(UTC)), self.proven()
        assert all(range_.until_us <= to_us(known.until) for range_ in proven), proven
        with closing(open_ledger(str(self.ledger))) as ledger, ledger.reading() as connection:
            stored = [to_flow(row) for row in connection.execute(flows.select())]
        codec = self.provider.codec
        happened = self._world.flows(self._world.accounts[0], BEGIN, datetime.now(UTC))
        truth = [codec.read(codec.write(flow)).flow for flow in happened]
        assert facts_within(stored, proven) == facts_within(truth, proven)

    def provable(self, now: datetime) -> Slice:
        """All that a sync can know at an instant."""
        known = provable_range(self.provider.rules, since=BEGIN + timedelta(days=1), now=now)  # days differ by zone
        assert known is not None
        return known

    def proven(self) -> list[Range]:
        """The ranges that the ledger calls complete."""
        with closing(open_ledger(str(self.ledger))) as ledger:
            return [known for known in ranges_of(ledger, self.account) if known.state is State.PROVEN]


def facts_within(found: Sequence[Flow], ranges: Sequence[Range]) -> Counter[Facts]:
    """The facts of the flows in some ranges."""
    return Counter(
        facts_of(flow)
        for flow in found
        if any(range_.since_us <= to_us(flow.at) < range_.until_us for range_ in ranges)
    )


@contextmanager
def machine_at(provider: Provider, folder: Path, *, paced: bool = False) -> Iterator[Machine]:
    """A machine with an empty ledger, and the simulator that it syncs from. `paced`: with the documented rates."""
    with simulating(
        flows=FLOWS, providers=(provider.name,), rate_limit=paced, begin=BEGIN.date(), end=END.date()
    ) as simulator:
        yield Machine(provider, simulator, folder / "ledger.db", paced=paced)
