"""People's decisions about links: who decided what, when and why. Reads only.

Decisions are facts, and only commits write facts.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import from_us, to_iso
from liushui.ledger.engines.base import queries_of
from liushui.ledger.flow_row import Row
from liushui.ledger.names import count_renames, current_names
from liushui.ledger.read.flows import flows_at
from liushui.ledger.schema import batches, history, link_decisions
from liushui.money import to_plain_string
from liushui.reconcile.links import Basis, FlowKey, Link, LinkFlow, LinkKind, LinkState, link_id

DECISIONS: Final = (LinkState.CONFIRMED, LinkState.REJECTED)
"""The decisions that a person can make."""


class DecidedFlow(NamedTuple):
    """A flow of a link, with the money that it moved at the time of the decision."""

    account: str
    at_us: int
    id: str
    amount: str
    currency: str

    @property
    def key(self) -> FlowKey:
        """The flow's key in the ledger."""
        return FlowKey(self.account, self.at_us, self.id)

    def is_as_decided(self, flow: LinkFlow | None) -> bool:
        """Whether the flow with this key still moves the same money."""
        return flow is not None and (to_plain_string(flow.amount), flow.currency) == (self.amount, self.currency)


class LinkDecision(NamedTuple):
    """A person's decision about a link. `batch` is the commit with the decision, in the account of the link's first
    flow."""

    link: str
    kind: LinkKind
    basis: Basis
    decision: LinkState
    flows: tuple[DecidedFlow, ...]
    decided_by: str
    reason: str
    decided_at: datetime
    batch: int

    @property
    def keys(self) -> tuple[FlowKey, ...]:
        """The keys of the link's flows."""
        return tuple(flow.key for flow in self.flows)


_flows = msgspec.json.Decoder(tuple[DecidedFlow, ...])


def load_decisions(connection: Connection) -> dict[str, LinkDecision]:
    """Return the newest decision on each link, by link id."""
    d = link_decisions.c
    decisions = _read(connection, sa.select(*link_decisions.columns).order_by(d.account, d.batch, d.link))
    return {decision.link: decision for decision in decisions}


def decisions_of_accounts(connection: Connection, names: Collection[str]) -> list[LinkDecision]:
    """Return every decision on links between these accounts only, by the account of the first flow and batch."""
    d = link_decisions.c
    query = sa.select(*link_decisions.columns).where(d.account.in_(names)).order_by(d.account, d.batch, d.link)
    decisions = _read(connection, query)
    return [one for one in decisions if all(flow.account in names for flow in one.flows)]


def decisions_on(connection: Connection, link: str) -> list[LinkDecision]:
    """Return every decision on a link, oldest first."""
    d = link_decisions.c
    query = sa.select(*link_decisions.columns).order_by(d.account, d.batch)
    if not count_renames(queries_of(connection)):  # otherwise the stored id may be that of an earlier name
        query = query.where(d.link == link)
    return [decision for decision in _read(connection, query) if decision.link == link]


def _read(connection: Connection, query: sa.Select[tuple[object, ...]]) -> list[LinkDecision]:
    """Read decisions. A decision was sealed with the names that the accounts had then. Here it has the current ones."""
    rows = connection.execute(query).all()
    renamed = current_names(queries_of(connection)) if rows else {}
    return [_decision(row, renamed) for row in rows]


def _decision(row: sa.Row[tuple[object, ...]], renamed: Mapping[str, str]) -> LinkDecision:
    kind, decided, id_ = LinkKind(row.kind), _flows.decode(row.flows), row.link
    if any(flow.account in renamed for flow in decided):
        decided = tuple(flow._replace(account=renamed.get(flow.account, flow.account)) for flow in decided)
        id_ = link_id(kind, [flow.key for flow in decided])
    return LinkDecision(
        id_,
        kind,
        Basis(row.basis),
        LinkState(row.decision),
        decided,
        row.decided_by,
        row.reason,
        from_us(row.decided_at_us),
        row.batch,
    )


def decision_row(link: Link, decision: LinkState, decided_by: str, reason: str, decided_at_us: int, batch: int) -> Row:
    """Return the row of schema.link_decisions for a decision. It belongs to the chain of the first flow's account."""
    flows = [DecidedFlow(*flow.key, to_plain_string(flow.amount), flow.currency) for flow in link.flows]
    return (
        link.flows[0].account,
        link.id,
        batch,
        link.kind.value,
        link.basis.value,
        decision.value,
        msgspec.json.encode(flows).decode(),
        decided_by,
        reason,
        decided_at_us,
    )


def flow_as_decided(flow: DecidedFlow) -> LinkFlow:
    """Return a flow that is no longer in the ledger, as far as the decision describes it."""
    return LinkFlow(flow.account, flow.at_us, flow.id, "", Decimal(flow.amount), flow.currency, "")


def outdated_links(connection: Connection, account: str) -> list[LinkDecision]:
    """Return the confirmed links of which a flow of this account has changed its money, or was withdrawn, since."""
    confirmed = [one for one in load_decisions(connection).values() if one.decision is LinkState.CONFIRMED]
    mine = {flow.key: flow for one in confirmed for flow in one.flows if flow.account == account}
    if not mine:
        return []
    known = flows_at(connection, account, [(key.at_us, key.id) for key in mine])
    gone = set()
    for key, flow in mine.items():
        found = known.get((key.at_us, key.id))
        if found is None or (to_plain_string(found.flow.amount), found.flow.currency) != (flow.amount, flow.currency):
            gone.add(key)
    return [decision for decision in confirmed if not gone.isdisjoint(decision.keys)]


def what_changed(connection: Connection, keys: tuple[FlowKey, ...]) -> str | None:
    """Return the newest change of one of these flows, as a sentence. None: none of them ever changed."""
    h, b = history.c, batches.c
    ended = sa.and_(b.account == h.account, b.seq == h.ended_batch)
    changes = []
    for key in keys:
        query = sa.select(b.recorded_at_us, h.ended_as).join_from(history, batches, ended)
        query = query.where(h.account == key.account, h.at_us == key.at_us, h.id == key.id)
        changes += [(row.recorded_at_us, row.ended_as, key) for row in connection.execute(query)]
    if not changes:
        return None
    recorded_at_us, how, key = max(changes)
    return f"flow {key.id} of {key.account} was {how} at {to_iso(from_us(recorded_at_us))}"
