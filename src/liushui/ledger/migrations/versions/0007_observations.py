"""What was observed of each source's service, such as the most rows that one of its pages had."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, required

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nothing was observed yet."""
    create_table(
        "observations",
        ("account", "name"),
        *required(Text, "account", "name", "value"),
        *required(BigInt, "observed_at_us"),
    )
