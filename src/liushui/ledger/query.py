"""What people and programs ask of a ledger: flows, balances, summaries, coverage, status. Reads only."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError
from liushui.flow import Flow
from liushui.instant import BusinessDays, from_us, to_us, zone_named
from liushui.ledger.coverage import Range, State, merged, missing
from liushui.ledger.engine import Ledger, account_names
from liushui.ledger.rows import AMOUNT, COLUMNS, CURRENCY, SUBACCOUNT, to_flow
from liushui.ledger.schema import accounts, batches, coverage, flows, quarantine
from liushui.ledger.totals import Total, load
from liushui.money import EXACT, ZERO, shown

FIRST_DAY, LAST_DAY = "0000-00-00", "9999-99-99"
_CHUNK = 1_000

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
    proven_from: datetime | None
    proven_until: datetime | None
    gaps: int
    batches: int


def list_flows(ledger: Ledger, wanted: FlowFilter) -> Iterator[LedgerFlow]:
    """The flows, by account and time, streamed."""
    with ledger.reading() as connection:
        f = flows.c
        query = sa.select(*flows.columns)
        if wanted.accounts:
            _check_accounts(connection, wanted.accounts)
            query = query.where(f.account.in_(wanted.accounts))
        if wanted.since is not None:
            query = query.where(f.at_us >= to_us(wanted.since))
        if wanted.until is not None:
            query = query.where(f.at_us < to_us(wanted.until))
        for column, value in ((f.currency, wanted.currency), (f.kind, wanted.kind), (f.symbol, wanted.symbol)):
            if value is not None:
                query = query.where(column == value)
        order = (f.account, f.at_us, f.id)
        query = query.order_by(*(column.desc() for column in order) if wanted.newest_first else order)
        if wanted.limit is not None:
            query = query.limit(wanted.limit)
        found = connection.execution_options(stream_results=True, max_row_buffer=_CHUNK).execute(query)
        for row in found:
            yield LedgerFlow(row.account, row.id, to_flow(row), row.batch)


def balances(ledger: Ledger, names: tuple[str, ...] = (), at: datetime | None = None) -> list[Balance]:
    """Sums of flows before `at` (None: all), by account, subaccount and currency, exact. From the day totals."""
    result = []
    with ledger.reading() as connection:
        for account in _accounts(connection, names):
            first, last = FIRST_DAY, LAST_DAY
            sums: dict[tuple[str, str], tuple[Decimal, int]] = {}
            if at is not None:
                days = BusinessDays(zone_named(account.zone))
                last = days.day_of(to_us(at))
            for key, total in load(connection, account.account, first, last).items():
                if at is None or key.day < last:
                    _count(
                        sums, (key.subaccount, key.currency), EXACT.add(total.money_in, total.money_out), total.flows
                    )
            if at is not None:
                _add_part_of_day(connection, account, at, sums)
            ranges = _ranges(connection, account.account)
            until = _proven_until(ranges)
            proven = until is not None and (at is None or to_us(at) <= until)
            result += [
                Balance(
                    account.account,
                    subaccount,
                    currency,
                    amount,
                    flows=count,
                    at=at or (None if until is None else from_us(until)),
                    proven=proven and not any(known.state is State.OPEN for known in ranges),
                )
                for (subaccount, currency), (amount, count) in sorted(sums.items())
            ]
    return result


def summary(
    ledger: Ledger,
    names: tuple[str, ...] = (),
    *,
    period: Period = "month",
    first_day: str = FIRST_DAY,
    last_day: str = LAST_DAY,
) -> list[Summary]:
    """What moved in and out, by period of the account's days, currency and kind. From the day totals."""
    cut = _PERIOD_CHARACTERS[period]
    sums: dict[tuple[str, str, str, str], Total] = {}
    with ledger.reading() as connection:
        for account in _accounts(connection, names):
            for key, total in load(connection, account.account, first_day, last_day).items():
                group = (key.day[:cut] or "all", account.account, key.currency, key.kind)
                sums[group] = sums.get(group, Total()).plus(total)
    return [
        Summary(*group, total.flows, total.money_in, total.money_out, EXACT.add(total.money_in, total.money_out))
        for group, total in sorted(sums.items())
    ]


