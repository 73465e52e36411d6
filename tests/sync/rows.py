"""Rows and ledgers for the tests of the sync."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from liushui.ledger.commit import make_account
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.sources import Source

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 1, 11, 12, 0, 0, 500_000, tzinfo=UTC)


def row(at: datetime, amount: str = "-1.00", *, label: str = "x", note: str = "") -> bytes:
    """A Longbridge row."""
    return json.dumps(
        {
            "transaction_flow_name": label,
            "direction": 1 if amount.startswith("-") else 2,
            "business_type": 1,
            "balance": amount,
            "currency": "USD",
            "business_time": str(int(at.timestamp())),
            "symbol": "",
            "description": note,
        }
    ).encode()


def hourly(days: int, *, begin: datetime = BEGIN) -> list[bytes]:
    """A row an hour, each of another amount."""
    return [row(begin + timedelta(hours=hour), f"-{hour}.25") for hour in range(24 * days)]


def new_ledger(folder: Path, now: datetime = NOW) -> Ledger:
    """A ledger with one account, `a`."""
    ledger = open_ledger(str(folder / "ledger.db"), create=True, clock=lambda: now)
    make_account(ledger, "a", "longbridge", "UTC")
    return ledger


def source(since: datetime = BEGIN) -> Source:
    """The source of that account."""
    return Source("a", "longbridge", "UTC", "http://127.0.0.1:9", {}, since, paced=False)
