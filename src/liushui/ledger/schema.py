"""The ledger's tables. Every key of a table with facts begins with the account, so that one account is one shard."""

from typing import Final

from sqlalchemy import Column, Index, MetaData, PrimaryKeyConstraint, Table, false, text

from liushui.ledger.column_types import Big, Bytes, Flag, Money, Words

REVISION: Final = "0006"
"""The newest migration: the schema this program reads and writes."""

APPLICATION_ID: Final = 0x6C697573
"""Marks an SQLite file as a liushui ledger (PRAGMA application_id)."""

ENCRYPTED: Final = {"encrypted": True}
"""Marks a column whose text the ledger's vault has encrypted: another ledger has another vault."""

metadata = MetaData()
"""What queries name. A migration makes each table, on every engine; an index with a `sqlite_where` is as partial on
PostgreSQL, which is not said here: it would import PostgreSQL's dialect into every program that reads a file."""


def _facts() -> list[Column[object]]:
    """The columns of one version of a flow, in the order that rows are handled in."""
    return [
        Column("account", Words, nullable=False),
        Column("at_us", Big, nullable=False),
        Column("id", Words, nullable=False),
        Column("subaccount", Words, nullable=False),
        Column("amount", Money, nullable=False),
        Column("currency", Words, nullable=False),
        Column("direction", Words, nullable=False),
        Column("kind", Words, nullable=False),
        Column("category", Words, nullable=False),
        Column("label", Words, nullable=False),
        Column("balance_after", Money),
        Column("settled_at_us", Big),
        Column("ref", Words),
        Column("order_ref", Words),
        Column("symbol", Words),
        Column("name", Words),
        Column("price", Money),
        Column("quantity", Money),
        Column("note", Words),
        Column("fx_currency", Words),
        Column("fx_amount", Money),
        Column("fx_rate", Money),
        Column("detail", Words),
        Column("wire", Words),
        Column("served", Words),
        Column("batch", Big, nullable=False),
    ]


def _table(name: str, *items: Column[object] | PrimaryKeyConstraint | Index) -> Table:
    return Table(name, metadata, *items, sqlite_strict=True, sqlite_with_rowid=False)


accounts = _table(
    "accounts",
    Column("account", Words, nullable=False),
    Column("provider", Words, nullable=False),
    Column("zone", Words, nullable=False),
    Column("created_at_us", Big, nullable=False),
    Column("head", Big, nullable=False),
    Column("link", Words, nullable=False),
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
    ),
)

history = _table(
    "history",
    *_facts(),
    Column("ended_batch", Big, nullable=False),
    Column("ended_as", Words, nullable=False),
    PrimaryKeyConstraint("account", "at_us", "id", "batch"),
)

