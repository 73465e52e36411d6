"""Checks that need a served ledger: the installed provider is found, and a sync copies every row."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

import sqlalchemy as sa

from liushui.flow import Flow
from liushui.instant import to_iso
from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import COLUMNS, to_flow
from liushui.ledger.schema import flows
from liushui.providers import load_providers
from liushui.testing.conformance.assertions import ensure, ensure_equal, ensure_same_rows
from liushui.testing.conformance.both_ends import Checks, Endpoint, ServedLedger
from liushui.testing.golden import flow_record
from liushui.testing.processes import run

WIRE: Final = COLUMNS.index("wire")
COPY: Final = "copy"
"""The account of the second ledger."""


class SyncChecks(Checks):
    """The provider's client syncs from the provider's server."""

    run: ClassVar[Callable[..., str]] = staticmethod(run)
    """Runs the commands. A subclass may run them in its own process, which saves the time for a new process."""

    def test_no_other_provider_has_its_paths(self) -> None:
        """All dialects are served under one root."""
        own = {route.path for route in self.provider.server.routes}
        for name, other in load_providers().items():
            shared = own & {route.path for route in other.server.routes}
            ensure(name == self.provider.name or not shared, f"{name} is at {', '.join(sorted(shared))} too")

    def test_a_sync_from_a_served_ledger_copies_it(self, served: ServedLedger, tmp_path: Path) -> None:
        """The sync copies every row that came from the provider, byte for byte, with the commands of a user."""
        self._check_copy(served.received, tmp_path / "copy.db")

    def test_a_sync_of_foreign_flows_copies_them(self, served: ServedLedger, tmp_path: Path) -> None:
        """The sync copies every flow as the dialect writes it."""
        self._check_copy(served.foreign, tmp_path / "copy.db")

    def _check_copy(self, endpoint: Endpoint, path: Path) -> None:
        where = ["--base-url", endpoint.base_url, "--since", to_iso(endpoint.whole.since), "--unpaced"]
        credentials = json.dumps(dict(endpoint.credentials))
        self.run(
            "source", "add", self.provider.name, COPY, *where, "--credentials", "-", ledger=path, given=credentials
        )
        self.run("sync", ledger=path)
        copied = _rows_and_flows(path)
        ensure_same_rows("rows of the second ledger", [row for row, _ in copied], endpoint.rows)
        for row, flow in copied:
            decoded = self.provider.codec.read(row).flow
            ensure_equal(f"the flow kept of {row!r}", flow_record(flow), flow_record(decoded))


def _rows_and_flows(path: Path) -> list[tuple[bytes, Flow]]:
    """Every row of a ledger, as it was received, with its flow."""
    ledger = open_ledger(str(path))
    try:
        with ledger.reading() as connection:
            found = [tuple(row) for row in connection.execute(sa.select(*flows.columns))]
    finally:
        ledger.close()
    return [(str(row[WIRE]).encode(), to_flow(row)) for row in found]
