"""Make ledgers, rows and commits for tests, and read back every table."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.flow import Category, Direction, Flow, Fx, Kind
from liushui.importing.merge import merge_block
from liushui.importing.staging import Block
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.findings import SIDE, finding_id
from liushui.ledger.flow_row import Rejected, Row, read_rows
from liushui.ledger.jobs.workers import Lease
from liushui.ledger.maintenance.backup import back_up
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.maintenance.restore import restore
from liushui.ledger.maintenance.verify import Damage, Verified, verify
from liushui.ledger.read.closed_months import ClosedLine, PeriodDecision, PeriodState
from liushui.ledger.read.closed_months import decision_row as decision_row_of_month
from liushui.ledger.read.finding_decisions import FindingAction, FindingDecision
from liushui.ledger.read.finding_decisions import decision_row as decision_row_of_finding
from liushui.ledger.read.link_decisions import decision_row
from liushui.ledger.schema import leases, metadata
from liushui.ledger.write.change import CLOSED, DECIDED, REVIEWED, Change, Committed
from liushui.ledger.write.commit import commit_change, commit_rows, commit_slice, make_account
from liushui.ledger.write.imports import ImportCounts, ImportRecord
from liushui.ledger.write.quarantine import quarantine_rows
from liushui.ledger.write.stated_balances import Statement, state_balance
from liushui.provider import Codec, DecodedRow, Slice
from liushui.reconcile.links import Basis, Link, LinkFlow, LinkKind, LinkState
from liushui.testing.clock import MovableClock
from liushui.testing.empty_ledger import create_ledger

if TYPE_CHECKING:
    from tests.engines import LedgerStore

DAY_ONE = datetime(2024, 3, 1, tzinfo=UTC)
READ_AT = datetime(2024, 6, 1, tzinfo=UTC)

Tables = Mapping[str, Sequence[Row]]
"""The rows of every table, ordered by its key."""


def new_ledger(
    where: "LedgerStore | Path", *accounts: str, zone: str = "Asia/Hong_Kong", name: str = "ledger.db"
) -> Ledger:
    """A ledger with these accounts and a clock that stands still. In a folder it is a file."""
    url = str(where / name) if isinstance(where, Path) else where.url(name)
    ledger = create_ledger(url, clock=MovableClock())
    for account in accounts or ("a",):
        make_account(ledger, account, "longbridge", zone)
    return ledger


def copied(ledger: Ledger, folder: Path) -> Ledger:
    """A copy of a ledger, in a folder."""
    copy_ledger(ledger, str(folder / "copy.db"))
    return open_ledger(str(folder / "copy.db"))


def restored(ledger: Ledger, folder: Path) -> Ledger:
    """A ledger from a backup of another, both in a folder."""
    back_up(ledger, folder / "backup.db")
    restore(folder / "backup.db", str(folder / "restored.db"))
    return open_ledger(str(folder / "restored.db"))


def hour(number: float) -> datetime:
    """An instant, in hours after the beginning of DAY_ONE."""
    return DAY_ONE + timedelta(hours=number)


def hours(since: float, until: float) -> Slice:
    """A slice, in hours after the beginning of DAY_ONE."""
    return Slice(hour(since), hour(until))


def make_row(
    identity: str,
    at: datetime | float = 0,
    amount: str = "1.00",
    *,
    label: str = "x",
    currency: str = "USD",
    kind: Kind = Kind.DEPOSIT,
    subaccount: str = "",
    direction: Direction = Direction.NONE,
    balance: str | None = None,
) -> DecodedRow:
    """A decoded row with as few fields as a flow can have. A number for `at` counts hours, as in `hour`."""
    at = at if isinstance(at, datetime) else hour(at)
    flow = Flow(identity, at, Decimal(amount), currency, direction, kind, label=label, subaccount=subaccount)
    if balance is not None:
        flow = flow._replace(balance_after=Decimal(balance))
    return DecodedRow(flow, msgspec.json.encode([identity, label, amount]), None)


def state(
    ledger: Ledger,
    amount: str,
    at: datetime | float,
    *,
    account: str = "a",
    currency: str = "USD",
    subaccount: str = "",
    note: str = "",
    period: tuple[datetime, Decimal] | None = None,
) -> str:
    """State a balance, with the begin of a statement's period and the balance then. Returns its id."""
    at = at if isinstance(at, datetime) else hour(at)
    statement = Statement(account, at, currency, Decimal(amount), subaccount, note, *(period or ()))
    return state_balance(ledger, statement, None).id


def make_full_row(identity: str, at: float = 0, amount: str = "-12.50", *, label: str = "買入") -> DecodedRow:
    """A decoded row with all fields that a flow can have."""
    flow = Flow(
        identity,
        hour(at),
        Decimal(amount),
        "USD",
        direction=Direction.OUT,
        kind=Kind.TRADE,
        category=Category.STOCK,
        label=label,
        subaccount="margin",
        balance_after=Decimal("1000.00"),
        settled_at=hour(at + 48),
        ref="R-1",
        order_ref="O-1",
        symbol="AAPL.US",
        name="Apple",
        price=Decimal("1.250"),
        quantity=Decimal(10),
        note="ten of them",
        fx=Fx("HKD", Decimal("97.50"), Decimal("7.8")),
        detail={"operator": "li", "groups": ["x", 1]},
    )
    return DecodedRow(flow, msgspec.json.encode([identity, label, amount]), msgspec.json.encode([identity, "served"]))


