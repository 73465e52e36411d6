"""What only a served ledger can show: the provider is found where it is installed, and a sync gives all of it again."""

import json
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from liushui.flow import Flow
from liushui.instant import to_iso
from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import COLUMNS, to_flow
from liushui.ledger.schema import flows
from liushui.providers import load_providers
from liushui.testing.conformance.checks import Checks
from liushui.testing.conformance.ends import Ends, Served
from liushui.testing.conformance.ensure import ensure, ensure_equal, ensure_same_rows
from liushui.testing.golden import flow_record
from liushui.testing.server import run

WIRE: Final = COLUMNS.index("wire")
COPY: Final = "copy"
"""The account that is synced into."""


class CollectingChecks(Checks):
    """Our client collects from our server."""

    def test_a_path_belongs_to_one_provider(self) -> None:
        """All dialects are served at one root: no two of them answer at the same place."""
        own = {route.path for route in self.provider.server.routes}
        for name, other in load_providers().items():
            shared = own & {route.path for route in other.server.routes}
            ensure(name == self.provider.name or not shared, f"{name} is at {', '.join(sorted(shared))} too")

    def test_a_sync_from_a_served_ledger_gives_it_again(self, served: Served, tmp_path: Path) -> None:
        """Every row that came from the provider, byte for byte, through the commands as a user gives them."""
        self._check_copy(served.received, tmp_path / "copy.db")

    def test_a_sync_of_what_came_from_elsewhere(self, served: Served, tmp_path: Path) -> None:
        """Every flow as the dialect says it."""
        self._check_copy(served.foreign, tmp_path / "copy.db")

    def _check_copy(self, ends: Ends, path: Path) -> None:
        where = ["--base-url", ends.base_url, "--since", to_iso(ends.whole.since), "--unpaced"]
        credentials = json.dumps(dict(ends.credentials))
        run("source", "add", self.provider.name, COPY, *where, "--credentials", "-", ledger=path, given=credentials)
        run("sync", ledger=path)
        kept = _kept(path)
        ensure_same_rows("rows of the second ledger", [row for row, _ in kept], ends.rows)
        for row, flow in kept:
            came = self.provider.codec.read(row).flow
            ensure_equal(f"the flow kept of {row!r}", flow_record(flow), flow_record(came))


def _kept(path: Path) -> list[tuple[bytes, Flow]]:
    """Every row of a ledger, as it came, and the flow that is kept of it."""
    ledger = open_ledger(str(path))
    try:
        with ledger.reading() as connection:
            found = [tuple(row) for row in connection.execute(sa.select(*flows.columns))]
    finally:
        ledger.close()
    return [(str(row[WIRE]).encode(), to_flow(row)) for row in found]
