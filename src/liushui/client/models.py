"""The resources of our own API, defined once for the server and the client.

The docstrings and descriptions are the ones in the OpenAPI document. Amounts are exact decimal text such as `-248.60`,
and keep their trailing zeros. Times are ISO 8601 in UTC.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol, Self

import msgspec
from msgspec import Meta

from liushui.flow import Category, Direction, Kind
from liushui.meaning import Meaning, Section

Amount = Annotated[
    str,
    Meta(
        pattern=r"^-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,98})?$",
        max_length=100,
        description="Exact decimal text; never a JSON number.",
        examples=["-248.60"],
    ),
]
Sum = Annotated[
    str,
    Meta(
        pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$",
        description="Exact decimal text. A sum may have more digits than an amount.",
        examples=["-1248.60"],
    ),
]
Instant = Annotated[datetime, Meta(tz=True)]
Day = Annotated[str, Meta(description="A date in the account's own zone.", examples=["2024-01-31"])]
Count = Annotated[int, Meta(ge=0)]
SearchText = Annotated[str, Meta(min_length=1, max_length=200)]


class Order(StrEnum):
    """The end of a range that comes first."""

    NEWEST = "newest"
    OLDEST = "oldest"


class Record(Protocol):
    """A named tuple."""

    def _asdict(self) -> dict[str, Any]: ...


class Model(msgspec.Struct, kw_only=True):
    """Base of the resources."""

    @classmethod
    def of(cls, record: Record, **fields: object) -> Self:
        """Return the resource with the fields of a record that have the same names. `fields` replace those or add to
        them."""
        return msgspec.convert(record._asdict() | fields, cls)


# ---------------------------------------------------------------- errors


class Fault(Model, omit_defaults=True):
    """One error in a request: where it is, what was expected there, and what was sent."""

    expected: str
    got: str
    parameter: str | None = None
    """The query parameter or header, by name."""
    pointer: str | None = None
    """The place in the body, as a JSON pointer. In a body of JSON lines it begins with the line number, from 0."""


class Problem(Model, omit_defaults=True):
    """Why a request failed, as in RFC 9457."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str | None = None
    errors: list[Fault] = []


# ---------------------------------------------------------------- completeness


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
    """A range of an account, and whether it is complete. `checked_at` and `batch` tell when it was last read; they are
    null if it never was."""

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


# ---------------------------------------------------------------- accounts and flows


class Alarm(Model):
    """Something that needs attention. `reason` says it in words, and what the other values mean."""

    severity: Annotated[str, Meta(description="bad: somebody has to act. warn: the next sync may solve it. note.")]
    kind: Annotated[
        str,
        Meta(
            description="refused, failed, never, forgetting, gap, stale, lost, quarantine, break, changed_after_close, "
            "finding, waiting, clock, doubted, beyond_now or repeated.",
            examples=["waiting"],
        ),
    ]
    number: Annotated[int, Meta(description="Days, rows or flows; of `clock` seconds, above 0 if ours is behind.")]
    day: Day | None
    at: Instant | None
    reason: str


class Account(Model):
    """An account. `proven_until`: every earlier flow is in the ledger; null: flows at its beginning may be missing.
    `complete`: nothing is missing up to the newest read or flow."""

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
    """Some flows. `next`: the cursor of the next page; null: this is the last one. A page may have fewer than `limit`
    flows, or none, and not be the last."""

    flows: list[Flow]
    next: str | None
    complete: Annotated[bool, Meta(description="Whether every flow of the requested range is in the ledger.")]
    gaps: list[Gap]


class FlowVersion(Model):
    """A flow as it was from one commit to another. `ended_as` is null for the current version."""

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


# ---------------------------------------------------------------- totals


