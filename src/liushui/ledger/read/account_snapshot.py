"""What an overview is made of: accounts, their sources and runs, ranges, and exact sums of day totals. Reads only."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import from_us
from liushui.ledger.coverage import Range, State, merged
from liushui.ledger.day_totals import exact_sums, load_sums, summed
from liushui.ledger.schema import accounts, coverage, day_totals, findings, progress, quarantine, runs, sources

REFUSED = "credentials"
"""The status of a sync whose credentials were refused."""


class Sum(NamedTuple):
    """What an account's flows of one place and currency come to, all of them together."""

    subaccount: str
    currency: str
    flows: int
    money_in: Decimal
    money_out: Decimal


class Move(NamedTuple):
    """What moved on a day, or in a month: `2024-03-01`, `2024-03`. `money_in` >= 0, `money_out` <= 0."""

    account: str
    period: str
    kind: str
    flows: int
    money_in: Decimal
    money_out: Decimal


class LastRun(NamedTuple):
    """How an account's latest sync went. `ended_at` None: it goes on, or was killed. `error` empty: all went well.

    `is_refused`: its provider does not take the credentials.
    """

    started_at: datetime
    ended_at: datetime | None
    error: str
    is_refused: bool


class AccountFacts(NamedTuple):
    """What is known of an account. `since` None: it has no source, and nothing is claimed of it."""

    account: str
    provider: str
    zone: str
    head: int
    since: datetime | None
    run: LastRun | None
    ranges: tuple[Range, ...]
    """Neighbours of one state and reason as one, oldest first."""
    quarantined: int
    findings: dict[str, int]
    """Flows that something was found about, by the finding."""
    sums: tuple[Sum, ...]
    last_day: str | None
    """The newest day with a flow. None: there is none."""


class Facts(NamedTuple):
    """The accounts, by name."""

    accounts: tuple[AccountFacts, ...]

    def sums(self) -> Iterator[tuple[AccountFacts, Sum]]:
        """Every sum with its account."""
        return ((account, found) for account in self.accounts for found in account.sums)

    def currencies(self) -> list[str]:
        """The currencies, those with the most flows first."""
        flows: Counter[str] = Counter()
        for _, found in self.sums():
            flows[found.currency] += found.flows
        return sorted(flows, key=lambda currency: (-flows[currency], currency))


class Settled(NamedTuple):
    """What only a batch of the account can change: what `AccountFacts` has of it."""

    ranges: tuple[Range, ...]
    quarantined: int
    findings: dict[str, int]
    sums: tuple[Sum, ...]
    last_day: str | None


@dataclass
class Kept:
    """What was known of accounts as of a batch. It stays true until the account's next one."""

    known: dict[str, tuple[int, Settled]] = field(default_factory=dict)

    def of(self, connection: Connection, account: str, head: int) -> Settled:
        """What is known of an account, read anew only where it has had a batch since: `head` is its newest."""
        before = self.known.get(account)
        if before is not None and before[0] == head:
            return before[1]
        found = Settled(
            tuple(merged(_ranges(connection, account))),
            _quarantined(connection, account),
            _findings(connection, account),
            _sums(connection, account),
            _last_day(connection, account),
        )
        self.known[account] = head, found
        return found


def read_facts(connection: Connection, kept: Kept) -> Facts:
    """Everything but what moved when, as one state of the ledger has it."""
    started = _runs(connection)
    named = sa.select(accounts.c.account, accounts.c.provider, accounts.c.zone, accounts.c.head, sources.c.since_us)
    named = named.outerjoin(sources, sources.c.account == accounts.c.account).order_by(accounts.c.account)
    return Facts(
        tuple(
            AccountFacts(
                account,
                provider,
                zone,
                head,
                None if since_us is None else from_us(since_us),
                started.get(account),
                *kept.of(connection, account, head),
            )
            for account, provider, zone, head, since_us in connection.execute(named).all()
        )
    )


def moves(
    connection: Connection, names: Sequence[str], currency: str, first: str, last: str, *, by_month: bool
) -> list[Move]:
    """What moved in one currency from the day `first` to `last`, both included, by account, day or month, and kind."""
    t = day_totals.c
    period = sa.func.substr(t.day, 1, 7) if by_month else t.day
    money_in, money_out = exact_sums(connection, t.money_in, t.money_out)
    query = sa.select(t.account, period, t.kind, sa.func.sum(t.flows), money_in, money_out).where(
        t.account.in_(names), t.currency == currency, t.day >= first, t.day <= last
    )
    found = connection.execute(query.group_by(t.account, period, t.kind))
    return [
        Move(account, when, kind, int(flows), summed(inward), summed(outward))
        for account, when, kind, flows, inward, outward in found
    ]


def _sums(connection: Connection, account: str) -> tuple[Sum, ...]:
    return tuple(
        Sum(subaccount, currency, total.flows, total.money_in, total.money_out)
        for (subaccount, currency), total in load_sums(connection, account).items()
    )


def _last_day(connection: Connection, account: str) -> str | None:
    newest: str | None = connection.scalar(
        sa.select(sa.func.max(day_totals.c.day)).where(day_totals.c.account == account)
    )
    return newest


def _ranges(connection: Connection, account: str) -> list[Range]:
    c = coverage.c
    query = sa.select(c.since_us, c.until_us, c.state, c.reason, c.checked_at_us, c.batch).where(c.account == account)
    return [
        Range(since_us, until_us, State(state), *about)
        for since_us, until_us, state, *about in connection.execute(query)
    ]


def _runs(connection: Connection) -> dict[str, LastRun]:
    latest = sa.select(runs.c.account, sa.func.max(runs.c.started_at_us).label("started_at_us"))
    last = latest.group_by(runs.c.account).subquery()
    same = sa.and_(runs.c.account == last.c.account, runs.c.started_at_us == last.c.started_at_us)
    query = sa.select(runs.c.account, runs.c.started_at_us, runs.c.ended_at_us, runs.c.error, progress.c.status)
    query = query.join(last, same).outerjoin(progress, progress.c.account == runs.c.account)
    return {
        account: LastRun(
            from_us(started_at_us),
            None if ended_at_us is None else from_us(ended_at_us),
            error,
            is_refused=bool(error) and status == REFUSED,
        )
        for account, started_at_us, ended_at_us, error, status in connection.execute(query)
    }


def _quarantined(connection: Connection, account: str) -> int:
    waiting = sa.and_(quarantine.c.account == account, quarantine.c.ended_batch.is_(None))
    return connection.scalar(sa.select(sa.func.count()).select_from(quarantine).where(waiting)) or 0


def _findings(connection: Connection, account: str) -> dict[str, int]:
    f = findings.c
    query = sa.select(f.finding, sa.func.sum(f.flows)).where(f.account == account).group_by(f.finding)
    return {finding: int(flows) for finding, flows in connection.execute(query)}
