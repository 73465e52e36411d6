"""An Account Set of SimpleFIN: balances and transactions of accounts in currencies of countries, in two decimals.

Source: https://www.simplefin.org/protocol.html, version 1.0. Each account, subaccount and currency of the ledger is a
separate account. It leaves out everything that SimpleFIN cannot express, and it serves incomplete data. It reports both
with a message.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import cache
from itertools import chain, islice
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from babel.core import get_global
from babel.numbers import get_territory_currencies

from liushui.export.beancount import text_of
from liushui.instant import from_us, to_iso, to_us
from liushui.ledger.names import IdentityOf, identities_of
from liushui.ledger.read.balances import Balance, CheckStatus, current_balances
from liushui.ledger.read.completeness import Completeness, Gap, Verdict, is_open_end
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import account_rows
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.ledger.schema import flows
from liushui.money import EXACT

CENT: Final = Decimal("0.01")
_CENTS: Final = Context(prec=EXACT.prec, Emax=EXACT.Emax, Emin=EXACT.Emin, traps=[Inexact, InvalidOperation])
"""Drops trailing zeros of an amount, which EXACT would treat as rounding. Other digits are not dropped."""
SECOND_US: Final = 1_000_000
TRANSACTIONS_MAX: Final = 50_000
"""The most transactions of one ledger account in an answer. If there are more, the oldest are left out, with a
message."""
GAPS_MAX: Final = 3
"""The number of gaps that a message describes. The message only counts the others."""


class AccountSetQuery(NamedTuple):
    """A program's query: accounts of the ledger, and their transactions in [since, until).

    `ids`: only the SimpleFIN accounts with these ids; None: all. `transactions` False: balances only.
    """

    accounts: Sequence[str]
    since: datetime | None = None
    until: datetime | None = None
    ids: frozenset[str] | None = None
    transactions: bool = True


class Organization(msgspec.Struct):
    """The institution of an account."""

    name: str
    sfin_url: str = msgspec.field(name="sfin-url")
    id: str


class Transaction(msgspec.Struct):
    """A transaction. Times are Unix seconds. None is pending, because the provider has booked every flow of a
    ledger."""

    id: str
    posted: int
    amount: str
    description: str
    payee: str
    transacted_at: int
    extra: dict[str, str]
    pending: bool = False


class SimpleFinAccount(msgspec.Struct):
    """A SimpleFIN account, with the balance at `balance_date`, in Unix seconds."""

    org: Organization
    id: str
    name: str
    currency: str
    balance: str
    balance_date: int = msgspec.field(name="balance-date")
    transactions: list[Transaction]
    extra: dict[str, str]


class AccountSet(msgspec.Struct):
    """The answer. `errors` are messages for people."""

    errors: list[str]
    accounts: list[SimpleFinAccount]


class _Part(NamedTuple):
    """A subaccount and currency of a ledger account that can be served."""

    balance: Balance
    id: str
    name: str
    amount: str
    """The balance, in two decimals."""


class ServedAt(NamedTuple):
    """Where an Account Set is served: the root URL of the SimpleFIN server, and the titles of providers by name."""

    root_url: str
    titles: Mapping[str, str]

    def organization(self, account: Account) -> Organization:
        """The institution of an account of the ledger: its provider."""
        provider = account.name.provider
        return Organization(self.titles.get(provider, provider), self.root_url, provider)


def read_account_set(model: ReadModel, query: AccountSetQuery, served_at: ServedAt) -> AccountSet:
    """Return the Account Set of a query, from one state of the ledger. Raises AccountNotFound."""
    answer = AccountSet([], [])
    unknown = set(query.ids or ())
    with model.reading(query.accounts) as reading:
        identity_of = identities_of(reading.queries)
        for account in reading.accounts.values():
            chosen = [
                balance
                for balance in current_balances(reading, account)
                if query.ids is None or _id_of(balance, identity_of) in query.ids
            ]
            unknown -= {_id_of(balance, identity_of) for balance in chosen}
            _add(answer, model, reading, account, chosen, query, served_at, identity_of)
    answer.errors += [f"There is no account with the id {id_!a}." for id_ in sorted(unknown)]
    return answer


def _add(
    answer: AccountSet,
    model: ReadModel,
    reading: Reading,
    account: Account,
    balances: Sequence[Balance],
    query: AccountSetQuery,
    served_at: ServedAt,
    identity_of: IdentityOf,
) -> None:
    """Add the data of one ledger account that can be served, and the messages about it."""
    parts, left_out = _servable(reading, balances, identity_of)
    answer.errors += left_out
    is_empty = not balances and query.ids is None
    if is_empty:
        answer.errors.append(f"{account.name.account}: there is no balance to serve, because there are no flows.")
    if query.transactions and (parts or is_empty):
        answer.errors += _range_messages(reading, account, query)
    org = served_at.organization(account)
    for part in parts:
        answer.errors += _balance_messages(part)
        transactions: list[Transaction] = []
        if query.transactions:
            transactions, cut_s = _transactions(model, reading, account, part, query, identity_of)
            if cut_s is not None:
                oldest = to_iso(from_us(cut_s * SECOND_US))
                answer.errors.append(
                    f"{part.name}: transactions before {oldest} are left out, because there are more than "
                    f"{TRANSACTIONS_MAX}. Ask for a shorter range with start-date and end-date."
                )
        answer.accounts.append(
            SimpleFinAccount(
                org=org,
                id=part.id,
                name=part.name,
                currency=part.balance.currency,
                balance=part.amount,
                balance_date=_balance_us(reading, account, part.balance) // SECOND_US,
                transactions=transactions,
                extra={"completeness": part.balance.verdict.status.value},
            )
        )


# ---------------------------------------------------------------- what can be served


def _servable(reading: Reading, balances: Iterable[Balance], identity_of: IdentityOf) -> tuple[list[_Part], list[str]]:
    """Return the balances that SimpleFIN can express, and messages about the others."""
    parts: list[_Part] = []
    coins: defaultdict[str, set[str]] = defaultdict(set)
    messages: list[str] = []
    for balance in balances:
        name = f"{'/'.join(filter(None, (balance.account, balance.subaccount)))} {balance.currency}"
        amount = in_cents(balance.amount)
        if balance.currency not in fiat_currencies():
            coins[balance.account].add(balance.currency)
        elif balance.opening is None:
            since = "" if balance.basis.since_day is None else f" since {balance.basis.since_day.isoformat()}"
            messages.append(
                f"{name} is left out: its balance is not known, only the net change{since}. State a balance of it in "
                "liushui."
            )
        elif amount is None or _has_fractions_of_cents(reading, balance):
            messages.append(f"{name} is left out: it has amounts with more than two decimals.")
        else:
            parts.append(_Part(balance, _id_of(balance, identity_of), name, amount))
    for account, codes in coins.items():
        messages.append(
            f"{account}: {', '.join(sorted(codes))} left out: only currencies of countries, with two decimals, are "
            "served."
        )
    return parts, messages


@cache
def fiat_currencies() -> frozenset[str]:
    """Return the codes of currencies that are legal tender somewhere today, and the code of the offshore yuan."""
    territories = get_global("territory_currencies")
    return frozenset(chain.from_iterable(map(get_territory_currencies, territories))) | {"CNH"}


def in_cents(amount: Decimal) -> str | None:
    """Return an amount with exactly two decimals. Returns None if it has more."""
    try:
        cents = _CENTS.quantize(amount, CENT)
    except (Inexact, InvalidOperation):
        return None
    return str(cents if cents else cents.copy_abs())  # -0.00 is 0.00


def _has_fractions_of_cents(reading: Reading, balance: Balance) -> bool:
    """Whether any flow of a balance, at any time, has more than two decimals that are not zero."""
    total = reading.accounts[balance.account].snapshot.sums.get((balance.subaccount, balance.currency))
    # A sum has as many decimals as the longest of its amounts, including zeros. Flows are searched only if it has more
    # than two.
    if total is None or all(_decimals(amount) <= 2 for amount in (total.money_in, total.money_out)):
        return False
    c = flows.c
    text = sa.func.rtrim(sa.type_coerce(c.amount, sa.Text), "0")
    query = sa.select(c.id).where(
        c.account == balance.account, c.subaccount == balance.subaccount, c.currency == balance.currency
    )
    return reading.connection.execute(query.where(text.like("%.___%")).limit(1)).first() is not None


def _decimals(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _id_of(balance: Balance, identity_of: IdentityOf) -> str:
    """Return a SimpleFIN account's id, which never changes and reveals nothing."""
    return identity_of(balance.account, f"simplefin {balance.subaccount} {balance.currency}")


