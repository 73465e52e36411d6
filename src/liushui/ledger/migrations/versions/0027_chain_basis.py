"""Results of balance chain checks are indexed by time, and record the rules of the check."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.schema import Text

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """What an earlier release has found is checked again, once."""
    op.add_column("chain_heads", sa.Column("basis", Text, nullable=True))
    op.create_index("chain_segments_by_time", "chain_segments", ["account", "since_us"])
