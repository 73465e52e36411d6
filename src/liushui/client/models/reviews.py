"""Flows and rows that people review: findings, breaks, stated balances and rejected rows."""

from typing import Annotated

from msgspec import Meta

from liushui.client.models.base import Amount, Count, Day, Instant, Model, Sum
from liushui.client.models.feed import FindingKind
from liushui.client.models.flows import Flow, Gap


class FindingCount(Model):
    """The number of a day's flows to review that nobody has explained. `side`: the direction contradicts the sign of
    the amount. `same_id`: a different flow has the same ID and time. `break`: its balance does not follow."""

    account: str
    day: Day
    finding: str
    flows: Count


class Findings(Model):
    """Flows to review by account, day and finding. The list /findings/list has each flow."""

    findings: list[FindingCount]


class FindingDecision(Model):
    """A person's decision about a finding. `batch` is the commit of its account that recorded it."""

    decision: Annotated[str, Meta(description="explained or withdrawn.", examples=["explained"])]
    decided_by: str
    reason: str
    decided_at: Instant
    batch: int


class Finding(Model):
    """A flow to review. It is open, explained by a person, or gone: it was explained, and was not found again since.

    `flow` is the key of the flow, or null if the ledger no longer has it. `others` are the keys of the other flows that
    the finding is about: the first flow with the ID, or the flows around a break and those that may be wrong.
    """

    id: Annotated[str, Meta(description="Names it in /findings/{finding}.", examples=["20261005T020317-0f1e2d3c4b5a"])]
    account: str
    kind: FindingKind
    state: Annotated[str, Meta(description="open, explained or gone.", examples=["open"])]
    at: Instant
    flow_id: str
    flow: str | None
    others: list[str]
    evidence: Annotated[str, Meta(description="What was found: amounts, or the difference of a break.")]
    explanation: Annotated[str | None, Meta(description="The simplest cause of a break, in words.")]
    decision: Annotated[FindingDecision | None, Meta(description="The newest decision; null: none.")]


class FindingInFull(Model):
    """A finding, every flow that it is about, and every decision on it, oldest first."""

    finding: Finding
    flows: list[Flow]
    decisions: list[FindingDecision]


class FindingPage(Model):
    """Some findings, and the cursor of the next page; null: nothing follows."""

    findings: list[Finding]
    next: str | None


class DecideFinding(Model):
    """The reason why a finding is explained, or why an explanation is withdrawn."""

    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class Break(Model):
    """A break: the balance that a flow states does not follow from the flow before it.

    `before` is null if the chain begins with the flow. `rows` are the flows that may be wrong. Each key names a flow in
    /flows/{key}.
    """

    account: str
    subaccount: str
    currency: str
    at: Annotated[Instant, Meta(description="The time of the flow after the break.")]
    before: Annotated[str | None, Meta(description="The key of the flow before the break.")]
    after: Annotated[str, Meta(description="The key of the flow after it.")]
    stated: Annotated[Sum, Meta(description="The balance before the flow after it, by what that flow states.")]
    expected: Annotated[Sum, Meta(description="The balance after the flow before it, as that one states it.")]
    difference: Annotated[Sum, Meta(description="What is missing: stated minus expected.")]
    cause: Annotated[
        str,
        Meta(
            description="The simplest explanation: missing, twice, wrong_balance, out_of_place or restated.",
            examples=["missing"],
        ),
    ]
    explanation: Annotated[str, Meta(description="The cause in words.")]
    rows: Annotated[list[str], Meta(description="Several, where equal flows make it impossible to tell which.")]
    finding: Annotated[str, Meta(description="Names it in /findings/{finding}.")]
    state: Annotated[str, Meta(description="open, or explained by a person.", examples=["open"])]


class Breaks(Model):
    """The breaks of the balance chains, by account and time. An account whose flows state no balances has none.

    `complete`: whether every flow of the accounts is in the ledger.
    """

    breaks: list[Break]
    complete: bool
    gaps: list[Gap]


class StatedBalance(Model):
    """A balance that a person stated, compared with the flows at its moment. `check` is null if it was withdrawn."""

    id: Annotated[str, Meta(description="Names it in /stated-balances/{balance}/withdraw.", examples=["shop:42"])]
    account: str
    subaccount: str
    currency: str
    at: Annotated[Instant, Meta(description="The balance is the one before the flows of this moment.")]
    amount: Amount
    note: str
    stated_at: Annotated[Instant, Meta(description="When it was stated.")]
    withdrawn_at: Instant | None
    withdrawn_reason: str | None
    expected: Annotated[Sum | None, Meta(description="The balance of the flows at that moment.")]
    difference: Annotated[Sum | None, Meta(description="The stated balance minus that of the flows.")]
    check: Annotated[str | None, Meta(description="pass, fail or could_not_check.", examples=["pass"])]
    check_reason: Annotated[str, Meta(description="Why it fails or could not be checked; empty if it passes.")]


class StatedBalances(Model):
    """Balances that people stated, by account and time."""

    balances: list[StatedBalance]


class AccountMapText(Model, forbid_unknown_fields=True):
    """An account map: which accounts of other books the flows of an export belong to."""

    map: Annotated[
        str,
        Meta(
            max_length=500_000,
            description="TOML, as docs/exports.md describes it.",
            examples=['[[asset]]\naccount = "broker"\ntarget = "Assets:Broker"'],
        ),
    ]


class StateBalance(Model, forbid_unknown_fields=True):
    """An account's balance at a moment. If `at` is a day, the moment is the beginning of that day: the end of 31
    October is 1 November."""

    account: Annotated[str, Meta(min_length=1)]
    currency: Annotated[str, Meta(min_length=1, max_length=20, examples=["CNY"])]
    amount: Amount
    at: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=100,
            description="A time, or a day of the account's own zone: the balance before the flows of it.",
            examples=["2026-11-01", "2026-11-01T00:00:00Z"],
        ),
    ]
    subaccount: str = ""
    note: Annotated[str, Meta(max_length=2_000, description="Where the figure is from.")] = ""


class WithdrawBalance(Model, forbid_unknown_fields=True):
    """The reason why a stated balance is withdrawn."""

    reason: Annotated[str, Meta(min_length=1, max_length=2_000)]


class Span(Model):
    """A range that does not include its end."""

    since: Instant
    until: Instant


class QuarantinedRow(Model):
    """A rejected row: it could not be read. `seen` are the ranges in which it was received, or null if it was
    imported."""

    account: str
    id: str
    field: str
    reason: str
    wire: Annotated[str, Meta(description="The row as received, in base64.")]
    seen: list[Span] | None
    batch: int
    recorded_at: Instant
    resolved_batch: int | None
    resolved_as: Annotated[
        str | None, Meta(description="read, corrected, withdrawn, undone or discarded; null: it is open.")
    ]
    resolved_by: Annotated[str | None, Meta(description="The id of the flow that its record became, if corrected.")]


class QuarantinePage(Model):
    """Some rejected rows. `next` is the cursor of the next page, or null on the last page."""

    rows: list[QuarantinedRow]
    next: str | None
