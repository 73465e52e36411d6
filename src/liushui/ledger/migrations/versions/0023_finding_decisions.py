"""What people explained about findings, in the chain of an account."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, required

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Nothing was explained yet."""
    create_table(
        "finding_decisions",
        ("account", "finding", "batch"),
        *required(Text, "account", "finding"),
        *required(BigInt, "batch"),
        *required(Text, "kind"),
        *required(BigInt, "at_us"),
        *required(Text, "flow", "evidence", "decision", "decided_by", "reason"),
        *required(BigInt, "decided_at_us"),
    )
