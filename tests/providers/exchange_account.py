"""A ledger of one account at an exchange, with thousands of rows that can be read today, and public clients for it."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from liushui.instant import system_clock
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import read_rows
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import Provider, Slice
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World
from tests.system import require

ACCOUNT: Final = "trader-1"
ROWS: Final = 3_000
DAYS: Final = 20
PATIENCE_S: Final = 120


class ExchangeAccount(NamedTuple):
    """The ledger, and what is in it."""

    path: Path
    provider: Provider
    begin: datetime
    end: datetime
    """Its rows lie in [begin, end)."""
    rows: list[bytes]
    """Oldest first."""

    def key(self, *, paced: bool = False) -> dict[str, str]:
        """The credentials of a new key."""
        ledger = open_ledger(str(self.path))
        try:
            return create_key(ledger, self.provider, [ACCOUNT], paced=paced)
        finally:
            ledger.close()

    @property
    def facts(self) -> Counter[str]:
        """The rows as a multiset."""
        return facts_of(json.loads(row) for row in self.rows)


def open_account(path: Path, provider: Provider, *, rows: int = ROWS) -> ExchangeAccount:
    """Make the ledger of a simulated account whose newest day is yesterday."""
    end = system_clock().replace(hour=0, minute=0, second=0, microsecond=0)
    begin = end - timedelta(days=DAYS)
    world = World(Parameters(accounts=1, flows=rows, begin=begin, end=end), institutions_of({provider.name: provider}))
    flows = world.flows(world.accounts[0], begin, end)
    received, rejected = read_rows(provider.codec, [provider.codec.write(flow) for flow in flows])
    assert rejected == []
    assert len(received) == rows
    ledger = open_ledger(str(path), create=True)
    try:
        make_account(ledger, ACCOUNT, provider.name, provider.rules.zone)
        commit_slice(ledger, ACCOUNT, Slice(begin, end), read_at=system_clock(), received=received)
    finally:
        ledger.close()
    return ExchangeAccount(path, provider, begin, end, [decoded.row for decoded in received])


def facts_of(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Rows as a client gave them, as a multiset."""
    return Counter(json.dumps(row, sort_keys=True) for row in rows)


def ask_public(program: Path, folder: Path, **job: object) -> Any:  # noqa: ANN401 - JSON
    """The result of a program that calls a public client for Python or Node, in a process of its own."""
    if program.suffix == ".js":
        command, path = [require("node", "nodejs"), str(program)], {"NODE_PATH": str(folder / "node_modules")}
    else:
        command, path = [sys.executable, str(program)], {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        command,
        input=json.dumps(job),
        env=os.environ | {"TZ": "UTC"} | path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
