"""The index of the ends of transfers, with a condition that costs an insert less than `IN (…)`."""

from alembic import op

from liushui.ledger.migrations import create_partial_index

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """No flow changes."""
    op.drop_index("flows_moved", "flows")
    moved = "(kind = 'deposit' OR kind = 'transfer' OR kind = 'withdrawal')"
    create_partial_index("flows_moved", "flows", ["account", "at_us"], moved)
