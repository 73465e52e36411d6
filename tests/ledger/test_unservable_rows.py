"""Rows that a provider's own clients would misread are kept as received. No answer of that provider's API has them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest

from liushui.conditions import one_of
from liushui.errors import NotRepresentable
from liushui.flow import Flow
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import read_batch, read_rows
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.ledger.read.history import versions_of
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.ledger.write.reprocess import rebuild
from liushui.provider import FlowPage, FlowQuery, Slice
from liushui.providers.longbridge import PROVIDER, codec
from liushui.testing.clock import NOON, MovableClock
from liushui.testing.empty_ledger import create_ledger
from liushui.testing.reader import MemoryLimits
from tests.engines import LedgerStore

BEGIN: Final = datetime(2024, 1, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)
TOO_LONG: Final = "7922816251426433759354395033.55"
AMOUNTS: Final = ("1.50", "-2", TOO_LONG, "3")
"""Of a row a day."""


def row(day: int, amount: str) -> bytes:
    seconds = int((BEGIN + day * DAY).timestamp())
    return (
        f'{{"transaction_flow_name":"a","direction":2,"business_type":1,"balance":"{amount}","currency":"USD",'
        f'"business_time":"{seconds}","symbol":"S{day}","description":"d"}}'
    ).encode()


@pytest.fixture(scope="module")
def ledger(module_store: LedgerStore) -> Iterator[Ledger]:
    ledger = create_ledger(module_store.url(), clock=MovableClock(NOON))
    for account in ("a", "b"):
        make_account(ledger, account, PROVIDER.name, PROVIDER.rules.zone)
        amounts = AMOUNTS if account == "a" else AMOUNTS[:2]
        received, rejected = read_rows(codec, [row(day, amount) for day, amount in enumerate(amounts)])
        assert rejected == []
        commit_slice(ledger, account, Slice(BEGIN, NOON), read_at=NOON, received=received)
    yield ledger
    ledger.close()


def page(ledger: Ledger, query: FlowQuery, dialect: str = PROVIDER.name) -> FlowPage:
    return LedgerReader(ledger, MemoryLimits()).read_page(dialect, query, write)


def write(flow: Flow) -> bytes:
    return codec.write(flow)


def query(since: int = 0, until: int = 9, **changes: object) -> FlowQuery:
    asked = FlowQuery(("a",), BEGIN + since * DAY, BEGIN + until * DAY, 100)
    return asked._replace(**changes)  # type: ignore[arg-type] # a test gives what its field takes


@pytest.mark.parametrize(
    "asked",
    [
        query(),
        query(accounts=("a", "b")),
        query(after="", newest=False),
        query(newest=False, ascending=True, limit=3),
        query(visible=(one_of("symbol", "S2"),)),
        query(where=(one_of("symbol", "S2"),)),
    ],
)
def test_a_page_with_such_a_row_is_refused_and_names_the_amount(ledger: Ledger, asked: FlowQuery) -> None:
    with pytest.raises(NotRepresentable, match=f"^balance: .* got {TOO_LONG}$"):
        page(ledger, asked)


@pytest.mark.parametrize(
    ("asked", "days"),
    [
        (query(until=2), [1, 0]),
        (query(since=3), [3]),
        (query(limit=1), [3]),
        (query(accounts=("b",)), [1, 0]),
        (query(visible=(one_of("symbol", "S0", "S3"),)), [3, 0]),
        (query(where=(one_of("symbol", "S0", "S3"),)), [3, 0]),
    ],
)
def test_other_pages_are_served_as_received(ledger: Ledger, asked: FlowQuery, days: list[int]) -> None:
    found = page(ledger, asked)
    assert (found.rows, found.size) == (b",".join(row(day, AMOUNTS[day]) for day in days), len(days))


def test_the_row_is_kept_as_received(ledger: Ledger) -> None:
    (received,), _ = read_rows(codec, [row(2, TOO_LONG)])
    at_us = int((BEGIN + 2 * DAY).timestamp()) * 1_000_000
    (version,) = versions_of(ledger, "a", at_us, received.flow.identity)
    assert (version.wire, version.served) == (row(2, TOO_LONG).decode(), None)
    assert version.version.found.flow.amount == Decimal(TOO_LONG)


def test_a_row_that_was_received_before_is_refused_after_a_rebuild(ledger_store: LedgerStore) -> None:
    ledger = create_ledger(ledger_store.url(), clock=MovableClock(NOON))
    make_account(ledger, "a", PROVIDER.name, PROVIDER.rules.zone)
    received = [codec.read(row(0, TOO_LONG))._replace(served=None)]
    commit_slice(ledger, "a", Slice(BEGIN, NOON), read_at=NOON, received=received)
    assert page(ledger, query()).rows == row(0, TOO_LONG)
    rebuild(ledger, "a", codec, lambda _: None)
    with pytest.raises(NotRepresentable, match=TOO_LONG):
        page(ledger, query())
    ledger.close()


def test_such_rows_are_not_decoded_as_a_batch() -> None:
    """A batch has no word for them: each of its rows is served as received."""
    rows = [row(day, amount) for day, amount in enumerate(AMOUNTS)]
    assert read_batch(codec, rows) is None
    assert read_batch(codec, rows[:2]) is not None
