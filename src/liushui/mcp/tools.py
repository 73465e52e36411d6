"""The tools: each one reads a part of the API. Their parameters and answers are those of the API's own models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from liushui.client import models
from liushui.client.client import Client
from liushui.flow import Kind

FLOWS: Final = 50
FLOWS_MAX: Final = 500
"""Flows of one answer: an assistant has to read each of them."""

AccountNames = Annotated[list[str], Meta(description="Only these accounts. Without it: all that the token may see.")]
When = Annotated[
    str,
    Meta(
        description="A date in the account's own time zone, or an ISO 8601 time.",
        examples=["2024-01-31", "2024-01-31T09:30:00Z"],
    ),
]
Currency = Annotated[models.SearchText, Meta(description="Only this currency.", examples=["USD"])]


class Parameters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of the tools' parameters."""

    def query(self) -> dict[str, Any]:
        """The parameters that were given, as the API's own query."""
        given: dict[str, Any] = msgspec.to_builtins(self)
        return given


class NoParameters(Parameters, frozen=True):
    """A tool without parameters."""


class Accounts(Parameters, frozen=True):
    """Which accounts."""

    account: AccountNames = []


class Flows(Parameters, frozen=True):
    """Which flows, and how many."""

    account: AccountNames = []
    since: Annotated[When, Meta(description="From this date or time on.")] | None = None
    until: Annotated[When, Meta(description="Before this date or time.")] | None = None
    kind: Kind | None = None
    currency: Currency | None = None
    symbol: Annotated[models.SearchText, Meta(description="A security or contract.")] | None = None
    ref: Annotated[models.SearchText, Meta(description="A reference of the flow or of its order.")] | None = None
    text: Annotated[models.SearchText, Meta(description="Found in label, name, note or references.")] | None = None
    amount_min: Annotated[models.Amount, Meta(description="Amounts of at least this; -100 is less than 0.")] | None = (
        None
    )
    amount_max: Annotated[models.Amount, Meta(description="Amounts of at most this; -100 is less than 0.")] | None = (
        None
    )
    amount_near: Annotated[models.SearchText, Meta(description="Amounts near this, of both signs.")] | None = None
    order: Annotated[models.Order, Meta(description="Which flows come first.")] = models.Order.NEWEST
    limit: Annotated[int, Meta(ge=1, le=FLOWS_MAX)] = FLOWS
    cursor: Annotated[str, Meta(description="`next` of the answer before, with the same parameters.")] | None = None

    def query(self) -> dict[str, Any]:
        """The query. The API's own default limit differs."""
        return {**super().query(), "limit": self.limit}


class Balances(Parameters, frozen=True):
    """Which balances."""

    account: AccountNames = []
    at: Annotated[When, Meta(description="Before this date or time. Without it: after all flows.")] | None = None
    currency: Currency | None = None


class Summary(Parameters, frozen=True):
    """The flows to sum, and the keys to sum by."""

    account: AccountNames = []
    period: Literal["day", "week", "month", "year"] = "month"
    by: Annotated[list[Literal["account", "kind", "meaning"]], Meta(description="Also by these.")] = []
    first_day: Annotated[models.Day, Meta(description="From this day on.")] | None = None
    last_day: Annotated[models.Day, Meta(description="Up to this day, included.")] | None = None
    currency: Currency | None = None
    kind: Kind | None = None


class Fees(Parameters, frozen=True):
    """Which fees."""

    account: AccountNames = []
    period: Literal["day", "week", "month", "year", "all"] = "all"
    first_day: Annotated[models.Day, Meta(description="From this day on.")] | None = None
    last_day: Annotated[models.Day, Meta(description="Up to this day, included.")] | None = None
    currency: Currency | None = None


class Reconciliation(Parameters, frozen=True):
    """Which month."""

    account: AccountNames = []
    period: Annotated[models.MonthName, Meta(description="A month. Without it: the last one that is over.")] | None = (
        None
    )


@dataclass(frozen=True)
class ToolDefinition:
    """A tool: what it is for, its parameters, and how its answer is read."""

    name: str
    title: str
    description: str
    parameters: type[Parameters]
    answer: type[models.Model]
    read: Callable[[Client, Mapping[str, Any]], models.Model]


def _reader(path: str, type_: type[models.Model]) -> Callable[[Client, Mapping[str, Any]], models.Model]:
    return lambda client, query: client.get(path, type_, **query)


TOOLS: Final = (
    ToolDefinition(
        "list_accounts",
        "Accounts",
        "The accounts, up to when each is complete, and what needs attention. Begin here.",
        NoParameters,
        models.Accounts,
        _reader("/accounts", models.Accounts),
    ),
    ToolDefinition(
        "list_flows",
        "Flows",
        "Movements of money by time, in pages: deposits, trades, fees, dividends and others. To add flows up, call "
        "summarize_flows instead: it is exact, and no page is missing.",
        Flows,
        models.FlowPage,
        _reader("/flows", models.FlowPage),
    ),
    ToolDefinition(
        "list_balances",
        "Balances",
        "The balance of each account, subaccount and currency, now or at an earlier moment, and whether it agrees with "
        "what is stated.",
        Balances,
        models.Balances,
        _reader("/balances", models.Balances),
    ),
    ToolDefinition(
        "summarize_flows",
        "Money in and out",
        "Money in, money out and net by day, week, month or year and by currency; if asked for, also by account, by "
        "kind, or by meaning: income and expense, money from outside, and apart, trades, own transfers and money that "
        "another account shows too. Currencies are never added together.",
        Summary,
        models.Summary,
        _reader("/summary", models.Summary),
    ),
    ToolDefinition(
        "list_fees",
        "Fees",
        "The fees of each account by currency, and by period if asked for: those that are flows of their own, and "
        "those that other rows state within their amounts.",
        Fees,
        models.Fees,
        _reader("/fees", models.Fees),
    ),
    ToolDefinition(
        "show_coverage",
        "Coverage",
        "Which ranges of time are complete, when each was read, and which are not, and why.",
        Accounts,
        models.Coverage,
        _reader("/coverage", models.Coverage),
    ),
    ToolDefinition(
        "reconcile",
        "Proof of cash",
        "The proof of cash of a month: opening balance, money in, money out and closing balance, from the flows and as "
        "stated, with the difference. Each line passes, fails, or could not be checked, and says why.",
        Reconciliation,
        models.Reconciliation,
        _reader("/reconciliation", models.Reconciliation),
    ),
    ToolDefinition(
        "list_breaks",
        "Breaks",
        "Where the balances that flows state do not follow from each other: between which flows, by how much, and the "
        "simplest explanation. Whether each balance agrees with what is stated is in list_balances (`check`).",
        Accounts,
        models.Breaks,
        _reader("/breaks", models.Breaks),
    ),
)
"""Every tool. All of them only read."""


def input_schema(tool: ToolDefinition) -> dict[str, Any]:
    """The JSON schema of a tool's parameters."""
    return _schema(tool.parameters)


def output_schema(tool: ToolDefinition) -> dict[str, Any]:
    """The JSON schema of a tool's answer."""
    return _schema(tool.answer)


def _schema(type_: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of a type. Its root is the object itself and not a reference, as the protocol requires."""
    _, components = msgspec.json.schema_components((type_,), ref_template="#/$defs/{name}")
    root: dict[str, Any] = components.pop(type_.__name__)
    return {**root, "$defs": components} if components else root
