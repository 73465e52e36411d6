"""People's decisions about links: who decided what, when and why. Reads only.

Decisions are facts, and only commits write facts.
"""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import from_us, to_iso
from liushui.ledger.flow_row import Row
from liushui.ledger.schema import batches, history, link_decisions
from liushui.money import to_plain_string
from liushui.reconcile.links import Basis, FlowKey, Link, LinkFlow, LinkKind, LinkState

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
    query = sa.select(*link_decisions.columns).order_by(d.account, d.batch, d.link)
    return {row.link: _decision(row) for row in connection.execute(query)}


def decisions_of_accounts(connection: Connection, names: Collection[str]) -> list[LinkDecision]:
    """Return every decision on links between these accounts only, by the account of the first flow and batch."""
    d = link_decisions.c
    query = sa.select(*link_decisions.columns).where(d.account.in_(names)).order_by(d.account, d.batch, d.link)
    decisions = [_decision(row) for row in connection.execute(query)]
    return [one for one in decisions if all(flow.account in names for flow in one.flows)]


def decisions_on(connection: Connection, link: str) -> list[LinkDecision]:
    """Return every decision on a link, oldest first."""
    d = link_decisions.c
    query = sa.select(*link_decisions.columns).where(d.link == link).order_by(d.account, d.batch)
    return [_decision(row) for row in connection.execute(query)]


def _decision(row: sa.Row[tuple[object, ...]]) -> LinkDecision:
    return LinkDecision(
        row.link,
        LinkKind(row.kind),
        Basis(row.basis),
        LinkState(row.decision),
        _flows.decode(row.flows),
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
