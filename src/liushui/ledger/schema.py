"""The ledger's tables: the types of their columns on each engine, the tables, and records of the small ones.

The key of every table of facts begins with the account: Citus keeps an account on one node.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import Column, Index, MetaData, PrimaryKeyConstraint, Table, false, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

from liushui.instant import from_us, to_us
from liushui.ledger.engines.sql_dialects import SQLITE, dialect_of

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

Text: Final[TypeEngine[str]] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that every engine sorts by its bytes, so that keys, pages and chains have one order."""

BigInt: Final[TypeEngine[int]] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""An integer of 64 bits."""

Money: Final[TypeEngine[str]] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""An exact amount as plain decimal text, every digit and sign as it came. NUMERIC would turn "-0.00" into "0.00", so
PostgreSQL has it only in a second column, for people who sum in SQL: see `add_numbers`."""

Flag: Final[TypeEngine[bool]] = sa.Boolean(create_constraint=False).with_variant(sa.Integer(), "sqlite")
"""A boolean."""

Bytes: Final[TypeEngine[bytes]] = sa.LargeBinary()
"""Arbitrary bytes."""

TABLE_OPTIONS: Final[dict[str, Any]] = {"sqlite_strict": True, "sqlite_with_rowid": False}
"""Options of every table. SQLite then checks types, and keeps the rows in the order of their key."""

NUMBER_SUFFIX: Final = "_number"
"""The suffix of the name of a generated NUMERIC column."""


