"""Flows that a platform records itself."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from liushui.client.models.base import Amount, Count, Fault, Model
from liushui.flow import Category, Direction, Kind

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
    """The outcome for one flow: `added`, `known` (the ledger has it with the same content), `restated` or `refused`."""

    row: Count
    outcome: str
    account: str | None = None
    reference: str | None = None
    key: str | None = None
    errors: list[Fault] = msgspec.field(default_factory=list)


class Recorded(Model):
    """The outcomes for the flows of a request. `again`: an earlier request had the same idempotency key, and this is
    its answer."""

    added: Count
    known: Count
    restated: Count
    again: bool
    rows: list[RecordedRow]


class RenameAccount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Another name for an account."""

    name: Annotated[AccountName, Meta(description="A name that no account has, and none had before.")]


class RenamedAccount(Model, kw_only=True):
    """An account under its new name."""

    account: str
    before: Annotated[str, Meta(description="The name until now. It stays with the account.")]
    batch: Annotated[Count, Meta(description="The commit that seals the change.")]
    link: Annotated[str, Meta(description="The link of that commit in the account's chain.")]


class MakeAccount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An account of your own. Its flows are recorded, not read from a provider."""

    account: AccountName
    zone: Annotated[str, Meta(description="The IANA time zone of its days.", examples=["Asia/Hong_Kong"])] = "UTC"
