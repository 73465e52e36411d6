"""The first schema."""

import sqlalchemy as sa
from alembic import op

from liushui.ledger.column_types import Big, Bytes, Flag, Money, Words, add_numbers

revision = "0001"
down_revision = None


def _facts() -> list[sa.Column[object]]:
    return [
        sa.Column("account", Words, nullable=False),
        sa.Column("at_us", Big, nullable=False),
        sa.Column("id", Words, nullable=False),
        sa.Column("subaccount", Words, nullable=False),
        sa.Column("amount", Money, nullable=False),
        sa.Column("currency", Words, nullable=False),
        sa.Column("direction", Words, nullable=False),
        sa.Column("kind", Words, nullable=False),
        sa.Column("category", Words, nullable=False),
        sa.Column("label", Words, nullable=False),
        sa.Column("balance_after", Money),
        sa.Column("settled_at_us", Big),
        sa.Column("ref", Words),
        sa.Column("order_ref", Words),
        sa.Column("symbol", Words),
        sa.Column("name", Words),
        sa.Column("price", Money),
        sa.Column("quantity", Money),
        sa.Column("note", Words),
        sa.Column("fx_currency", Words),
        sa.Column("fx_amount", Money),
        sa.Column("fx_rate", Money),
        sa.Column("detail", Words),
        sa.Column("wire", Words),
        sa.Column("served", Words),
        sa.Column("batch", Big, nullable=False),
    ]


def _create(name: str, key: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        *columns,
        sa.PrimaryKeyConstraint(*key.split()),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def upgrade() -> None:
    """Create every table."""
    _create(
        "accounts",
        "account",
        sa.Column("account", Words, nullable=False),
        sa.Column("provider", Words, nullable=False),
        sa.Column("zone", Words, nullable=False),
        sa.Column("created_at_us", Big, nullable=False),
        sa.Column("head", Big, nullable=False),
        sa.Column("link", Words, nullable=False),
    )
    _create(
        "flows",
        "account at_us id",
        *_facts(),
    )
    _create(
        "history",
        "account at_us id batch",
        *_facts(),
        sa.Column("ended_batch", Big, nullable=False),
        sa.Column("ended_as", Words, nullable=False),
    )
    for table in ("flows", "history"):
        add_numbers(op.get_bind(), table, "amount", "balance_after", "price", "quantity", "fx_amount", "fx_rate")
    _create(
        "quarantine",
        "account id",
        sa.Column("account", Words, nullable=False),
        sa.Column("id", Words, nullable=False),
        sa.Column("field", Words, nullable=False),
        sa.Column("reason", Words, nullable=False),
        sa.Column("wire", Bytes, nullable=False),
        sa.Column("since_us", Big),
        sa.Column("until_us", Big),
        sa.Column("batch", Big, nullable=False),
    )
    _create(
        "coverage",
        "account since_us",
        sa.Column("account", Words, nullable=False),
        sa.Column("since_us", Big, nullable=False),
        sa.Column("until_us", Big, nullable=False),
        sa.Column("state", Words, nullable=False),
        sa.Column("reason", Words, nullable=False),
        sa.Column("checked_at_us", Big, nullable=False),
        sa.Column("batch", Big, nullable=False),
    )
    _create(
        "page_edges",
        "account identity side copies",
        sa.Column("account", Words, nullable=False),
        sa.Column("identity", Words, nullable=False),
        sa.Column("side", Words, nullable=False),
        sa.Column("copies", Big, nullable=False),
        sa.Column("batch", Big, nullable=False),
    )
    _create(
        "day_totals",
        "account day subaccount currency kind",
        sa.Column("account", Words, nullable=False),
        sa.Column("day", Words, nullable=False),
        sa.Column("subaccount", Words, nullable=False),
        sa.Column("currency", Words, nullable=False),
        sa.Column("kind", Words, nullable=False),
        sa.Column("flows", Big, nullable=False),
        sa.Column("money_in", Money, nullable=False),
        sa.Column("money_out", Money, nullable=False),
    )
    add_numbers(op.get_bind(), "day_totals", "money_in", "money_out")
    _create(
        "batches",
        "account seq",
        sa.Column("account", Words, nullable=False),
        sa.Column("seq", Big, nullable=False),
        sa.Column("state", Words, nullable=False),
        sa.Column("reason", Words, nullable=False),
        sa.Column("since_us", Big),
        sa.Column("until_us", Big),
        sa.Column("read_at_us", Big, nullable=False),
        sa.Column("recorded_at_us", Big, nullable=False),
        sa.Column("rows_in", Big, nullable=False),
        sa.Column("added", Big, nullable=False),
        sa.Column("restated", Big, nullable=False),
        sa.Column("withdrawn", Big, nullable=False),
        sa.Column("quarantined", Big, nullable=False),
        sa.Column("facts", Words, nullable=False),
        sa.Column("link", Words, nullable=False),
    )
    _create(
        "sources",
        "account",
        sa.Column("account", Words, nullable=False),
        sa.Column("base_url", Words, nullable=False),
        sa.Column("credentials", Words, nullable=False),
        sa.Column("since_us", Big, nullable=False),
        sa.Column("paced", Flag, nullable=False),
        sa.Column("created_at_us", Big, nullable=False),
    )
    _create(
        "keys",
        "dialect public",
        sa.Column("dialect", Words, nullable=False),
        sa.Column("public", Words, nullable=False),
        sa.Column("accounts", Words, nullable=False),
        sa.Column("credentials", Words, nullable=False),
        sa.Column("paced", Flag, nullable=False),
        sa.Column("created_at_us", Big, nullable=False),
        sa.Column("expires_at_us", Big),
        sa.Column("revoked_at_us", Big),
    )
    _create(
        "runs",
        "account started_at_us",
        sa.Column("account", Words, nullable=False),
        sa.Column("started_at_us", Big, nullable=False),
        sa.Column("ended_at_us", Big),
        sa.Column("slices", Big, nullable=False),
        sa.Column("rows_in", Big, nullable=False),
        sa.Column("added", Big, nullable=False),
        sa.Column("gaps", Big, nullable=False),
        sa.Column("error", Words, nullable=False),
    )


def downgrade() -> None:
    """There is nothing older."""
    raise NotImplementedError("there is no schema before the first")