def required(column_type: TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    """Columns of one type that are never NULL."""
    return [sa.Column(name, column_type, nullable=False) for name in names]


def optional(column_type: TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    """Columns of one type that may be NULL."""
    return [sa.Column(name, column_type) for name in names]


def add_numbers(connection: Connection, table: str, *amounts: str) -> None:
    """On PostgreSQL, add a generated NUMERIC column for each of a table's amounts.

    The server refuses an amount that is not a number, or too long for NUMERIC. It never rounds one.
    """
    if connection.dialect.name == "postgresql":
        for name in amounts:
            number = f"{name}{NUMBER_SUFFIX} NUMERIC GENERATED ALWAYS AS ({name}::NUMERIC) STORED"
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {number}")


# ---------------------------------------------------------------- the tables


ENCRYPTED: Final = {"encrypted": True}
"""Marks a column whose text the ledger's vault has encrypted: another ledger has another vault."""

MOVED: Final = "(kind = 'deposit' OR kind = 'transfer' OR kind = 'withdrawal')"
"""Flows that can be one end of a transfer, as the condition of the index `flows_moved` and of the queries that use it.

SQLite builds a list of `IN (…)` again for each row that it inserts, which is a tenth of the time of a sync."""
HAS_RECORD_ID: Final = "(ref = id) IS TRUE"
"""The condition of the index `flows_by_record_id`: a flow is identified by the provider's own id of its record.
PostgreSQL would rewrite `ref = id AND id = 'x'` until it cannot tell any more that the index has such rows."""

metadata = MetaData()
"""The tables as queries name them. Migrations create them. Indexes are partial on PostgreSQL too; a `postgresql_where`
here would have every SQLite user import SQLAlchemy's dialect of PostgreSQL."""


def _facts() -> list[Column[object]]:
    """The columns of one version of a flow, in the order of `flow_row.Row`."""
    return [
        *required(Text, "account"),
        *required(BigInt, "at_us"),
        *required(Text, "id", "subaccount"),
        *required(Money, "amount"),
        *required(Text, "currency", "direction", "kind", "category", "label"),
        *optional(Money, "balance_after"),
        *optional(BigInt, "settled_at_us"),
        *optional(Text, "ref", "order_ref", "symbol", "name"),
        *optional(Money, "price", "quantity"),
        *optional(Text, "note", "fx_currency"),
        *optional(Money, "fx_amount", "fx_rate"),
        *optional(Text, "detail", "wire", "served"),
        *required(BigInt, "batch"),
    ]


def _table(name: str, *items: Column[object] | PrimaryKeyConstraint | Index) -> Table:
    return Table(name, metadata, *items, **TABLE_OPTIONS)


accounts = _table(
    "accounts",
    *required(Text, "account", "provider", "zone"),
    *required(BigInt, "created_at_us", "head"),
    *required(Text, "link"),
    PrimaryKeyConstraint("account"),
)

flows = _table(
    "flows",
    *_facts(),
    PrimaryKeyConstraint("account", "at_us", "id"),
    # Flows that a program recorded itself are found by their reference, at any time.
    Index("flows_recorded", "account", "id", sqlite_where=text("wire IS NULL")),
    # Ends of transfers, and the flows of one order, are few among all flows.
    Index("flows_moved", "account", "at_us", sqlite_where=text(MOVED)),
    Index("flows_ordered", "account", "order_ref", sqlite_where=text("order_ref IS NOT NULL")),
    # Some provider APIs page by the ids of records, without their times.
    Index("flows_by_record_id", "account", "id", sqlite_where=text(HAS_RECORD_ID)),
)

# Versions that ended. A version is never deleted.
history = _table(
    "history",
    *_facts(),
    *required(BigInt, "ended_batch"),
    *required(Text, "ended_as"),
    PrimaryKeyConstraint("account", "at_us", "id", "batch"),
)

# `since_us`, `until_us` and `holes` are the span of an entry: see write.quarantine.
quarantine = _table(
    "quarantine",
    *required(Text, "account", "id", "field", "reason"),
    *required(Bytes, "wire"),
    *optional(BigInt, "since_us", "until_us"),
    *optional(Text, "holes"),
    *required(BigInt, "batch"),
    *optional(BigInt, "ended_batch"),
    *optional(Text, "ended_as"),
    PrimaryKeyConstraint("account", "id", "batch"),
    Index("quarantine_open", "account", "until_us", sqlite_where=text("ended_batch IS NULL")),
)

coverage = _table(
    "coverage",
    *required(Text, "account"),
    *required(BigInt, "since_us", "until_us"),
    *required(Text, "state", "reason"),
    *required(BigInt, "checked_at_us", "batch"),
    PrimaryKeyConstraint("account", "since_us"),
)

# How many equal rows imports have seen at the ends of pages and within them: see importing. The batch that undoes an
# import ends what it has seen.
page_edges = _table(
    "page_edges",
    *required(Text, "account", "identity", "side"),
    *required(BigInt, "copies", "batch"),
    *optional(BigInt, "ended_batch"),
    PrimaryKeyConstraint("account", "identity", "side", "copies", "batch"),
)

# Balances that people stated. They are withdrawn with a reason (`ended_as`) and never deleted.
stated_balances = _table(
    "stated_balances",
    *required(Text, "account"),
    *required(BigInt, "at_us"),
    *required(Text, "subaccount", "currency"),
    *required(Money, "amount"),
    *required(Text, "note"),
    *required(BigInt, "batch"),
    *optional(BigInt, "ended_batch"),
    *optional(Text, "ended_as"),
    # The closing balance in a statement file: the beginning of its period, and the balance then.
    *optional(BigInt, "since_us"),
    *optional(Text, "opening"),
    PrimaryKeyConstraint("account", "batch"),
)

# What people decided about links: in the chain of the account of the link's first flow. The newest decision counts.
link_decisions = _table(
    "link_decisions",
    *required(Text, "account", "link"),
    # Not the last column: SQLite 3.40 finds damage in a healthy table whose last column is in a key with a gap.
    *required(BigInt, "batch"),
    *required(Text, "kind", "basis", "decision", "flows", "decided_by", "reason"),
    *required(BigInt, "decided_at_us"),
    PrimaryKeyConstraint("account", "link", "batch"),
)

# Months that people closed or reopened. The newest decision on a month counts. `lines` has the figures of a closed one.
period_decisions = _table(
    "period_decisions",
    *required(Text, "account", "period"),
    *required(BigInt, "batch"),
    *required(Text, "decision", "lines", "certificate", "decided_by", "reason"),
    *required(BigInt, "decided_at_us"),
    PrimaryKeyConstraint("account", "period", "batch"),
)

# What people explained about findings, and explanations that they withdrew. The newest decision on a finding counts.
# `at_us` and `flow` name the flow, and `evidence` is what was found about it.
finding_decisions = _table(
    "finding_decisions",
    *required(Text, "account", "finding"),
    *required(BigInt, "batch"),
    *required(Text, "kind"),
    *required(BigInt, "at_us"),
    *required(Text, "flow", "evidence", "decision", "decided_by", "reason"),
    *required(BigInt, "decided_at_us"),
    PrimaryKeyConstraint("account", "finding", "batch"),
)

# Derived from the flows, and changed in the same transaction.
day_totals = _table(
    "day_totals",
    *required(Text, "account", "day", "subaccount", "currency", "kind"),
    *required(BigInt, "flows"),
    *required(Money, "money_in", "money_out"),
    PrimaryKeyConstraint("account", "day", "subaccount", "currency", "kind"),
)

findings = _table(
    "findings",
    *required(Text, "account", "day", "finding"),
    *required(BigInt, "flows"),
    PrimaryKeyConstraint("account", "day", "finding"),
)

# The chain. `facts` is the digest of a batch's writes, `link` depends on all batches before.
batches = _table(
    "batches",
    *required(Text, "account"),
    *required(BigInt, "seq"),
    *required(Text, "state", "reason"),
    *optional(BigInt, "since_us", "until_us"),
    *required(BigInt, "read_at_us", "recorded_at_us", "rows_in", "added", "restated", "withdrawn", "quarantined"),
    *required(Text, "facts", "link"),
    PrimaryKeyConstraint("account", "seq"),
)

# The digests of the facts of batches after bytes in them were erased: see write.discard. The newest one counts.
reseals = _table(
    "reseals",
    *required(Text, "account"),
    *required(BigInt, "batch", "resealed_in"),
    *required(Text, "facts"),
    PrimaryKeyConstraint("account", "batch", "resealed_in"),
)

# Accounts that were removed. Their batches stay, without facts; a later account of the name continues the chain.
# `provider`, `zone` and `created_at_us` are those that the chain begins with.
tombstones = _table(
    "tombstones",
    *required(Text, "account", "provider", "zone"),
    *required(BigInt, "created_at_us", "head"),
    *required(Text, "link"),
    *required(BigInt, "removed_at_us"),
    PrimaryKeyConstraint("account"),
)

# The earlier names of accounts that were renamed. Batches up to `until_batch` are sealed with the name `name`, and the
# next batch seals the change of the name. No other account ever gets one of these names.
account_names = _table(
    "account_names",
    *required(Text, "account"),
    *required(BigInt, "until_batch"),
    *required(Text, "name"),
    PrimaryKeyConstraint("account", "until_batch"),
)

sources = _table(
    "sources",
    *required(Text, "account", "base_url"),
    Column("credentials", Text, nullable=False, info=ENCRYPTED),
    *required(BigInt, "since_us"),
    *required(Flag, "paced"),
    *required(BigInt, "created_at_us"),
    Column("paused", Flag, nullable=False, server_default=false()),
    PrimaryKeyConstraint("account"),
)

observations = _table(
    "observations",
    *required(Text, "account", "name", "value"),
    *required(BigInt, "observed_at_us"),
    PrimaryKeyConstraint("account", "name"),
)

keys = _table(
    "keys",
    *required(Text, "dialect", "public", "accounts"),
    Column("credentials", Text, nullable=False, info=ENCRYPTED),
    *required(Flag, "paced"),
    *required(BigInt, "created_at_us"),
    *optional(BigInt, "expires_at_us", "revoked_at_us"),
    Column("restrictions", Text, nullable=False, server_default="{}"),
    *optional(Text, "created_by"),
    PrimaryKeyConstraint("dialect", "public"),
)

# Imports of files. The batches of an import name its id as their reason.
imports = _table(
    "imports",
    *required(Text, "account", "id", "files"),
    *required(BigInt, "started_at_us"),
    *optional(BigInt, "ended_at_us"),
    *required(BigInt, "rows", "added", "known", "differing", "rejected"),
    *required(Text, "error"),
    *optional(BigInt, "undone_at_us"),
    PrimaryKeyConstraint("account", "id"),
)

# Which flows and quarantine entries an import had as well, although it did not add them: see write.imports.
import_sightings = _table(
    "import_sightings",
    *required(Text, "account"),
    *required(BigInt, "at_us"),
    *required(Text, "id", "import_id"),
    PrimaryKeyConstraint("account", "at_us", "id", "import_id"),
    Index("import_sightings_of", "account", "import_id"),
)

runs = _table(
    "runs",
    *required(Text, "account"),
    *required(BigInt, "started_at_us"),
    *optional(BigInt, "ended_at_us"),
    *required(BigInt, "slices", "rows_in", "added", "gaps"),
    *required(Text, "error"),
    PrimaryKeyConstraint("account", "started_at_us"),
)

progress = _table(
    "progress",
    *required(Text, "account", "holder"),
    *required(BigInt, "started_at_us", "updated_at_us"),
    *optional(BigInt, "ended_at_us"),
    *required(Text, "status"),
    *required(BigInt, "slices"),
    *optional(BigInt, "slices_left"),
    *required(BigInt, "rows_in", "added", "restated", "withdrawn", "quarantined", "gaps"),
    *required(Text, "said"),
    PrimaryKeyConstraint("account"),
)

sync_requests = _table(
    "sync_requests",
    *required(Text, "account", "id"),
    *required(Flag, "everything"),
    *required(BigInt, "requested_at_us"),
    *required(Text, "requested_by", "holder"),
    *optional(BigInt, "taken_at_us", "ended_at_us"),
    *required(Text, "status", "error"),
    PrimaryKeyConstraint("account", "id"),
    Index("sync_requests_open", "account", sqlite_where=text("ended_at_us IS NULL")),
)

tokens = _table(
    "tokens",
    *required(Text, "id", "name", "digest", "accounts", "scopes"),
    *required(BigInt, "calls_per_minute", "created_at_us"),
    *optional(BigInt, "expires_at_us", "revoked_at_us", "last_used_at_us"),
    *optional(Text, "created_by"),
    PrimaryKeyConstraint("id"),
)

# The data that was recorded under an idempotency key. `answer` has a letter for the outcome of each flow.
recordings = _table(
    "recordings",
    *required(Text, "account", "writer", "key", "digest", "answer"),
    *required(BigInt, "recorded_at_us"),
    PrimaryKeyConstraint("account", "writer", "key"),
)

server_secrets = _table(
    "server_secrets",
    *required(Text, "name"),
    Column("sealed", Text, nullable=False, info=ENCRYPTED),
    PrimaryKeyConstraint("name"),
)

# Keys that sign certificates. `public` is the verifier key as text, `private` the encrypted seed.
signing_keys = _table(
    "signing_keys",
    *required(Text, "name", "public"),
    Column("private", Text, nullable=False, info=ENCRYPTED),
    *required(BigInt, "created_at_us"),
    PrimaryKeyConstraint("name"),
)

# Certificates as they were signed. `digest` is that of `note`, and `timestamp` the answer of an authority, in base64.
certificates = _table(
    "certificates",
    *required(Text, "account"),
    *required(BigInt, "number"),
    *required(Text, "period"),
    *required(BigInt, "created_at_us", "batch"),
    *required(Text, "link", "signer", "digest", "note"),
    *optional(Text, "timestamp"),
    PrimaryKeyConstraint("account", "number"),
)

leases = _table(
    "leases",
    *required(Text, "account", "holder"),
    *required(BigInt, "until_us"),
    PrimaryKeyConstraint("account"),
)

login_codes = _table(
    "login_codes",
    *required(Text, "digest"),
    *required(BigInt, "expires_at_us"),
    PrimaryKeyConstraint("digest"),
)

passwords = _table(
    "passwords",
    *required(Text, "name", "hash"),
    *required(BigInt, "set_at_us"),
    PrimaryKeyConstraint("name"),
)

sessions = _table(
    "sessions",
    *required(Text, "digest", "how"),
    *optional(Text, "token"),
    *required(BigInt, "begun_at_us", "seen_at_us", "expires_at_us"),
    *required(Text, "agent"),
    PrimaryKeyConstraint("digest"),
)

# People who log in to the page. `token` is the id of the row of `tokens` that says what they may do: it has no text, so
# no program can send it. `hash` is empty for users without a password. `email` is in small letters: whoever proves to
# own it, by an identity provider, is the user.
users = _table(
    "users",
    *required(Text, "name", "role", "token", "hash"),
    *required(BigInt, "created_at_us"),
    *optional(Text, "email"),
    PrimaryKeyConstraint("name"),
)

# The OpenID Connect provider through which users log in. `settings` has the client's secret.
identity_providers = _table(
    "identity_providers",
    *required(Text, "name", "title"),
    Column("settings", Text, nullable=False, info=ENCRYPTED),
    *required(BigInt, "set_at_us"),
    PrimaryKeyConstraint("name"),
)

# Which subject of such a provider is which user. `provisioned`: the first login added the user, and the user's role is
# the one that the provider's claims give.
identities = _table(
    "identities",
    *required(Text, "issuer", "subject", "user_name"),
    *required(Flag, "provisioned"),
    *required(BigInt, "created_at_us"),
    PrimaryKeyConstraint("issuer", "subject"),
)

# Who did what, by page, API and command line. `outcome` is empty until the action has ended.
audit_log = _table(
    "audit_log",
    *required(BigInt, "at_us"),
    *required(Text, "id", "who", "through", "action", "subject", "outcome"),
    PrimaryKeyConstraint("at_us", "id"),
)

# The results of checking the balance chains, up to a batch of each account. They are derived from the flows, and
# computed again if they are missing. See read.chains.
chain_segments = _table(
    "chain_segments",
    *required(Text, "account", "subaccount", "currency"),
    *required(BigInt, "since_us", "until_us"),
    *optional(Money, "known", "opening", "closing"),
    *required(Money, "unstated"),
    *required(BigInt, "stated", "reordered"),
    *optional(Text, "first", "last", "breaks"),
    PrimaryKeyConstraint("account", "subaccount", "currency", "since_us"),
    Index("chain_segments_by_time", "account", "since_us"),
)

# `basis`: the data on which the result depends in addition to the flows, such as the rules. Null: an earlier release
# has stored it.
chain_heads = _table(
    "chain_heads",
    *required(Text, "account"),
    *required(BigInt, "batch"),
    *optional(Text, "basis"),
    PrimaryKeyConstraint("account"),
)

# The newest good backup in each folder of each machine, and why the last one failed.
backups = _table(
    "backups",
    *required(Text, "folder", "machine"),
    *required(BigInt, "every_s"),
    *required(Text, "file"),
    *optional(BigInt, "saved_at_us"),
    *required(BigInt, "size", "tried_at_us"),
    *required(Text, "error"),
    PrimaryKeyConstraint("folder", "machine"),
)

# Who is notified about which alarms. `settings` are the address and the secrets of the channel; `target` is the part of
# them that may be shown. `kinds` and `accounts` are JSON; null: all accounts. `created_by`: the id of the token; the
# rule ends with it.
notify_rules = _table(
    "notify_rules",
    *required(Text, "name", "channel", "target"),
    Column("settings", Text, nullable=False, info=ENCRYPTED),
    *required(Text, "kinds", "accounts"),
    *required(BigInt, "gap_hours", "created_at_us"),
    *optional(Text, "created_by"),
    PrimaryKeyConstraint("name"),
)

# The alarms that hold now, as each rule saw them: since when, how much, and whether a message was made of it.
notify_alarms = _table(
    "notify_alarms",
    *required(Text, "rule", "alarm"),
    *required(BigInt, "since_us", "number"),
    *required(Flag, "notified"),
    PrimaryKeyConstraint("rule", "alarm"),
)

# Messages to send, and those that were sent or could not be. See jobs.notifications.
notifications = _table(
    "notifications",
    *required(Text, "id", "rule", "message", "state"),
    *required(BigInt, "created_at_us", "attempts", "next_at_us"),
    *required(Text, "error"),
    *optional(BigInt, "ended_at_us"),
    PrimaryKeyConstraint("id"),
    Index("notifications_pending", "next_at_us", sqlite_where=text("state = 'pending'")),
)

# Named filters, columns and orders of the list of flows. `owner`: see access.saved_views. `query` is JSON.
saved_views = _table(
    "saved_views",
    *required(Text, "owner", "name", "query"),
    *required(Flag, "is_shared"),
    *required(BigInt, "created_at_us", "changed_at_us"),
    PrimaryKeyConstraint("owner", "name"),
)

# The view that each reader's list of flows begins with: their own, or a shared one.
default_views = _table(
    "default_views",
    *required(Text, "reader", "owner", "name"),
    PrimaryKeyConstraint("reader"),
)

FACT_TABLES = (
    *(flows, history, quarantine, coverage, page_edges, stated_balances, link_decisions, period_decisions),
    *(finding_decisions, day_totals, findings, batches, reseals, account_names),
    accounts,
)
"""The tables that only commits write, and that `verify` checks."""

EPHEMERAL_TABLES = (leases, progress, login_codes, sessions, chain_segments, chain_heads, backups)
"""Tables that matter only to running processes, to browsers or to this copy of the ledger, or that are computed again
when needed. They are not copied or backed up."""


# ---------------------------------------------------------------- records

# A record is a NamedTuple whose fields are the columns of a small table. A field with an instant, such as `ended_at`,
# has a column in microseconds, `ended_at_us`. Where other names differ, the callers give the column of a field as a
# keyword.


R = TypeVar("R")


def from_row(record: type[R], row: sa.Row[Any] | Mapping[Any, Any], **renamed: str) -> R:
    """A record of that type from a row, which may have further columns."""
    columns: Mapping[Any, Any] = row._mapping if isinstance(row, sa.Row) else row
    values: list[object] = []
    for field, field_type in record.__annotations__.items():
        column = renamed.get(field, field)
        if f"{column}_us" in columns:
            at_us = columns[f"{column}_us"]
            values.append(None if at_us is None else from_us(at_us))
        else:
            value = columns[column]
            values.append(bool(value) if field_type is bool else value)  # SQLite gives numbers for flags
    return record(*values)


def to_columns(table: sa.Table, record: Any, **renamed: str) -> dict[str, Any]:  # noqa: ANN401 - any NamedTuple
    """The columns of a table for a record."""
    columns = {}
    for field, value in record._asdict().items():
        column = renamed.get(field, field)
        if f"{column}_us" in table.c:
            columns[f"{column}_us"] = None if value is None else to_us(value)
        else:
            columns[column] = value
    return columns


def insert_new(connection: Connection, table: sa.Table, values: Mapping[str, object]) -> bool:
    """Insert a row, unless a row with its key exists. Whether it was inserted."""
    statement = _insertion(dialect_of(connection) is SQLITE, table, tuple(values))
    return connection.execute(statement, values).first() is not None


def upsert(connection: Connection, table: sa.Table, values: Mapping[str, object]) -> None:
    """Insert a row. If a row with its key exists, give it these values."""
    connection.execute(_replacement(dialect_of(connection) is SQLITE, table, tuple(values)), values)


# To build a statement, and SQLAlchemy's key of its compiled text, takes longer than to execute it. So both are kept:
# there are as many as there are tables, and a lease is renewed with every few calls of a sync.


@cache
def _insertion(is_sqlite: bool, table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    """Inserts a row with these columns, unless a row with its key exists. In that case it returns no row."""
    key = table.primary_key.columns
    insert = _insert(table, names, is_sqlite=is_sqlite).on_conflict_do_nothing(index_elements=key)
    return insert.returning(*key)


@cache
def _replacement(is_sqlite: bool, table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    """Inserts a row with these columns. If a row with its key exists, gives that row their values."""
    key = table.primary_key.columns
    insert = _insert(table, names, is_sqlite=is_sqlite)
    rest = {name: insert.excluded[name] for name in names if name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=rest)


def _insert(table: sa.Table, names: tuple[str, ...], *, is_sqlite: bool) -> "postgresql.Insert | sqlite.Insert":
    values: dict[str, Any] = {name: sa.bindparam(name) for name in names}
    if is_sqlite:
        return sqlite.insert(table).values(values)
    from sqlalchemy.dialects import postgresql  # only here: SQLite users need not import PostgreSQL's dialect

    return postgresql.insert(table).values(values)
