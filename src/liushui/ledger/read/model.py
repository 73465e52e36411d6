"""The read model of one ledger: snapshots of its accounts and their completeness, in one state of the ledger."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from liushui.errors import AccountNotFound, PermissionDenied
from liushui.instant import load_zone, to_us
from liushui.ledger.engines.base import Ledger, Queries, queries_of
from liushui.ledger.read.accounts import AccountName, AccountSnapshot, SnapshotCache, find_accounts, read_snapshots
from liushui.ledger.read.completeness import AccountCompleteness, Verdict, combine
from liushui.ledger.read.filters import Bound, FlowFilter, instant_us, range_us
from liushui.ledger.read.stated_balances import Key, PointsCache, StatedPoints
from liushui.ledger.read.statement_ranges import StatementRangesCache, statement_ranges_as_of
from liushui.reconcile.chain import Break
from liushui.rules import BALANCE_RULES, BalanceRules, Paging, Rules

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from liushui.ledger.read.account_sums import KindSumsCache
    from liushui.ledger.read.chains import ChainCache, ChainState
    from liushui.ledger.read.closed_months import ChangesCache, MonthChanges
    from liushui.ledger.read.fees import FeeLegCache
    from liushui.ledger.read.finding_decisions import ExplainedCache, FindingDecision
    from liushui.ledger.read.own_transfers import OwnTransferCache


class Account(NamedTuple):
    """One account of a reading."""

    snapshot: AccountSnapshot
    completeness: AccountCompleteness
    currencies: frozenset[str] | None
    """The currencies that the account's provider can have. None: any."""
    balance_rules: BalanceRules | None
    """How far the balances on the account's rows can be trusted. None: its rows state none."""

    @property
    def name(self) -> AccountName:
        """The account's name, provider and zone."""
        return AccountName(self.snapshot.account, self.snapshot.provider, self.snapshot.zone)

    def may_have(self, currency: str) -> bool:
        """Whether the account can have flows in a currency, whether they are in the ledger or missing."""
        known = self.currencies is None or currency in self.currencies
        return known or any(key[1] == currency for key in self.snapshot.sums)

    def verdict(self, since: Bound | None = None, until: Bound | None = None) -> Verdict:
        """Return the verdict on a range. None: from the account's beginning, or up to its newest read or flow."""
        since_us, until_us = range_us(since, until, self.name.tz)
        return self.completeness.of(None if since is None else since_us, None if until is None else until_us)


class Reading(NamedTuple):
    """One state of the ledger: a transaction, and the requested accounts by name."""

    queries: Queries
    accounts: Mapping[str, Account]
    now: datetime
    points: PointsCache
    chain_cache: "ChainCache | None" = None
    changes_cache: "ChangesCache | None" = None
    explained_cache: "ExplainedCache | None" = None
    sqlalchemy: "Connection | None" = None
    """The same transaction for SQLAlchemy. None: the reading was opened for SQL text only."""
    visible: frozenset[str] | None = None
    """The accounts that the reader may see. None: all accounts of the ledger."""

    @property
    def connection(self) -> "Connection":
        """The transaction for SQLAlchemy."""
        if self.sqlalchemy is None:
            raise TypeError("this reading was begun for statements of text only")
        return self.sqlalchemy

    def chains(self, account: Account) -> "Mapping[Key, ChainState]":
        """Return the balance chains of an account. Empty if its balances are advisory or not stated.

        Not for a reading as of a recorded time.
        """
        rules = account.balance_rules
        if rules is None or rules.advisory:
            return {}
        if self.chain_cache is None:
            raise TypeError("this reading was begun for statements of text only")
        return self.chain_cache.load(self.connection, account.name, account.snapshot.head, rules)

    def breaks(self, account: Account) -> list[Break]:
        """Return the breaks of an account's balance chains, by time."""
        breaks = [one for chain in self.chains(account).values() for one in chain.breaks]
        return sorted(breaks, key=lambda one: one.after)

    def explained(self, account: Account) -> "Mapping[str, FindingDecision]":
        """Return the valid explanations of findings, by finding id.

        Not for a reading as of a recorded time.
        """
        if self.explained_cache is None:
            raise TypeError("this reading was begun for statements of text only")
        name, head = account.name.account, account.snapshot.head
        return self.explained_cache.load(self.connection, name, head, lambda: self.chains(account))

    def month_changes(self, account: Account) -> "list[MonthChanges]":
        """Return the changes in an account's closed months since their close.

        Not for a reading as of a recorded time.
        """
        if self.changes_cache is None:
            raise TypeError("this reading was begun for statements of text only")
        return self.changes_cache.load(self.queries, account.name, account.snapshot.head)

    def stated_points(self, account: Account) -> Mapping[Key, StatedPoints]:
        """Return the stated balances of an account. Not for a reading as of a recorded time."""
        return self.points.load(self.queries, account.name, account.snapshot.head)

    def verdict(self, wanted: FlowFilter, currency: str | None = None) -> Verdict:
        """Return the verdict on a filter's range, over all accounts. With `currency`, only accounts that can have this
        currency count."""
        return verdict_on(list(self.accounts.values()), wanted.since, wanted.until, currency)


