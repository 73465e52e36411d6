"""Leases of accounts."""

from liushui.ledger.column_types import BigInt, Text, required
from liushui.ledger.migrations import create_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """No account is leased."""
    create_table(
        "leases",
        ("account",),
        *required(Text, "account", "holder"),
        *required(BigInt, "until_us"),
    )
