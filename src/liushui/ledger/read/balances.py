"""What people and programs ask of a ledger: flows, balances, summaries, coverage, status. Reads only."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, short_repr
from liushui.flow import Flow
from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger import findings
from liushui.ledger.coverage import Range, State, merged, missing, unbroken_until
from liushui.ledger.day_totals import (
    TOTALLED,
    Sums,
    Total,
    Totals,
    flows_by_day,
    load,
    load_by,
    load_sums,
    merge,
    sums_of,
    totals_of,
)
from liushui.ledger.engine import Ledger, account_names
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.engines.condition_sql import at_least, at_most
from liushui.ledger.flow_row import to_flow
from liushui.ledger.schema import accounts, batches, coverage, flows
from liushui.ledger.write.quarantine import count_open_entries
from liushui.money import EXACT
from liushui.provider import Slice

FIRST_DAY, LAST_DAY = "0000-00-00", "9999-99-99"
CHUNK = 1_000
"""Rows that a stream of them holds at a time."""


Period = Literal["day", "month", "year", "all"]
_PERIOD_CHARACTERS: dict[Period, int] = {"day": 10, "month": 7, "year": 4, "all": 0}


class FlowFilter(NamedTuple):
    """Which flows. None: any. `since` <= at < `until`."""

    accounts: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    currency: str | None = None
    kind: str | None = None
    symbol: str | None = None
    limit: int | None = None
    newest_first: bool = False
    category: str | None = None
    direction: str | None = None
    subaccount: str | None = None
    ref: str | None = None
    """A reference of the flow's or of its order's."""
    amount_min: Decimal | None = None
    amount_max: Decimal | None = None
    """Both ends included, signs counted."""
    text: str | None = None
    """What stands somewhere in its words, references or symbol, in capitals or not."""
    finding: str | None = None
    """What was found about it: `findings.SIDE` or `findings.SAME_ID`."""


class LedgerFlow(NamedTuple):
    """A flow with its place in the ledger. `batch` names the commit that entered it."""

    account: str
    id: str
    flow: Flow
    batch: int


class Balance(NamedTuple):
    """The sum of an account's flows in one currency, up to `at`, and whether every flow up to there is proven."""

    account: str
    subaccount: str
    currency: str
    amount: Decimal
    flows: int
    at: datetime | None
    proven: bool


class Summary(NamedTuple):
    """What moved in one period of the account's own days."""

    period: str
    account: str
    currency: str
    kind: str
    flows: int
    money_in: Decimal
    money_out: Decimal
    net: Decimal


class AccountStatus(NamedTuple):
    """How far an account is collected. `proven_until` None: not from its beginning, or not at all."""

    account: str
    provider: str
    flows: int
    quarantined: int
    findings: int
    proven_from: datetime | None
    proven_until: datetime | None
    gaps: int
    batches: int


class Named(NamedTuple):
    """An account, and the zone of its days."""

    account: str
    provider: str
    zone: str


def list_flows(ledger: Ledger, wanted: FlowFilter) -> Iterator[LedgerFlow]:
    """The flows, by account and time, streamed."""
    with ledger.reading() as connection:
        if wanted.accounts:
            _check_accounts(connection, wanted.accounts)
        query = restricted(sa.select(*flows.columns), flows, wanted)
        order = (flows.c.account, flows.c.at_us, flows.c.id)
        query = query.order_by(*(column.desc() for column in order) if wanted.newest_first else order)
        if wanted.limit is not None:
            query = query.limit(wanted.limit)
        for row in connection.execute(query, execution_options=STREAMED):
            yield LedgerFlow(row.account, row.id, to_flow(row), row.batch)


