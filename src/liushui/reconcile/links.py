"""Links: which flows belong together, the evidence for it, and how certain it is. Pure.

A link has a *dependent* flow and the flow that it depends on: the refund and its receipt, the fee and its trade, the
outgoing and the incoming end of a transfer. A link is listed at the time of its first flow, the dependent one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from liushui.flow import Flow, Fx
from liushui.instant import SECOND_US, from_us, to_us

ID_DIGITS: Final = 12
"""Hex digits of an id after its time: with 48 bits, ids of one second do not collide."""

_TIME: Final = "%Y%m%dT%H%M%S"


class LinkKind(StrEnum):
    """Why flows belong together."""

    TRANSFER = "transfer"
    """Between two own accounts, or two subaccounts."""
    PAYOUT = "payout"
    """From a payment platform to another own account."""
    REFUND = "refund"
    FEE = "fee"
    TAX = "tax"
    CONVERSION = "conversion"
    ORDER = "order"
    """The fills of one order."""
    SAME_MONEY = "same_money"
    """One movement of money that two accounts show. The first flow is the second view of it, and does not count in a
    total of both accounts."""


OWN_TRANSFERS: Final = frozenset({LinkKind.TRANSFER, LinkKind.PAYOUT})
"""The kinds of links whose money stays with its owner."""


class Basis(StrEnum):
    """The evidence for a link."""

    REFERENCE = "reference"
    """The texts of both flows contain the same reference."""
    RECORD = "record"
    """Both rows have the same record number."""
    ORDER = "order"
    """Both rows have the same order number."""
    RATE = "rate"
    """One flow states the currency and amount of the other."""
    AMOUNT = "amount"
    """The same amount, at about the same time."""
    TIME = "time"
    """At about the same time, in the same security or for the same conversion."""


class LinkState(StrEnum):
    """How certain a link is."""

    CERTAIN = "certain"
    """Neither flow has another possible partner. Refunds that add up to more than their receipt are candidates."""
    CANDIDATE = "candidate"
    """Possible. It has no effect until a person confirms it."""
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    OUTDATED = "outdated"
    """A person confirmed it, but one of its flows has since changed or was withdrawn."""


HELD: Final = frozenset({LinkState.CERTAIN, LinkState.CONFIRMED})
"""The states in which flows count as belonging together."""


class LinkFlow(NamedTuple):
    """The facts of a flow that determine its links. `amount` is signed. Unknown texts are empty."""

    account: str
    at_us: int
    id: str
    subaccount: str
    amount: Decimal
    currency: str
    kind: str
    label: str = ""
    ref: str = ""
    order_ref: str = ""
    symbol: str = ""
    note: str = ""
    fx: Fx | None = None

    @property
    def key(self) -> "FlowKey":
        """The flow's key in its ledger."""
        return FlowKey(self.account, self.at_us, self.id)

    @property
    def wallet(self) -> tuple[str, str]:
        """The account and subaccount."""
        return self.account, self.subaccount


def to_link_flow(account: str, id_: str, flow: Flow) -> LinkFlow:
    """The facts of a flow that its links depend on."""
    return LinkFlow(
        account,
        to_us(flow.at),
        id_,
        flow.subaccount,
        flow.amount,
        flow.currency,
        flow.kind.value,
        flow.label,
        flow.ref or "",
        flow.order_ref or "",
        flow.symbol or "",
        flow.note or "",
        flow.fx,
    )


class FlowKey(NamedTuple):
    """The name of a flow in its ledger."""

    account: str
    at_us: int
    id: str


class Link(NamedTuple):
    """Flows that belong together, or may. `flows[0]` is the dependent one.

    `suggested`: this candidate is part of the best assignment of all candidates.
    """

    kind: LinkKind
    flows: tuple[LinkFlow, ...]
    basis: Basis
    state: LinkState
    suggested: bool = False

    @property
    def id(self) -> str:
        """The id: the second of the link's first flow in UTC, and a digest of its kind and flows."""
        return link_id(self.kind, [flow.key for flow in self.flows])

    @property
    def order(self) -> tuple[int, str, tuple[FlowKey, ...]]:
        """The sort key in every list: time, kind and flows."""
        return self.flows[0].at_us, self.kind, self.keys

    @property
    def keys(self) -> tuple[FlowKey, ...]:
        """The keys of its flows."""
        return tuple(flow.key for flow in self.flows)


SHARED: Final = frozenset({LinkKind.REFUND, LinkKind.FEE})
"""The kinds in which several dependent flows may have one principal: a receipt may have several refunds."""


class Decided(NamedTuple):
    """The links that people decided, by their flows.

    `taken`: the flows of confirmed links, which cannot be in another link of the same kind. Payouts count as transfers.
    For kinds in SHARED, only the dependent flow is taken.
    """

    rejected: frozenset[tuple[FlowKey, ...]] = frozenset()
    confirmed: frozenset[tuple[FlowKey, ...]] = frozenset()
    taken: frozenset[tuple[LinkKind, FlowKey]] = frozenset()


NOTHING_DECIDED: Final = Decided()


def taken_flows(kind: LinkKind, keys: Sequence[FlowKey]) -> frozenset[tuple[LinkKind, FlowKey]]:
    """Return the flows that a confirmed link takes: see `Decided`."""
    if kind is LinkKind.ORDER:
        return frozenset()
    kind_taken = LinkKind.TRANSFER if kind is LinkKind.PAYOUT else kind
    return frozenset((kind_taken, key) for key in (keys[:1] if kind in SHARED else keys))


def link_id(kind: LinkKind, keys: Sequence[FlowKey]) -> str:
    """Return the id of a link with this kind and these flows."""
    return timed_id(keys[0].at_us, [kind, *keys])


def timed_id(at_us: int, content: object) -> str:
    """Return an id with a second in UTC, so that the named thing is found quickly, and a digest of its content."""
    digest = sha256(msgspec.json.encode(content)).hexdigest()
    at = from_us(at_us).replace(tzinfo=None).isoformat(timespec="seconds")
    return f"{at.replace('-', '').replace(':', '')}-{digest[:ID_DIGITS]}"


def seconds_of(id_: str) -> tuple[int, int] | None:
    """Return the second [since, until) in an id made by `timed_id`. None: the id has another form."""
    time, _, digest = id_.partition("-")
    if len(digest) != ID_DIGITS or not all(digit in "0123456789abcdef" for digit in digest):
        return None
    try:
        at = datetime.strptime(time, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return to_us(at), to_us(at) + SECOND_US
