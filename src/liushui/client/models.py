"""What our own API says: one definition of each resource, for the server that writes it and the client that reads it.

Amounts are exact decimal text, `-248.60`, with the zeros they came with. Times are instants: ISO 8601 in UTC.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol, Self

import msgspec
from msgspec import Meta

from liushui.flow import Category, Direction, Kind

Amount = Annotated[
    str,
    Meta(
        pattern=r"^-?(0|[1-9][0-9]{0,97})(\.[0-9]{1,97})?$",
        max_length=100,
        description="Exact decimal text; never a JSON number.",
        examples=["-248.60"],
    ),
]
Instant = Annotated[datetime, Meta(tz=True)]
Day = Annotated[str, Meta(description="A date in the account's own zone.", examples=["2024-01-31"])]
Count = Annotated[int, Meta(ge=0)]
SearchText = Annotated[str, Meta(min_length=1, max_length=200)]


class Order(StrEnum):
    """Which end of a range comes first."""

    NEWEST = "newest"
    OLDEST = "oldest"


class Record(Protocol):
    """A named tuple."""

    def _asdict(self) -> dict[str, Any]: ...


class Model(msgspec.Struct, kw_only=True):
    """Base of the resources."""

    @classmethod
    def of(cls, record: Record, **fields: object) -> Self:
        """The resource with the fields of a record that have its names. `fields` replace those or add to them."""
        return msgspec.convert(record._asdict() | fields, cls)


# ---------------------------------------------------------------- errors


class Fault(Model, omit_defaults=True):
    """One thing that is wrong with a request: where it stands, what was expected there, what came."""

    expected: str
    got: str
    parameter: str | None = None
    """The query parameter or header, by name."""
    pointer: str | None = None
    """The place in the body, as a JSON pointer; in a body of lines the line's number, from 0, comes first."""


