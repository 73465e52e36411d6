"""Which process works at an account now."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.column_types import Big, Words

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nobody works at any."""
    op.create_table(
        "leases",
        sa.Column("account", Words, nullable=False),
        sa.Column("holder", Words, nullable=False),
        sa.Column("until_us", Big, nullable=False),
        sa.PrimaryKeyConstraint("account"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Two processes may work at one account."""
    op.drop_table("leases")
