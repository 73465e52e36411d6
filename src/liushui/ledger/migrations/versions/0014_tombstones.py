"""Accounts can be removed, and leave a tombstone."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, required

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """No account was removed yet."""
    create_table(
        "tombstones",
        ("account",),
        *required(Text, "account", "provider", "zone"),
        *required(BigInt, "created_at_us", "head"),
        *required(Text, "link"),
        *required(BigInt, "removed_at_us"),
    )
