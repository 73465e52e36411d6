"""What a key is denied beyond its accounts."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.column_types import Words

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Keys that are there are denied nothing."""
    op.add_column("keys", sa.Column("restrictions", Words, nullable=False, server_default="{}"))


def downgrade() -> None:
    """The restrictions are forgotten."""
    op.drop_column("keys", "restrictions")