class Problem(Model, omit_defaults=True):
    """Why a request was not answered, after RFC 9457."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str | None = None
    errors: list[Fault] = []


# ---------------------------------------------------------------- what covers a total


class Gap(Model):
    """A range that is not complete, and why. `since` null: from the beginning; `until` null: it has no end."""

    account: str
    since: Instant | None
    until: Instant | None
    cause: Annotated[
        str,
        Meta(
            description="no_source, before_source, not_kept, read_failed, not_read, not_published or rejected_rows.",
            examples=["not_read"],
        ),
    ]
    reason: Annotated[str, Meta(description="The cause in words.")]


class CoveredRange(Model):
    """A range of an account, and whether it is complete. `checked_at` and `batch` are of the last read of it; null:
    there was none."""

    account: str
    since: Instant
    until: Instant
    state: Annotated[str, Meta(description="proven: complete; open: not complete.")]
    cause: Annotated[str | None, Meta(description="Why it is open: the cause of a gap.")]
    reason: str
    checked_at: Instant | None
    batch: int | None


class Coverage(Model):
    """The ranges of the accounts from the beginning of each source, oldest first. `complete`: none of them is open."""

    ranges: list[CoveredRange]
    complete: bool


# ---------------------------------------------------------------- accounts and flows


class Account(Model):
    """An account. `proven_until`: every flow from its beginning up to there is in the ledger; null: not even its
    beginning. `complete`: nothing is missing up to the newest read or flow."""

    account: str
    provider: str
    zone: Annotated[str, Meta(description="The IANA time zone of its days.", examples=["Asia/Hong_Kong"])]
    flows: Count
    quarantined: Count
    findings: Count
    gaps: Count
    batch: Annotated[int, Meta(ge=0, description="The newest commit.")]
    proven_from: Instant | None
    proven_until: Instant | None
    complete: bool
    reason: Annotated[str, Meta(description="Why it is not complete; empty where it is.")]


class Accounts(Model):
    """The accounts that the caller may see."""

    accounts: list[Account]


class FxLeg(Model):
    """The other side of a conversion."""

    currency: str
    amount: Amount
    rate: Amount


class Flow(Model):
    """One movement of money. `key` names it, wherever it is named; `batch` is the commit that entered this version."""

    key: str
    account: str
    id: str
    at: Instant
    amount: Annotated[Amount, Meta(description="Signed, + into the account.")]
    currency: str
    direction: Annotated[Direction, Meta(description="The side that the provider named.")]
    kind: Kind
    category: Category
    label: Annotated[str, Meta(description="The provider's words.")]
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
    detail: Annotated[dict[str, Any] | None, Meta(description="What only this provider says.")]
    batch: int


class FlowPage(Model):
    """Some flows. `next`: the cursor of the page after this one, which may have fewer than `limit`, or none, and still
    not be the last; null: there is nothing after it."""

    flows: list[Flow]
    next: str | None
    complete: Annotated[bool, Meta(description="Whether every flow of the range asked for is in the ledger.")]
    gaps: list[Gap]


class FlowVersion(Model):
    """A flow as it was from one commit to another. `ended_as` null: it still is."""

    flow: Flow
    recorded_at: Instant
    ended_at: Instant | None
    ended_batch: int | None
    ended_as: str | None


class FlowInFull(Model):
    """A flow, every version of it, oldest first, and the row as the provider sent it."""

    flow: Flow
    versions: list[FlowVersion]
    wire: Annotated[str | None, Meta(description="The row as it came, byte for byte; null: nobody sent one.")]
    served: Annotated[str | None, Meta(description="What is served in its place, where it may not be served as is.")]


# ---------------------------------------------------------------- totals


class Balance(Model):
    """The exact sum of one currency in one account, before `at` (null: of all flows).

    It is a balance only where the flows reach back to the account's beginning; else it is the net change since an
    instant.
    """

    account: str
    subaccount: str
    currency: str
    amount: Amount
    flows: Count
    at: Instant | None
    measure: Annotated[str, Meta(description="balance or net_change.", examples=["balance"])]
    since: Annotated[Instant | None, Meta(description="Since when it is the net change; null: it is a balance.")]
    complete: Annotated[bool, Meta(description="Whether every flow of it is in the ledger.")]
    covered: Annotated[bool, Meta(description="The same as `complete`; kept for one release.")]


class Balances(Model):
    """Balances by account, subaccount and currency. Currencies are never added together."""

    balances: list[Balance]
    complete: bool
    covered: Annotated[bool, Meta(description="The same as `complete`; kept for one release.")]
    gaps: list[Gap]


class SummaryRow(Model):
    """What moved in one period. `account` and `kind` null: all of them together."""

    period: Annotated[str, Meta(examples=["2024-01", "2024-W05", "2024-01-31"])]
    first_day: Day
    last_day: Day
    account: str | None
    currency: str
    kind: Kind | None
    flows: Count
    money_in: Amount
    money_out: Amount
    net: Amount
    complete: Annotated[bool, Meta(description="Whether every flow of the period is in the ledger.")]
    complete_until: Annotated[
        Instant | None,
        Meta(description="Every flow of the period up to there is in the ledger."),
    ]
    covered: Annotated[bool, Meta(description="The same as `complete`; kept for one release.")]


class Summary(Model):
    """What moved in and out, by period and currency, and by account and kind where asked for.

    `complete` is about the range that was asked for. Without an end, it ends at the newest read or flow.
    """

    rows: list[SummaryRow]
    complete: bool
    covered: Annotated[bool, Meta(description="The same as `complete`; kept for one release.")]
    gaps: list[Gap]


# ---------------------------------------------------------------- who asks


class About(Model):
    """Which liushui answers, and what the caller may see and do. `accounts` null: all of them."""

    name: str
    version: str
    accounts: list[str] | None
    scopes: list[str]


# ---------------------------------------------------------------- the feed


class Step(Model):
    """What one commit did to the flow of one key. `flow`: as it stood after it, or, withdrawn, before it.

    One whose time was restated is withdrawn under its key and added under another.
    """

    change: Annotated[str, Meta(description="added, changed or withdrawn.", examples=["added"])]
    key: str
    account: str
    batch: int
    recorded_at: Instant
    ended_as: Annotated[str | None, Meta(description="How the version before ended: restated, withdrawn, …")]
    flow: Flow


class FeedPage(Model):
    """Whole commits, in their order. `cursor` goes on after them, for as long as the ledger lives; `more`: there is
    something after them already."""

    steps: list[Step]
    cursor: str
    more: bool


class CommitSeen(Model):
    """A commit that changed flows: an event. The event's id is a cursor of the feed after it."""

    account: str
    batch: int
    recorded_at: Instant
    added: int
    restated: int
    withdrawn: int


# ---------------------------------------------------------------- syncing


class Sync(Model):
    """The sync of an account that goes on, or the last one. `slices_left` null: nobody knows yet."""

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
    said: Annotated[str, Meta(description="What it waits for, or what went wrong.")]


