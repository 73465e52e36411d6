"""Records of files and dry runs are the same on every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.importing.run import Imported, import_files
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.engines import sqlite
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.commit import make_account
from liushui.providers import get_provider
from liushui.testing.empty_ledger import create_ledger
from tests.engines import ENGINES, LedgerStore, store_of
from tests.importing.test_import import assert_intact
from tests.importing.test_same_record import SECOND, answer, hkus


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    """A place for a ledger, on each engine."""
    yield from store_of(request, tmp_path)


def add(ledger: Ledger, folder: Path, *rows: bytes, account: str = "a") -> Imported:
    file = folder / "rows.json"
    file.write_bytes(answer("hkus", rows))
    return import_files(ledger, account, get_provider("hkus"), [file], lambda _read: None)


def amounts(ledger: Ledger, *accounts: str) -> list[str]:
    return [f"{found.flow.amount:.2f}" for found in list_flows(ledger, FlowFilter(accounts=accounts))]


def test_restated_and_moved_records_and_a_dry_run_of_them(store: LedgerStore, tmp_path: Path) -> None:
    ledger = create_ledger(store.url())
    make_account(ledger, "a", "hkus", "UTC")
    add(ledger, tmp_path, *map(hkus, range(1, 8)))
    corrected = hkus(2, "15.00"), hkus(3, date=SECOND + 86_400), hkus(4), hkus(9)
    with ledger.rehearsing("a") as rehearsed:
        shown = add(rehearsed, tmp_path, *corrected)
        assert amounts(rehearsed) == ["10.00", "15.00", *["10.00"] * 6]
        assert add(rehearsed, tmp_path, *corrected).known == 4
    assert amounts(ledger) == ["10.00"] * 7
    done = add(ledger, tmp_path, *corrected)
    assert (done.added, done.restated, done.known) == (shown.added, shown.restated, shown.known) == (1, 2, 1)
    assert amounts(ledger) == ["10.00", "15.00", *["10.00"] * 6]
    assert_intact(ledger)
    ledger.close()


def test_nobody_waits_for_a_rehearsal(store: LedgerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = create_ledger(store.url())
    for name in ("a", "b"):
        make_account(ledger, name, "hkus", "UTC")
    add(ledger, tmp_path, hkus(1))
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0)  # a writer that would have to wait fails at once
    other = open_ledger(store.url())
    with ledger.rehearsing("a") as rehearsed:
        assert add(rehearsed, tmp_path, hkus(1), hkus(2)).added == 1
        assert create_token(other, names=None, scopes=[Scope.READ]).token
        assert add(other, tmp_path, hkus(3), account="b").added == 1
        assert add(rehearsed, tmp_path, hkus(4)).added == 1
        assert amounts(rehearsed, "a") == ["10.00"] * 3
    with ledger.rehearsing("new") as rehearsed:
        make_account(rehearsed, "new", "hkus", "UTC")
        assert add(rehearsed, tmp_path, hkus(1), account="new").added == 1
        assert add(other, tmp_path, hkus(4), account="b").added == 1
    assert amounts(ledger) == ["10.00"] * 3, "one of a, and two of b"
    add(ledger, tmp_path, hkus(5))
    assert_intact(ledger)
    for opened in (other, ledger):
        opened.close()