def restricted(query: sa.Select[Any], table: sa.Table, wanted: FlowFilter) -> sa.Select[Any]:
    """A query of a table with the columns of flows, with the conditions of a filter."""
    columns = table.c
    if wanted.accounts:
        query = query.where(columns.account.in_(wanted.accounts))
    if wanted.since is not None:
        query = query.where(columns.at_us >= to_us(wanted.since))
    if wanted.until is not None:
        query = query.where(columns.at_us < to_us(wanted.until))
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(columns[name] == value)
    if wanted.ref is not None:
        query = query.where(sa.or_(columns.ref == wanted.ref, columns.order_ref == wanted.ref))
    if wanted.amount_min is not None:
        query = query.where(at_least(columns.amount, wanted.amount_min))
    if wanted.amount_max is not None:
        query = query.where(at_most(columns.amount, wanted.amount_max))
    if wanted.text is not None:
        query = query.where(sa.or_(*(columns[name].icontains(wanted.text, autoescape=True) for name in _WORDS)))
    if wanted.finding is not None:
        query = query.where(findings.holds(table, wanted.finding))
    return query


_EQUAL: Final = ("currency", "kind", "symbol", "category", "direction", "subaccount")
_WORDS: Final = ("label", "name", "note", "symbol", "ref", "order_ref")


def balances(ledger: Ledger, names: tuple[str, ...] = (), at: datetime | None = None) -> list[Balance]:
    """Sums of flows before `at` (None: all), by account, subaccount and currency, exact. From the day totals."""
    result: list[Balance] = []
    with ledger.reading() as connection:
        for account in accounts_named(connection, names):
            if at is None:
                sums = load_sums(connection, account.account)
            else:
                last = BusinessDays(load_zone(account.zone)).day_of(to_us(at))
                found = load(connection, account.account, FIRST_DAY, last)
                whole = {key: total for key, total in found.items() if key.day < last}
                sums = sums_of(merge(whole, _part_of_day(connection, account, at)))
            result += balances_of(account, sums, ranges_in(connection, account.account), at)
    return result


def balances_of(account: Named, sums: Sums, ranges: list[Range], at: datetime | None) -> Iterator[Balance]:
    """The balances that an account's sums before `at` come to, and whether its ranges prove them."""
    until = unbroken_until(ranges)
    proven = until is not None and (at is None or to_us(at) <= until)
    for (subaccount, currency), total in sorted(sums.items()):
        yield Balance(
            account.account,
            subaccount,
            currency,
            EXACT.add(total.money_in, total.money_out),
            flows=total.flows,
            at=at or (None if until is None else from_us(until)),
            proven=proven and not any(known.state is State.OPEN for known in ranges),
        )


def summary(
    ledger: Ledger,
    names: tuple[str, ...] = (),
    *,
    period: Period = "month",
    first_day: str = FIRST_DAY,
    last_day: str = LAST_DAY,
) -> list[Summary]:
    """What moved in and out, by period of the account's days, currency and kind. From the day totals."""
    with ledger.reading() as connection:
        letters = _PERIOD_CHARACTERS[period]
        kept = {
            account.account: load_by(connection, account.account, first_day, last_day, letters=letters)
            for account in accounts_named(connection, names)
        }
    return summaries_of(kept, period)


def summaries_of(kept: Mapping[str, Totals], period: Period) -> list[Summary]:
    """The totals of each account by period."""
    cut = _PERIOD_CHARACTERS[period]
    sums: dict[tuple[str, str, str, str], Total] = {}
    for account, totals in kept.items():
        for key, total in totals.items():
            group = (key.day[:cut] or "all", account, key.currency, key.kind)
            before = sums.get(group)
            sums[group] = total if before is None else before.plus(total)
    return [
        Summary(*group, total.flows, total.money_in, total.money_out, EXACT.add(total.money_in, total.money_out))
        for group, total in sorted(sums.items())
    ]


def coverage_of(ledger: Ledger, names: tuple[str, ...] = ()) -> dict[str, list[Range]]:
    """Each account's ranges, neighbours of one state as one, oldest first."""
    with ledger.reading() as connection:
        return {
            account.account: merged(ranges_in(connection, account.account))
            for account in accounts_named(connection, names)
        }


