"""Records the closing balances of statement files as stated balances of the account. They check its flows.

Opening balances are not recorded: they equal the closing balance before. A statement is imported only if its rows lead
from its opening to its closing balance.
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
    """The beginning of a statement, and the balance there. The statement has all flows from there to its closing
    balance."""

    since: datetime
    opening: Decimal


class Closing(NamedTuple):
    """A closing balance, and the name of the file that states it. `period` None: the statement does not prove a
    period."""

    balance: StatedAmount
    file: str
    period: Period | None = None
    has_flows: bool = True


def state_closings(
    ledger: Ledger, account: str, closings: Iterable[Closing], import_id: str, rules: Rules[Paging]
) -> Iterator[str]:
    """Record the closing balances of a finished import as stated balances, each in one transaction. Existing stated
    balances are not changed.

    Yield the reason for each balance that cannot be recorded: another balance is stated for its moment, or the account
    has no flows in its currency. Yields no reason if the statement has no flows.
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
    """Withdraw the balances that an import has stated, each in one transaction. Returns their number.

    Call it before the import is undone. If it is killed, it can be called again.
    """
    with ledger.querying() as queries:
        stated = list_stated_balances(queries, [account])
    ids = [balance.id for balance in stated if balance.note.endswith(_mark(import_id))]
    for id_ in ids:
        withdraw_balance(ledger, id_, f"import {import_id} was undone")
    return len(ids)


def _mark(import_id: str) -> str:
    """Return the note by which a balance names its import."""
    return f"(import {import_id})"
