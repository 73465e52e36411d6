"""Closing balances of statement files have the period of the statement and its opening balance."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.schema import BigInt, Text

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """The balances that are stated already have none: they prove nothing."""
    op.add_column("stated_balances", sa.Column("since_us", BigInt, nullable=True))
    op.add_column("stated_balances", sa.Column("opening", Text, nullable=True))
