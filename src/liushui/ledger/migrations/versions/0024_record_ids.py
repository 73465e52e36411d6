"""An index for provider APIs that page by the ids of records."""

from liushui.ledger.migrations import create_partial_index

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """No flow changes."""
    create_partial_index("flows_by_record_id", "flows", ["account", "id"], "(ref = id) IS TRUE")
