"""liushui reconcile: the proof of cash of a month, and the bank reconciliation statement."""

import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, messages
from liushui.instant import from_us, to_iso, us_to_iso
from liushui.money import to_plain_string

if TYPE_CHECKING:
    from liushui.ledger.read.model import Reading
    from liushui.ledger.read.open_items import BankReconciliation, OpenItem, ReconcilingItem
    from liushui.ledger.read.proof_lines import AccountMonth, ProofLine
    from liushui.reconcile.chain import Break

NAMES: Final = ("opening", "money_in", "money_out", "closing")
COLUMNS: Final = (
    *("account", "subaccount", "currency", "period", "since", "until", "flows", "check", "cause", "reason", "complete"),
    *NAMES,
    *(f"stated_{name}" for name in NAMES),
    *(f"difference_{name}" for name in NAMES),
    *("opening_stated_by", "closing_stated_by", "statements", "breaks", "closed", "changed_after_close"),
)
TABLE_COLUMNS: Final = ("account", "subaccount", "currency", "period", "figures", *NAMES, "check")
STATEMENT_COLUMNS: Final = (
    *("account", "subaccount", "currency", "period", "ledger_balance", "bank_received", "bank_paid"),
    *("ledger_adjusted", "stated_balance", "ledger_received", "ledger_paid", "bank_adjusted", "unexplained"),
    *("check", "cause", "reason", "items", "open_items", "open_items_reason"),
)
STATEMENT_TABLE_COLUMNS: Final = ("account", "subaccount", "currency", "item", "项目", "amount", "at", "age_days")
REASONS_MAX: Final = 12
"""The most lines without a pass that are explained below a table."""


class Form(StrEnum):
    """The form in which a month is printed."""

    PROOF_OF_CASH = "proof-of-cash"
    BANK_RECONCILIATION = "bank-reconciliation"


@click.command()
@options.accounts
@click.option(
    "--period",
    metavar="PERIOD",
    help="A month of the account's zone, 2026-10; a year, 2026; or days, both included: 2026-10-05..2026-10-20. "
    "(default: the last month that is over)",
)
@click.option(
    "--form",
    "layout",
    type=options.EnumChoice(Form),
    default=Form.PROOF_OF_CASH.value,
    help="The proof of cash, or the bank reconciliation statement (银行存款余额调节表) with outstanding items.",
)
@options.ledger_and_format
def reconcile(settings: Settings, accounts: tuple[str, ...], period: str | None, layout: Form) -> None:
    """Prove what moved in a month: opening, receipts, payments and closing.

    The command computes each figure from the flows, and compares it with the balances that rows and people state. A
    line passes only if both balances are stated and no flow can be missing. The other verdicts are fail, and could not
    check with the reason. `breaks` names the flows between which a difference lies. `closed` says whether the month is
    closed, and `changed_after_close` how many of its flows have changed since. The exit code is 3 unless every line
    passes.

    The bank reconciliation statement adds to the ledger's balance what only the provider has, and to the stated balance
    what only the ledger has. Outstanding items are transfers and refunds whose other side is not known, and fees of an
    order that the ledger does not have, each with its age.

    \b
    Example: liushui reconcile broker --period 2026-10
    Example: liushui reconcile bank --period 2026-10-05..2026-10-20
    """
    from liushui.ledger.read.month_calendar import read_days
    from liushui.ledger.read.open_items import bank_reconciliations, list_open_items
    from liushui.ledger.read.proof_of_cash import reconcile_days

    days = None if period is None else read_days(period)
    model, form = settings.open_read_model(), settings.format
    with model.reading(accounts) as reading:
        proofs = [reconcile_days(reading, account, days) for account in reading.accounts.values()]
        closed = {proof.account: _closed_record(reading, proof) for proof in proofs}
        records: list[Record] = []
        if layout is Form.BANK_RECONCILIATION:
            for proof in proofs:
                account = reading.accounts[proof.account]
                found = list_open_items(reading, model.rules, account, proof.month)
                for statement in bank_reconciliations(reading, account, proof):
                    items = [item for item in found.items if (item.subaccount, item.currency) == statement.line.key]
                    record = {**statement_record(proof, statement, items), "open_items_reason": found.reason or None}
                    records += _statement_rows(statement, record) if form is Format.TABLE else [record]
    if layout is Form.BANK_RECONCILIATION:
        emit(records, STATEMENT_TABLE_COLUMNS if form is Format.TABLE else STATEMENT_COLUMNS, form)
    elif form is Format.TABLE:
        emit((row for proof in proofs for row in _table_rows(proof)), TABLE_COLUMNS, form)
    else:
        emit(
            ({**record, **closed[proof.account]} for proof in proofs for record in proof_records(proof)), COLUMNS, form
        )
    _exit_unless_passed(proofs)


