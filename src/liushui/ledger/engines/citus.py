"""A ledger spread over the nodes of Citus: what an account has lies on one of them, what is no account's on all."""

from typing import Final

from sqlalchemy.engine import Connection

from liushui.ledger.schema import metadata

FIRST: Final = "accounts"
"""The table that the others stand beside."""


def distributed(connection: Connection) -> set[str]:
    """The tables of the schema that are spread."""
    return {str(row[0]) for row in connection.exec_driver_sql(_DISTRIBUTED)}


def distribute(connection: Connection) -> int:
    """Spread the tables that are not spread yet, in the caller's transaction. How many these were.

    A table whose key has an account is parted by it, all of them alike, so that a commit is one node's. Others are
    small, and whole on every node.
    """
    there = distributed(connection)
    new = [table for table in metadata.sorted_tables if table.name not in there]
    by_account = [table.name for table in new if "account" in table.primary_key.columns]
    for name in sorted(by_account, key=lambda name: name != FIRST):
        connection.exec_driver_sql(_PART_ALONE if name == FIRST else _PART_BESIDE, (name,))
    for table in new:
        if table.name not in by_account:
            connection.exec_driver_sql("SELECT create_reference_table(?)", (table.name,))
    return len(new)


_PART_ALONE: Final = "SELECT create_distributed_table(?, 'account')"
_PART_BESIDE: Final = f"SELECT create_distributed_table(?, 'account', colocate_with => '{FIRST}')"
_DISTRIBUTED: Final = """
SELECT c.relname FROM pg_dist_partition AS p JOIN pg_class AS c ON c.oid = p.logicalrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = current_schema()
"""