class Balance(Model):
    """The exact balance of one currency in one account, before `at` (null: after all flows), and its check.

    It is the opening balance and all flows. Where the opening balance is not known, it is the net change since an
    instant. `stated` is the newest balance that the provider or a person stated up to `at`.
    """

    account: str
    subaccount: str
    currency: str
    amount: Sum
    flows: Count
    at: Instant | None
    measure: Annotated[str, Meta(description="balance or net_change.", examples=["balance"])]
    since: Annotated[Instant | None, Meta(description="The beginning of a net change; null for a balance.")]
    complete: Annotated[bool, Meta(description="Whether every flow of it is in the ledger.")]
    covered: Annotated[bool, Meta(description="The same as `complete`; kept for one release.")]
    opening: Annotated[Amount | None, Meta(description="The balance before the first flow; null: not known.")]
    stated: Annotated[Amount | None, Meta(description="What the account holds as somebody else states it.")]
    stated_at: Annotated[Instant | None, Meta(description="The moment of the stated balance.")]
    stated_by: Annotated[str | None, Meta(description="row: the provider, on a row. person: a user of liushui.")]
    difference: Annotated[
        Amount | None,
        Meta(description="The stated balance minus the balance of the flows at its moment."),
    ]
    check: Annotated[
        str,
        Meta(description="pass, fail or could_not_check: whether both agree.", examples=["pass"]),
    ]
    check_reason: Annotated[str, Meta(description="Why it is not a pass; empty if it is.")]


class Balances(Model):
    """Balances by account, subaccount and currency. Currencies are never added together."""

    balances: list[Balance]
    complete: bool
    covered: Annotated[bool, Meta(description="The same as `complete`; kept for one release.")]
    gaps: list[Gap]


class DayBalance(Model):
    """A balance at the end of a day of the account's own zone."""

    day: Day
    amount: Sum
    complete: Annotated[bool, Meta(description="Whether every flow up to the end of the day is in the ledger.")]
    day_complete: Annotated[bool, Meta(description="Whether every flow of the day itself is in the ledger.")]
    reason: Annotated[str, Meta(description="Why it is not complete. Empty if it is.")]


class BalanceSeries(Model):
    """The balances of one account, subaccount and currency, a day after the other."""

    account: str
    subaccount: str
    currency: str
    measure: Annotated[str, Meta(description="balance or net_change.", examples=["balance"])]
    since: Annotated[Instant | None, Meta(description="The beginning of a net change; null for a balance.")]
    days: list[DayBalance]


class DailyBalances(Model):
    """Balances at the end of each day. Currencies are never added together.

    `complete` is about all flows up to the last day.
    """

    series: list[BalanceSeries]
    complete: bool
    gaps: list[Gap]


class SummaryRow(Model):
    """The totals of one period. `account` and `kind` are null where the totals are of all of them.

    Totals of all accounts together leave out transfers between them; those of one account count them.
    """

    period: Annotated[str, Meta(examples=["2024-01", "2024-W05", "2024-01-31"])]
    first_day: Day
    last_day: Day
    account: str | None
    currency: str
    kind: Kind | None
    flows: Count
    money_in: Sum
    money_out: Sum
    net: Sum
    own_in: Annotated[Sum, Meta(description="What came in by transfers between the requested accounts.")]
    own_out: Annotated[Sum, Meta(description="What went out by transfers between the requested accounts.")]
    meaning: Annotated[
        Meaning | None,
        Meta(description="What the totals mean; null unless requested. Own transfers then have separate rows."),
    ]
    section: Annotated[
        Section | None,
        Meta(description="Income and expense, money from and to outside, or apart: it only changed its form or place."),
    ]
    complete: Annotated[bool, Meta(description="Whether every flow of the period is in the ledger.")]
    complete_until: Annotated[
        Instant | None,
        Meta(description="Every flow of the period up to this time is in the ledger."),
    ]
    covered: Annotated[bool, Meta(description="The same as `complete`; kept for one release.")]


class FeeRow(Model):
    """The fees of an account in one period and currency.

    `flows` are fees that are flows of their own. Other rows may state a fee within their amount: what was charged in
    them, `within_out`, is part of their amounts already.
    """

    period: Annotated[str, Meta(examples=["2024-01", "all"])]
    first_day: Day
    last_day: Day
    account: str
    currency: str
    flows: Count
    flows_in: Annotated[Sum, Meta(description="Fees that were given back, as flows of their own.")]
    flows_out: Annotated[Sum, Meta(description="Fees that were charged, as flows of their own. Zero or negative.")]
    rows_with_fee: Annotated[Count, Meta(description="How many other rows state a fee within their amount.")]
    within_in: Annotated[Sum, Meta(description="Fees that were given back within rows.")]
    within_out: Annotated[Sum, Meta(description="Fees that were charged within rows. Zero or negative.")]
    net: Annotated[Sum, Meta(description="All fees.")]
    complete: Annotated[bool, Meta(description="Whether every flow of the period is in the ledger, and its fee known.")]
    complete_until: Instant | None
    reason: Annotated[str, Meta(description="Why it is not complete. Empty if it is.")]


