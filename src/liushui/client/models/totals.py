"""Balances, sums and fees, and the ends of the accounts' chains."""

from typing import Annotated

from msgspec import Meta

from liushui.client.models.base import Amount, Count, Day, Instant, Model, Sum
from liushui.client.models.flows import Gap
from liushui.flow import Kind
from liushui.meaning import Meaning, Section


class Balance(Model):
    """The exact balance of one currency in one account, and its check. It counts the flows before `at`; if `at` is
    null, all flows.

    It is the opening balance and all flows. If the opening balance is not known, it is the net change since an instant.
    `stated` is the newest balance that the provider or a person stated up to `at`.
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
    """The balances of one account, subaccount and currency, day after day."""

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
    """The totals of one period. `account` and `kind` are null if the totals cover all accounts or kinds.

    Totals of all accounts together leave out transfers between these accounts. Totals of one account count them.
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
    own_in: Annotated[
        Sum,
        Meta(
            description="What came in by transfers between the requested accounts, or is money that another of them "
            "shows too."
        ),
    ]
    own_out: Annotated[
        Sum,
        Meta(
            description="What went out by transfers between the requested accounts, or is money that another of them "
            "shows too."
        ),
    ]
    meaning: Annotated[
        Meaning | None,
        Meta(
            description="What the totals mean; null unless requested. Own transfers, and money that another account "
            "shows too, then have separate rows."
        ),
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

    `flows` are separate fee flows. Other rows may contain a fee: the fee in them, `within_out`, is already part of
    their amounts.
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

    `complete` is about the requested range.
    """

    rows: list[FeeRow]
    complete: bool
    gaps: list[Gap]


class Summary(Model):
    """Money in and out by period and currency, and by account and kind on request.

    `complete` is about the requested range. A range without an end ends at the newest read or flow.
    """

    rows: list[SummaryRow]
    complete: bool
    covered: Annotated[bool, Meta(description="The same as `complete`; kept for one release.")]
    gaps: list[Gap]


class Head(Model):
    """The end of an account's chain. Its link depends on everything that was committed to the account.

    Keep it elsewhere. `liushui verify --expect ACCOUNT=LINK` then shows whether a ledger still has it. Batch 0 is the
    beginning of an account without commits.
    """

    account: str
    batch: Count
    link: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Heads(Model):
    """The heads of the accounts that were requested, and when they were read."""

    heads: list[Head]
    read_at: Instant
