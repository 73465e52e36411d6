"""Links for all faces: listed by filter, page by page, or one link with its rivals and decisions. Reads only."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import Connection

from liushui.errors import NotFound
from liushui.instant import from_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.filters import AFTER_ALL_US, BEFORE_ALL_US, Bound, range_us
from liushui.ledger.read.link_decisions import LinkDecision, decisions_on
from liushui.ledger.read.links import LinkReader
from liushui.ledger.read.model import ReadModel
from liushui.reconcile.links import FlowKey, Link, LinkKind, LinkState

SCAN_MAX: Final = 5_000
"""The most links that one page reads."""

SHOWN: Final = frozenset(LinkState) - {LinkState.REJECTED}
"""The states that are listed by default."""


class LinkQuery(NamedTuple):
    """Selects links. A link has the time of its first flow; days are days of that flow's account.

    `accounts`: links with a flow in one of them; empty: all links. `visible`: only links between these accounts; None:
    no restriction. `kinds` and `states` empty: all kinds, and the states in SHOWN.
    """

    accounts: tuple[str, ...] = ()
    since: Bound | None = None
    until: Bound | None = None
    kinds: frozenset[LinkKind] = frozenset()
    states: frozenset[LinkState] = frozenset()
    visible: Collection[str] | None = None

    def accepts(self, link: Link) -> bool:
        """Whether a link matches, apart from its time and accounts."""
        is_visible = self.visible is None or all(flow.account in self.visible for flow in link.flows)
        return is_visible and link.state in (self.states or SHOWN) and (not self.kinds or link.kind in self.kinds)


class LinkPosition(NamedTuple):
    """A position in the sorted links: after the link with this sort key."""

    at_us: int
    kind: str
    keys: tuple[FlowKey, ...]


class LinkPage(NamedTuple):
    """Some links in order, and the position after them. `next` None: this is the last page."""

    links: list[Link]
    next: LinkPosition | None


class LinkInFull(NamedTuple):
    """A link, the links that share a flow with it, and the decisions about it, oldest first."""

    link: Link
    rivals: list[Link]
    decisions: list[LinkDecision]


def list_links(model: ReadModel, query: LinkQuery) -> Iterator[Link]:
    """Stream the links, by time. Raises AccountNotFound."""
    with model.ledger.reading() as connection:
        yield from (link for link in _in_range(connection, model, query, BEFORE_ALL_US) if query.accepts(link))


def links_page(model: ReadModel, query: LinkQuery, *, limit: int, after: LinkPosition | None = None) -> LinkPage:
    """Return at most `limit` links after a position. A page may have fewer, or none, and still have a next position."""
    links: list[Link] = []
    with model.ledger.reading() as connection:
        from_us_ = BEFORE_ALL_US if after is None else after.at_us
        seen = (
            link for link in _in_range(connection, model, query, from_us_) if after is None or link.order > tuple(after)
        )
        for number, link in enumerate(seen, 1):
            if query.accepts(link):
                links.append(link)
            if len(links) == limit or number == SCAN_MAX:
                return LinkPage(links, LinkPosition(*link.order))
    return LinkPage(links, None)


def _in_range(connection: Connection, model: ReadModel, query: LinkQuery, since_us: int) -> Iterator[Link]:
    every = find_accounts(queries_of(connection))
    if query.accounts:
        find_accounts(queries_of(connection), query.accounts)
    ranges = {account.account: range_us(query.since, query.until, account.tz) for account in every}
    first_us = max(since_us, min((begin for begin, _ in ranges.values()), default=BEFORE_ALL_US))
    last_us = max((end for _, end in ranges.values()), default=AFTER_ALL_US)
    kinds = query.kinds or frozenset(LinkKind)
    for link in LinkReader(connection, every, model.rules).links(first_us, last_us, query.accounts, kinds):
        begin_us, end_us = ranges.get(link.flows[0].account, (first_us, last_us))
        if begin_us <= link.flows[0].at_us < end_us:
            yield link


def link_in_full(model: ReadModel, id_: str, visible: Collection[str] | None = None) -> LinkInFull:
    """Return the link with this id. Raises NotFound, also if one of the link's flows is in an account that is not
    visible."""
    with model.ledger.reading() as connection:
        reader = LinkReader(connection, find_accounts(queries_of(connection)), model.rules)
        link = reader.find(id_)
        if link is not None and visible is not None and any(flow.account not in visible for flow in link.flows):
            link = None
        if link is None:
            raise NotFound(f"link: {reader.why_missing(id_, visible)}")
        near = {rival.id: rival for key in link.keys for rival in reader.links_of(key)}
        rivals = [
            rival
            for rival in sorted(near.values(), key=lambda rival: rival.order)
            if rival.id != id_ and (visible is None or all(flow.account in visible for flow in rival.flows))
        ]
        return LinkInFull(link, rivals, decisions_on(connection, id_))


def links_of_flow(model: ReadModel, key: FlowKey) -> list[Link]:
    """Return the links of one flow, in any state."""
    with model.ledger.reading() as connection:
        return LinkReader(connection, find_accounts(queries_of(connection)), model.rules).links_of(key)


def decisions_of(ledger: Ledger, links: Sequence[str]) -> dict[str, list[LinkDecision]]:
    """Return the decisions on each of these links, oldest first."""
    if not links:
        return {}
    with ledger.reading() as connection:
        return {link: decisions_on(connection, link) for link in links}


def link_record(link: Link) -> dict[str, Any]:
    """Return a link's fields in the order of every table. Amounts are exact; the second flow is the one that the link
    depends on."""
    first, second = link.flows[0], link.flows[1]
    return {
        "link": link.id,
        "kind": link.kind.value,
        "state": link.state.value,
        "basis": link.basis.value,
        "suggested": link.suggested,
        "at": from_us(first.at_us),
        "account": first.account,
        "amount": first.amount,
        "currency": first.currency,
        "other_at": from_us(second.at_us),
        "other_account": second.account,
        "other_amount": second.amount,
        "other_currency": second.currency,
        "flows": len(link.flows),
    }
