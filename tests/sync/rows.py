"""Rows, ledgers and sources for the tests of the sync."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from liushui.instant import Clock
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source
from liushui.ledger.write.commit import make_account
from liushui.providers.longbridge.rules import RULES
from liushui.testing.clock import MovableClock
from liushui.testing.empty_ledger import create_ledger

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 1, 11, 12, 0, 0, 500_000, tzinfo=UTC)
HORIZON = NOW.replace(microsecond=0) - RULES.allowed_lateness
"""The end of what a sync at NOW can prove."""


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
    """One row an hour, each with an amount of its own."""
    return [row(begin + timedelta(hours=hour), f"-{hour}.25") for hour in range(24 * days)]


def new_ledger(folder: Path, clock: Clock | None = None, *accounts: str) -> Ledger:
    """A ledger with one account, `a`, or with those named."""
    ledger = create_ledger(str(folder / "ledger.db"), clock=clock or MovableClock(NOW))
    for account in accounts or ("a",):
        make_account(ledger, account, "longbridge", "UTC")
    return ledger


def source(account: str = "a", *, since: datetime = BEGIN, paced: bool = False, key: str = "") -> Source:
    """The source of an account. Sources with the same key share its rate limit."""
    credentials = {"app_key": key or account, "app_secret": "s", "access_token": "t"}
    return Source(account, "longbridge", "UTC", "http://127.0.0.1:9", credentials, since, paced)