class Fees(Model):
    """Fees by account, period and currency. Periods without fees have no row.

    `complete` is about the range asked for.
    """

    rows: list[FeeRow]
    complete: bool
    gaps: list[Gap]


class Summary(Model):
    """Money in and out by period and currency, and by account and kind if asked for.

    `complete` is about the range asked for. A range without an end ends at the newest read or flow.
    """

    rows: list[SummaryRow]
    complete: bool
    covered: Annotated[bool, Meta(description="The same as `complete`; kept for one release.")]
    gaps: list[Gap]


# ---------------------------------------------------------------- the ends of the chains


class Head(Model):
    """Where the chain of an account ends. The link depends on everything that was committed to the account.

    Keep it elsewhere: `liushui verify --expect ACCOUNT=LINK` finds a ledger that no longer has it. Batch 0 is the
    beginning of an account without commits.
    """

    account: str
    batch: Count
    link: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Heads(Model):
    """The heads of the accounts that were requested, and when they were read."""

    heads: list[Head]
    read_at: Instant


# ---------------------------------------------------------------- links


class LinkKind(StrEnum):
    """Why flows belong together."""

    TRANSFER = "transfer"
    PAYOUT = "payout"
    REFUND = "refund"
    FEE = "fee"
    TAX = "tax"
    CONVERSION = "conversion"
    ORDER = "order"


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
    """Flows that belong together, or may.

    The first flow is the one that depends on the others: the refund, the fee, the outgoing end of a transfer.
    `certain`: no other flow could take the place of either. `candidate`: possible; nothing is concluded from it.
    `outdated`: it was confirmed, and one of its flows has changed since.
    """

    id: Annotated[str, Meta(examples=["20240131T093000-0f1e2d3c4b5a"])]
    kind: LinkKind
    state: LinkState
    basis: Annotated[str, Meta(description="reference, record, order, rate, amount or time.", examples=["reference"])]
    suggested: Annotated[bool, Meta(description="Of several candidates, those that fit best together.")]
    flows: list[LinkedFlow]


class LinkDecision(Model):
    """What a person decided about a link. `batch` is the commit of the first flow's account that recorded it."""

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


# ---------------------------------------------------------------- reconciled and closed months

MonthName = Annotated[str, Meta(description="A month of the account's own zone.", examples=["2026-10"])]
Check = Annotated[str, Meta(description="pass, fail or could_not_check.", examples=["pass"])]
LineCause = Annotated[
    str | None,
    Meta(
        description="Why it is not a pass: differs, carried (the difference is from before the month), break, "
        "not_over, incomplete, no_opening_balance, opening_not_stated, closing_not_stated, only_one or advisory. "
        "null: it passes."
    ),
]


class Figures(Model):
    """The four figures of a proof of cash. null: not known, or not stated. `money_out` is never positive."""

    opening: Sum | None
    money_in: Sum | None
    money_out: Sum | None
    closing: Sum | None


class ChainBreak(Model):
    """Where a stated balance does not follow: after flow `before`, which may be null, comes flow `after`.

    `difference` is missing between them, or one of `rows` is wrong.
    """

    difference: Sum
    cause: Annotated[str, Meta(description="missing, twice, wrong_balance or out_of_place.", examples=["missing"])]
    before: str | None
    before_at: Instant | None
    after: str
    after_at: Instant
    rows: list[str]


class ProofLine(Model):
    """The proof of cash of one subaccount and currency: the figures of the flows, the stated ones, and the difference.

    `statements` are the ids of balances that a person stated and that differ.
    """

    line: Annotated[str, Meta(description="Names the line in explanations.", examples=["shop:CNY"])]
    subaccount: str
    currency: str
    flows: Count
    ledger: Figures
    stated: Figures
    difference: Figures
    opening_stated_by: Annotated[str | None, Meta(description="row or person; null: nobody.")]
    closing_stated_by: str | None
    check: Check
    cause: LineCause
    reason: str
    breaks: list[ChainBreak]
    statements: list[str]


