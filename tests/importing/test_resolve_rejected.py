"""Rejected rows are resolved when a corrected record of theirs arrives. In doubt they stay open."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from liushui.importing.run import Imported, import_files
from liushui.instant import from_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import read_rows
from liushui.ledger.read.quarantine import Quarantined, list_quarantined
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.ledger.write.resolve_rejected import resolve_corrected
from liushui.ledger.write.undo import undo_import
from liushui.provider import Provider, Slice
from liushui.providers import get_provider
from liushui.testing.empty_ledger import create_ledger
from tests.cli.commands import result, run
from tests.engines import store_of
from tests.importing.inputs import row as longbridge
from tests.importing.test_same_record import SECOND, hkus, wecom, wooxpro
from tests.ledger.ledgers import assert_intact

Import = Callable[..., Imported]


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    for store in store_of(request, tmp_path):
        opened = create_ledger(store.url("ledger.db"))
        yield opened
        opened.close()


@pytest.fixture
def bring(ledger: Ledger, tmp_path: Path) -> Import:
    """Imports rows of a provider into the account of its name."""

    def import_rows(provider: Provider, *rows: bytes) -> Imported:
        make_account(ledger, provider.name, provider.name, "UTC")
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b"\n".join(rows) + b"\n")
        return import_files(ledger, provider.name, provider, [path], advance=lambda _read: None)

    return import_rows


def entries(ledger: Ledger) -> list[Quarantined]:
    return list(list_quarantined(ledger, resolved=True))


def wrong(row: bytes, field: str, value: object = "wrong") -> bytes:
    """The row with a value that cannot be read."""
    return json.dumps(json.loads(row) | {field: value}).encode()


HKUS, WECOM, LONGBRIDGE, WOOXPRO = map(get_provider, ("hkus", "wecom", "longbridge", "wooxpro"))
CORRECTED = [
    (HKUS, wrong(hkus(1), "amt"), hkus(1, "11.00")),
    (HKUS, wrong(hkus(1), "date", "yesterday"), hkus(1)),
    (HKUS, wrong(hkus(1), "amt"), hkus(1, date=SECOND - 86_400)),
    (HKUS, hkus(1).replace(b"10.00", b"10.00.00"), hkus(1)),
    (WECOM, wrong(wecom(1), "transaction_amount"), wecom(1, account_balance=7)),
]
OTHERS = [
    (HKUS, wrong(hkus(1), "amt"), hkus(2)),
    (HKUS, wrong(hkus(1), "amt"), hkus(1, io_type="out")),
    (HKUS, wrong(hkus(0), "amt"), hkus(0)),
    (WECOM, wrong(wecom(1), "transaction_amount"), wecom(1, transaction_type=2)),
    (WECOM, wrong(wecom(1), "transaction_amount"), wecom(1, timestamp=SECOND)),
    (WECOM, wrong(wecom(1), "timestamp"), wecom(1)),
    (LONGBRIDGE, wrong(longbridge(1), "balance"), longbridge(1)),
    (WOOXPRO, wrong(wooxpro(1), "amount"), wooxpro(1)),
    (HKUS, b'{"id": 1, "id": 1', hkus(1)),
    (HKUS, b"[1]", hkus(1)),
]


@pytest.mark.parametrize(("provider", "rejected", "corrected"), CORRECTED)
def test_a_record_that_comes_in_corrected(
    ledger: Ledger, bring: Import, provider: Provider, rejected: bytes, corrected: bytes
) -> None:
    assert bring(provider, rejected).quarantined == 1
    assert bring(provider, corrected).resolved == 1
    (entry,) = entries(ledger)
    with ledger.reading() as connection:
        flow_id = connection.exec_driver_sql("SELECT id FROM flows").scalar()
    assert (entry.resolved_as, entry.resolved_by, entry.wire) == ("corrected", flow_id, rejected)
    assert list(list_quarantined(ledger)) == []
    assert_intact(ledger)
    assert bring(provider, rejected).resolved == 1, "the same file again"
    assert list(list_quarantined(ledger)) == []
    assert_intact(ledger)


@pytest.mark.parametrize(("provider", "rejected", "other"), OTHERS)
def test_what_may_be_another_record_resolves_nothing(
    ledger: Ledger, bring: Import, provider: Provider, rejected: bytes, other: bytes
) -> None:
    bring(provider, rejected)
    assert bring(provider, other).resolved == 0
    assert [entry.resolved_as for entry in entries(ledger)] == [None]


def test_a_time_that_no_engine_can_hold_stops_nothing(bring: Import) -> None:
    """Such as one in microseconds where seconds are expected."""
    bring(HKUS, wrong(hkus(1), "date", "999999999999999999"))
    assert bring(HKUS, hkus(2)).resolved == 0
    assert bring(HKUS, hkus(1)).resolved == 1


@pytest.mark.parametrize("sibling", [False, True])
def test_a_sync_of_its_time_resolves_a_row_without_an_id(ledger: Ledger, bring: Import, sibling: bool) -> None:
    """All rows of that time are known then. A row that differs in something else is no evidence."""
    bring(LONGBRIDGE, wrong(longbridge(1), "balance"))
    came = longbridge(1, "-3.00", label="y" if sibling else "x")
    decoded, _ = read_rows(LONGBRIDGE.codec, [came])
    slice_ = Slice(decoded[0].flow.at, decoded[0].flow.at + timedelta(minutes=1))
    commit_slice(ledger, "longbridge", slice_, read_at=ledger.clock(), received=decoded)
    assert resolve_corrected(ledger, "longbridge", LONGBRIDGE.rules) == (not sibling)
    assert_intact(ledger)


def test_a_row_that_a_sync_has_read_is_left_to_syncs(ledger: Ledger, bring: Import) -> None:
    make_account(ledger, "hkus", "hkus", "UTC")
    _, rejected = read_rows(HKUS.codec, [wrong(hkus(1), "amt")])
    slice_ = Slice(from_us(SECOND * 1_000_000), from_us((SECOND + 600) * 1_000_000))
    commit_slice(ledger, "hkus", slice_, read_at=ledger.clock(), received=[], rejected=rejected)
    assert bring(HKUS, hkus(1)).resolved == 0


def test_undoing_the_import_that_corrected_it_opens_it_again(ledger: Ledger, bring: Import) -> None:
    bring(HKUS, wrong(hkus(1), "amt"), wrong(hkus(2), "amt"))
    correcting = bring(HKUS, hkus(1), hkus(2))
    bring(HKUS, hkus(2))
    undo_import(ledger, correcting.id)
    (still_open,) = list_quarantined(ledger)
    assert json.loads(still_open.wire)["id"] == 1
    assert_intact(ledger)
    assert bring(HKUS, hkus(1)).resolved == 1
    assert_intact(ledger)


def test_many_rows_in_one_import(ledger: Ledger, bring: Import) -> None:
    rows = [hkus(number) for number in range(1, 6_000)]
    assert bring(HKUS, *(wrong(row, "amt") for row in rows)).quarantined == len(rows)
    assert bring(HKUS, *rows).resolved == len(rows)
    assert list(list_quarantined(ledger)) == []


def test_the_command_line(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    words = ["--provider", "hkus", "--account", "a"]
    (tmp_path / "rows.jsonl").write_bytes(wrong(hkus(1), "amt"))
    assert run(ledger, "import", str(tmp_path / "rows.jsonl"), *words).returncode == 3
    (tmp_path / "corrected.jsonl").write_bytes(hkus(1))
    done = run(ledger, "import", str(tmp_path / "corrected.jsonl"), *words)
    assert done.returncode == 0
    assert "1 rejected row is resolved" in done.stderr
    (entry,) = result(ledger, "quarantine", "list", "--all")
    (flow,) = result(ledger, "flows")
    assert (entry["resolved_as"], entry["resolved_by"]) == ("corrected", flow["id"])
    shown = run(ledger, "quarantine", "show", "a", entry["id"]).stdout
    assert "corrected" in shown
    assert run(ledger, "quarantine", "list").returncode == 0
    (retried,) = result(ledger, "quarantine", "retry")
    assert (retried["corrected"], retried["tried"]) == (0, 0)
