"""Accounts can be renamed, and keep their earlier names."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, required

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """No account was renamed yet."""
    create_table(
        "account_names",
        ("account", "until_batch"),
        *required(Text, "account"),
        *required(BigInt, "until_batch"),
        *required(Text, "name"),
    )