class ReconciledMonth(Model):
    """The proof of cash of an account's month. `check` is the worst of its lines; a month that may lack flows is no
    pass. `complete`: whether every flow of it is in the ledger."""

    account: str
    period: Annotated[
        str, Meta(description="A month, a year, or days of the account's own zone.", examples=["2026-10"])
    ]
    since: Instant
    until: Instant
    check: Check
    cause: LineCause
    reason: str
    complete: bool
    lines: list[ProofLine]


class Reconciliation(Model):
    """The proof of cash of one month, by account."""

    months: list[ReconciledMonth]


class MonthCheck(Model):
    """The verdict on an account's month, whether it is closed, and how many of its flows have changed since."""

    account: str
    period: MonthName
    check: Check
    cause: LineCause
    reason: str
    closed: bool
    changed_after_close: Count


class MonthChecks(Model):
    """Months by account and time."""

    months: list[MonthCheck]


class ClosedLine(Model):
    """A line of a month as it was closed. `explanation`: why it was accepted though it did not pass."""

    subaccount: str
    currency: str
    opening: Sum | None
    money_in: Sum | None
    money_out: Sum | None
    closing: Sum | None
    stated: Sum | None
    difference: Sum | None
    check: Check
    reason: str
    explanation: str


class PeriodDecision(Model):
    """That a month was closed, or opened again. `certificate`: the digest of the certificate that the close wrote."""

    account: str
    period: MonthName
    state: Annotated[str, Meta(description="closed or reopened.", examples=["closed"])]
    decided_by: str
    decided_at: Instant
    reason: str
    batch: int
    certificate: str | None
    lines: list[ClosedLine]
    changed_after_close: Count


class PeriodDecisions(Model):
    """Every decision about months, by account, month and time. The newest one on a month counts."""

    decisions: list[PeriodDecision]


class ChangeAfterClose(Model):
    """A flow of a closed month that is not as it was: `change` is added, changed or withdrawn.

    `flow`: the flow now, or before it was withdrawn. `before`: the flow when the month was closed.
    """

    account: str
    period: MonthName
    change: str
    batch: int
    recorded_at: Instant
    ended_as: str | None
    flow: Flow
    before: Flow | None


class ChangesAfterClose(Model):
    """The flows of closed months that have changed since."""

    changes: list[ChangeAfterClose]


class ChangedMonth(Model):
    """An event: a commit has changed so many flows of a closed month."""

    account: str
    period: MonthName
    batch: int
    flows: Count


class Explanation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a line that does not pass is accepted. `line`: its name, as in `ProofLine`; the account, if it has none."""

    line: Annotated[str, Meta(min_length=1, max_length=300, examples=["shop:CNY"])]
    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class CloseMonth(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A month to close. Without `accounts`: of all that the caller may see and that have not closed it.

    `sign_with`: the key that signs the certificates; null: the newest.
    """

    period: MonthName
    accounts: list[str] = []
    explanations: list[Explanation] = []
    sign_with: str | None = None


