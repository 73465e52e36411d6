"""Access to the page: login codes, the password, sessions."""

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, optional, required

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """There is no password yet."""
    create_table(
        "login_codes",
        ("digest",),
        *required(Text, "digest"),
        *required(BigInt, "expires_at_us"),
    )
    create_table(
        "passwords",
        ("name",),
        *required(Text, "name", "hash"),
        *required(BigInt, "set_at_us"),
    )
    create_table(
        "sessions",
        ("digest",),
        *required(Text, "digest", "how"),
        *optional(Text, "token"),
        *required(BigInt, "begun_at_us", "seen_at_us", "expires_at_us"),
        *required(Text, "agent"),
    )
