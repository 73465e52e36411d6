"""A ledger with everything that is hard to write: names, currencies, digits and texts that formats treat specially."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from liushui.flow import Category, Direction, Flow, Fx, Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.read.model import ReadModel
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow, Slice
from liushui.providers import ProviderRules
from liushui.providers.longbridge.rules import RULES
from liushui.testing.clock import NOON
from tests.ledger.ledgers import commit_read, import_page, new_ledger, state

BEGIN: Final = datetime(2025, 10, 3, 2, 0, tzinfo=UTC)
"""10:00 in Hong Kong."""
BROKER, SHOP = "broker", "微信 小店"
Totals = dict[tuple[str, str], Decimal]
"""Sums by account and currency."""

MAP: Final = """
opening = "Equity:Opening-Balances"

[[asset]]
account = "broker"
target = "Assets:Broker"
[[asset]]
account = "broker"
subaccount = "futures"
target = "Assets:Broker:Futures"
[[asset]]
account = "微信 小店"
target = "Assets:WeCom:微信支付"

[[counter]]
target = "Equity:Clearing"
[[counter]]
kind = "fee"
target = "Expenses:Fees"
[[counter]]
kind = "dividend"
account = "broker"
target = "Income:Dividends"

[commodity]
"1INCH" = "X1INCH"
"点券" = "POINTS"
"""

TEXTS: Final = (
    "plain",
    '=HYPERLINK("http://x")',
    "+1 @ \\ back | pipe ; semi",
    'quote " and\nline',
    "全角　空格  两个",
    "<tag> & #hash *star !bang (paren)",
    "x" * 300,
)


def flow_row(number: int, amount: str, currency: str, *, kind: Kind = Kind.DEPOSIT, **fields: object) -> DecodedRow:
    """A row some hours after BEGIN, with texts that formats treat specially."""
    text = TEXTS[number % len(TEXTS)]
    flow = Flow(
        f"r{number:04}",
        BEGIN + timedelta(hours=7 * number),
        Decimal(amount),
        currency,
        kind=kind,
        label=text,
        note=TEXTS[(number + 1) % len(TEXTS)],
    )._replace(**fields)  # type: ignore[arg-type] # fields of a flow
    return DecodedRow(flow, msgspec.json.encode([flow.identity, amount]), None)


ROWS: Final = (
    flow_row(0, "1000.00", "USD"),
    flow_row(1, "-12.5", "USD", kind=Kind.FEE),
    flow_row(2, "100", "700.HK", kind=Kind.TRADE),
    flow_row(3, "51", "1INCH", subaccount="futures"),
    flow_row(4, "0.000000010000000001", "BTC", subaccount="futures"),
    flow_row(5, "-0.00000001", "BTC", kind=Kind.FEE, subaccount="futures"),
    flow_row(6, "0.00", "USD", direction=Direction.OUT),
    flow_row(7, "3.10", "USD", kind=Kind.DIVIDEND, ref="00000012345678901234", symbol="AAPL.US", name="Apple"),
    flow_row(
        8,
        "-700.000",
        "USD",
        kind=Kind.CONVERSION,
        category=Category.CASH,
        fx=Fx("HKD", Decimal("5460.00"), Decimal("7.8")),
        price=Decimal("1.250"),
        quantity=Decimal(10),
        settled_at=BEGIN + timedelta(days=4),
        detail={"longbridge_operator": "li", "longbridge_groups": ["x", 1]},
    ),
    flow_row(120, "5.00", "USDT"),
)
"""Rows of October and, the last one, of November 2025."""
SHOP_ROWS: Final = (
    flow_row(10, "88.80", "CNY", kind=Kind.RECEIPT),
    flow_row(11, "-8.80", "CNY", kind=Kind.REFUND, direction=Direction.IN),
    flow_row(12, "600", "点券", kind=Kind.OTHER),
)


def fill(ledger: Ledger) -> None:
    """A broker whose history is complete, and a shop that was imported, with a balance that a person stated."""
    commit_read(ledger, Slice(RULES.history_start, NOON), *ROWS, account=BROKER, read_at=NOON)
    add_source(ledger, account=BROKER, base_url="http://x", credentials={}, since=RULES.history_start, paced=True)
    import_page(ledger, *SHOP_ROWS, account=SHOP)
    state(ledger, "1000.00", BEGIN - timedelta(days=1), account=SHOP, currency="CNY")


@contextmanager
def books(folder: Path) -> Iterator[Ledger]:
    """The ledger, as a file in a folder."""
    ledger = new_ledger(folder, BROKER)
    make_account(ledger, SHOP, "wecom", "Asia/Shanghai")
    fill(ledger)
    yield ledger
    ledger.close()


def model_of(ledger: Ledger) -> ReadModel:
    """The read model of a ledger."""
    return ReadModel(ledger, ProviderRules())


def totals(ledger: Ledger, **fields: object) -> Totals:
    """What the flows come to, by account with its subaccount, and currency."""
    sums: Totals = defaultdict(Decimal)
    for one in list_flows(ledger, FlowFilter(**fields)):  # type: ignore[arg-type] # fields of a filter
        sums[f"{one.account}/{one.flow.subaccount}", one.flow.currency] += one.flow.amount
    return dict(sums)
