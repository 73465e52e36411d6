"""Links between the flows of a ledger. They are computed when they are read, from the flows around them. Reads only.

Whether a link is certain does not depend on the requested range: around each range, all flows are read that could
replace one of its flows. All accounts of the ledger are considered, so that a transfer is certain for every reader or
for none.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from heapq import merge
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import short_repr
from liushui.flow import Fx
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.link_decisions import LinkDecision, flow_as_decided, load_decisions, what_changed
from liushui.ledger.schema import MOVED, flows
from liushui.reconcile.links import (
    HELD,
    NOTHING_DECIDED,
    OWN_TRANSFERS,
    Decided,
    FlowKey,
    Link,
    LinkFlow,
    LinkKind,
    LinkState,
    seconds_of,
    taken_flows,
)
from liushui.reconcile.same_money import WINDOW, match_same_money
from liushui.reconcile.transfers import match_transfers
from liushui.reconcile.within_account import RECORD_WINDOW, match_within
from liushui.rules import LINK_RULES, LinkRules, Paging, Rules

DAY_US: Final = timedelta(days=1) // timedelta(microseconds=1)

TRANSFERS_CHUNK_US: Final = 90 * DAY_US
"""Ends of transfers are matched in ranges of this length, so that memory does not grow with the history."""

WINDOWS_AROUND: Final = 8
"""The number of windows before and after a range in which flows are read, because they affect links in the range. An
end's own partners are one window away, theirs two, and so on through the tiers of evidence and the longest chain that
gets a suggestion."""

_VIEW_WINDOW_US: Final = WINDOW // timedelta(microseconds=1)

FLOWS_CHUNK: Final = 5_000
"""The number of flows of one account, about, that are matched together."""


def find_views(accounts: Sequence[AccountName], rules: Mapping[str, Rules[Paging]]) -> dict[str, tuple[str, ...]]:
    """Return the accounts whose flows may show the same money as flows in others of these accounts, and those others.

    `rules`: by provider.
    """
    originals: dict[str, tuple[str, ...]] = {}
    for account in accounts:
        shown = rules[account.provider].links.shows_money_of if account.provider in rules else ""
        others = tuple(other.account for other in accounts if shown and other.provider == shown)
        if others:
            originals[account.account] = others
    return originals


class LinkReader:
    """Reads the links of one state of a ledger."""

    def __init__(
        self, connection: Connection, accounts: Sequence[AccountName], rules: Mapping[str, Rules[Paging]]
    ) -> None:
        """`accounts`: all of the ledger. `rules` by provider; accounts of other providers get the default rules."""
        self._connection = connection
        self._accounts = accounts
        self._rules = {
            account.account: rules[account.provider].links if account.provider in rules else LINK_RULES
            for account in accounts
        }
        self._views = find_views(accounts, rules)
        self._decisions = tuple(load_decisions(connection).values())
        longest = max((rule.transfer_window for rule in self._rules.values()), default=LINK_RULES.transfer_window)
        self.window_us = longest // timedelta(microseconds=1)
        """The longest possible time between the two ends of a transfer."""

    def rules_of(self, account: str) -> LinkRules:
        """Return the link rules of an account."""
        return self._rules[account]

    def transfers(self, since_us: int, until_us: int) -> Iterator[Link]:
        """Return the transfers whose outgoing end is in [since, until), by its time: certain ones and candidates.

        Transfers with a decision are left out.
        """
        around_us = WINDOWS_AROUND * self.window_us
        while (begin_us := self._next_end(since_us, until_us)) is not None:
            since_us = min(begin_us + TRANSFERS_CHUNK_US, until_us)
            around = begin_us - around_us, since_us + around_us
            ends = self._without_views(self._ends(*around), *around)
            for link in match_transfers(ends, self.rules_of, self._decided_in(*around)):
                if begin_us <= link.flows[0].at_us < since_us:
                    yield link

    def own_transfers(self, accounts: Collection[str], since_us: int, until_us: int) -> Iterator[Link]:
        """Return the accepted transfers between these accounts that have an end in [since, until).

        This is the only definition of the own transfers that totals leave out. If an end is in another account, but
        one of these accounts has a view of it, that view is the end.
        """
        around = since_us - self.window_us, until_us + self.window_us
        views: dict[FlowKey, LinkFlow] = {}
        for account in self._views.keys() & set(accounts):
            if any(original not in accounts for original in self._views[account]):
                views |= {link.keys[1]: link.flows[0] for link in self._held_views(account, *around)}
        for link in merge(self.transfers(*around), self.decided(*around), key=_order_of):
            if link.state in HELD and link.kind in OWN_TRANSFERS:
                ends = (flow if flow.account in accounts else views.get(flow.key, flow) for flow in link.flows)
                link = link._replace(flows=tuple(ends))  # the same link, seen from these accounts
                is_inside = all(flow.account in accounts for flow in link.flows)
                if is_inside and any(since_us <= flow.at_us < until_us for flow in link.flows):
                    yield link

    def seen_twice(self, accounts: Collection[str], since_us: int, until_us: int) -> Iterator[Link]:
        """Return the accepted links of the same money in two of these accounts, with the view in [since, until).

        This is the only definition of the flows that totals leave out because another flow shows the same money.
        """
        for account in sorted(self._views.keys() & set(accounts)):
            for link in self._held_views(account, since_us, until_us):
                if link.flows[1].account in accounts:
                    yield link

    def same_money(self, account: str, since_us: int, until_us: int) -> Iterator[Link]:
        """Return the links of an account's flows in [since, until) to flows that show the same money, by time: certain
        ones and candidates.

        Links with a decision are left out.
        """
        if account not in self._views:
            return
        around_us = WINDOWS_AROUND * _VIEW_WINDOW_US
        for begin_us, after_us in self._chunks(account, since_us, until_us):
            around = begin_us - around_us, after_us + around_us
            views = self._flows(account, *around)
            originals = (flow for other in self._views[account] for flow in self._flows(other, *around))
            for link in match_same_money(views, originals, self._decided_in(*around)):
                if begin_us <= link.flows[0].at_us < after_us:
                    yield link

    def _held_views(self, account: str, since_us: int, until_us: int) -> Iterator[Link]:
        """Return the accepted links of an account's flows in [since, until) to flows that show the same money."""
        decided = (
            link
            for link in self.decided(since_us, until_us)
            if link.kind is LinkKind.SAME_MONEY and link.flows[0].account == account
        )
        for link in merge(self.same_money(account, since_us, until_us), decided, key=_order_of):
            if link.state in HELD:
                yield link

    def _without_views(self, ends: Iterable[LinkFlow], since_us: int, until_us: int) -> Iterable[LinkFlow]:
        """Leave out ends that are views of other ends: the money moved once."""
        if not self._views:
            return ends
        every = list(ends)
        decided = self._decided_in(since_us, until_us)
        views: set[FlowKey] = {link.keys[0] for link in self.decided(since_us, until_us) if _is_held_view(link)}
        for account, originals in self._views.items():
            found = match_same_money(
                (flow for flow in every if flow.account == account),
                (flow for flow in every if flow.account in originals),
                decided,
            )
            views.update(link.keys[0] for link in found if link.state in HELD)
        return [flow for flow in every if flow.key not in views]

    def within(self, account: str, since_us: int, until_us: int) -> Iterator[Link]:
        """Return the links within an account whose first flow is in [since, until), by its time.

        Links with a decision are left out.
        """
        rules = self.rules_of(account)
        around_us = _around_us(rules)
        for begin_us, after_us in self._chunks(account, since_us, until_us):
            near = {flow.key: flow for flow in self._flows(account, begin_us - around_us, after_us + around_us)}
            orders = {flow.order_ref for flow in near.values() if flow.order_ref}
            near |= {flow.key: flow for flow in self._of_orders(account, orders)}
            decided = self._decided_of(near.values())
            for link in match_within(near.values(), rules, decided):
                if begin_us <= link.flows[0].at_us < after_us:
                    yield link

    def links(
        self,
        since_us: int,
        until_us: int,
        accounts: Collection[str] = (),
        kinds: Collection[LinkKind] = frozenset(LinkKind),
    ) -> Iterator[Link]:
        """Return every link of these kinds whose first flow is in [since, until), by its time, in any state.

        `accounts`: links with a flow in one of them; empty: of all accounts.
        """
        streams: list[Iterable[Link]] = [self.decided(since_us, until_us)]
        # Only flows that can have such links are read: few flows can be ends of transfers.
        if not OWN_TRANSFERS.isdisjoint(kinds):
            streams.append(self.transfers(since_us, until_us))
        if not (OWN_TRANSFERS | {LinkKind.SAME_MONEY}).issuperset(kinds):
            names = [account.account for account in self._accounts if not accounts or account.account in accounts]
            streams += [self.within(name, since_us, until_us) for name in names]
        if LinkKind.SAME_MONEY in kinds:
            streams += [self.same_money(name, since_us, until_us) for name in self._views]
        return (
            link
            for link in merge(*streams, key=_order_of)
            if link.kind in kinds and (not accounts or any(flow.account in accounts for flow in link.flows))
        )

    def decided(self, since_us: int, until_us: int) -> list[Link]:
        """Return the links with a decision whose first flow is in [since, until), by its time."""
        decisions = (known for known in self._decisions if since_us <= known.flows[0].at_us < until_us)
        return sorted(map(self.decided_link, decisions), key=_order_of)

    def decided_link(self, decision: LinkDecision) -> Link:
        """Return a link in the form in which it was decided. It is outdated if one of its flows no longer exists or now
        moves other money."""
        current = [self._flow(flow.key) for flow in decision.flows]
        flows = tuple(known or flow_as_decided(flow) for known, flow in zip(current, decision.flows, strict=True))
        state = decision.decision
        same = all(flow.is_as_decided(known) for known, flow in zip(current, decision.flows, strict=True))
        if state is LinkState.CONFIRMED and not same:
            state = LinkState.OUTDATED
        return Link(decision.kind, flows, decision.basis, state)

    def find(self, id_: str) -> Link | None:
        """Return the link with this id. None: no such link."""
        decision = next((known for known in self._decisions if known.link == id_), None)
        if decision is not None:
            return self.decided_link(decision)
        second = seconds_of(id_)
        return None if second is None else next((link for link in self.links(*second) if link.id == id_), None)

    def find_ended(self, id_: str) -> Link | None:
        """Return the link with this id if some of its flows have changed or were withdrawn. None: no such link.

        It searches the ended versions near the second that the id contains.
        """
        second = seconds_of(id_)
        if second is None:
            return None
        since_us, until_us = second[0] - self.window_us, second[1] + self.window_us
        ends: dict[FlowKey, LinkFlow] = {}
        links: list[Link] = []
        for account in self._accounts:
            versions = [*self._flows(account.account, since_us, until_us)]
            versions += self._ended_flows(account.account, since_us, until_us)
            every = {flow.key: flow for flow in versions}
            ends |= every
            links += match_within(every.values(), self.rules_of(account.account))
        links += match_transfers(ends.values(), self.rules_of)
        for name, originals in self._views.items():
            views = (flow for flow in ends.values() if flow.account == name)
            links += match_same_money(views, (flow for flow in ends.values() if flow.account in originals))
        return next((link for link in links if link.id == id_), None)

    def why_missing(self, id_: str, visible: Collection[str] | None = None) -> str:
        """Return a sentence that says why an id has no link: it never existed, or one of its flows has changed.

        `visible`: the accounts that the caller may see; None: all.
        """
        link = self.find_ended(id_)
        if link is not None and visible is not None and any(flow.account not in visible for flow in link.flows):
            link = None
        if link is not None and (changed := what_changed(self._connection, link.keys)) is not None:
            return f"{short_repr(id_)} is no longer there: {changed}"
        return f"there is none named {short_repr(id_)}: `liushui link list` prints the ids"

    def links_of(self, key: FlowKey) -> list[Link]:
        """Return the links of one flow."""
        around_us = self.window_us
        found = list(self.transfers(key.at_us - around_us, key.at_us + around_us + 1))
        found += self._within_around(key)
        for account in self._views:
            found += self.same_money(account, key.at_us - _VIEW_WINDOW_US, key.at_us + _VIEW_WINDOW_US + 1)
        found += [self.decided_link(decision) for decision in self._decisions if key in decision.keys]
        return sorted((link for link in found if key in link.keys), key=_order_of)

    def _within_around(self, key: FlowKey) -> list[Link]:
        """Return the links within an account of a flow, of the flows near it, and of the flows with the same order
        number."""
        rules = self.rules_of(key.account)
        around_us = _around_us(rules)
        near = {flow.key: flow for flow in self._flows(key.account, key.at_us - around_us, key.at_us + around_us + 1)}
        if key in near and near[key].order_ref:
            near |= {flow.key: flow for flow in self._of_orders(key.account, {near[key].order_ref})}
        return match_within(near.values(), rules, self._decided_of(near.values()))

    # ------------------------------------------------------------ decisions

    def _decided_in(self, since_us: int, until_us: int) -> Decided:
        """Return people's decisions about flows in [since, until)."""
        return self._decided(
            any(since_us <= flow.at_us < until_us for flow in known.flows) for known in self._decisions
        )

    def _decided_of(self, flows_: Collection[LinkFlow]) -> Decided:
        """Return people's decisions about these flows."""
        if not self._decisions:
            return NOTHING_DECIDED
        keys = {flow.key for flow in flows_}
        return self._decided(not keys.isdisjoint(known.keys) for known in self._decisions)

    def _decided(self, are_meant: Iterable[bool]) -> Decided:
        links = [
            self.decided_link(known) for known, is_meant in zip(self._decisions, are_meant, strict=True) if is_meant
        ]
        confirmed = [link for link in links if link.state is LinkState.CONFIRMED]
        return Decided(
            frozenset(link.keys for link in links if link.state is LinkState.REJECTED),
            frozenset(link.keys for link in confirmed),
            frozenset().union(*(taken_flows(link.kind, link.keys) for link in confirmed)),
        )

    # ------------------------------------------------------------ rows

    def _next_end(self, since_us: int, until_us: int) -> int | None:
        """Return the time of the first flow in [since, until) that can be an end of a transfer. None: no such flow."""
        statement = _NEXT_END.on(self._connection)
        firsts = [
            self._connection.exec_driver_sql(statement, (account.account, since_us, until_us)).scalar_one()
            for account in self._accounts
        ]
        return min((first for first in firsts if first is not None), default=None)

    def _ends(self, since_us: int, until_us: int) -> Iterator[LinkFlow]:
        """Return the flows of all accounts that can be ends of transfers."""
        statement = _ENDS.on(self._connection)
        for account in self._accounts:
            rows = self._connection.exec_driver_sql(
                statement, (account.account, since_us, until_us), execution_options=STREAMED
            )
            yield from map(_link_flow, rows)

    def _flow(self, key: FlowKey) -> LinkFlow | None:
        row = self._connection.exec_driver_sql(_FLOW, key).first()
        return None if row is None else _link_flow(row)

    def _flows(self, account: str, since_us: int, until_us: int) -> Iterator[LinkFlow]:
        rows = self._connection.exec_driver_sql(_FLOWS, (account, since_us, until_us), execution_options=STREAMED)
        yield from map(_link_flow, rows)

    def _ended_flows(self, account: str, since_us: int, until_us: int) -> Iterator[LinkFlow]:
        rows = self._connection.exec_driver_sql(_ENDED_FLOWS, (account, since_us, until_us))
        yield from map(_link_flow, rows)

    def _of_orders(self, account: str, orders: Collection[str]) -> Iterator[LinkFlow]:
        if orders:
            parameters = json.dumps(sorted(orders)), account
            yield from map(_link_flow, self._connection.exec_driver_sql(_OF_ORDERS.on(self._connection), parameters))

    def _chunks(self, account: str, since_us: int, until_us: int) -> Iterator[tuple[int, int]]:
        """Split a range into parts with about FLOWS_CHUNK flows each."""
        f = flows.c
        inside = sa.select(f.at_us).where(f.account == account, f.at_us < until_us)
        while True:
            later = inside.where(f.at_us >= since_us).order_by(f.at_us)
            first = self._connection.scalar(later.limit(1))
            if first is None:
                return
            after = self._connection.scalar(later.where(f.at_us > first).offset(FLOWS_CHUNK).limit(1))
            yield first, until_us if after is None else after
            if after is None:
                return
            since_us = after


