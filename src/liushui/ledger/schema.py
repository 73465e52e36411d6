"""The ledger's tables. Every key of a table with facts begins with the account, so that one account is one shard."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.types import TypeEngine

REVISION: Final = "0005"
"""The newest migration: the schema this program reads and writes."""

APPLICATION_ID: Final = 0x6C697573
"""Marks an SQLite file as a liushui ledger (PRAGMA application_id)."""

Big: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
Money = Numeric().with_variant(Text(), "sqlite")
Flag: TypeEngine[bool] = Boolean(create_constraint=False).with_variant(Integer(), "sqlite")

metadata = MetaData()


def _facts() -> list[Column[object]]:
    """The columns of one version of a flow, in the order that rows are handled in."""
    return [
        Column("account", Text, nullable=False),
        Column("at_us", Big, nullable=False),
        Column("id", Text, nullable=False),
        Column("subaccount", Text, nullable=False),
        Column("amount", Money, nullable=False),
        Column("currency", Text, nullable=False),
        Column("direction", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("category", Text, nullable=False),
        Column("label", Text, nullable=False),
        Column("balance_after", Money),
        Column("settled_at_us", Big),
        Column("ref", Text),
        Column("order_ref", Text),
        Column("symbol", Text),
        Column("name", Text),
        Column("price", Money),
        Column("quantity", Money),
        Column("note", Text),
        Column("fx_currency", Text),
        Column("fx_amount", Money),
        Column("fx_rate", Money),
        Column("detail", Text),
        Column("wire", Text),
        Column("served", Text),
        Column("batch", Big, nullable=False),
    ]


def _table(name: str, *items: Column[object] | PrimaryKeyConstraint | Index) -> Table:
    return Table(name, metadata, *items, sqlite_strict=True, sqlite_with_rowid=False)


accounts = _table(
    "accounts",
    Column("account", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("created_at_us", Big, nullable=False),
    Column("head", Big, nullable=False),
    Column("link", Text, nullable=False),
    PrimaryKeyConstraint("account"),
)

flows = _table(
    "flows",
    *_facts(),
    PrimaryKeyConstraint("account", "at_us", "id"),
    Index(
        "flows_recorded",  # of programs that record their own: found by reference, whatever its time
        "account",
        "id",
        sqlite_where=text("wire IS NULL"),
        postgresql_where=text("wire IS NULL"),
    ),
)

history = _table(
    "history",
    *_facts(),
    Column("ended_batch", Big, nullable=False),
    Column("ended_as", Text, nullable=False),
    PrimaryKeyConstraint("account", "at_us", "id", "batch"),
)

quarantine = _table(
    "quarantine",
    Column("account", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("wire", LargeBinary, nullable=False),
    Column("since_us", Big),
    Column("until_us", Big),
    Column("holes", Text),
    Column("batch", Big, nullable=False),
    Column("ended_batch", Big),
    Column("ended_as", Text),
    PrimaryKeyConstraint("account", "id", "batch"),
    Index(
        "quarantine_open",
        "account",
        "until_us",
        sqlite_where=text("ended_batch IS NULL"),
        postgresql_where=text("ended_batch IS NULL"),
    ),
)

coverage = _table(
    "coverage",
    Column("account", Text, nullable=False),
    Column("since_us", Big, nullable=False),
    Column("until_us", Big, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("checked_at_us", Big, nullable=False),
    Column("batch", Big, nullable=False),
    PrimaryKeyConstraint("account", "since_us"),
)

page_edges = _table(
    "page_edges",
    Column("account", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("copies", Big, nullable=False),
    Column("batch", Big, nullable=False),
    PrimaryKeyConstraint("account", "identity", "side", "copies"),
)

day_totals = _table(
    "day_totals",
    Column("account", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("subaccount", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("flows", Big, nullable=False),
    Column("money_in", Money, nullable=False),
    Column("money_out", Money, nullable=False),
    PrimaryKeyConstraint("account", "day", "subaccount", "currency", "kind"),
)

findings = _table(
    "findings",
    Column("account", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("finding", Text, nullable=False),
    Column("flows", Big, nullable=False),
    PrimaryKeyConstraint("account", "day", "finding"),
)

batches = _table(
    "batches",
    Column("account", Text, nullable=False),
    Column("seq", Big, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_us", Big),
    Column("until_us", Big),
    Column("read_at_us", Big, nullable=False),
    Column("recorded_at_us", Big, nullable=False),
    Column("rows_in", Big, nullable=False),
    Column("added", Big, nullable=False),
    Column("restated", Big, nullable=False),
    Column("withdrawn", Big, nullable=False),
    Column("quarantined", Big, nullable=False),
    Column("facts", Text, nullable=False),
    Column("link", Text, nullable=False),
    PrimaryKeyConstraint("account", "seq"),
)

sources = _table(
    "sources",
    Column("account", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("credentials", Text, nullable=False),
    Column("since_us", Big, nullable=False),
    Column("paced", Flag, nullable=False),
    Column("created_at_us", Big, nullable=False),
    Column("paused", Flag, nullable=False, server_default=false()),
    PrimaryKeyConstraint("account"),
)

keys = _table(
    "keys",
    Column("dialect", Text, nullable=False),
    Column("public", Text, nullable=False),
    Column("accounts", Text, nullable=False),
    Column("credentials", Text, nullable=False),
    Column("paced", Flag, nullable=False),
    Column("created_at_us", Big, nullable=False),
    Column("expires_at_us", Big),
    Column("revoked_at_us", Big),
    Column("restrictions", Text, nullable=False, server_default="{}"),
    PrimaryKeyConstraint("dialect", "public"),
)

runs = _table(
    "runs",
    Column("account", Text, nullable=False),
    Column("started_at_us", Big, nullable=False),
    Column("ended_at_us", Big),
    Column("slices", Big, nullable=False),
    Column("rows_in", Big, nullable=False),
    Column("added", Big, nullable=False),
    Column("gaps", Big, nullable=False),
    Column("error", Text, nullable=False),
    PrimaryKeyConstraint("account", "started_at_us"),
)

progress = _table(
    "progress",
    Column("account", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("started_at_us", Big, nullable=False),
    Column("updated_at_us", Big, nullable=False),
    Column("ended_at_us", Big),
    Column("status", Text, nullable=False),
    Column("slices", Big, nullable=False),
    Column("slices_left", Big),
    Column("rows_in", Big, nullable=False),
    Column("added", Big, nullable=False),
    Column("restated", Big, nullable=False),
    Column("withdrawn", Big, nullable=False),
    Column("quarantined", Big, nullable=False),
    Column("gaps", Big, nullable=False),
    Column("said", Text, nullable=False),
    PrimaryKeyConstraint("account"),
)

sync_requests = _table(
    "sync_requests",
    Column("account", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("everything", Flag, nullable=False),
    Column("requested_at_us", Big, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("taken_at_us", Big),
    Column("ended_at_us", Big),
    Column("status", Text, nullable=False),
    Column("error", Text, nullable=False),
    PrimaryKeyConstraint("account", "id"),
    Index(
        "sync_requests_open",
        "account",
        sqlite_where=text("ended_at_us IS NULL"),
        postgresql_where=text("ended_at_us IS NULL"),
    ),
)

tokens = _table(
    "tokens",
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("accounts", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("calls_per_minute", Big, nullable=False),
    Column("created_at_us", Big, nullable=False),
    Column("expires_at_us", Big),
    Column("revoked_at_us", Big),
    Column("last_used_at_us", Big),
    PrimaryKeyConstraint("id"),
)

recordings = _table(
    "recordings",
    Column("account", Text, nullable=False),
    Column("writer", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("recorded_at_us", Big, nullable=False),
    PrimaryKeyConstraint("account", "writer", "key"),
)

server_secrets = _table(
    "server_secrets",
    Column("name", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    PrimaryKeyConstraint("name"),
)

leases = _table(
    "leases",
    Column("account", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("until_us", Big, nullable=False),
    PrimaryKeyConstraint("account"),
)

FACT_TABLES = (flows, history, quarantine, coverage, page_edges, day_totals, findings, batches, accounts)
"""What only a commit writes, and `verify` proves."""