def coverage_of(ledger: Ledger, names: tuple[str, ...] = ()) -> dict[str, list[Range]]:
    """Each account's ranges, neighbours of one state as one, oldest first."""
    with ledger.reading() as connection:
        return {
            account.account: merged(_ranges(connection, account.account)) for account in _accounts(connection, names)
        }


def ranges_of(ledger: Ledger, account: str) -> list[Range]:
    """An account's ranges as they were committed."""
    with ledger.reading() as connection:
        return _ranges(connection, account)


def statuses(ledger: Ledger, names: tuple[str, ...] = ()) -> list[AccountStatus]:
    """How far each account is collected."""
    with ledger.reading() as connection:
        result = []
        for account in _accounts(connection, names):
            ranges = merged(_ranges(connection, account.account))
            proven = [known for known in ranges if known.state is State.PROVEN]
            until = _proven_until(ranges)
            kept = sum(total.flows for total in load(connection, account.account, FIRST_DAY, LAST_DAY).values())
            result.append(
                AccountStatus(
                    account.account,
                    account.provider,
                    flows=kept,
                    quarantined=_count_rows(connection, quarantine, account.account),
                    proven_from=from_us(proven[0].since_us) if proven else None,
                    proven_until=None if until is None else from_us(until),
                    gaps=len(missing(proven, (proven[0].since_us, ranges[-1].until_us))) if proven else len(ranges),
                    batches=_count_rows(connection, batches, account.account),
                )
            )
        return result


class _Account(NamedTuple):
    account: str
    provider: str
    zone: str


def _accounts(connection: Connection, names: tuple[str, ...]) -> list[_Account]:
    query = sa.select(accounts.c.account, accounts.c.provider, accounts.c.zone).order_by(accounts.c.account)
    if names:
        _check_accounts(connection, names)
        query = query.where(accounts.c.account.in_(names))
    return [_Account(*row) for row in connection.execute(query)]


def _check_accounts(connection: Connection, names: tuple[str, ...]) -> None:
    there = account_names(connection)
    for name in names:
        if name not in there:
            raise ConfigError(f"account: expected one of {', '.join(there) or 'none'}, got {shown(name)}")


def _ranges(connection: Connection, account: str) -> list[Range]:
    c = coverage.c
    query = sa.select(c.since_us, c.until_us, c.state, c.reason, c.checked_at_us, c.batch)
    found = connection.execute(query.where(c.account == account).order_by(c.since_us))
    return [Range(row[0], row[1], State(row[2]), *row[3:]) for row in found]


def _proven_until(ranges: list[Range]) -> int | None:
    """The end of the first unbroken proof, which begins where the account's source was told to."""
    until: int | None = None
    for known in ranges:
        if known.state is not State.PROVEN or (until is not None and known.since_us > until):
            break
        until = known.until_us
    return until


def _count(sums: dict[tuple[str, str], tuple[Decimal, int]], key: tuple[str, str], amount: Decimal, count: int) -> None:
    before, counted = sums.get(key, (ZERO, 0))
    sums[key] = (EXACT.add(before, amount), counted + count)


def _add_part_of_day(
    connection: Connection, account: _Account, at: datetime, sums: dict[tuple[str, str], tuple[Decimal, int]]
) -> None:
    """Add the flows between the beginning of the local day of `at` and `at` itself."""
    begin_us = BusinessDays(zone_named(account.zone)).begin_us(at.astimezone(zone_named(account.zone)).date())
    found = connection.exec_driver_sql(_SELECT_PART_OF_DAY, (account.account, begin_us, to_us(at)))
    for row in found:
        _count(sums, (row[SUBACCOUNT], row[CURRENCY]), Decimal(str(row[AMOUNT])), 1)


_SELECT_PART_OF_DAY = f"SELECT {', '.join(COLUMNS)} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?"


def _count_rows(connection: Connection, table: sa.Table, account: str) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.account == account)) or 0
