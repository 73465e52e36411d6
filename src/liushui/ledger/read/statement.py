"""The statement of a month of an account: its opening balances, all rows and its closing balances."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from liushui.errors import LedgerError
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import LedgerFlow, stream_flows
from liushui.ledger.read.model import Account, ReadModel
from liushui.ledger.read.month_calendar import next_month, read_month
from liushui.ledger.read.proof_lines import AccountMonth, ProofLine
from liushui.ledger.read.proof_of_cash import reconcile_month
from liushui.money import EXACT, ZERO

ATTEMPTS: Final = 5
"""The rows are read after the figures. If a sync commits in between, both are read again."""


class StatementRow(NamedTuple):
    """A flow, and the balance after it. `balance` None: the opening balance is not known, and the row states no
    balance."""

    found: LedgerFlow
    balance: Decimal | None


class StatementPart(NamedTuple):
    """The figures of one subaccount and currency, and all of its rows in the order of their balances."""

    line: ProofLine
    rows: tuple[StatementRow, ...]


class AccountStatement(NamedTuple):
    """A month of an account, by subaccount and currency."""

    account: Account
    month: AccountMonth
    parts: tuple[StatementPart, ...]


def read_statement(model: ReadModel, name: str, period: str | None = None) -> AccountStatement:
    """Return the statement of an account's month, such as `2026-10`. None: the last month that has ended.

    The rows of each part add up to its figures exactly. Raises AccountNotFound, InvalidField, and LedgerError if
    commits keep interfering.
    """
    first = None if period is None else read_month(period)
    for _ in range(ATTEMPTS):
        with model.reading((name,)) as reading:
            account = reading.accounts[name]
            month = reconcile_month(reading, account, first)
        parts = tuple(StatementPart(line, tuple(_rows(model, month, line))) for line in month.lines)
        if all(_is_consistent(part) for part in parts):
            return AccountStatement(account, month, parts)
    raise LedgerError("the month changes while it is read: try again when its sync has ended")


def _rows(model: ReadModel, month: AccountMonth, line: ProofLine) -> Iterator[StatementRow]:
    first, after = month.month.first, next_month(month.month.first)
    wanted = FlowFilter((line.account,), first, after, line.currency, subaccount=line.subaccount)
    balance = line.ledger.opening
    for found in stream_flows(model.ledger, wanted, model.rules):
        if balance is not None:
            balance = EXACT.add(balance, found.flow.amount)
        yield StatementRow(found, found.flow.balance_after if balance is None else balance)


def _is_consistent(part: StatementPart) -> bool:
    """Whether the rows add up to the figures that were read before them."""
    money_in = money_out = ZERO
    for row in part.rows:
        if row.found.flow.amount > ZERO:
            money_in = EXACT.add(money_in, row.found.flow.amount)
        else:
            money_out = EXACT.add(money_out, row.found.flow.amount)
    figures = part.line.ledger
    return len(part.rows) == part.line.flows and (figures.money_in or ZERO, figures.money_out or ZERO) == (
        money_in,
        money_out,
    )
