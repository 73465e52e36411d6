"""Keys get restrictions."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.schema import Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Existing keys have no restrictions."""
    op.add_column("keys", sa.Column("restrictions", Text, nullable=False, server_default="{}"))
