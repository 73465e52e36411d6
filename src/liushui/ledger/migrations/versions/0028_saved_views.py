"""Saved views of the list of flows, and which of them opens first."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Flag, Text, required

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """There is no view yet."""
    create_table(
        "saved_views",
        ("owner", "name"),
        *required(Text, "owner", "name", "query"),
        *required(Flag, "is_shared"),
        *required(BigInt, "created_at_us", "changed_at_us"),
    )
    create_table("default_views", ("reader",), *required(Text, "reader", "owner", "name"))