def rejected_row(row: str, reason: str = "expected a row") -> Rejected:
    """A row that could not be decoded."""
    return Rejected(row.encode(), "row", reason)


def commit_read(
    ledger: Ledger,
    asked: Slice,
    *received: DecodedRow,
    rejected: Sequence[Rejected] = (),
    account: str = "a",
    read_at: datetime = READ_AT,
) -> Committed:
    """Commit a slice that was read whole."""
    return commit_slice(ledger, account, asked, read_at=read_at, received=received, rejected=rejected)


def decode_and_commit(ledger: Ledger, asked: Slice, codec: Codec, *rows: bytes, account: str = "a") -> Committed:
    """Decode rows and commit them as a slice."""
    received, rejected = read_rows(codec, rows)
    return commit_read(ledger, asked, *received, rejected=rejected, account=account)


def decide_link_of(ledger: Ledger, account: str = "a") -> Committed | None:
    """Confirm a link between two flows of an account, whether the ledger has them or not."""
    flows = (
        LinkFlow(account, 1, "one", "", Decimal(-5), "USD", "fee"),
        LinkFlow(account, 2, "two", "", Decimal(7), "USD", "trade"),
    )
    link = Link(LinkKind.FEE, flows, Basis.TIME, LinkState.CANDIDATE)

    def plan(_connection: Connection, batch: int) -> Change:
        return Change(decided=[decision_row(link, LinkState.CONFIRMED, "li", "the slip", 3, batch)])

    return commit_change(ledger, account, DECIDED, plan)


def close_march_of(ledger: Ledger, account: str = "a") -> Committed | None:
    """Close March 2024 of an account, whether it passes or not, without a certificate."""

    def plan(_connection: Connection, batch: int) -> Change:
        line = ClosedLine("", "USD", "0", "1.00", "0", "1.00", None, None, "could_not_check", "none", "on paper")
        decision = PeriodDecision(account, "2024-03", batch, PeriodState.CLOSED, (line,), "0f", "li", "why", READ_AT)
        return Change(periods=[decision_row_of_month(decision, to_us(READ_AT))])

    return commit_change(ledger, account, CLOSED, plan)


def explain_side_of(ledger: Ledger, flow: str, at: float, account: str = "a") -> Committed | None:
    """Explain a flow's direction, whether the ledger has the flow or not."""
    at_us = to_us(hour(at))
    name = finding_id(account, SIDE, at_us, flow)

    def plan(_connection: Connection, batch: int) -> Change:
        about = (account, name, batch, SIDE, at_us, flow, "out 1.00 USD")
        decision = FindingDecision(*about, FindingAction.EXPLAINED, "li", "a reversal", READ_AT)
        return Change(findings=[decision_row_of_finding(decision, to_us(READ_AT))])

    return commit_change(ledger, account, REVIEWED, plan)


def import_rejected(ledger: Ledger, *rejected: Rejected, account: str = "a") -> Committed | None:
    """Quarantine rows that an import could not decode."""
    rows = list(rejected)
    return commit_rows(ledger, account, lambda c, batch: Change(quarantined=quarantine_rows(c, account, rows, batch)))


def import_page(ledger: Ledger, *received: DecodedRow, account: str = "a") -> Committed | None:
    """Import one page."""
    block = Block.of_decoded(received)
    ends = block.at_us[0], block.at_us[-1]
    return commit_rows(ledger, account, lambda c, batch: merge_block(c, account, block, ends, batch))


def import_recorded(
    ledger: Ledger, *received: DecodedRow, rejected: Sequence[Rejected] = (), account: str = "a"
) -> str:
    """Import one page as an import that can be undone. Returns its id."""
    record = ImportRecord(ledger, account, ["page.json"])
    if received:
        block = Block.of_decoded(received)
        ends = block.at_us[0], block.at_us[-1]
        keys = list(zip(block.at_us, block.identity, strict=True))
        record.commit(lambda c, batch: merge_block(c, account, block, ends, batch), lambda: keys)
    if rejected:
        record.commit_rejected(rejected)
    record.finish(ImportCounts(rows=len(received) + len(rejected), rejected=len(rejected)))
    return record.id


def tables(ledger: Ledger) -> dict[str, list[Row]]:
    """Every row of every table."""
    with ledger.reading() as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(sa.select(*table.columns).order_by(*table.primary_key.columns))
            ]
            for table in metadata.sorted_tables
        }


def column(ledger: Ledger, table: str, *names: str) -> list[Row]:
    """Some columns of a table, ordered by its key."""
    columns = [metadata.tables[table].c[name] for name in names]
    key = metadata.tables[table].primary_key.columns
    with ledger.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(*key))]


def damages(ledger: Ledger) -> list[Damage]:
    """The damages that `verify` finds."""
    return [result for result in verify(ledger) if isinstance(result, Damage)]


def assert_intact(ledger: Ledger) -> None:
    """Check that every account is verified, also those that were removed, and nothing is damaged."""
    results = list(verify(ledger))
    assert all(isinstance(result, Verified) for result in results), results
    names = {row[0] for table in ("accounts", "tombstones") for row in column(ledger, table, "account")}
    assert [result.account for result in results] == sorted(names)  # type: ignore[type-var] # texts


def leases_of(ledger: Ledger) -> list[Lease]:
    """Every lease, by account."""
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(leases).order_by(leases.c.account)).all()
    return [Lease(row.account, row.holder, from_us(row.until_us)) for row in rows]