# ---------------------------------------------------------------- transactions


def _transactions(
    model: ReadModel,
    reading: Reading,
    account: Account,
    part: _Part,
    query: AccountSetQuery,
    identity_of: IdentityOf,
) -> tuple[list[Transaction], int | None]:
    """Return the newest transactions of the range, oldest first; and, if older ones are left out, the second of the
    oldest."""
    wanted = FlowFilter(
        since=query.since,
        until=query.until,
        subaccount=part.balance.subaccount,
        currency=part.balance.currency,
        newest_first=True,
    )
    with closing(account_rows(reading.connection, wanted.of(account.name), model.rules)) as rows:
        # The filter compares currencies regardless of case.
        own = (_transaction(row, identity_of) for row in rows if row.currency == part.balance.currency)
        newest = list(islice(own, TRANSACTIONS_MAX + 1))
    is_cut = len(newest) > TRANSACTIONS_MAX
    transactions = newest[:TRANSACTIONS_MAX][::-1]
    return transactions, transactions[0].posted if is_cut else None


def _transaction(row: sa.Row[Any], identity_of: IdentityOf) -> Transaction:
    amount = in_cents(Decimal(row.amount))
    if amount is None:
        raise ValueError(f"{row.account}: a flow with more than two decimals belongs to no servable account")
    at_s, text = row.at_us // SECOND_US, text_of(row)
    return Transaction(
        id=identity_of(row.account, row.id),
        posted=at_s,
        amount=amount,
        description=text,
        payee=row.name or row.label or text,
        transacted_at=at_s,
        extra={"kind": row.kind},
    )


