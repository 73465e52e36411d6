"""Reconciled and closed months, and what changed after they were closed."""

from typing import Annotated

import msgspec
from msgspec import Meta

from liushui.client.models.base import Count, Instant, Model, Sum
from liushui.client.models.flows import Flow

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
