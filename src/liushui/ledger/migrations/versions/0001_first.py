"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None

Big: TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Money = sa.Numeric().with_variant(sa.Text(), "sqlite")
Flag: TypeEngine[bool] = sa.Boolean(create_constraint=False).with_variant(sa.Integer(), "sqlite")


def _facts() -> list[sa.Column[object]]:
    return [
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("at_us", Big, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("subaccount", sa.Text, nullable=False),
        sa.Column("amount", Money, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("balance_after", Money),
        sa.Column("settled_at_us", Big),
        sa.Column("ref", sa.Text),
        sa.Column("order_ref", sa.Text),
        sa.Column("symbol", sa.Text),
        sa.Column("name", sa.Text),
        sa.Column("price", Money),
        sa.Column("quantity", Money),
        sa.Column("note", sa.Text),
        sa.Column("fx_currency", sa.Text),
        sa.Column("fx_amount", Money),
        sa.Column("fx_rate", Money),
        sa.Column("detail", sa.Text),
        sa.Column("wire", sa.Text),
        sa.Column("served", sa.Text),
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
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("created_at_us", Big, nullable=False),
        sa.Column("head", Big, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
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
        sa.Column("ended_as", sa.Text, nullable=False),
    )
    _create(
        "quarantine",
        "account id",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("wire", sa.LargeBinary, nullable=False),
        sa.Column("since_us", Big),
        sa.Column("until_us", Big),
        sa.Column("batch", Big, nullable=False),
    )
    _create(
        "coverage",
        "account since_us",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("since_us", Big, nullable=False),
        sa.Column("until_us", Big, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("checked_at_us", Big, nullable=False),
        sa.Column("batch", Big, nullable=False),
    )
    _create(
        "page_edges",
        "account identity side copies",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("copies", Big, nullable=False),
        sa.Column("batch", Big, nullable=False),
    )
    _create(
        "day_totals",
        "account day subaccount currency kind",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("subaccount", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("flows", Big, nullable=False),
        sa.Column("money_in", Money, nullable=False),
        sa.Column("money_out", Money, nullable=False),
    )
    _create(
        "batches",
        "account seq",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("seq", Big, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since_us", Big),
        sa.Column("until_us", Big),
        sa.Column("read_at_us", Big, nullable=False),
        sa.Column("recorded_at_us", Big, nullable=False),
        sa.Column("rows_in", Big, nullable=False),
        sa.Column("added", Big, nullable=False),
        sa.Column("restated", Big, nullable=False),
        sa.Column("withdrawn", Big, nullable=False),
        sa.Column("quarantined", Big, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
    )
    _create(
        "sources",
        "account",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("base_url", sa.Text, nullable=False),
        sa.Column("credentials", sa.Text, nullable=False),
        sa.Column("since_us", Big, nullable=False),
        sa.Column("paced", Flag, nullable=False),
        sa.Column("created_at_us", Big, nullable=False),
    )
    _create(
        "keys",
        "dialect public",
        sa.Column("dialect", sa.Text, nullable=False),
        sa.Column("public", sa.Text, nullable=False),
        sa.Column("accounts", sa.Text, nullable=False),
        sa.Column("credentials", sa.Text, nullable=False),
        sa.Column("paced", Flag, nullable=False),
        sa.Column("created_at_us", Big, nullable=False),
        sa.Column("expires_at_us", Big),
        sa.Column("revoked_at_us", Big),
    )
    _create(
        "runs",
        "account started_at_us",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("started_at_us", Big, nullable=False),
        sa.Column("ended_at_us", Big),
        sa.Column("slices", Big, nullable=False),
        sa.Column("rows_in", Big, nullable=False),
        sa.Column("added", Big, nullable=False),
        sa.Column("gaps", Big, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """There is nothing older."""
    raise NotImplementedError("there is no schema before the first")
