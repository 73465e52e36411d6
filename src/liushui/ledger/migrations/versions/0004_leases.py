"""Leases of accounts."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, required

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