def _exit_unless_passed(proofs: "Iterable[AccountMonth]") -> None:
    """Explain the lines that did not pass, and exit with 3. Return if all passed."""
    failed = [proof for proof in proofs if proof.status.value != "pass"]
    reasons = [reason for proof in failed for reason in describe_failures(proof)]
    for reason in reasons[:REASONS_MAX]:
        messages.warn(reason)
    if len(reasons) > REASONS_MAX:
        messages.print(f"  and {len(reasons) - REASONS_MAX} more")
    if failed:
        sys.exit(EXIT_INCOMPLETE)


def describe_failures(proof: "AccountMonth") -> Iterator[str]:
    """A sentence for each line of an account's month that does not pass."""
    if not proof.lines:
        yield f"{proof.account} {proof.month.name}: {_verdict_text(proof.status.value)}: {proof.reason}"
    for line in proof.lines:
        if line.status.value != "pass":
            about = " ".join(filter(None, (line.account, line.subaccount, line.currency, proof.month.name)))
            yield f"{about}: {_verdict_text(line.status.value)}: {line.reason}"
            for one in line.breaks:
                yield f"  {to_plain_string(one.difference)} before flow {one.after[1]} at {us_to_iso(one.after[0])}"


def _verdict_text(status: str) -> str:
    return status.replace("_", " ")


# ---------------------------------------------------------------- records


def proof_records(proof: "AccountMonth") -> Iterator[Record]:
    """One record for each line of an account's month. A month without lines has one record without figures."""
    common = {
        "account": proof.account,
        "period": proof.month.name,
        "since": from_us(proof.month.since_us),
        "until": from_us(proof.month.until_us),
        "complete": proof.verdict.is_complete,
    }
    if not proof.lines:
        verdict = {"check": proof.status.value, "cause": proof.cause, "reason": proof.reason or None}
        yield {**dict.fromkeys(COLUMNS), "flows": 0, "statements": [], "breaks": [], **common, **verdict}
    for line in proof.lines:
        yield {**common, **_line_record(line)}


def _closed_record(reading: "Reading", proof: "AccountMonth") -> Record:
    """Whether an account's month is closed, and how many of its flows have changed since."""
    from liushui.ledger.read.closed_months import closed_months, list_decisions

    closed = closed_months(list_decisions(reading.queries, (proof.account,)))
    months = reading.month_changes(reading.accounts[proof.account])
    changed = [len(month.changes) for month in months if month.closed.period == proof.month.name]
    return {"closed": (proof.account, proof.month.name) in closed, "changed_after_close": sum(changed)}


def _line_record(line: "ProofLine") -> Record:
    kinds = (("", line.ledger), ("stated_", line.stated), ("difference_", line.difference))
    return {
        "subaccount": line.subaccount,
        "currency": line.currency,
        "flows": line.flows,
        "check": line.status.value,
        "cause": None if line.cause is None else line.cause.value,
        "reason": line.reason or None,
        **{f"{kind}{name}": value for kind, figures in kinds for name, value in zip(NAMES, figures, strict=True)},
        "opening_stated_by": None if line.opening_by is None else line.opening_by.value,
        "closing_stated_by": None if line.closing_by is None else line.closing_by.value,
        "statements": list(line.statements),
        "breaks": [_break_record(one) for one in line.breaks],
    }


