"""Accounts, their flows, and which ranges of them are complete."""

from typing import Annotated, Any

from msgspec import Meta

from liushui.client.models.base import Amount, Count, Day, Instant, Model
from liushui.flow import Category, Direction, Kind


class Gap(Model):
    """A range that is not complete, and why. `since` is null if it has no beginning, `until` if it has no end."""

    account: str
    since: Instant | None
    until: Instant | None
    cause: Annotated[
        str,
        Meta(
            description=(
                "no_source, before_source, before_floor, not_kept, read_failed, not_read, not_published or "
                "rejected_rows."
            ),
            examples=["not_read"],
        ),
    ]
    reason: Annotated[str, Meta(description="The cause in words.")]


class CoveredRange(Model):
    """A range of an account, and whether it is complete. `checked_at` and `batch` say when it was last read; both are
    null if it was never read."""

    account: str
    since: Instant
    until: Annotated[Instant | None, Meta(description="null: it has no end, for nothing was read yet.")]
    state: Annotated[str, Meta(description="proven: complete; open: not complete.")]
    cause: Annotated[str | None, Meta(description="Why it is open: the cause of a gap.")]
    reason: str
    checked_at: Instant | None
    batch: int | None


class Coverage(Model):
    """The ranges of the accounts from the beginning of each source, oldest first. `complete`: whether all are."""

    ranges: list[CoveredRange]
    complete: bool


class Alarm(Model):
    """Something that needs attention. `reason` describes it in words, and explains the other values."""

    severity: Annotated[str, Meta(description="bad: somebody has to act. warn: the next sync may solve it. note.")]
    kind: Annotated[
        str,
        Meta(
            description="refused, failed, never, forgetting, gap, stale, lost, quarantine, break, changed_after_close, "
            "link_changed, balance, finding, waiting, clock, doubted, beyond_now or repeated.",
            examples=["waiting"],
        ),
    ]
    number: Annotated[int, Meta(description="Days, rows or flows; of `clock` seconds, above 0 if ours is behind.")]
    day: Day | None
    at: Instant | None
    reason: str


class Account(Model):
    """An account. `proven_until`: the ledger has every earlier flow; null: flows at the account's beginning may be
    missing. `complete`: no flow is missing up to the newest read or flow."""

    account: str
    provider: str
    zone: Annotated[str, Meta(description="The IANA time zone of its days.", examples=["Asia/Hong_Kong"])]
    flows: Count
    quarantined: Count
    findings: Annotated[Count, Meta(description="Flows to review that nobody has explained, without breaks.")]
    breaks: Annotated[
        Count, Meta(description="Stated balances that do not follow from those before them, and are not explained.")
    ]
    failed_checks: Annotated[
        Count, Meta(description="Balances that differ from the stated ones, unless explained breaks account for it.")
    ]
    explained: Annotated[Count, Meta(description="Findings that people explained, breaks among them.")]
    gaps: Count
    batch: Annotated[int, Meta(ge=0, description="The newest commit.")]
    proven_from: Instant | None
    proven_until: Instant | None
    complete: bool
    reason: Annotated[str, Meta(description="Why it is not complete; empty if it is.")]
    alarms: Annotated[list[Alarm], Meta(description="What needs attention, the most severe first.")]


class Accounts(Model):
    """The accounts that the caller may see."""

    accounts: list[Account]


class FxLeg(Model):
    """The other side of a conversion."""

    currency: str
    amount: Amount
    rate: Amount


class Flow(Model):
    """One movement of money. `key` identifies it in every request; `batch` is the commit that wrote this version."""

    key: str
    account: str
    id: str
    at: Instant
    amount: Annotated[Amount, Meta(description="Signed, + into the account.")]
    currency: str
    direction: Annotated[Direction, Meta(description="The direction that the provider names.")]
    kind: Kind
    category: Category
    label: Annotated[str, Meta(description="The provider's own name for the kind of flow.")]
    subaccount: str
    balance_after: Amount | None
    settled_at: Instant | None
    ref: str | None
    order_ref: str | None
    symbol: str | None
    name: str | None
    price: Amount | None
    quantity: Amount | None
    note: str | None
    fx: FxLeg | None
    detail: Annotated[dict[str, Any] | None, Meta(description="Fields that only this provider has.")]
    batch: int


class FlowPage(Model):
    """Some flows. `next` is the cursor of the next page, or null on the last page. A page may have fewer than `limit`
    flows, or none, without being the last."""

    flows: list[Flow]
    next: str | None
    complete: Annotated[bool, Meta(description="Whether every flow of the requested range is in the ledger.")]
    gaps: list[Gap]


class FlowVersion(Model):
    """A version of a flow, valid from one commit to another. `ended_as` is null for the current version."""

    flow: Flow
    recorded_at: Instant
    ended_at: Instant | None
    ended_batch: int | None
    ended_as: str | None


class FlowInFull(Model):
    """A flow, all of its versions, oldest first, and the row that the provider sent."""

    flow: Flow
    versions: list[FlowVersion]
    wire: Annotated[str | None, Meta(description="The row as received, byte for byte; null: no provider sent it.")]
    served: Annotated[str | None, Meta(description="The row served instead, if the one received must not be.")]
