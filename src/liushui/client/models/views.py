"""Saved views of the list of flows."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from liushui.client.models.base import Instant, Model, Order
from liushui.flow import Category, Direction, Kind


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
    """The filter of a view. The fields are the parameters of `GET /flows` of the same names."""

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
    """The owner: `owner` of the ledger, `user NAME` or `token ID`. The view ends with its owner."""
    shared: bool
    """Whether everyone who may see its accounts sees it."""
    default: bool
    """Whether the caller's list of flows starts with this view."""
    filter: ViewFilter
    accounts: list[str]
    """Empty: all accounts that the reader may see."""
    columns: list[ViewColumn]
    order: Order
    zone: str | None
    """The time zone: the name of a zone, or `account`. Null: the reader's own setting."""
    created_at: Instant
    changed_at: Instant


class SavedViews(Model):
    """The caller's own views, and the shared ones about accounts that the caller may see."""

    views: list[SavedView]


class SaveView(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A view to save. It replaces the view of the same name."""

    filter: ViewFilter = msgspec.field(default_factory=ViewFilter)
    accounts: list[str] = []
    columns: Annotated[list[ViewColumn], Meta(min_length=1, max_length=12)] | None = None
    """Null: the usual columns, up to the balance."""
    order: Order = Order.NEWEST
    zone: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    shared: bool = False
    default: bool | None = None
    """Whether the caller's list of flows starts with this view. Null: no change."""
