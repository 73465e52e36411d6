"""Balances that people state."""

from alembic import op

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Money, Text, add_numbers, optional, required

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Nobody has stated a balance yet."""
    create_table(
        "stated_balances",
        ("account", "batch"),
        *required(Text, "account"),
        *required(BigInt, "at_us"),
        *required(Text, "subaccount", "currency"),
        *required(Money, "amount"),
        *required(Text, "note"),
        *required(BigInt, "batch"),
        *optional(BigInt, "ended_batch"),
        *optional(Text, "ended_as"),
    )
    add_numbers(op.get_bind(), "stated_balances", "amount")