quarantine = _table(
    "quarantine",
    Column("account", Words, nullable=False),
    Column("id", Words, nullable=False),
    Column("field", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("wire", Bytes, nullable=False),
    Column("since_us", Big),
    Column("until_us", Big),
    Column("holes", Words),
    Column("batch", Big, nullable=False),
    Column("ended_batch", Big),
    Column("ended_as", Words),
    PrimaryKeyConstraint("account", "id", "batch"),
    Index(
        "quarantine_open",
        "account",
        "until_us",
        sqlite_where=text("ended_batch IS NULL"),
    ),
)

coverage = _table(
    "coverage",
    Column("account", Words, nullable=False),
    Column("since_us", Big, nullable=False),
    Column("until_us", Big, nullable=False),
    Column("state", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("checked_at_us", Big, nullable=False),
    Column("batch", Big, nullable=False),
    PrimaryKeyConstraint("account", "since_us"),
)

page_edges = _table(
    "page_edges",
    Column("account", Words, nullable=False),
    Column("identity", Words, nullable=False),
    Column("side", Words, nullable=False),
    Column("copies", Big, nullable=False),
    Column("batch", Big, nullable=False),
    PrimaryKeyConstraint("account", "identity", "side", "copies"),
)

day_totals = _table(
    "day_totals",
    Column("account", Words, nullable=False),
    Column("day", Words, nullable=False),
    Column("subaccount", Words, nullable=False),
    Column("currency", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("flows", Big, nullable=False),
    Column("money_in", Money, nullable=False),
    Column("money_out", Money, nullable=False),
    PrimaryKeyConstraint("account", "day", "subaccount", "currency", "kind"),
)

findings = _table(
    "findings",
    Column("account", Words, nullable=False),
    Column("day", Words, nullable=False),
    Column("finding", Words, nullable=False),
    Column("flows", Big, nullable=False),
    PrimaryKeyConstraint("account", "day", "finding"),
)

batches = _table(
    "batches",
    Column("account", Words, nullable=False),
    Column("seq", Big, nullable=False),
    Column("state", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("since_us", Big),
    Column("until_us", Big),
    Column("read_at_us", Big, nullable=False),
    Column("recorded_at_us", Big, nullable=False),
    Column("rows_in", Big, nullable=False),
    Column("added", Big, nullable=False),
    Column("restated", Big, nullable=False),
    Column("withdrawn", Big, nullable=False),
    Column("quarantined", Big, nullable=False),
    Column("facts", Words, nullable=False),
    Column("link", Words, nullable=False),
    PrimaryKeyConstraint("account", "seq"),
)

sources = _table(
    "sources",
    Column("account", Words, nullable=False),
    Column("base_url", Words, nullable=False),
    Column("credentials", Words, nullable=False, info=ENCRYPTED),
    Column("since_us", Big, nullable=False),
    Column("paced", Flag, nullable=False),
    Column("created_at_us", Big, nullable=False),
    Column("paused", Flag, nullable=False, server_default=false()),
    PrimaryKeyConstraint("account"),
)

keys = _table(
    "keys",
    Column("dialect", Words, nullable=False),
    Column("public", Words, nullable=False),
    Column("accounts", Words, nullable=False),
    Column("credentials", Words, nullable=False, info=ENCRYPTED),
    Column("paced", Flag, nullable=False),
    Column("created_at_us", Big, nullable=False),
    Column("expires_at_us", Big),
    Column("revoked_at_us", Big),
    Column("restrictions", Words, nullable=False, server_default="{}"),
    PrimaryKeyConstraint("dialect", "public"),
)

runs = _table(
    "runs",
    Column("account", Words, nullable=False),
    Column("started_at_us", Big, nullable=False),
    Column("ended_at_us", Big),
    Column("slices", Big, nullable=False),
    Column("rows_in", Big, nullable=False),
    Column("added", Big, nullable=False),
    Column("gaps", Big, nullable=False),
    Column("error", Words, nullable=False),
    PrimaryKeyConstraint("account", "started_at_us"),
)

progress = _table(
    "progress",
    Column("account", Words, nullable=False),
    Column("holder", Words, nullable=False),
    Column("started_at_us", Big, nullable=False),
    Column("updated_at_us", Big, nullable=False),
    Column("ended_at_us", Big),
    Column("status", Words, nullable=False),
    Column("slices", Big, nullable=False),
    Column("slices_left", Big),
    Column("rows_in", Big, nullable=False),
    Column("added", Big, nullable=False),
    Column("restated", Big, nullable=False),
    Column("withdrawn", Big, nullable=False),
    Column("quarantined", Big, nullable=False),
    Column("gaps", Big, nullable=False),
    Column("said", Words, nullable=False),
    PrimaryKeyConstraint("account"),
)

sync_requests = _table(
    "sync_requests",
    Column("account", Words, nullable=False),
    Column("id", Words, nullable=False),
    Column("everything", Flag, nullable=False),
    Column("requested_at_us", Big, nullable=False),
    Column("requested_by", Words, nullable=False),
    Column("holder", Words, nullable=False),
    Column("taken_at_us", Big),
    Column("ended_at_us", Big),
    Column("status", Words, nullable=False),
    Column("error", Words, nullable=False),
    PrimaryKeyConstraint("account", "id"),
    Index(
        "sync_requests_open",
        "account",
        sqlite_where=text("ended_at_us IS NULL"),
    ),
)

tokens = _table(
    "tokens",
    Column("id", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("accounts", Words, nullable=False),
    Column("scopes", Words, nullable=False),
    Column("calls_per_minute", Big, nullable=False),
    Column("created_at_us", Big, nullable=False),
    Column("expires_at_us", Big),
    Column("revoked_at_us", Big),
    Column("last_used_at_us", Big),
    PrimaryKeyConstraint("id"),
)

recordings = _table(
    "recordings",
    Column("account", Words, nullable=False),
    Column("writer", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("answer", Words, nullable=False),
    Column("recorded_at_us", Big, nullable=False),
    PrimaryKeyConstraint("account", "writer", "key"),
)

server_secrets = _table(
    "server_secrets",
    Column("name", Words, nullable=False),
    Column("sealed", Words, nullable=False, info=ENCRYPTED),
    PrimaryKeyConstraint("name"),
)

leases = _table(
    "leases",
    Column("account", Words, nullable=False),
    Column("holder", Words, nullable=False),
    Column("until_us", Big, nullable=False),
    PrimaryKeyConstraint("account"),
)

login_codes = _table(
    "login_codes",
    Column("digest", Words, nullable=False),
    Column("expires_at_us", Big, nullable=False),
    PrimaryKeyConstraint("digest"),
)

passwords = _table(
    "passwords",
    Column("name", Words, nullable=False),
    Column("hash", Words, nullable=False),
    Column("set_at_us", Big, nullable=False),
    PrimaryKeyConstraint("name"),
)

sessions = _table(
    "sessions",
    Column("digest", Words, nullable=False),
    Column("how", Words, nullable=False),
    Column("token", Words),
    Column("begun_at_us", Big, nullable=False),
    Column("seen_at_us", Big, nullable=False),
    Column("expires_at_us", Big, nullable=False),
    Column("agent", Words, nullable=False),
    PrimaryKeyConstraint("digest"),
)

FACT_TABLES = (flows, history, quarantine, coverage, page_edges, day_totals, findings, batches, accounts)
"""What only a commit writes, and `verify` proves."""

PASSING_TABLES = (leases, progress, login_codes, sessions)
"""What is true only while a process works: it goes into no copy."""
