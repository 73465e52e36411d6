"""The feed of commits, and the token that asks."""

from typing import Annotated

from msgspec import Meta

from liushui.client.models.base import Instant, Model, Sum
from liushui.client.models.flows import Flow
from liushui.client.models.links import LinkKind


class About(Model):
    """The version of the server, and what the caller may see and do. `accounts` null: all of them."""

    name: str
    version: str
    accounts: list[str] | None
    scopes: list[str]


class Step(Model):
    """The effect of one commit on the flow of one key. `flow` is the flow after the commit, or before it if the flow
    was withdrawn.

    A flow whose time was restated is withdrawn under its old key and added under its new one.
    """

    change: Annotated[str, Meta(description="added, changed or withdrawn.", examples=["added"])]
    key: str
    account: str
    batch: int
    recorded_at: Instant
    ended_as: Annotated[str | None, Meta(description="How the previous version ended: restated, withdrawn, …")]
    flow: Flow


class FeedPage(Model):
    """Whole commits in order. `cursor` continues after them, and never expires. `more`: later commits exist already."""

    steps: list[Step]
    cursor: str
    more: bool


FindingKind = Annotated[
    str,
    Meta(
        description="side: the direction contradicts the sign of the amount. same_id: a different flow has the same ID "
        "and time. break: the balance that it states does not follow from the one before it.",
        examples=["side"],
    ),
]


class DecidedLink(Model):
    """An event: a person decided about a link. `account` is the account of its first flow, `batch` the commit with the
    decision."""

    account: str
    batch: int
    link: str
    kind: LinkKind
    decision: Annotated[str, Meta(description="confirmed or rejected.", examples=["confirmed"])]
    decided_by: str
    reason: str
    decided_at: Instant


class DecidedFinding(Model):
    """An event: a person explained a finding, or withdrew an explanation."""

    account: str
    batch: int
    finding: str
    kind: FindingKind
    decision: Annotated[str, Meta(description="explained or withdrawn.", examples=["explained"])]
    decided_by: str
    reason: str
    decided_at: Instant


class SeenBreak(Model):
    """An event: a balance chain breaks, or no longer breaks. `batch` is the newest commit of the account."""

    account: str
    batch: int
    finding: Annotated[str, Meta(description="Names it in /findings/{finding}.")]
    subaccount: str
    currency: str
    at: Annotated[Instant, Meta(description="The time of the flow after the break.")]
    difference: Sum


class CommitSeen(Model):
    """An event: a commit changed flows. The event's id is a cursor of the feed after that commit."""

    account: str
    batch: int
    recorded_at: Instant
    added: int
    restated: int
    withdrawn: int