# ---------------------------------------------------------------- what is not complete


def _range_messages(reading: Reading, account: Account, query: AccountSetQuery) -> Iterator[str]:
    """Yield a message if transactions in the past part of the range may be missing."""
    until = reading.now if query.until is None else min(query.until, reading.now)
    if query.since is not None and query.since >= until:
        return
    verdict = account.verdict(query.since, until)
    if verdict.is_complete:
        return
    name = account.name.account
    if verdict.status is Completeness.PARTIAL and verdict.until_us is not None:
        text = f"{name}: transactions are complete up to {to_iso(from_us(verdict.until_us))} only"
    elif verdict.status is Completeness.UNKNOWN:
        text = f"{name}: whether transactions are missing cannot be checked"
    else:
        text = f"{name}: transactions may be missing"
    yield f"{text}: {_gaps(verdict.gaps)}."


def _balance_messages(part: _Part) -> Iterator[str]:
    verdict, check = part.balance.verdict, part.balance.check
    if verdict.status not in (Completeness.COMPLETE, Completeness.PARTIAL):
        yield f"{part.name}: the balance may lack transactions: {_gaps(verdict.gaps)}."
    if check.status is CheckStatus.FAIL:
        yield f"{part.name}: the balance is doubtful: {check.reason}."


def _gaps(gaps: Sequence[Gap]) -> str:
    texts = [gap.describe() for gap in gaps[:GAPS_MAX]]
    return "; ".join(texts if len(gaps) <= GAPS_MAX else [*texts, f"and {len(gaps) - GAPS_MAX} more"])


def _balance_us(reading: Reading, account: Account, balance: Balance) -> int:
    """Return the time of a balance: the time up to which it is complete, but not before the newest flow in it."""
    return max(_ends(account, balance.verdict), default=to_us(reading.now))


def _ends(account: Account, verdict: Verdict) -> Iterator[int]:
    if verdict.until_us is not None and not is_open_end(verdict.until_us):
        yield verdict.until_us
    if account.snapshot.last_flow_us is not None:
        yield account.snapshot.last_flow_us
