"""The links of a flow for the page: the linked flows, the certainty of each link, and people's decisions."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from liushui.ledger.read.cursors import flow_key
from liushui.ledger.read.link_decisions import DECISIONS, LinkDecision
from liushui.ledger.read.link_lists import decisions_of, links_of_flow
from liushui.reconcile.links import Basis, FlowKey, Link, LinkFlow, LinkKind, LinkState
from liushui.server.web.page import Page

LOOKS: Final[Mapping[LinkState, str]] = {
    LinkState.CERTAIN: "good",
    LinkState.CONFIRMED: "good",
    LinkState.CANDIDATE: "warn",
    LinkState.OUTDATED: "bad",
    LinkState.REJECTED: "",
}
"""How the tag of a state looks."""


class OtherFlow(NamedTuple):
    """A flow at the other end of a link, and its key in addresses."""

    flow: LinkFlow
    key: str


class LinkView(NamedTuple):
    """A link of the flow that is shown. `others`: its other flows."""

    link: Link
    others: Sequence[OtherFlow]
    kind: str
    state: str
    look: str
    basis: str
    decisions: Sequence[LinkDecision]

    @property
    def is_decided(self) -> bool:
        """Whether a person decided it."""
        return bool(self.decisions)

    @property
    def can_be_confirmed(self) -> bool:
        """Whether confirming it would change anything, and is possible."""
        return self.link.state in (LinkState.CANDIDATE, LinkState.CERTAIN, LinkState.REJECTED)

    @property
    def can_be_rejected(self) -> bool:
        """Whether rejecting it would change anything."""
        return self.link.state is not LinkState.REJECTED


def link_views(page: Page, key: FlowKey) -> list[LinkView]:
    """The links of a flow, those that count first."""
    every = links_of_flow(page.read_model, key)
    links = [link for link in every if all(page.sees(flow.account) for flow in link.flows)]
    decisions = decisions_of(page.ledger, [link.id for link in links if link.state not in _UNDECIDED])
    order = [*LOOKS]
    kinds, states, bases = kind_names(page), state_names(page), basis_names(page)
    views = [
        LinkView(
            link,
            [OtherFlow(flow, flow_key(*flow.key)) for flow in link.flows if flow.key != key],
            kinds[link.kind],
            states[link.state],
            LOOKS[link.state],
            bases[link.basis],
            decisions.get(link.id, ()),
        )
        for link in links
    ]
    return sorted(views, key=lambda view: (order.index(view.link.state), not view.link.suggested, view.link.order))


_UNDECIDED: Final = frozenset(LinkState) - {*DECISIONS, LinkState.OUTDATED}


def kind_names(page: Page) -> dict[LinkKind, str]:
    """The name of each kind of link."""
    say = page.say
    return {
        LinkKind.TRANSFER: say("Own transfer"),
        LinkKind.PAYOUT: say("Payout to own account"),
        LinkKind.REFUND: say("Refund and receipt"),
        LinkKind.FEE: say("Fee and what it was charged for"),
        LinkKind.TAX: say("Dividend and tax"),
        LinkKind.CONVERSION: say("Two legs of a conversion"),
        LinkKind.ORDER: say("Fills of one order"),
        LinkKind.SAME_MONEY: say("Same money in two accounts"),
    }


def state_names(page: Page) -> dict[LinkState, str]:
    """The name of each state."""
    say = page.say
    return {
        LinkState.CERTAIN: say("Certain"),
        LinkState.CANDIDATE: say("Candidate"),
        LinkState.CONFIRMED: say("Confirmed"),
        LinkState.REJECTED: say("Rejected by a person"),
        LinkState.OUTDATED: say("Changed since it was confirmed"),
    }


def basis_names(page: Page) -> dict[Basis, str]:
    """The name of each basis."""
    say = page.say
    return {
        Basis.REFERENCE: say("Same reference"),
        Basis.RECORD: say("Same record number"),
        Basis.ORDER: say("Same order number"),
        Basis.RATE: say("One states the amount of the other"),
        Basis.AMOUNT: say("Same amount"),
        Basis.TIME: say("Same time"),
    }
