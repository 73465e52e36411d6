"""Quarantine entries get versions that end, and findings get counts."""

from alembic import op

from liushui.ledger.migrations import create_partial_index, create_table
from liushui.ledger.schema import BigInt, Bytes, Text, optional, required

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Every existing entry is open. After the migrations the program counts the findings of existing flows."""
    create_table(
        "quarantine_versions",
        ("account", "id", "batch"),
        *required(Text, "account", "id", "field", "reason"),
        *required(Bytes, "wire"),
        *optional(BigInt, "since_us", "until_us"),
        *optional(Text, "holes"),
        *required(BigInt, "batch"),
        *optional(BigInt, "ended_batch"),
        *optional(Text, "ended_as"),
    )
    op.execute(
        "INSERT INTO quarantine_versions (account, id, field, reason, wire, since_us, until_us, batch) "
        "SELECT account, id, field, reason, wire, since_us, until_us, batch FROM quarantine"
    )
    op.drop_table("quarantine")
    op.rename_table("quarantine_versions", "quarantine")
    create_partial_index("quarantine_open", "quarantine", ["account", "until_us"], "ended_batch IS NULL")
    create_table(
        "findings",
        ("account", "day", "finding"),
        *required(Text, "account", "day", "finding"),
        *required(BigInt, "flows"),
    )
