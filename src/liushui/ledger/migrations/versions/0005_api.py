"""What the API needs: tokens, recordings, sync requests, progress, server secrets; and sources that are paused."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.migrations import create_partial_index, create_table
from liushui.ledger.schema import BigInt, Flag, Text, optional, required

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """No existing source is paused."""
    op.add_column("sources", sa.Column("paused", Flag, nullable=False, server_default=sa.false()))
    create_partial_index("flows_recorded", "flows", ["account", "id"], "wire IS NULL")
    create_table(
        "progress",
        ("account",),
        *required(Text, "account", "holder"),
        *required(BigInt, "started_at_us", "updated_at_us"),
        *optional(BigInt, "ended_at_us"),
        *required(Text, "status"),
        *required(BigInt, "slices"),
        *optional(BigInt, "slices_left"),
        *required(BigInt, "rows_in", "added", "restated", "withdrawn", "quarantined", "gaps"),
        *required(Text, "said"),
    )
    create_table(
        "sync_requests",
        ("account", "id"),
        *required(Text, "account", "id"),
        *required(Flag, "everything"),
        *required(BigInt, "requested_at_us"),
        *required(Text, "requested_by", "holder"),
        *optional(BigInt, "taken_at_us", "ended_at_us"),
        *required(Text, "status", "error"),
    )
    create_partial_index("sync_requests_open", "sync_requests", ["account"], "ended_at_us IS NULL")
    create_table(
        "tokens",
        ("id",),
        *required(Text, "id", "name", "digest", "accounts", "scopes"),
        *required(BigInt, "calls_per_minute", "created_at_us"),
        *optional(BigInt, "expires_at_us", "revoked_at_us", "last_used_at_us"),
    )
    create_table(
        "recordings",
        ("account", "writer", "key"),
        *required(Text, "account", "writer", "key", "digest", "answer"),
        *required(BigInt, "recorded_at_us"),
    )
    create_table(
        "server_secrets",
        ("name",),
        *required(Text, "name", "sealed"),
    )
