"""Indexes for links between flows: ends of transfers by time, and the flows of an order."""

from liushui.ledger.migrations import create_partial_index

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """No flow changes."""
    create_partial_index("flows_moved", "flows", ["account", "at_us"], "kind IN ('deposit', 'transfer', 'withdrawal')")
    create_partial_index("flows_ordered", "flows", ["account", "order_ref"], "order_ref IS NOT NULL")
