"""Balances that people state: an account's balance at a moment, according to a bank statement or a screen.

They are facts of the ledger. Each is a batch of its account's chain. A wrong one is withdrawn with a reason by another
batch; nothing is deleted.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfigError, NotFound, short_repr
from liushui.instant import NotOneInstant, from_us, to_iso, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.flow_row import KEYS_MAX
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.filters import Bound, bound_text, equals_currency, instant_us
from liushui.ledger.read.stated_balances import statement_id
from liushui.ledger.schema import day_totals, history, stated_balances
from liushui.ledger.write.change import STATED, Change
from liushui.ledger.write.commit import commit_change
from liushui.money import to_plain_string
from liushui.rules import Paging, Rules

NOTE_MAX: Final = 2_000
"""The most characters of a note, or of the reason of a withdrawal."""
_CURRENCY: Final = re.compile(r"[A-Za-z0-9._-]{1,20}")


class Statement(NamedTuple):
    """A balance that a person or a file states, for an account and currency. It is the balance before the flows of a
    moment. A day means its beginning in the account's zone.

    `since` and `opening` are set for the closing balance of a file that has all flows of [since, at): the beginning of
    this period, and the balance there.
    """

    account: str
    at: Bound
    currency: str
    amount: Decimal
    subaccount: str = ""
    note: str = ""
    since: datetime | None = None
    opening: Decimal | None = None


class StateResult(NamedTuple):
    """The id of a stated balance. `is_new` False: the same balance had been stated, and nothing was written."""

    id: str
    is_new: bool


def state_balance(ledger: Ledger, statement: Statement, rules: Rules[Paging] | None) -> StateResult:
    """Record a stated balance in one transaction. `rules` are those of the account's provider, None if it has none.

    Raises AccountNotFound; ConfigError for a currency, a subaccount or a time that the account cannot have;
    AlreadyExists if another balance is stated for the same moment.
    """
    with ledger.reading() as connection:
        (account,) = find_accounts(queries_of(connection), (statement.account,))
        try:
            at_us = instant_us(statement.at, account.tz)
        except NotOneInstant as error:
            raise NotOneInstant(error.local, error.zone, error.instants, "at") from error
        statement = _checked(connection, statement, at_us, rules, ledger.clock())
    existing: list[int] = []

    def plan(connection: Connection, batch: int) -> Change:
        existing.clear()
        same = _stated_at(connection, statement, at_us)
        if same is None:
            amount = to_plain_string(statement.amount)
            values = (at_us, statement.subaccount, statement.currency, amount, statement.note)
            return Change(stated=[(statement.account, *values, batch, None, None, *_period_of(statement))])
        stated_batch, stated_amount = same
        if Decimal(stated_amount) != statement.amount:
            id_ = statement_id(statement.account, stated_batch)
            raise AlreadyExists(
                f"amount: {id_} states {stated_amount} {statement.currency} at {to_iso(from_us(at_us))} already, got "
                f"{to_plain_string(statement.amount)}: withdraw {id_} first if it is wrong"
            )
        existing.append(stated_batch)
        return Change()

    committed = commit_change(ledger, statement.account, STATED, plan)
    batch = existing[0] if committed is None else committed.seq
    return StateResult(statement_id(statement.account, batch), committed is not None)


def withdraw_balance(ledger: Ledger, id_: str, reason: str) -> None:
    """Withdraw a stated balance, in one transaction.

    Raises NotFound for an unknown id, AlreadyExists for a balance that was withdrawn before, and ConfigError for a
    reason that is empty or too long.
    """
    if not reason.strip():
        raise ConfigError("reason: expected why the balance is withdrawn, got nothing")
    _check_text("reason", reason)
    account, _, number = id_.rpartition(":")
    if not account or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise _no_such_balance(id_)
    with ledger.reading() as connection:
        if account not in {known.account for known in find_accounts(queries_of(connection))}:
            raise _no_such_balance(id_)

    def plan(connection: Connection, _batch: int) -> Change:
        s = stated_balances.c
        query = sa.select(s.batch, s.ended_as).where(s.account == account, s.batch == int(number))
        row = connection.execute(query).first()
        if row is None:
            raise _no_such_balance(id_)
        if row.ended_as is not None:
            raise AlreadyExists(f"id: {short_repr(id_)} was withdrawn before: {row.ended_as}")
        return Change(unstated=[(row.batch, reason)])

    commit_change(ledger, account, STATED, plan)


def _no_such_balance(id_: str) -> NotFound:
    return NotFound(f"id: no balance {short_repr(id_)} was stated: `liushui balance list` prints the ids")


def _period_of(statement: Statement) -> tuple[int | None, str | None]:
    """Return the columns since_us and opening."""
    if statement.since is None or statement.opening is None:
        return None, None
    return to_us(statement.since), to_plain_string(statement.opening)


def _stated_at(connection: Connection, statement: Statement, at_us: int) -> tuple[int, str] | None:
    """Return the batch and the amount of the balance that is already stated for a moment. None: it has to be written.

    The same balance is written again only if the new one has a period and the old one has none.
    """
    s = stated_balances.c
    rows = connection.execute(
        sa.select(s.batch, s.amount, s.since_us)
        .where(
            s.account == statement.account,
            s.at_us == at_us,
            s.subaccount == statement.subaccount,
            s.currency == statement.currency,
            s.ended_batch.is_(None),
        )
        .order_by(s.batch)
    ).all()
    since_us, _ = _period_of(statement)
    for row in rows:
        if Decimal(row.amount) != statement.amount or since_us in (None, row.since_us):
            return row.batch, row.amount
    return None


def _checked(
    connection: Connection, statement: Statement, at_us: int, rules: Rules[Paging] | None, now: datetime
) -> Statement:
    """Return the statement with the account's spelling of its currency. Raises ConfigError for values that the account
    cannot have."""
    name = statement.account
    t = day_totals.c
    held = connection.execute(sa.select(t.subaccount, t.currency).distinct().where(t.account == name)).all()
    if not _CURRENCY.fullmatch(statement.currency):
        raise ConfigError(f"currency: expected a code such as USD, got {short_repr(statement.currency)}")
    known = {currency for _, currency in held} | ((rules.currencies if rules else None) or set())
    alike = [currency for currency in sorted(known) if equals_currency(currency, statement.currency)]
    if known and not alike:
        had = _past_currencies(connection, name)
        known, alike = known | had, [one for one in sorted(had) if equals_currency(one, statement.currency)]
    if alike and statement.currency not in alike:
        statement = statement._replace(currency=alike[0])
    elif known and not alike:
        expected = ", ".join(sorted(known))
        raise ConfigError(f"currency: account {name} has {expected} only, got {short_repr(statement.currency)}")
    _check_text("subaccount", statement.subaccount, KEYS_MAX["subaccount"])
    subaccounts = {subaccount for subaccount, _ in held}
    if subaccounts and statement.subaccount not in subaccounts:
        expected = " or ".join(short_repr(subaccount) for subaccount in sorted(subaccounts))
        raise ConfigError(f"subaccount: account {name} has flows of {expected}, got {short_repr(statement.subaccount)}")
    _check_text("note", statement.note)
    if statement.amount.is_zero():
        statement = statement._replace(amount=statement.amount.copy_abs())  # no negative zero
    if at_us < 0:
        raise ConfigError(f"at: expected a time since 1970, got {bound_text(statement.at)}")
    if at_us > to_us(now):
        raise ConfigError(f"at: expected a time before now, {to_iso(now)}, got {to_iso(from_us(at_us))}")
    if rules is not None and at_us < to_us(rules.history_start):
        begin, why = to_iso(rules.history_start), "has" if rules.answers_from_first_row else "answers"
        raise ConfigError(f"at: the provider of {name} {why} nothing before {begin}, got {to_iso(from_us(at_us))}")
    return statement


def _past_currencies(connection: Connection, account: str) -> set[str]:
    """Return the currencies of past flows of an account, and of its stated balances."""
    h, s = history.c, stated_balances.c
    past = sa.select(h.currency).where(h.account == account).distinct()
    stated = sa.select(s.currency).where(s.account == account, s.ended_batch.is_(None)).distinct()
    return {currency for query in (past, stated) for (currency,) in connection.execute(query)}


def _check_text(field: str, text: str, longest: int = NOTE_MAX) -> None:
    if len(text) > longest:
        raise ConfigError(f"{field}: expected at most {longest} characters, got {len(text)}")
    if "\0" in text:
        raise ConfigError(f"{field}: expected text without the character U+0000, got {short_repr(text)}")
