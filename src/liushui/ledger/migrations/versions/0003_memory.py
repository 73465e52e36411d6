"""Quarantine entries have versions that end, and findings are counted."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.column_types import Big, Bytes, Words

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Every entry that is there is open. The program counts the findings of the flows that are there."""
    op.create_table(
        "quarantine_versions",
        sa.Column("account", Words, nullable=False),
        sa.Column("id", Words, nullable=False),
        sa.Column("field", Words, nullable=False),
        sa.Column("reason", Words, nullable=False),
        sa.Column("wire", Bytes, nullable=False),
        sa.Column("since_us", Big),
        sa.Column("until_us", Big),
        sa.Column("holes", Words),
        sa.Column("batch", Big, nullable=False),
        sa.Column("ended_batch", Big),
        sa.Column("ended_as", Words),
        sa.PrimaryKeyConstraint("account", "id", "batch"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO quarantine_versions (account, id, field, reason, wire, since_us, until_us, batch) "
        "SELECT account, id, field, reason, wire, since_us, until_us, batch FROM quarantine"
    )
    op.drop_table("quarantine")
    op.rename_table("quarantine_versions", "quarantine")
    op.create_index(
        "quarantine_open",
        "quarantine",
        ["account", "until_us"],
        sqlite_where=sa.text("ended_batch IS NULL"),
        postgresql_where=sa.text("ended_batch IS NULL"),
    )
    op.create_table(
        "findings",
        sa.Column("account", Words, nullable=False),
        sa.Column("day", Words, nullable=False),
        sa.Column("finding", Words, nullable=False),
        sa.Column("flows", Big, nullable=False),
        sa.PrimaryKeyConstraint("account", "day", "finding"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """What ended in quarantine cannot be told from what is open in the schema before."""
    raise NotImplementedError("entries that ended cannot be told from open ones in the schema before")
