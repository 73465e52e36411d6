"""The first schema."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Bytes, Flag, Money, Text, add_numbers, optional, required

revision = "0001"
down_revision = None


def _facts() -> list[sa.Column[object]]:
    return [
        *required(Text, "account"),
        *required(BigInt, "at_us"),
        *required(Text, "id", "subaccount"),
        *required(Money, "amount"),
        *required(Text, "currency", "direction", "kind", "category", "label"),
        *optional(Money, "balance_after"),
        *optional(BigInt, "settled_at_us"),
        *optional(Text, "ref", "order_ref", "symbol", "name"),
        *optional(Money, "price", "quantity"),
        *optional(Text, "note", "fx_currency"),
        *optional(Money, "fx_amount", "fx_rate"),
        *optional(Text, "detail", "wire", "served"),
        *required(BigInt, "batch"),
    ]


def upgrade() -> None:
    """Create every table."""
    create_table(
        "accounts",
        ("account",),
        *required(Text, "account", "provider", "zone"),
        *required(BigInt, "created_at_us", "head"),
        *required(Text, "link"),
    )
    create_table(
        "flows",
        ("account", "at_us", "id"),
        *_facts(),
    )
    create_table(
        "history",
        ("account", "at_us", "id", "batch"),
        *_facts(),
        *required(BigInt, "ended_batch"),
        *required(Text, "ended_as"),
    )
    for table in ("flows", "history"):
        add_numbers(op.get_bind(), table, "amount", "balance_after", "price", "quantity", "fx_amount", "fx_rate")
    create_table(
        "quarantine",
        ("account", "id"),
        *required(Text, "account", "id", "field", "reason"),
        *required(Bytes, "wire"),
        *optional(BigInt, "since_us", "until_us"),
        *required(BigInt, "batch"),
    )
    create_table(
        "coverage",
        ("account", "since_us"),
        *required(Text, "account"),
        *required(BigInt, "since_us", "until_us"),
        *required(Text, "state", "reason"),
        *required(BigInt, "checked_at_us", "batch"),
    )
    create_table(
        "page_edges",
        ("account", "identity", "side", "copies"),
        *required(Text, "account", "identity", "side"),
        *required(BigInt, "copies", "batch"),
    )
    create_table(
        "day_totals",
        ("account", "day", "subaccount", "currency", "kind"),
        *required(Text, "account", "day", "subaccount", "currency", "kind"),
        *required(BigInt, "flows"),
        *required(Money, "money_in", "money_out"),
    )
    add_numbers(op.get_bind(), "day_totals", "money_in", "money_out")
    create_table(
        "batches",
        ("account", "seq"),
        *required(Text, "account"),
        *required(BigInt, "seq"),
        *required(Text, "state", "reason"),
        *optional(BigInt, "since_us", "until_us"),
        *required(BigInt, "read_at_us", "recorded_at_us", "rows_in", "added", "restated", "withdrawn", "quarantined"),
        *required(Text, "facts", "link"),
    )
    create_table(
        "sources",
        ("account",),
        *required(Text, "account", "base_url", "credentials"),
        *required(BigInt, "since_us"),
        *required(Flag, "paced"),
        *required(BigInt, "created_at_us"),
    )
    create_table(
        "keys",
        ("dialect", "public"),
        *required(Text, "dialect", "public", "accounts", "credentials"),
        *required(Flag, "paced"),
        *required(BigInt, "created_at_us"),
        *optional(BigInt, "expires_at_us", "revoked_at_us"),
    )
    create_table(
        "runs",
        ("account", "started_at_us"),
        *required(Text, "account"),
        *required(BigInt, "started_at_us"),
        *optional(BigInt, "ended_at_us"),
        *required(BigInt, "slices", "rows_in", "added", "gaps"),
        *required(Text, "error"),
    )
