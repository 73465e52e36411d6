"""Closing balances that statement files state, as stated balances of the account: they check its flows.

Opening balances are not recorded: the closing balance before says the same, and a statement is imported only if its
rows lead from one to the other.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from liushui.errors import ConfigError
from liushui.files.contract import StatedAmount
from liushui.ledger.engine import Ledger
from liushui.ledger.read.stated_balances import list_stated_balances
from liushui.ledger.write.stated_balances import Statement, state_balance, withdraw_balance
from liushui.rules import Paging, Rules


class Period(NamedTuple):
    """The begin of a statement that has all flows from there to its closing balance, and the balance at its begin."""

    since: datetime
    opening: Decimal


class Closing(NamedTuple):
    """A closing balance, and the name of the file that states it. `period` None: the statement proves none."""

    balance: StatedAmount
    file: str
    period: Period | None = None
    has_flows: bool = True


def state_closings(
    ledger: Ledger, account: str, closings: Iterable[Closing], import_id: str, rules: Rules[Paging]
) -> Iterator[str]:
    """State the closing balances of a finished import, each in one transaction. Existing statements stay as they are.

    Yields the reason for each balance that cannot be stated: another balance is stated for its moment, or the account
    has no flows of its currency. Says nothing about such balances if their statement has no flows.
    """
    for (at, currency, amount, subaccount), file, period, has_flows in closings:
        note = f"closing balance in {file} {_mark(import_id)}"
        statement = Statement(account, at, currency, amount, subaccount, note, *(period or ()))
        try:
            state_balance(ledger, statement, rules)
        except ConfigError as error:
            if has_flows:
                yield f"{file}: its closing balance was not recorded: {error}"


def withdraw_closings(ledger: Ledger, account: str, import_id: str) -> int:
    """Withdraw the balances that an import has stated, each in one transaction. Returns how many there were.

    Call it before the import is undone: killed in between, it can be called again.
    """
    with ledger.querying() as queries:
        stated = list_stated_balances(queries, [account])
    ids = [balance.id for balance in stated if balance.note.endswith(_mark(import_id))]
    for id_ in ids:
        withdraw_balance(ledger, id_, f"import {import_id} was undone")
    return len(ids)


def _mark(import_id: str) -> str:
    """How the note of a balance names its import."""
    return f"(import {import_id})"
