"""What people decided about links, in the chain of an account."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, required

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Nothing was decided yet."""
    create_table(
        "link_decisions",
        ("account", "link", "batch"),
        *required(Text, "account", "link"),
        *required(BigInt, "batch"),
        *required(Text, "kind", "basis", "decision", "flows", "decided_by", "reason"),
        *required(BigInt, "decided_at_us"),
    )
