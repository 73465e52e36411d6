"""When the last good backup was made, and why none could be."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, optional, required

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Nothing is known yet."""
    create_table(
        "backups",
        ("folder", "machine"),
        *required(Text, "folder", "machine"),
        *required(BigInt, "every_s"),
        *required(Text, "file"),
        *optional(BigInt, "saved_at_us"),
        *required(BigInt, "size", "tried_at_us"),
        *required(Text, "error"),
    )
