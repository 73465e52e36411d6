"""Who may see the page: links that work once, the password, sessions of browsers."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.column_types import Big, Words

revision = "0006"
down_revision = "0005"

STRICT = {"sqlite_strict": True, "sqlite_with_rowid": False}


def upgrade() -> None:
    """Nobody has come in yet, and there is no password."""
    op.create_table(
        "login_codes",
        sa.Column("digest", Words, nullable=False),
        sa.Column("expires_at_us", Big, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        **STRICT,
    )
    op.create_table(
        "passwords",
        sa.Column("name", Words, nullable=False),
        sa.Column("hash", Words, nullable=False),
        sa.Column("set_at_us", Big, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **STRICT,
    )
    op.create_table(
        "sessions",
        sa.Column("digest", Words, nullable=False),
        sa.Column("how", Words, nullable=False),
        sa.Column("token", Words),
        sa.Column("begun_at_us", Big, nullable=False),
        sa.Column("seen_at_us", Big, nullable=False),
        sa.Column("expires_at_us", Big, nullable=False),
        sa.Column("agent", Words, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        **STRICT,
    )


def downgrade() -> None:
    """Every browser has to come in anew."""
    for table in ("sessions", "passwords", "login_codes"):
        op.drop_table(table)