class ReopenMonth(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A closed month to open again. Without `accounts`: of all that the caller may see and that have closed it."""

    period: MonthName
    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]
    accounts: list[str] = []


# ---------------------------------------------------------------- the caller


class About(Model):
    """The version that answers, and what the caller may see and do. `accounts` null: all of them."""

    name: str
    version: str
    accounts: list[str] | None
    scopes: list[str]


# ---------------------------------------------------------------- the feed


class Step(Model):
    """What one commit did to the flow of one key. `flow`: as it is after it, or was before, if withdrawn.

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
    """Whole commits in order. `cursor` continues after them, and never expires. `more`: whether there are later commits
    already."""

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
    """An event: a balance chain breaks, or no longer does. `batch` is the newest commit of the account."""

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


# ---------------------------------------------------------------- syncing


class Sync(Model):
    """The sync of an account that is running, or the last one. `slices_left` is null while it is unknown."""

    account: str
    running: bool
    status: str
    started_at: Instant
    updated_at: Instant
    ended_at: Instant | None
    slices: Count
    slices_left: Count | None
    rows: Count
    added: Count
    restated: Count
    withdrawn: Count
    quarantined: Count
    gaps: Count
    said: Annotated[str, Meta(description="What it is waiting for, or why it failed.")]


class Run(Model):
    """A sync that ended. `error` is empty if it succeeded."""

    account: str
    started_at: Instant
    ended_at: Instant | None
    slices: Count
    rows: Count
    added: Count
    gaps: Count
    error: str


class RunPage(Model):
    """Some runs of an account, newest first. `next`: the cursor of earlier ones; null: there are none."""

    runs: list[Run]
    next: str | None


class Source(Model):
    """Where an account is read from, without its credentials."""

    account: str
    provider: str
    base_url: str
    since: Instant
    zone: str
    paced: bool
    paused: bool
    last_run: Run | None
    sync: Sync | None


class Sources(Model):
    """The sources of the accounts that the caller may see."""

    sources: list[Source]


class SyncAsked(Model):
    """A request to sync. `status`: waiting, running, or how it ended."""

    account: str
    id: str
    everything: bool
    requested_at: Instant
    requested_by: str
    taken_at: Instant | None
    ended_at: Instant | None
    status: str
    error: str


class AskSync(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Options of a sync. `everything`: read the complete ranges again too, and compare."""

    everything: bool = False


class ChangeSource(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Changes to a source."""

    paused: bool


# ---------------------------------------------------------------- recording

Text = Annotated[str, Meta(pattern=r"^[^\x00]*$", max_length=2_000)]
Currency = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,20}$", examples=["USD"])]
AccountName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._@-]{1,64}$", examples=["shop"])]
Reference = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._:@/+=-]{1,128}$",
        description="The sender's own name for the flow, unique within the account.",
        examples=["order-1017"],
    ),
]
At = Annotated[datetime, Meta(tz=True, description="An instant with its offset, to the microsecond.")]


