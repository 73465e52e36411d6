"""Outstanding items, and the bank reconciliation statement (银行存款余额调节表) of a month. Reads only.

An outstanding item is a transfer or a refund whose other side is not known, or a fee of an order without another flow
in the ledger. Certificates use the same definition. The bank reconciliation statement adds to the balance of the ledger
the items that only the provider has, and to the stated balance the items that only the ledger has.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from liushui.flow import Kind
from liushui.instant import from_us
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.links import LinkReader
from liushui.ledger.read.model import Account, Reading
from liushui.ledger.read.month_calendar import Month
from liushui.ledger.read.proof_lines import AccountMonth, ProofLine, movements
from liushui.money import EXACT, ZERO, exact_sum
from liushui.reconcile.chain import Break
from liushui.reconcile.links import HELD, FlowKey, Link, LinkKind
from liushui.rules import Paging, Rules

KINDS: Final = (Kind.REFUND.value, Kind.TRANSFER.value)
"""The kinds of flows that have another side. A deposit or a withdrawal may come from or go outside of the ledger."""
FEE: Final = Kind.FEE.value
"""A fee counts only if it names an order. Otherwise nothing shows the reason of the fee."""
FEES_MAX: Final = 50_000
"""If a month has more fees, outstanding items are not listed."""
ROWS_MAX: Final = 2_000
"""If a month has more flows of these kinds, outstanding items are not listed, because each refund needs its own
search."""


class OpenItem(NamedTuple):
    """An item without a certain or confirmed link to its other side. `age_days`: whole days until now."""

    account: str
    at: datetime
    id: str
    kind: str
    subaccount: str
    currency: str
    amount: Decimal
    age_days: int


class OpenItems(NamedTuple):
    """The outstanding items of an account's month, by time. `reason`: why they could not be listed; empty if they
    could."""

    items: tuple[OpenItem, ...]
    reason: str


def list_open_items(reading: Reading, rules: Mapping[str, Rules[Paging]], account: Account, month: Month) -> OpenItems:
    """Return the outstanding items of a month, in the state of the ledger that the reading sees.

    If a month is not complete, an empty list does not mean that nothing is outstanding.
    """
    verdict = account.completeness.of(*month.range_us)
    unknown = OpenItems((), "" if verdict.is_complete else f"the period is not complete: {verdict.reason}")
    name, days = account.snapshot.account, (month.first.isoformat(), month.after.isoformat())
    marks = ", ".join("?" * len((*KINDS, FEE)))
    counts = {
        kind: int(flows)
        for kind, flows in reading.queries.rows(
            "SELECT kind, sum(flows) FROM day_totals WHERE account = ? AND day >= ? AND day < ? "
            f"AND kind IN ({marks}) GROUP BY kind",
            *(name, *days, *KINDS, FEE),
        )
    }
    if not counts:
        return unknown
    reason = why_not(sum(counts.get(kind, 0) for kind in KINDS), counts.get(FEE, 0))
    if reason:
        return OpenItems((), reason)
    rows = {
        FlowKey(name, at_us, id_): (kind, subaccount, currency, Decimal(amount))
        for at_us, id_, kind, subaccount, currency, amount in reading.queries.rows(
            "SELECT at_us, id, kind, subaccount, currency, amount FROM flows WHERE account = ? AND at_us >= ? "
            f"AND at_us < ? AND kind IN ({marks}) AND (kind <> ? OR order_ref IS NOT NULL) ORDER BY at_us, id",
            *(name, *month.range_us, *KINDS, FEE, FEE),
        )
    }
    links = LinkReader(reading.connection, find_accounts(queries_of(reading.connection)), rules)
    linked = find_linked(links, {key: row[0] for key, row in rows.items()}, reading.visible)
    items = tuple(
        OpenItem(name, from_us(key.at_us), key.id, *row, age_days=(reading.now - from_us(key.at_us)).days)
        for key, row in rows.items()
        if key not in linked
    )
    return OpenItems(items, "") if items else unknown


def why_not(others: int, fees: int) -> str:
    """Return why outstanding items are not listed, from the numbers of transfers and refunds, and of fees. Empty: they
    are listed."""
    if others > ROWS_MAX:
        return f"{others} transfers and refunds: more than {ROWS_MAX:,}"
    return f"{fees} fees: more than {FEES_MAX:,}" if fees > FEES_MAX else ""


def find_linked(
    links: LinkReader, kinds: Mapping[FlowKey, str], visible: Collection[str] | None = None
) -> set[FlowKey]:
    """Return the flows that a certain or confirmed link contains: of the given flows, with their kinds, and perhaps
    others.

    `visible`: only links between these accounts; None: between any. A reader must not learn from the result whether the
    other side is in an account that they may not see.
    """
    if not kinds:
        return set()

    def counts(link: Link) -> bool:
        if link.kind is LinkKind.SAME_MONEY:
            return False  # the same refund in another account is not its receipt
        return link.state in HELD and (visible is None or all(key.account in visible for key in link.keys))

    times = [key.at_us for key in kinds]
    since_us, until_us = min(times) - links.window_us, max(times) + links.window_us + 1
    found = (*links.transfers(since_us, until_us), *links.decided(since_us, until_us))
    linked = {key for link in found if counts(link) for key in link.keys}
    for account in {key.account for key, kind in kinds.items() if kind == FEE}:
        charged = (link for link in links.within(account, min(times), max(times) + 1) if link.kind is LinkKind.FEE)
        linked.update(key for link in charged if counts(link) for key in link.keys)
    for key, kind in kinds.items():
        # The receipt of a refund may be much earlier, so it is searched from each refund.
        if kind == Kind.REFUND.value and key not in linked:
            linked.update(key for link in links.links_of(key) if counts(link))
    return linked


# ---------------------------------------------------------------- the bank reconciliation statement


class ItemSide(StrEnum):
    """Which side has an item, and whether it is a receipt or a payment."""

    BANK_RECEIVED = "bank_received"
    """银行已收企业未收"""
    BANK_PAID = "bank_paid"
    """银行已付企业未付"""
    LEDGER_RECEIVED = "ledger_received"
    """企业已收银行未收"""
    LEDGER_PAID = "ledger_paid"
    """企业已付银行未付"""


STATEMENT_ROWS: Final = (
    ("ledger_balance", "Balance of the ledger", "企业账面余额"),
    ("bank_received", "+ received by the provider only", "加：银行已收企业未收"),
    ("bank_paid", "− paid by the provider only", "减：银行已付企业未付"),
    ("ledger_adjusted", "Adjusted balance", "调节后余额"),
    ("stated_balance", "Stated balance", "银行对账单余额"),
    ("ledger_received", "+ received by the ledger only", "加：企业已收银行未收"),
    ("ledger_paid", "− paid by the ledger only", "减：企业已付银行未付"),
    ("bank_adjusted", "Adjusted balance", "调节后余额"),
    ("unexplained", "Unexplained difference", "未查明差额"),
)
"""The rows of the statement: the field, and its name in English and Chinese."""


class ReconcilingItem(NamedTuple):
    """An amount, never negative, that only one side has. It belongs before the flow `id` at `at`, or it is that
    flow."""

    side: ItemSide
    amount: Decimal
    at: datetime
    id: str
    age_days: int


class BankReconciliation(NamedTuple):
    """The statement of one line. Balances are None if they are not known.

    `ledger_adjusted` is the ledger's balance plus the items that only the provider has. `bank_adjusted` is the stated
    balance plus the items that only the ledger has. `unexplained` is the difference between the two.
    """

    line: ProofLine
    items: tuple[ReconcilingItem, ...]

    def total(self, side: ItemSide) -> Decimal:
        """The sum of the items of one side."""
        return exact_sum(item.amount for item in self.items if item.side is side)

    @property
    def ledger_adjusted(self) -> Decimal | None:
        """The adjusted balance of the ledger."""
        return self._adjusted(self.line.ledger.closing, ItemSide.BANK_RECEIVED, ItemSide.BANK_PAID)

    @property
    def bank_adjusted(self) -> Decimal | None:
        """The adjusted stated balance."""
        return self._adjusted(self.line.stated.closing, ItemSide.LEDGER_RECEIVED, ItemSide.LEDGER_PAID)

    @property
    def unexplained(self) -> Decimal | None:
        """The adjusted stated balance minus the adjusted balance of the ledger."""
        if self.bank_adjusted is None or self.ledger_adjusted is None:
            return None
        return EXACT.subtract(self.bank_adjusted, self.ledger_adjusted)

    def _adjusted(self, balance: Decimal | None, more: ItemSide, less: ItemSide) -> Decimal | None:
        if balance is None:
            return None
        return exact_sum((balance, self.total(more), self.total(less).copy_negate()))


def bank_reconciliations(reading: Reading, account: Account, proof: AccountMonth) -> list[BankReconciliation]:
    """Return the bank reconciliation statement of each line of an account's month.

    An item of an earlier month stays in the statement until the ledger has the missing flow.
    """
    chains = reading.chains(account)
    statements = []
    for line in proof.lines:
        chain = chains.get(line.key)
        breaks = [one for one in chain.breaks if one.after[0] < proof.month.until_us] if chain is not None else []
        statements.append(BankReconciliation(line, tuple(_items(breaks, reading.now))))
    return statements


def _items(breaks: Sequence[Break], now: datetime) -> Iterator[ReconcilingItem]:
    for movement in movements(breaks):
        if movement.is_surplus:
            side = ItemSide.LEDGER_RECEIVED if movement.difference < ZERO else ItemSide.LEDGER_PAID
        else:
            side = ItemSide.BANK_RECEIVED if movement.difference > ZERO else ItemSide.BANK_PAID
        at_us, id_ = movement.row
        at = from_us(at_us)
        yield ReconcilingItem(side, abs(movement.difference), at, id_, (now - at).days)
