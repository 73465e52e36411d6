"""People who log in to the page, and the log of who did what."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, required

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """There are no users yet: the owner alone logs in, by link, password or token."""
    create_table(
        "users",
        ("name",),
        *required(Text, "name", "role", "token", "hash"),
        *required(BigInt, "created_at_us"),
    )
    create_table(
        "audit_log",
        ("at_us", "id"),
        *required(BigInt, "at_us"),
        *required(Text, "id", "who", "through", "action", "subject", "outcome"),
    )