class Run(Model):
    """A sync that ended. `error` is empty where all went well."""

    account: str
    started_at: Instant
    ended_at: Instant | None
    slices: Count
    rows: Count
    added: Count
    gaps: Count
    error: str


class RunPage(Model):
    """Some runs of an account, the newest first. `next`: the cursor of those before."""

    runs: list[Run]
    next: str | None


class Source(Model):
    """Where an account is collected from, without its credentials."""

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
    """What is to be synced. `everything`: read all of it again, what is proven too, and compare."""

    everything: bool = False


class ChangeSource(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a source."""

    paused: bool


# ---------------------------------------------------------------- recording

Text = Annotated[str, Meta(pattern=r"^[^\x00]*$", max_length=2_000)]
Currency = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,20}$", examples=["USD"])]
AccountName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._@-]{1,64}$", examples=["shop"])]
Reference = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._:@/+=-]{1,128}$",
        description="What the program calls this flow: one reference is one flow of the account.",
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
    """A flow of an account of one's own, as it is recorded."""

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
    """What became of one flow: `added`; `known`, for it was there with the same content; `restated`; or `refused`."""

    row: Count
    outcome: str
    account: str | None = None
    reference: str | None = None
    key: str | None = None
    errors: list[Fault] = []


class Recorded(Model):
    """What became of all flows of a write. `again`: it was done before, under the same key, and is told again."""

    added: Count
    known: Count
    restated: Count
    again: bool
    rows: list[RecordedRow]


class MakeAccount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An account of one's own: flows are recorded in it, not collected."""

    account: AccountName
    zone: Annotated[str, Meta(description="The IANA time zone of its days.", examples=["Asia/Hong_Kong"])] = "UTC"


# ---------------------------------------------------------------- what is worth a look


class FindingCount(Model):
    """How many flows of one day something was found about: `side` or `same_id`."""

    account: str
    day: Day
    finding: str
    flows: Count


class Findings(Model):
    """What was found, by account, day and finding. They are no errors: each flow is kept as the provider sent it."""

    findings: list[FindingCount]


class Span(Model):
    """A range, its end left out."""

    since: Instant
    until: Instant


class QuarantinedRow(Model):
    """A row that could not be read. `seen`: the ranges it was seen in; null: it was imported."""

    account: str
    id: str
    field: str
    reason: str
    wire: Annotated[str, Meta(description="The row as it came, in base64.")]
    seen: list[Span] | None
    batch: int
    recorded_at: Instant
    resolved_batch: int | None
    resolved_as: str | None


class QuarantinePage(Model):
    """Some rows. `next`: the cursor of those after them; null: there are none."""

    rows: list[QuarantinedRow]
    next: str | None


# ---------------------------------------------------------------- credentials


class Key(Model):
    """A key of a provider's wire API, without its secrets."""

    key: str
    dialect: str
    accounts: list[str]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    paced: bool
    restrictions: dict[str, str]


class Keys(Model):
    """The keys whose accounts the caller may all see, revoked ones too."""

    keys: list[Key]


class MakeKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A key that reads accounts through a provider's own wire API."""

    dialect: Annotated[str, Meta(description="Whose wire API.", examples=["longbridge"])]
    accounts: Annotated[list[str], Meta(min_length=1)]
    expires_at: At | None = None
    paced: bool = True
    restrictions: dict[str, str] = {}


class MadeKey(Model):
    """A key that was just made. Its credentials are shown this once."""

    key: str
    dialect: str
    accounts: list[str]
    credentials: dict[str, str]


class Token(Model):
    """A token of this API, without what it is. `accounts` null: all of them."""

    id: str
    name: str
    accounts: list[str] | None
    scopes: list[str]
    calls_per_minute: int
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None


class Tokens(Model):
    """The tokens that can do no more than the caller, revoked ones too."""

    tokens: list[Token]


class TokenScope(StrEnum):
    """What a token may do with its accounts."""

    READ = "read"
    RECORD = "record"
    MANAGE = "manage"


class MakeToken(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A token for these accounts, null for all of them. It can do no more than who makes it."""

    scopes: Annotated[list[TokenScope], Meta(min_length=1)]
    accounts: Annotated[list[str], Meta(min_length=1)] | None = None
    name: Annotated[str, Meta(max_length=100)] = ""
    expires_at: At | None = None
    calls_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_200


class MadeToken(Model):
    """A token that was just made. It is shown this once."""

    token: str
    about: Token
