"""Rules for notifications, the alarms that each rule has seen, and the messages to send."""

from liushui.ledger.migrations import create_partial_index, create_table
from liushui.ledger.schema import BigInt, Flag, Text, optional, required

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """There is no rule yet."""
    create_table(
        "notify_rules",
        ("name",),
        *required(Text, "name", "channel", "target", "settings", "kinds", "accounts"),
        *required(BigInt, "gap_hours", "created_at_us"),
    )
    create_table(
        "notify_alarms",
        ("rule", "alarm"),
        *required(Text, "rule", "alarm"),
        *required(BigInt, "since_us", "number"),
        *required(Flag, "notified"),
    )
    create_table(
        "notifications",
        ("id",),
        *required(Text, "id", "rule", "message", "state"),
        *required(BigInt, "created_at_us", "attempts", "next_at_us"),
        *required(Text, "error"),
        *optional(BigInt, "ended_at_us"),
    )
    create_partial_index("notifications_pending", "notifications", ["next_at_us"], "state = 'pending'")
