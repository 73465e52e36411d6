"""Exports of a ledger on PostgreSQL equal those of a ledger in a file, byte for byte."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.errors import ConfigError
from liushui.export.account_map import read_account_map
from liushui.export.changes import ExportState, check_state, positions_of
from liushui.export.formats import FORMATS, ExportOptions, export_parts
from liushui.export.selection import ExportQuery, selecting
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.write.commit import make_account
from tests.engines import LedgerStore, store_of
from tests.export.books import BROKER, MAP, SHOP, books, fill, model_of
from tests.export.test_changes import restate
from tests.ledger.ledgers import new_ledger

QUERIES = (
    ExportQuery(FlowFilter()),
    ExportQuery(FlowFilter(currency="cny")),
    ExportQuery(FlowFilter(accounts=(BROKER,)), after={BROKER: 0}),
    ExportQuery(FlowFilter(accounts=(BROKER,)), after={BROKER: 1}),
    ExportQuery(FlowFilter(newest_first=True), by_time=True),
)


def written(ledger: Ledger) -> list[bytes]:
    """Every text format of every query; where it is refused, why."""
    options = ExportOptions(read_account_map(MAP))
    files = []
    for form in FORMATS.values():
        for query in QUERIES if form.is_text else ():
            if query.after is not None and not form.takes_changes:
                continue
            try:
                files.append(b"".join(export_parts(model_of(ledger), form, query, options)))
            except ConfigError as error:
                files.append(str(error).encode())
    return files


@pytest.fixture(params=["postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    yield from store_of(request, tmp_path)


def test_both_engines_write_the_same(server: LedgerStore, tmp_path: Path) -> None:
    with books(tmp_path) as ledger:
        restate(ledger)
        expected = written(ledger)
    other = new_ledger(server, BROKER)
    make_account(other, SHOP, "wecom", "Asia/Shanghai")
    fill(other)
    restate(other)
    assert written(other) == expected
    with selecting(model_of(other), QUERIES[0]) as selection:
        positions = positions_of(selection.reading.queries, [BROKER])
        state = ExportState({}, positions)
        assert check_state(selection.reading.connection, state, {}) == {BROKER: 2}
    other.close()
    assert len(set(expected)) > 12
