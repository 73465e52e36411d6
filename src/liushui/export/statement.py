"""Statements: the flows of one account, subaccount and currency, between an opening and a closing balance.

Bank formats have one currency and two balances for each statement. Journals take their balances from this module too.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

import sqlalchemy as sa

from liushui.export.formats import CannotExport, Refusal
from liushui.export.selection import AccountPart, Selection, StoredRow
from liushui.instant import BusinessDays, to_us, us_to_iso
from liushui.ledger.day_totals import Total
from liushui.ledger.flow_row import COLUMNS
from liushui.ledger.read.balances import opening_balance
from liushui.ledger.read.filters import AFTER_ALL_US, BEFORE_ALL_US, equals_currency
from liushui.ledger.read.stated_balances import Key, StatedPoints, read_points_as_of
from liushui.ledger.schema import flows
from liushui.money import EXACT, ZERO, to_plain_string

FAULTS_MAX: Final = 20
"""The number of flows that an error names. The error only counts the others."""
_SUBACCOUNT, _CURRENCY = COLUMNS.index("subaccount"), COLUMNS.index("currency")


class Limits(NamedTuple):
    """The limits of a bank format. `names_currency`: whether it has a code for a currency. `fits`: whether it can hold
    an amount. It is called only for amounts with more characters than `longer_than`. `expected` describes the limit in
    words."""

    names_currency: Callable[[str], bool]
    currencies: str
    fits: Callable[[str], bool]
    longer_than: int
    expected: str


class Statement(NamedTuple):
    """A statement. Its flows are read with `rows`. `since_us` and `until_us` are the ends of its range."""

    id: str
    part: AccountPart
    subaccount: str
    currency: str
    opening: Decimal
    closing: Decimal
    flows: int
    since_us: int
    until_us: int

    @property
    def name(self) -> str:
        """The account, with its subaccount if it has one."""
        account = self.part.account.name.account
        return f"{account}/{self.subaccount}" if self.subaccount else account

    @property
    def coverage(self) -> str:
        """Return one line that says whether the statement has all flows of the range."""
        verdict = self.part.verdict
        if verdict.is_complete:
            return "complete: every flow that the provider has of this period"
        return "; ".join([f"{verdict.status.value}: flows may be missing", *(gap.describe() for gap in verdict.gaps)])

    def rows(self, selection: Selection) -> Iterator[StoredRow]:
        """Stream its flows, by time and balance chain."""
        conditions = self.part.filter.conditions._replace(subaccount=self.subaccount, currency=self.currency)
        part = self.part._replace(filter=self.part.filter._replace(conditions=conditions))
        # The filter compares currencies regardless of case, and versions as of another time are not filtered.
        for row in selection.rows_of(part):
            if row[_CURRENCY] == self.currency and row[_SUBACCOUNT] == self.subaccount:
                yield row


def list_statements(selection: Selection, limits: Limits) -> list[Statement]:
    """Return the statements of a selection. Raises ConfigError, which lists everything that a bank format cannot
    express: currencies without a code, unknown balances, amounts that do not fit."""
    statements: list[Statement] = []
    unnamed: list[str] = []
    unknown: list[str] = []
    for part in selection.parts:
        account, before = part.account.name.account, balances_before(selection, part)
        moved: defaultdict[Key, Total] = defaultdict(Total)
        for (subaccount, currency, _), total in selection.sums(part).items():
            moved[subaccount, currency] = moved[subaccount, currency].plus(total)
        for key in sorted({*moved, *(key for key, amount in before.items() if amount)}):
            opening, where = before.get(key, ZERO), f"{' '.join(filter(None, (account, *key)))}"
            if not limits.names_currency(key[1]):
                unnamed.append(where)
            elif opening is None:
                unknown.append(where)
            else:
                closing = EXACT.add(opening, moved[key].net)
                since_us, until_us = first_us(part), last_us(selection, part) + 1
                id_ = selection.identity_of(account, f"statement {key[0]} {key[1]} {since_us} {until_us}")
                statements.append(Statement(id_, part, *key, opening, closing, moved[key].flows, since_us, until_us))
    if unnamed:
        raise CannotExport(
            Refusal.CURRENCY,
            f"currency: expected {limits.currencies}, which the format can name, got {'; '.join(unnamed)}: export one "
            "currency with --currency",
        )
    if unknown:
        raise CannotExport(
            Refusal.BALANCE,
            f"balance: expected a known opening balance, got none of {'; '.join(unknown)}: state one with "
            "`liushui balance state`",
        )
    if not statements:
        raise CannotExport(
            Refusal.EMPTY, "account: expected an account with flows or a balance in this range, got none"
        )
    balances = [(one, amount) for one in statements for amount in (one.opening, one.closing)]
    faults = [
        f"balance {to_plain_string(amount)} of {one.name}"
        for one, amount in balances
        if not limits.fits(to_plain_string(amount))
    ]
    faults += unfit_flows(selection, longer_than=limits.longer_than, fits=limits.fits)
    if faults:
        raise CannotExport(Refusal.DIGITS, f"amount: expected {limits.expected}, got more in {listed(faults)}")
    return statements


# ---------------------------------------------------------------- amounts that do not fit


def digits_of(amount: str) -> int:
    """The digits of an amount's text."""
    return len(amount.lstrip("-").replace(".", "").lstrip("0"))


