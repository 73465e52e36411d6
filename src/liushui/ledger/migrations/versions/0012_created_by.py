"""Keys and tokens name the token that created them, so that they end with it."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.schema import Text

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Nothing tells who created the existing ones: they end on their own."""
    for table in ("keys", "tokens"):
        op.add_column(table, sa.Column("created_by", Text, nullable=True))