def ranges_of(ledger: Ledger, account: str) -> list[Range]:
    """An account's ranges as they were committed."""
    with ledger.reading() as connection:
        return ranges_in(connection, account)


def daily_flows(ledger: Ledger, account: str, first: date, last: date) -> list[tuple[Slice, int]]:
    """How many flows an account has on each of its days that has some, both ends included, in order."""
    with ledger.reading() as connection:
        (known,) = accounts_named(connection, (account,))
        days = BusinessDays(load_zone(known.zone))
        found = [
            (date.fromisoformat(day), flows)
            for day, flows in flows_by_day(connection, account, first.isoformat(), last.isoformat())
        ]
    return [
        (Slice(from_us(days.begin_us(day)), from_us(days.begin_us(day + timedelta(days=1)))), flows)
        for day, flows in found
    ]


def statuses(ledger: Ledger, names: tuple[str, ...] = ()) -> list[AccountStatus]:
    """How far each account is collected."""
    with ledger.reading() as connection:
        result = []
        for account in accounts_named(connection, names):
            ranges = merged(ranges_in(connection, account.account))
            proven = [known for known in ranges if known.state is State.PROVEN]
            until = unbroken_until(ranges)
            kept = sum(total.flows for total in load(connection, account.account, FIRST_DAY, LAST_DAY).values())
            result.append(
                AccountStatus(
                    account.account,
                    account.provider,
                    flows=kept,
                    quarantined=count_open_entries(connection, account.account),
                    findings=sum(findings.load(connection, account.account).values()),
                    proven_from=from_us(proven[0].since_us) if proven else None,
                    proven_until=None if until is None else from_us(until),
                    gaps=len(missing(proven, (proven[0].since_us, ranges[-1].until_us))) if proven else len(ranges),
                    batches=_count_rows(connection, batches, account.account),
                )
            )
        return result


def named(ledger: Ledger, names: tuple[str, ...] = ()) -> list[Named]:
    """The accounts of those names, all of them where there are none. Raises ConfigError."""
    with ledger.reading() as connection:
        return accounts_named(connection, names)


def accounts_named(connection: Connection, names: tuple[str, ...]) -> list[Named]:
    """The accounts of those names, all of them where there are none. Raises ConfigError."""
    query = sa.select(accounts.c.account, accounts.c.provider, accounts.c.zone).order_by(accounts.c.account)
    if names:
        _check_accounts(connection, names)
        query = query.where(accounts.c.account.in_(names))
    return [Named(*row) for row in connection.execute(query)]


def _check_accounts(connection: Connection, names: tuple[str, ...]) -> None:
    there = account_names(connection)
    for name in names:
        if name not in there:
            raise ConfigError(f"account: expected one of {', '.join(there) or 'none'}, got {short_repr(name)}")


def ranges_in(connection: Connection, account: str) -> list[Range]:
    """An account's ranges as they were committed, oldest first."""
    c = coverage.c
    query = sa.select(c.since_us, c.until_us, c.state, c.reason, c.checked_at_us, c.batch)
    found = connection.execute(query.where(c.account == account).order_by(c.since_us))
    return [Range(row[0], row[1], State(row[2]), *row[3:]) for row in found]


def _part_of_day(connection: Connection, account: Named, at: datetime) -> Totals:
    """The totals of the flows between the beginning of the local day of `at` and `at` itself."""
    days = BusinessDays(load_zone(account.zone))
    begin_us = days.begin_us(at.astimezone(load_zone(account.zone)).date())
    found = connection.exec_driver_sql(_SELECT_PART_OF_DAY, (account.account, begin_us, to_us(at)))
    return totals_of(map(tuple, found), days)


_SELECT_PART_OF_DAY = f"SELECT {TOTALLED} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?"


def _count_rows(connection: Connection, table: sa.Table, account: str) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.account == account)) or 0
