"""Each import is recorded, and what it has seen of pages can end: then the import can be undone."""

from alembic import op

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Text, optional, required

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Earlier imports are not recorded, and cannot be undone."""
    create_table(
        "imports",
        ("account", "id"),
        *required(Text, "account", "id", "files"),
        *required(BigInt, "started_at_us"),
        *optional(BigInt, "ended_at_us"),
        *required(BigInt, "rows", "added", "known", "differing", "rejected"),
        *required(Text, "error"),
        *optional(BigInt, "undone_at_us"),
    )
    create_table(
        "import_sightings",
        ("account", "at_us", "id", "import_id"),
        *required(Text, "account"),
        *required(BigInt, "at_us"),
        *required(Text, "id", "import_id"),
    )
    op.create_index("import_sightings_of", "import_sightings", ["account", "import_id"])
    create_table(
        "page_edges_by_batch",
        ("account", "identity", "side", "copies", "batch"),
        *required(Text, "account", "identity", "side"),
        *required(BigInt, "copies", "batch"),
        *optional(BigInt, "ended_batch"),
    )
    op.execute(
        "INSERT INTO page_edges_by_batch (account, identity, side, copies, batch) "
        "SELECT account, identity, side, copies, batch FROM page_edges"
    )
    op.drop_table("page_edges")
    op.rename_table("page_edges_by_batch", "page_edges")