def _is_held_view(link: Link) -> bool:
    return link.kind is LinkKind.SAME_MONEY and link.state in HELD


def _around_us(rules: LinkRules) -> int:
    """Return how far around a range the flows of one account affect the links in it."""
    longest = max(RECORD_WINDOW, rules.fee_window or RECORD_WINDOW, rules.tax_window or RECORD_WINDOW)
    return WINDOWS_AROUND * (longest // timedelta(microseconds=1))


def _order_of(link: Link) -> tuple[int, str, tuple[FlowKey, ...]]:
    return link.order


def _link_flow(row: Sequence[object]) -> LinkFlow:
    account, at_us, id_, subaccount, amount, currency, kind, label, ref, order_ref, symbol, note, *fx = row
    return LinkFlow(
        account,  # type: ignore[arg-type] # the columns of _COLUMNS
        at_us,  # type: ignore[arg-type]
        id_,  # type: ignore[arg-type]
        subaccount,  # type: ignore[arg-type]
        Decimal(amount),  # type: ignore[arg-type]
        currency,  # type: ignore[arg-type]
        kind,  # type: ignore[arg-type]
        label,  # type: ignore[arg-type]
        ref or "",  # type: ignore[arg-type]
        order_ref or "",  # type: ignore[arg-type]
        symbol or "",  # type: ignore[arg-type]
        note or "",  # type: ignore[arg-type]
        None if fx[0] is None else Fx(fx[0], Decimal(fx[1]), Decimal(fx[2])),  # type: ignore[arg-type]
    )


_COLUMNS: Final = (
    "account, at_us, id, subaccount, amount, currency, kind, label, ref, order_ref, symbol, note, "
    "fx_currency, fx_amount, fx_rate"
)
_IN_RANGE: Final = f"WHERE account = ? AND at_us >= ? AND at_us < ? AND {MOVED}"
_NEXT_END: Final = Statement(lambda sql: f"SELECT min(at_us) FROM flows {sql.using('flows_moved')} {_IN_RANGE}")
_ENDS: Final = Statement(lambda sql: f"SELECT {_COLUMNS} FROM flows {sql.using('flows_moved')} {_IN_RANGE}")
_FLOW: Final = f"SELECT {_COLUMNS} FROM flows WHERE account = ? AND at_us = ? AND id = ?"
_FLOWS: Final = f"SELECT {_COLUMNS} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ? ORDER BY at_us, id"
_ENDED_FLOWS: Final = (
    f"SELECT {_COLUMNS} FROM history WHERE account = ? AND at_us >= ? AND at_us < ? ORDER BY at_us, id, batch"
)
_OF_ORDERS: Final = Statement(
    lambda sql: (
        f"SELECT {_COLUMNS} FROM ({sql.texts_in_json}) AS given CROSS JOIN flows {sql.using('flows_ordered')} "
        "WHERE account = ? AND order_ref = wanted AND order_ref IS NOT NULL"
    )
)
