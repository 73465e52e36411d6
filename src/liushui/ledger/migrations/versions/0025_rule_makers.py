"""Rules for notifications name the token that created them, so that they end with it."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.schema import Text

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """The existing ones were created by commands, and so by the owner."""
    op.add_column("notify_rules", sa.Column("created_by", Text, nullable=True))
