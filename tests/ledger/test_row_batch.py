"""Rows decoded together give the same tables, to the last link, as rows decoded one by one."""

from pathlib import Path

import pytest

from liushui.instant import EPOCH, MAX_INSTANT
from liushui.ledger.flow_row import RowBatch, read_batch, read_rows, wire_rows
from liushui.ledger.write.commit import commit_slice
from liushui.provider import DecodedRow, Provider, Slice
from liushui.providers import load_providers
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World
from tests.ledger.ledgers import READ_AT, assert_intact, new_ledger, rejected_row, tables

EVERYTHING = Slice(EPOCH, MAX_INSTANT)
FLOWS = 450
"""More rows than one statement inserts, and not a multiple."""


def rows_of(provider: Provider) -> list[bytes]:
    """Rows of a simulated account, the newest first, some of them twice and three times."""
    world = World(Parameters(accounts=1, flows=FLOWS, seed=3), institutions_of({provider.name: provider}))
    flows = world.flows(world.accounts[0], *EVERYTHING)
    rows = [provider.codec.write(flow) for flow in flows][::-1]
    return rows + rows[:20] + rows[10:30]


@pytest.mark.parametrize("provider", load_providers().values(), ids=lambda provider: provider.name)
def test_rows_decoded_together_or_one_by_one_make_the_same_ledger(tmp_path: Path, provider: Provider) -> None:
    rows = rows_of(provider)
    together = read_batch(provider.codec, rows)
    assert together is not None
    alone, rejected = read_rows(provider.codec, rows)
    assert len(together) == len(alone) == len(rows)
    kept = []
    received: RowBatch | list[DecodedRow]
    for name, received in (("together", together), ("alone", alone)):
        ledger = new_ledger(tmp_path, name=f"{name}.db")
        for part in (alone[:40], received, received, alone[40:], received):  # into nothing, over itself, over less
            commit_slice(ledger, "a", EVERYTHING, read_at=READ_AT, received=part, rejected=rejected)
        kept.append(tables(ledger))
        assert_intact(ledger)
        ledger.close()
    assert kept[0] == kept[1]


def test_rows_with_line_breaks_are_stored_as_they_came() -> None:
    for provider in load_providers().values():
        rows = [row.replace(b"{", b"{\n", 1) if place % 3 else row for place, row in enumerate(rows_of(provider))]
        together = read_batch(provider.codec, rows)
        assert together is not None
        assert list(wire_rows(together)) == rows


def test_rows_decoded_together_resolve_quarantined_rows(tmp_path: Path) -> None:
    provider = load_providers()["wooxpro"]
    rows = rows_of(provider)
    together = read_batch(provider.codec, rows)
    assert together is not None
    ledger = new_ledger(tmp_path)
    waits = [rejected_row(rows[0].decode())]
    assert commit_slice(ledger, "a", EVERYTHING, read_at=READ_AT, received=[], rejected=waits).quarantined == 1
    commit_slice(ledger, "a", EVERYTHING, read_at=READ_AT, received=together)
    assert [row[-1] for row in tables(ledger)["quarantine"]] == ["read"]
    assert_intact(ledger)
    ledger.close()


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param(b"{", id="that is no JSON"),
        pytest.param(b'{"x":"\xff"}', id="that is no UTF-8"),
        pytest.param(b"{}", id="without its fields"),
    ],
)
def test_one_undecodable_row_has_all_rows_decoded_one_by_one(strange: bytes) -> None:
    for provider in load_providers().values():
        rows = rows_of(provider)
        assert read_batch(provider.codec, [*rows, strange]) is None
        received, rejected = read_rows(provider.codec, [*rows, strange])
        assert (len(received), [one.row for one in rejected]) == (len(rows), [strange])


def test_no_rows_are_not_a_batch() -> None:
    assert all(read_batch(provider.codec, []) is None for provider in load_providers().values())
