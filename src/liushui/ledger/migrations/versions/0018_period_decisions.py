"""Months that people closed or reopened, in the chain of an account."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, required

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """No month was closed yet."""
    create_table(
        "period_decisions",
        ("account", "period", "batch"),
        *required(Text, "account", "period"),
        *required(BigInt, "batch"),
        *required(Text, "decision", "lines", "certificate", "decided_by", "reason"),
        *required(BigInt, "decided_at_us"),
    )