def unfit_flows(
    selection: Selection, *, longer_than: int, fits: Callable[[str], bool], column: str = "amount"
) -> list[str]:
    """Return the flows with an amount that a format cannot hold, as words for an error. Only amounts with more
    characters than `longer_than` are checked."""
    found: list[str] = []
    amount, indexes = flows.c[column], [COLUMNS.index(name) for name in ("account", "at_us", "id", column)]
    for part in selection.parts:
        if selection.query.as_of is None:
            query = part.filter.apply(sa.select(flows.c.account, flows.c.at_us, flows.c.id, amount), flows)
            query = query.where(sa.func.length(sa.cast(amount, sa.Text)) > longer_than)
            rows: Iterable[StoredRow] = selection.reading.connection.execute(query)
        else:  # versions as of another time are in several tables
            rows = ([row[index] for index in indexes] for row in selection.rows_of(part))
        found += [
            f"flow {id_} of {account} at {us_to_iso(at_us)} ({text})"
            for account, at_us, id_, text in rows
            if text is not None and not fits(text)
        ]
    return found


def listed(faults: Sequence[str]) -> str:
    """Return some faults in words, and the number of further ones."""
    more = len(faults) - FAULTS_MAX
    return "; ".join(faults[:FAULTS_MAX]) + (f"; and {more} more" if more > 0 else "")


# ---------------------------------------------------------------- balances and days


def balances_before(selection: Selection, part: AccountPart) -> dict[Key, Decimal | None]:
    """Return the balance of each subaccount and currency before the range. None: not known."""
    wanted = selection.query.filter.currency
    as_of, reading = selection.query.as_of, selection.reading
    if as_of is None:
        points = reading.stated_points(part.account)
    else:
        points = read_points_as_of(reading.connection, part.account.name, as_of)
    before: dict[Key, Decimal] = defaultdict(lambda: ZERO)
    if part.filter.since_us > BEFORE_ALL_US:
        for (subaccount, currency, _), total in selection.sums_within(
            part, BEFORE_ALL_US, part.filter.since_us
        ).items():
            before[subaccount, currency] = EXACT.add(before[subaccount, currency], total.net)
    balances: dict[Key, Decimal | None] = {}
    for chain in {*part.account.snapshot.sums, *points}:
        if wanted is not None and not equals_currency(chain[1], wanted):
            continue
        opening = opening_balance(part.account, points.get(chain, StatedPoints()))
        balances[chain] = None if opening is None else EXACT.add(opening, before[chain])
    return balances


def first_us(part: AccountPart) -> int:
    """Return the first instant of an account's part: the beginning of the range, or else its first flow."""
    if part.filter.since_us > BEFORE_ALL_US:
        return part.filter.since_us
    return part.account.snapshot.first_flow_us or 0


def first_day(part: AccountPart) -> date:
    """The day of that instant, in the account's zone."""
    return date.fromisoformat(BusinessDays(part.account.name.tz).day_of(first_us(part)))


def last_day(selection: Selection, part: AccountPart) -> date:
    """The last day of a part: the end of its range, but not later than today or the last flow."""
    return date.fromisoformat(BusinessDays(part.account.name.tz).day_of(last_us(selection, part)))


def last_us(selection: Selection, part: AccountPart) -> int:
    """The last instant of a part: the end of its range, but not later than now or the last flow."""
    until_us = max(to_us(selection.reading.now), (part.account.snapshot.last_flow_us or 0) + 1)
    if part.filter.until_us < AFTER_ALL_US:
        until_us = min(until_us, part.filter.until_us)
    return max(until_us - 1, first_us(part))