def verdict_on(
    accounts: Iterable[Account], since: Bound | None, until: Bound | None, currency: str | None = None
) -> Verdict:
    """Return the verdict on a range over several accounts, each in its own days.

    With `currency`, only accounts that can have this currency count.
    """
    return combine(
        [account.verdict(since, until) for account in accounts if currency is None or account.may_have(currency)]
    )


class ReadModel:
    """Answers questions about one ledger. Any thread may use it.

    `rules` are the providers' rules, by provider name. Snapshots are cached until their account has a new batch.
    """

    def __init__(self, ledger: Ledger, rules: Mapping[str, Rules[Paging]]) -> None:
        self.ledger = ledger
        self.rules = rules
        self._visible: frozenset[str] | None = None
        self._cache = SnapshotCache()
        self._points = PointsCache()
        self._statement_ranges = StatementRangesCache()

    def restricted_to(self, accounts: frozenset[str] | None) -> "ReadModel":
        """Return the same model for a reader who may see only these accounts; None: all of them. Both share the
        caches."""
        if accounts is None:
            return self
        restricted = copy(self)
        shared: dict[str, object] = {"_chains": self._chains, "_changes": self._changes, "_explained": self._explained}
        shared |= {"own_transfers": self.own_transfers, "kind_sums": self.kind_sums, "fee_legs": self.fee_legs}
        restricted.__dict__.update(shared)
        restricted._visible = accounts
        return restricted

    def _visible_names(self, names: Sequence[str]) -> Sequence[str]:
        """Return the accounts of a reading. Raises AccountNotFound both for a hidden account and for an account that
        does not exist."""
        if self._visible is None:
            return names
        for name in names:
            if name not in self._visible:
                raise AccountNotFound(name)
        if not self._visible:
            # an empty list of names would mean all accounts
            raise PermissionDenied("there is no account that you may see")
        return names or sorted(self._visible)

    @cached_property
    def _chains(self) -> "ChainCache":
        from liushui.ledger.read.chains import ChainCache  # imported here: balances do not need it

        return ChainCache()

    @cached_property
    def _changes(self) -> "ChangesCache":
        from liushui.ledger.read.closed_months import ChangesCache  # imported here: balances do not need it

        return ChangesCache()

    @cached_property
    def _explained(self) -> "ExplainedCache":
        from liushui.ledger.read.finding_decisions import ExplainedCache  # imported here: balances do not need it

        return ExplainedCache()

    @cached_property
    def own_transfers(self) -> "OwnTransferCache":
        """The cache of transfers between accounts."""
        from liushui.ledger.read.own_transfers import OwnTransferCache  # imported here: balances do not need it

        return OwnTransferCache()

    @cached_property
    def kind_sums(self) -> "KindSumsCache":
        """A cache of the totals of all flows, by account."""
        from liushui.ledger.read.account_sums import KindSumsCache  # imported here: balances do without it

        return KindSumsCache()

    @cached_property
    def fee_legs(self) -> "FeeLegCache":
        """A cache of the sums of fees within rows."""
        from liushui.ledger.read.fees import FeeLegCache  # imported here: few questions are about fees

        return FeeLegCache()

    @contextmanager
    def reading(
        self,
        names: Sequence[str] = (),
        as_of: Bound | None = None,
        *,
        with_runs: bool = False,
        text_only: bool = False,
    ) -> Iterator[Reading]:
        """Open a reading of these accounts (of all if no name is given). Raises AccountNotFound.

        `as_of`: the ledger as it was recorded at that time. This reads every version of every flow. `with_runs`:
        include the outcome of each account's last sync, and what syncs have recorded about the service. `text_only`:
        the caller runs only SQL text. For a ledger in a file, SQLAlchemy is then not imported.
        """
        now, names = self.ledger.clock(), self._visible_names(names)
        if text_only:
            with self.ledger.querying() as queries:
                accounts = self._current(queries, names, now, with_runs=with_runs)
                yield Reading(queries, accounts, now, self._points, visible=self._visible)
            return
        with self.ledger.reading() as connection:
            queries = queries_of(connection)
            if as_of is None:
                accounts = self._current(queries, names, now, with_runs=with_runs)
            else:
                accounts = {
                    name.account: self._account(_snapshot_as_of(connection, name, as_of), now, as_of)
                    for name in find_accounts(queries, names)
                }
            caches = (self._points, self._chains, self._changes, self._explained)
            yield Reading(queries, accounts, now, *caches, connection, self._visible)

    def _current(self, queries: Queries, names: Sequence[str], now: datetime, *, with_runs: bool) -> dict[str, Account]:
        accounts = {}
        for snapshot in read_snapshots(queries, self._cache, names, with_runs_at=now if with_runs else None):
            if snapshot.since is None:
                name = AccountName(snapshot.account, snapshot.provider, snapshot.zone)
                stated = self._statement_ranges.load(queries, name, snapshot.head)
                snapshot = snapshot._replace(stated=stated)
            accounts[snapshot.account] = self._account(snapshot, now, None)
        return accounts

    def accounts(self, names: Sequence[str] = (), *, with_runs: bool = False) -> dict[str, Account]:
        """Return the accounts of one state, by name. Raises AccountNotFound."""
        with self.reading(names, with_runs=with_runs, text_only=True) as reading:
            return dict(reading.accounts)

    def _account(self, snapshot: AccountSnapshot, now: datetime, as_of: Bound | None) -> Account:
        rules = self.rules.get(snapshot.provider)
        now_us = to_us(now) if as_of is None else min(to_us(now), instant_us(as_of, load_zone(snapshot.zone)))
        completeness = AccountCompleteness(snapshot, rules, now_us)
        balance_rules = BALANCE_RULES if rules is None else rules.balances
        return Account(snapshot, completeness, None if rules is None else rules.currencies, balance_rules)

    def fingerprints(self, names: Sequence[str]) -> list[tuple[object, ...]]:
        """Return values that change whenever an answer about these accounts changes."""
        if not names:
            return []
        return [
            (name, account.snapshot.head, *account.completeness.fingerprint)
            for name, account in self.accounts(names).items()
        ]

    def verdict(self, wanted: FlowFilter, as_of: Bound | None = None) -> Verdict:
        """Return the verdict on the flows of a filter."""
        with self.reading(wanted.accounts, as_of) as reading:
            return reading.verdict(wanted)


def _snapshot_as_of(connection: "Connection", name: AccountName, as_of: Bound) -> AccountSnapshot:
    from liushui.ledger.read import history

    snapshot = history.snapshot_as_of(connection, name, as_of)
    if snapshot.since is not None:
        return snapshot
    return snapshot._replace(stated=statement_ranges_as_of(connection, name, as_of))