class RecordFx(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The other side of a conversion."""

    currency: Currency
    amount: Amount
    rate: Amount


class RecordFlow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A flow to record in an account of your own."""

    account: Annotated[str, Meta(min_length=1)]
    reference: Reference
    at: At
    amount: Annotated[Amount, Meta(description="Signed, + into the account, as text.")]
    currency: Currency
    direction: Direction = Direction.NONE
    kind: Kind = Kind.OTHER
    category: Category = Category.CASH
    label: Text = ""
    subaccount: Text = ""
    balance_after: Amount | None = None
    settled_at: At | None = None
    ref: Text | None = None
    order_ref: Text | None = None
    symbol: Text | None = None
    name: Text | None = None
    price: Amount | None = None
    quantity: Amount | None = None
    note: Text | None = None
    fx: RecordFx | None = None
    detail: dict[str, Text] | None = None


class RecordedRow(Model, omit_defaults=True):
    """What became of one flow. Its outcome is `added`, `known` (it was there with the same content), `restated` or
    `refused`."""

    row: Count
    outcome: str
    account: str | None = None
    reference: str | None = None
    key: str | None = None
    errors: list[Fault] = []


class Recorded(Model):
    """What became of the flows of a request. `again`: an earlier request had the same idempotency key, and this is its
    answer."""

    added: Count
    known: Count
    restated: Count
    again: bool
    rows: list[RecordedRow]


class MakeAccount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An account of your own: flows are recorded in it, not read from a provider."""

    account: AccountName
    zone: Annotated[str, Meta(description="The IANA time zone of its days.", examples=["Asia/Hong_Kong"])] = "UTC"


# ---------------------------------------------------------------- flows to review and rejected rows


class FindingCount(Model):
    """The number of flows of a day to review that nobody has explained. `side`: the direction contradicts the sign of
    the amount. `same_id`: a different flow has the same ID and time. `break`: its balance does not follow."""

    account: str
    day: Day
    finding: str
    flows: Count


class Findings(Model):
    """Flows to review by account, day and finding. /findings/list has each of them."""

    findings: list[FindingCount]


class FindingDecision(Model):
    """What a person decided about a finding. `batch` is the commit of its account that recorded it."""

    decision: Annotated[str, Meta(description="explained or withdrawn.", examples=["explained"])]
    decided_by: str
    reason: str
    decided_at: Instant
    batch: int


class Finding(Model):
    """A flow to review: open, explained by a person, or gone, which is no longer found since it was explained.

    `flow` is the key of the flow, null where the ledger no longer has it. `others` are the keys of the further flows
    that the finding is about: the first flow of the ID, or the flows around a break and those that may be wrong.
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
    """Why a finding is explained, or an explanation is withdrawn."""

    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class Break(Model):
    """Where the balance that a flow states does not follow from the flow before it.

    `before` is null where the chain begins with it. `rows` are the flows that may be wrong. Keys name flows in
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
    """A balance that a person stated, compared with the flows at its moment. `check` null: it was withdrawn."""

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
    """What an account held at a moment. `at` a day: its begin, so the end of 31 October is 1 November."""

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
    """Why a stated balance is withdrawn."""

    reason: Annotated[str, Meta(min_length=1, max_length=2_000)]


class Span(Model):
    """A range without its end."""

    since: Instant
    until: Instant


class QuarantinedRow(Model):
    """A rejected row: it could not be read. `seen`: the ranges it was received in; null: it was imported."""

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
    """Some rejected rows. `next`: the cursor of the next page; null: this is the last one."""

    rows: list[QuarantinedRow]
    next: str | None


# ---------------------------------------------------------------- credentials


class Key(Model):
    """A key of a provider API, without its secrets."""

    key: str
    dialect: str
    accounts: list[str]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    paced: bool
    restrictions: dict[str, str]
    created_by: str | None
    """The id of the token that created it, with which it ends. Null: the owner created it."""


class Keys(Model):
    """The keys for accounts that the caller may see, revoked ones too."""

    keys: list[Key]


class MakeKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to make. It reads accounts through a provider API."""

    dialect: Annotated[str, Meta(description="The provider API, or simplefin.", examples=["longbridge"])]
    accounts: Annotated[list[str], Meta(min_length=1)]
    expires_at: At | None = None
    paced: bool = True
    restrictions: dict[str, str] = {}


class MadeKey(Model):
    """A new key. Its credentials are shown only this once."""

    key: str
    dialect: str
    accounts: list[str]
    credentials: dict[str, str]


class Token(Model):
    """A token of this API, without its secret. `accounts` null: all of them."""

    id: str
    name: str
    accounts: list[str] | None
    scopes: list[str]
    calls_per_minute: int
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None
    created_by: str | None
    """The id of the token that created it, with which it ends. Null: the owner created it."""


class Tokens(Model):
    """The tokens that may do no more than the caller, revoked ones too."""

    tokens: list[Token]


class TokenScope(StrEnum):
    """What a token may do with its accounts."""

    READ = "read"
    RECORD = "record"
    MANAGE = "manage"


class MakeToken(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A token to make. `accounts` null: all of them. It may do no more than the caller."""

    scopes: Annotated[list[TokenScope], Meta(min_length=1)]
    accounts: Annotated[list[str], Meta(min_length=1)] | None = None
    name: Annotated[str, Meta(max_length=100)] = ""
    expires_at: At | None = None
    calls_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_200


class MadeToken(Model):
    """A new token. It is shown only this once."""

    token: str
    about: Token


# ---------------------------------------------------------------- rules for notifications


class NotificationRule(Model):
    """Who is told about which alarms. `accounts` null: all of them."""

    name: str
    channel: str
    target: str
    """What may be shown of the address."""
    kinds: list[str]
    accounts: list[str] | None
    gap_after_h: int
    """For how many hours a gap must have been open before it is reported."""
    created_at: Instant
    created_by: str | None
    """The id of the token that created it, with which it ends. Null: the owner created it."""
    pending: int
    """Messages that wait to be sent."""
    sent: int
    dead: int
    """Messages that were given up."""


class NotificationRules(Model):
    """The rules about accounts that the caller may see."""

    rules: list[NotificationRule]


class NotifiedAlarm(StrEnum):
    """What an alarm is about."""

    REFUSED = "refused"
    FAILED = "failed"
    NEVER = "never"
    FORGETTING = "forgetting"
    GAP = "gap"
    STALE = "stale"
    LOST = "lost"
    QUARANTINE = "quarantine"
    BREAK = "break"
    CHANGED_AFTER_CLOSE = "changed_after_close"
    BALANCE = "balance"
    FINDING = "finding"
    WAITING = "waiting"
    CLOCK = "clock"
    DOUBTED = "doubted"
    BEYOND_NOW = "beyond_now"
    REPEATED = "repeated"
    BACKUP_FAILED = "backup_failed"
    BACKUP_OLD = "backup_old"


class AddNotificationRule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A rule to add, with exactly one of webhook, ntfy and email. `accounts` null: all of them."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    webhook: Annotated[str, Meta(max_length=2_000)] | None = None
    ntfy: Annotated[str, Meta(max_length=2_000)] | None = None
    email: Annotated[list[Annotated[str, Meta(max_length=254)]], Meta(max_length=20)] = []
    smtp: Annotated[str, Meta(max_length=2_000)] | None = None
    sender: Annotated[str, Meta(max_length=254)] | None = None
    secret: Annotated[str, Meta(max_length=10_000)] | None = None
    kinds: list[NotifiedAlarm] = []
    accounts: Annotated[list[str], Meta(min_length=1)] | None = None
    gap_after_h: Annotated[int, Meta(ge=0, le=8_784)] = 24
    allow_private: bool = False


class AddedNotificationRule(Model):
    """A new rule, and the new secret of a webhook that came without one."""

    rule: NotificationRule
    secret: str | None


class NotificationTest(Model):
    """What became of a test message."""

    id: str
    accepted: bool
    error: str | None


# ---------------------------------------------------------------- saved views


class ViewColumn(StrEnum):
    """A column of the list of flows."""

    TIME = "time"
    ACCOUNT = "account"
    KIND = "kind"
    DESCRIPTION = "description"
    SYMBOL = "symbol"
    AMOUNT = "amount"
    CURRENCY = "currency"
    BALANCE = "balance"
    DIRECTION = "direction"
    CATEGORY = "category"
    REFERENCE = "reference"
    ORDER_REFERENCE = "order_reference"


FilterText = Annotated[str, Meta(min_length=1, max_length=200)]


class ViewFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which flows a view shows. The fields are the parameters of `GET /flows` of the same names."""

    since: FilterText | None = None
    until: FilterText | None = None
    currency: FilterText | None = None
    kind: Kind | None = None
    category: Category | None = None
    direction: Direction | None = None
    subaccount: FilterText | None = None
    symbol: FilterText | None = None
    ref: FilterText | None = None
    text: FilterText | None = None
    amount_min: FilterText | None = None
    amount_max: FilterText | None = None
    amount_near: FilterText | None = None
    finding: FilterText | None = None


class SavedView(Model):
    """A named filter of the list of flows, with its columns, order and time zone."""

    name: str
    owner: str
    """Whom it belongs to: `owner` of the ledger, `user NAME` or `token ID`. It ends with them."""
    shared: bool
    """Whether everyone who may see its accounts sees it."""
    default: bool
    """Whether the caller's list of flows begins with it."""
    filter: ViewFilter
    accounts: list[str]
    """Empty: all accounts that the reader may see."""
    columns: list[ViewColumn]
    order: Order
    zone: str | None
    """Of its times: the name of a zone, or `account`. Null: the reader's own setting."""
    created_at: Instant
    changed_at: Instant


class SavedViews(Model):
    """The caller's own views, and the shared ones about accounts that the caller may see."""

    views: list[SavedView]


class SaveView(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A view to save. It replaces the one of its name."""

    filter: ViewFilter = msgspec.field(default_factory=ViewFilter)
    accounts: list[str] = []
    columns: Annotated[list[ViewColumn], Meta(min_length=1, max_length=12)] | None = None
    """Null: the usual ones, up to the balance."""
    order: Order = Order.NEWEST
    zone: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    shared: bool = False
    default: bool | None = None
    """Whether the caller's list of flows begins with it. Null: as it is."""
