"""Ledgers with data for the tests of the overview and the flows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from liushui.flow import Direction, Flow, Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.provider import DecodedRow, Slice
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read, new_ledger, rejected_row
from tests.web.visitor import Visitor, visiting

BEGIN: Final = datetime(2025, 11, 1, tzinfo=ZoneInfo("Asia/Hong_Kong")).astimezone(UTC)

CREDENTIALS: Final = {"app_key": "k", "app_secret": "s", "access_token": "t"}

TRANSFER = "TT204911880"
"""The number of a transfer from `a` to `b`, which both ends have."""


def row(
    identity: str,
    after: timedelta,
    amount: str,
    *,
    currency: str = "USD",
    kind: Kind = Kind.TRADE,
    label: str = "Buy",
    direction: Direction = Direction.NONE,
    balance: str | None = None,
    symbol: str | None = None,
    order_ref: str | None = None,
    wire: bytes | None = None,
) -> DecodedRow:
    """A row at a time after BEGIN."""
    flow = Flow(
        identity,
        BEGIN + after,
        Decimal(amount),
        currency,
        direction=direction,
        kind=kind,
        label=label,
        balance_after=None if balance is None else Decimal(balance),
        symbol=symbol,
        order_ref=order_ref,
    )
    return DecodedRow(flow, msgspec.json.encode({"id": identity, "amount": amount}) if wire is None else wire, None)


def fill(ledger: Ledger) -> None:
    """Two accounts with a gap, a transfer between them, a flow to review and a rejected row."""
    hours = timedelta(hours=1)
    first = [
        row("a1", 1 * hours, "1000.00", kind=Kind.DEPOSIT, label="Wire", balance="1000.00"),
        row("a2", 2 * hours, "-250.125", balance="749.875", symbol="AAPL.US"),
        row("a3", 30 * hours, "-100.0", kind=Kind.WITHDRAWAL, label="To b", balance="649.9", order_ref=TRANSFER),
        row("a4", 31 * hours, "5", currency="HKD", kind=Kind.DIVIDEND, direction=Direction.OUT),
    ]
    second = [row("b1", 30 * hours, "100.00", kind=Kind.DEPOSIT, label="From a", balance="100.00", order_ref=TRANSFER)]
    commit_read(
        ledger, Slice(BEGIN, BEGIN + 72 * hours), *first, rejected=[rejected_row('{"x":1}')], account="a", read_at=NOON
    )
    commit_read(ledger, Slice(BEGIN + 96 * hours, NOON), account="a", read_at=NOON)
    commit_read(ledger, Slice(BEGIN, NOON), *second, account="b", read_at=NOON)
    for account in "ab":
        add_source(ledger, account=account, base_url="http://x", credentials=CREDENTIALS, since=BEGIN, paced=True)


@contextmanager
def reading(folder: Path) -> Iterator[Visitor]:
    """A logged-in visitor to a ledger with data."""
    ledger = new_ledger(folder, "a", "b")
    fill(ledger)
    with visiting(ledger) as visitor:
        visitor.log_in()
        yield visitor
    ledger.close()


def fill_many(ledger: Ledger, account: str, rows: int, minutes: int = 10) -> None:
    """Rows at regular intervals, in slices of a thousand."""
    for begin in range(0, rows, 1_000):
        numbers = range(begin, min(begin + 1_000, rows))
        ends = (BEGIN + timedelta(minutes=minutes * number) for number in (begin, begin + 1_000))
        commit_read(
            ledger,
            Slice(*ends),
            *(
                row(f"m{number:06}", timedelta(minutes=minutes * number), f"{number - 400}.{number % 100:02}")
                for number in numbers
            ),
            account=account,
            read_at=NOON,
        )
