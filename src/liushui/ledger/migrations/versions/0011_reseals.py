"""The bytes of rejected rows can be erased: the batches that entered them get new digests beside the old ones."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, required

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Nothing was erased yet."""
    create_table(
        "reseals",
        ("account", "batch", "resealed_in"),
        *required(Text, "account"),
        *required(BigInt, "batch", "resealed_in"),
        *required(Text, "facts"),
    )
