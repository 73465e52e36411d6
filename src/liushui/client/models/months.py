"""Reconciled and closed months, and the changes after they were closed."""

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
    """A break of the balance chain between flow `before`, which may be null, and flow `after`.

    A flow of the amount `difference` is missing between them, or one of `rows` is wrong.
    """

    difference: Sum
    cause: Annotated[str, Meta(description="missing, twice, wrong_balance or out_of_place.", examples=["missing"])]
    before: str | None
    before_at: Instant | None
    after: str
    after_at: Instant
    rows: list[str]


class ProofLine(Model):
    """The proof of cash of one subaccount and currency: the figures from the flows, the stated figures, and the
    difference.

    `statements` are the ids of the balances that a person stated and that differ.
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
    """The proof of cash of an account's month. `check` is the worst result of its lines. A month that may lack flows
    does not pass. `complete`: the ledger has every flow of the month."""

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
    """A line of a month at the time of its close. `explanation` says why it was accepted although it did not pass."""

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
    """A decision to close a month or to reopen it. `certificate` is the digest of the certificate that the close
    wrote."""

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
    """Every decision about months, by account, month and time. The newest decision on a month is valid."""

    decisions: list[PeriodDecision]


class ChangeAfterClose(Model):
    """A flow of a closed month that differs from the flow at the close. `change` is added, changed or withdrawn.

    `flow` is the current flow, or the last one if it was withdrawn. `before` is the flow when the month was closed.
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
    """An event: a commit has changed this many flows of a closed month."""

    account: str
    period: MonthName
    batch: int
    flows: Count


class Explanation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The reason why a line that does not pass is accepted. `line` is the name of the line, as in `ProofLine`, or the
    account if there is no line."""

    line: Annotated[str, Meta(min_length=1, max_length=300, examples=["shop:CNY"])]
    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class CloseMonth(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A month to close. Without `accounts`: all accounts that the caller may see and whose month is not closed.

    `sign_with` is the key that signs the certificates; null means the newest key.
    """

    period: MonthName
    accounts: list[str] = []
    explanations: list[Explanation] = []
    sign_with: str | None = None


class ReopenMonth(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A closed month to reopen. Without `accounts`: all accounts that the caller may see and whose month is closed."""

    period: MonthName
    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]
    accounts: list[str] = []
