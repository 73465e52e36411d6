"""The ledger for the jobs of a finance person: a shop, its bank, a broker, and some errors in them.

Its clock stands still, so that no job depends on the day of the run.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from liushui.flow import Flow, Kind
from liushui.formats.sample import BANK, FORMAT, SHOP, sample_rows
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.money import EXACT, ZERO
from liushui.provider import DecodedRow, Slice
from liushui.testing.clock import NOON, MovableClock
from liushui.testing.empty_ledger import create_ledger
from tests.ledger.ledgers import commit_read

ZONE: Final = ZoneInfo("Asia/Shanghai")
BEGIN: Final = datetime(2022, 12, 1, tzinfo=ZONE).astimezone(UTC)
GAP: Final = Slice(*(datetime(2025, 11, day, tzinfo=ZONE).astimezone(UTC) for day in (4, 6)))
"""What the broker's sync has not read."""
PROVIDERS: Final = {"shop": "wecom", "bank": "mapped", "broker": "longbridge"}
"""The provider of each account. The bank's flows come from files, and have no source."""


def _rows(name: str) -> list[DecodedRow]:
    return [FORMAT.codec.read(row.row) for row in sample_rows(NOON)[name]]


SHOP_ROWS: Final[Sequence[DecodedRow]] = _rows(SHOP)
BANK_ROWS: Final[Sequence[DecodedRow]] = _rows(BANK)


def local_month(flow: Flow) -> str:
    """The month of a flow in the zone of the accounts: 2025-10."""
    return f"{flow.at.astimezone(ZONE):%Y-%m}"


HIDDEN: Final = next(
    row.flow for row in SHOP_ROWS if row.flow.kind is Kind.REFUND and local_month(row.flow) == "2025-10"
)
"""A refund of October that the shop's provider hides. The balances of later rows contain it."""
KEPT: Final = [row.flow for row in SHOP_ROWS if row.flow != HIDDEN]
"""The flows of the shop that the ledger has."""


def total(flows: Sequence[Flow]) -> Decimal:
    """The exact sum."""
    amount = ZERO
    for flow in flows:
        amount = EXACT.add(amount, flow.amount)
    return amount


def make_books(path: Path) -> None:
    """Write the ledger to a file. Tests work on copies of it."""
    ledger = create_ledger(str(path), clock=MovableClock())
    for name, provider in PROVIDERS.items():
        make_account(ledger, name, provider, ZONE.key)
        if name != "bank":
            add_source(ledger, account=name, base_url="http://127.0.0.1:9", credentials={}, since=BEGIN, paced=True)
    shop = [row for row in SHOP_ROWS if row.flow != HIDDEN]
    commit_read(ledger, Slice(BEGIN, NOON), *shop, account="shop", read_at=NOON)
    commit_read(ledger, Slice(BEGIN, NOON), *BANK_ROWS, account="bank", read_at=NOON)
    commit_read(ledger, Slice(BEGIN, GAP.since), account="broker", read_at=NOON)
    commit_read(ledger, Slice(GAP.until, NOON), account="broker", read_at=NOON)
    ledger.close()


def add_late_row(ledger: Ledger) -> None:
    """The bank lists one more flow of November, behind a month that was closed."""
    at = datetime(2025, 11, 21, 12, tzinfo=ZONE).astimezone(UTC)
    late = BANK_ROWS[0].flow._replace(identity="LATE", at=at, amount=Decimal("-88.00"), balance_after=None)
    hour = Slice(at, at + timedelta(hours=1))
    commit_read(ledger, hour, DecodedRow(late, b'{"id":"LATE"}', None), account="bank", read_at=NOON)
