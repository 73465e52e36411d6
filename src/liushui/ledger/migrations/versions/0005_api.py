"""What the API keeps: tokens, what was recorded under a key, requests to sync, how far a sync is; and pauses."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from liushui.ledger.column_types import Big, Flag, Words

revision = "0005"
down_revision = "0004"


SHAPE: Final = {"sqlite_strict": True, "sqlite_with_rowid": False}


def upgrade() -> None:
    """No source is paused, and nobody has a token."""
    op.add_column("sources", sa.Column("paused", Flag, nullable=False, server_default=sa.false()))
    op.create_index(
        "flows_recorded",
        "flows",
        ["account", "id"],
        sqlite_where=sa.text("wire IS NULL"),
        postgresql_where=sa.text("wire IS NULL"),
    )
    op.create_table(
        "progress",
        sa.Column("account", Words, nullable=False),
        sa.Column("holder", Words, nullable=False),
        sa.Column("started_at_us", Big, nullable=False),
        sa.Column("updated_at_us", Big, nullable=False),
        sa.Column("ended_at_us", Big),
        sa.Column("status", Words, nullable=False),
        sa.Column("slices", Big, nullable=False),
        sa.Column("slices_left", Big),
        sa.Column("rows_in", Big, nullable=False),
        sa.Column("added", Big, nullable=False),
        sa.Column("restated", Big, nullable=False),
        sa.Column("withdrawn", Big, nullable=False),
        sa.Column("quarantined", Big, nullable=False),
        sa.Column("gaps", Big, nullable=False),
        sa.Column("said", Words, nullable=False),
        sa.PrimaryKeyConstraint("account"),
        **SHAPE,
    )
    op.create_table(
        "sync_requests",
        sa.Column("account", Words, nullable=False),
        sa.Column("id", Words, nullable=False),
        sa.Column("everything", Flag, nullable=False),
        sa.Column("requested_at_us", Big, nullable=False),
        sa.Column("requested_by", Words, nullable=False),
        sa.Column("holder", Words, nullable=False),
        sa.Column("taken_at_us", Big),
        sa.Column("ended_at_us", Big),
        sa.Column("status", Words, nullable=False),
        sa.Column("error", Words, nullable=False),
        sa.PrimaryKeyConstraint("account", "id"),
        **SHAPE,
    )
    op.create_index(
        "sync_requests_open",
        "sync_requests",
        ["account"],
        sqlite_where=sa.text("ended_at_us IS NULL"),
        postgresql_where=sa.text("ended_at_us IS NULL"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", Words, nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("digest", Words, nullable=False),
        sa.Column("accounts", Words, nullable=False),
        sa.Column("scopes", Words, nullable=False),
        sa.Column("calls_per_minute", Big, nullable=False),
        sa.Column("created_at_us", Big, nullable=False),
        sa.Column("expires_at_us", Big),
        sa.Column("revoked_at_us", Big),
        sa.Column("last_used_at_us", Big),
        sa.PrimaryKeyConstraint("id"),
        **SHAPE,
    )
    op.create_table(
        "recordings",
        sa.Column("account", Words, nullable=False),
        sa.Column("writer", Words, nullable=False),
        sa.Column("key", Words, nullable=False),
        sa.Column("digest", Words, nullable=False),
        sa.Column("answer", Words, nullable=False),
        sa.Column("recorded_at_us", Big, nullable=False),
        sa.PrimaryKeyConstraint("account", "writer", "key"),
        **SHAPE,
    )
    op.create_table(
        "server_secrets",
        sa.Column("name", Words, nullable=False),
        sa.Column("sealed", Words, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **SHAPE,
    )


def downgrade() -> None:
    """Tokens are forgotten, and requests."""
    for name in ("server_secrets", "recordings", "tokens", "sync_requests", "progress"):
        op.drop_table(name)
    op.drop_index("flows_recorded", "flows")
    op.drop_column("sources", "paused")
