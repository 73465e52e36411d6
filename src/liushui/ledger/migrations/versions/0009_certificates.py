"""Certificates, and the keys that sign them."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, optional, required

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables. No certificate exists yet."""
    create_table(
        "signing_keys",
        ("name",),
        *required(Text, "name", "public", "private"),
        *required(BigInt, "created_at_us"),
    )
    create_table(
        "certificates",
        ("account", "number"),
        *required(Text, "account"),
        *required(BigInt, "number"),
        *required(Text, "period"),
        *required(BigInt, "created_at_us", "batch"),
        *required(Text, "link", "signer", "digest", "note"),
        *optional(Text, "timestamp"),
    )
