"""A value that some engine cannot store is quarantined on every engine, with its field and the reason."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import KEYS_MAX, read_batch, read_rows, storage_error
from liushui.ledger.read.quarantine import list_quarantined
from liushui.providers.longbridge import codec
from tests.ledger.ledgers import assert_intact, commit_read, hours, make_row
from tests.ledger.reading import statuses

ROW = {
    "transaction_flow_name": "Buy",
    "direction": 1,
    "balance": "-248.60",
    "currency": "USD",
    "business_time": "1709254800",
    "symbol": "AAPL.US",
    "description": "AAPL",
    "business_type": 2,
}


def row(**changes: str) -> bytes:
    return msgspec.json.encode(ROW | changes)


@pytest.mark.parametrize("field", ["symbol", "description", "transaction_flow_name"])
def test_a_row_with_nul_is_rejected_and_quarantined_as_it_came(ledger: Ledger, field: str) -> None:
    rows = [row(), row(**{field: "a\0b"}), row(**{field: r"a\u0000b"})]
    assert read_batch(codec, rows) is None
    received, rejected = read_rows(codec, rows)
    assert len(received) == 2, "a text that only looks like it is kept"
    assert [refused.row for refused in rejected] == rows[1:2]
    assert "expected text without the character U+0000, got" in rejected[0].reason
    commit_read(ledger, hours(0, 24), *received, rejected=rejected)
    (entry,) = list_quarantined(ledger)
    assert entry.wire == rows[1]
    assert (statuses(ledger)[0].flows, statuses(ledger)[0].quarantined) == (2, 1)
    assert_intact(ledger)


@pytest.mark.parametrize("detail", [{"a\0": 1}, {"a": "\0"}, {"a": [{"b": ["x\0"]}]}])
def test_nul_anywhere_in_the_detail_is_an_error(detail: dict[str, object]) -> None:
    flow = make_row("one").flow._replace(detail=detail)
    assert str(storage_error(flow)).startswith("detail: expected text without the character U+0000")
    assert storage_error(flow._replace(detail={"a": "0", "b": [1, None, "x"]})) is None


def test_keys_have_a_length_that_every_engine_accepts(ledger: Ledger) -> None:
    longest = make_row("流" * KEYS_MAX["identity"], 1, subaccount="水" * KEYS_MAX["subaccount"], currency="X" * 100)
    assert storage_error(longest.flow) is None
    commit_read(ledger, hours(0, 24), longest, longest)
    assert statuses(ledger)[0].flows == 2
    for name, most in KEYS_MAX.items():
        change: dict[str, Any] = {name: "x" * (most + 1)}
        expected = f"{name}: expected at most {most} characters, got {most + 1}"
        assert str(storage_error(longest.flow._replace(**change))) == expected
    assert_intact(ledger)


def test_rows_decoded_together_have_the_same_errors() -> None:
    rows: Sequence[bytes] = [row(), row(description="x" * 3_000)]
    together = read_batch(codec, rows)
    assert together is not None
    assert len(together) == len(read_rows(codec, rows)[0]) == 2
