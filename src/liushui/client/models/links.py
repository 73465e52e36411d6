"""Links between flows, and people's decisions about them."""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from liushui.client.models.base import Amount, Instant, Model


class LinkKind(StrEnum):
    """Why flows belong together."""

    TRANSFER = "transfer"
    PAYOUT = "payout"
    REFUND = "refund"
    FEE = "fee"
    TAX = "tax"
    CONVERSION = "conversion"
    ORDER = "order"
    SAME_MONEY = "same_money"


class LinkState(StrEnum):
    """How sure a link is."""

    CERTAIN = "certain"
    CANDIDATE = "candidate"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    OUTDATED = "outdated"


class LinkedFlow(Model):
    """A flow of a link. `kind` is empty for a flow that is no longer in the ledger."""

    key: Annotated[str, Meta(description="Names the flow in /flows/{key}.")]
    account: str
    id: str
    at: Instant
    subaccount: str
    amount: Amount
    currency: str
    kind: str


class Link(Model):
    """Flows that belong together, certainly or possibly.

    The first flow depends on the others: it is the refund, the fee, the outgoing end of a transfer, or the flow that
    shows the same money as the other one and does not count in totals of both accounts. `certain`: no
    other flow could replace one of them. `candidate`: possible, and nothing is concluded from it. `outdated`: it was
    confirmed, and one of its flows has changed since.
    """

    id: Annotated[str, Meta(examples=["20240131T093000-0f1e2d3c4b5a"])]
    kind: LinkKind
    state: LinkState
    basis: Annotated[str, Meta(description="reference, record, order, rate, amount or time.", examples=["reference"])]
    suggested: Annotated[bool, Meta(description="Of several candidates, those that fit best together.")]
    flows: list[LinkedFlow]


class LinkDecision(Model):
    """A person's decision about a link. `batch` is the commit of the first flow's account that recorded it."""

    decision: Annotated[str, Meta(description="confirmed or rejected.", examples=["confirmed"])]
    decided_by: str
    reason: str
    decided_at: Instant
    batch: int


class LinkInFull(Model):
    """A link, the other links of its flows, and the decisions on it, oldest first."""

    link: Link
    alternatives: list[Link]
    decisions: list[LinkDecision]


class LinkPage(Model):
    """Some links, and the cursor of the next page; null: nothing follows."""

    links: list[Link]
    next: str | None


class DecideLink(Model):
    """A decision on a link. `replace`: whether it may replace an earlier decision."""

    decision: Literal["confirmed", "rejected"]
    reason: Annotated[str, Meta(max_length=1_000)] = ""
    replace: bool = False