def _break_record(one: "Break") -> Record:
    return {
        "difference": to_plain_string(one.difference),
        "cause": one.cause.value,
        "before": None if one.before is None else one.before[1],
        "before_at": None if one.before is None else us_to_iso(one.before[0]),
        "after": one.after[1],
        "after_at": us_to_iso(one.after[0]),
        "rows": [id_ for _, id_ in one.rows],
    }


def _table_rows(proof: "AccountMonth") -> Iterator[Record]:
    """Return three rows for each line: the figures of the flows, the stated ones, and the difference."""
    for record in proof_records(proof):
        about = {name: record[name] for name in ("account", "subaccount", "currency", "period")}
        check = _verdict_text(str(record["check"]))
        yield {**about, "figures": "ledger", **{name: record[name] for name in NAMES}, "check": check}
        if record["currency"] is None:
            continue
        for figures in ("stated", "difference"):
            values = {name: record[f"{figures}_{name}"] for name in NAMES}
            yield {**dict.fromkeys(about, ""), "figures": figures, **values, "check": ""}


# ---------------------------------------------------------------- the bank reconciliation statement


def statement_record(proof: "AccountMonth", statement: "BankReconciliation", items: "list[OpenItem]") -> Record:
    """A bank reconciliation statement by its columns."""
    from liushui.ledger.read.open_items import ItemSide

    line = statement.line
    return {
        "account": line.account,
        "subaccount": line.subaccount,
        "currency": line.currency,
        "period": proof.month.name,
        "ledger_balance": line.ledger.closing,
        **{side.value: statement.total(side) for side in ItemSide},
        "ledger_adjusted": statement.ledger_adjusted,
        "stated_balance": line.stated.closing,
        "bank_adjusted": statement.bank_adjusted,
        "unexplained": statement.unexplained,
        "check": line.status.value,
        "cause": None if line.cause is None else line.cause.value,
        "reason": line.reason or None,
        "items": [_item_record(item) for item in statement.items],
        "open_items": [_open_item_record(item) for item in items],
    }


def _item_record(item: "ReconcilingItem") -> Record:
    return {
        "side": item.side.value,
        "amount": to_plain_string(item.amount),
        "at": to_iso(item.at),
        "flow": item.id,
        "age_days": item.age_days,
    }


def _open_item_record(item: "OpenItem") -> Record:
    record = {name: getattr(item, name) for name in ("id", "kind", "age_days")}
    return {**record, "at": to_iso(item.at), "amount": to_plain_string(item.amount)}


def _statement_rows(statement: "BankReconciliation", record: Record) -> Iterator[Record]:
    """Return the rows of the statement for a table: each figure with its items, and the outstanding items."""
    from liushui.ledger.read.open_items import STATEMENT_ROWS

    about = {name: record[name] for name in ("account", "subaccount", "currency")}
    for field, english, chinese in STATEMENT_ROWS:
        amount = record[field]
        yield {**about, "item": english, "项目": chinese, "amount": amount, "at": "", "age_days": ""}
        about = dict.fromkeys(about, "")
        for item in statement.items:
            if item.side.value == field:
                yield _item_row(about, f"  flow {item.id}", "", item.amount, to_iso(item.at), item.age_days)
    open_items = record["open_items"]
    if isinstance(open_items, list):
        for item in open_items:
            name = f"Outstanding {item['kind']} {item['id']}"
            yield _item_row(about, name, "未达账项", Decimal(item["amount"]), item["at"], item["age_days"])


def _item_row(about: Record, english: str, chinese: str, amount: Decimal, at: str, age_days: int) -> Record:
    return {**about, "item": english, "项目": chinese, "amount": amount, "at": at, "age_days": age_days}
