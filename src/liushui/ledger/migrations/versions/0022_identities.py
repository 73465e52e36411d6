"""The OpenID Connect provider through which users log in, and which of its subjects is which user."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.migrations import create_table
from liushui.ledger.schema import BigInt, Flag, Text, required

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """There is no such provider yet: the users of an older ledger log in with their passwords."""
    op.add_column("users", sa.Column("email", Text, nullable=True))
    create_table(
        "identity_providers",
        ("name",),
        *required(Text, "name", "title", "settings"),
        *required(BigInt, "set_at_us"),
    )
    create_table(
        "identities",
        ("issuer", "subject"),
        *required(Text, "issuer", "subject", "user_name"),
        *required(Flag, "provisioned"),
        *required(BigInt, "created_at_us"),
    )
