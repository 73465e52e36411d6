"""A read that lacks many known rows: when a run doubts it, and when it is accepted."""

from datetime import timedelta
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.source_state import load_state
from liushui.providers.longbridge import codec
from liushui.sync.events import SyncResult, SyncStatus
from liushui.sync.options import Options
from liushui.testing.provider_client_double import ClientDouble
from tests.sync.rows import hourly, new_ledger
from tests.sync.running import amounts, amounts_of, assert_intact, clock_of, synced

ROWS = hourly(10)
EVERYTHING = Options(everything=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = new_ledger(tmp_path)
    assert synced(ledger, ClientDouble(codec, ROWS)).added == len(ROWS)
    return ledger


def read(ledger: Ledger, rows: list[bytes], options: Options = EVERYTHING) -> SyncResult:
    """Sync, by a provider that gives these rows."""
    result = synced(ledger, ClientDouble(codec, rows), options)
    assert_intact(ledger)
    return result


def test_an_outage_that_answers_empty_withdraws_nothing(ledger: Ledger) -> None:
    for _ in range(3):
        result = read(ledger, [])
        assert result.status is SyncStatus.INCOMPLETE
        assert "known rows, and is not believed before one that begins 3:00:00 later" in result.gaps[0]
        assert amounts(ledger) == amounts_of(ROWS)
        clock_of(ledger).move(HOUR * 0.9)
    assert read(ledger, ROWS, Options()).status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(ROWS)
    assert load_state(ledger, "a", ledger.clock()).doubts == ()


def test_a_doubted_range_is_due_in_every_sync(ledger: Ledger) -> None:
    read(ledger, [])
    clock_of(ledger).move(HOUR)
    client = ClientDouble(codec, ROWS)
    synced(ledger, client, Options())
    assert min(slice_.since for slice_, *_ in client.calls) <= min(codec.read(row).flow.at for row in ROWS)


def test_reads_hours_apart_that_agree_are_believed(ledger: Ledger) -> None:
    """The rows may come back all the same: their ranges stay due."""
    read(ledger, [])
    clock_of(ledger).move(4 * HOUR)
    result = read(ledger, [], Options())
    assert (result.status, result.withdrawn) == (SyncStatus.DONE, len(ROWS))
    assert not amounts(ledger)
    clock_of(ledger).move(4 * HOUR)
    assert read(ledger, ROWS, Options()).added == len(ROWS)
    assert amounts(ledger) == amounts_of(ROWS)


def test_reads_that_lack_other_rows_do_not_agree(ledger: Ledger) -> None:
    read(ledger, ROWS[::2])
    clock_of(ledger).move(4 * HOUR)
    assert read(ledger, ROWS[1::2]).status is SyncStatus.INCOMPLETE
    assert amounts(ledger) == amounts_of(ROWS)
    clock_of(ledger).move(4 * HOUR)
    result = read(ledger, ROWS[1::2])
    assert (result.status, result.withdrawn) == (SyncStatus.DONE, len(ROWS) // 2)


@pytest.mark.parametrize("gone", [1, 5])
def test_few_rows_are_withdrawn_at_once(ledger: Ledger, gone: int) -> None:
    result = read(ledger, ROWS[gone:])
    assert (result.status, result.withdrawn) == (SyncStatus.DONE, gone)


def test_few_rows_of_each_slice_are_many_rows(tmp_path: Path) -> None:
    """What was withdrawn before the first doubt comes back with the rest."""
    ledger, rows = new_ledger(tmp_path), ROWS[::6]
    small = Options(everything=True, size=4)
    synced(ledger, ClientDouble(codec, rows), small)
    assert read(ledger, [], small).status is SyncStatus.INCOMPLETE
    assert len(amounts(ledger)) >= len(rows) - 5
    clock_of(ledger).move(HOUR)
    assert read(ledger, rows, Options(size=4)).status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(rows)


def test_rows_that_others_replace_at_the_same_time_are_restated(ledger: Ledger) -> None:
    """This provider has no ids: a row with another amount is another row."""
    restated = [row.replace(b'"balance": "-', b'"balance": "-1') for row in ROWS]
    assert read(ledger, restated).status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(restated)
