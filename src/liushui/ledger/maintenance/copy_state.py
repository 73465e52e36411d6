"""The state of an unfinished copy: its mark, the ledger that it copies, and the progress of each account."""

from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import LedgerError
from liushui.ledger.engine import UNFINISHED_COPY, Ledger
from liushui.ledger.engines.base import REVISION
from liushui.ledger.maintenance.snapshot import Key
from liushui.ledger.schema import (
    EPHEMERAL_TABLES,
    BigInt,
    Text,
    batches,
    metadata,
    optional,
    required,
)
from liushui.ledger.tombstones import chain_beginning

copying: Final = sa.Table(
    "copying",
    sa.MetaData(),
    *required(Text, "account"),
    *required(BigInt, "head"),
    *required(Text, "link"),
    *required(BigInt, "coverage", "part"),
    *optional(Text, "after"),
    sa.PrimaryKeyConstraint("account"),
)
"""A row for each account that was begun. The table exists only while the copy is unfinished."""

_encode_key = msgspec.json.Encoder().encode
_decode_key = msgspec.json.Decoder(tuple[int | str, ...]).decode


class AccountState(NamedTuple):
    """How far the copy of one account has come.

    The account is copied as it was at batch `head`, whose link is `link`; it had `coverage` ranges then. The next part
    to copy is number `part`, after the row with the key `after`.
    """

    account: str
    head: int
    link: str
    coverage: int
    part: int = 0
    after: Key | None = None


def begin_copy(source: Connection, target: Ledger) -> None:
    """Mark an empty ledger as an unfinished copy, or check that it is one of the same source.

    Raises LedgerError if it contains anything else. Nothing is written then.
    """
    with target.writing() as connection:
        if is_unfinished(connection):
            for state in load_states(connection).values():
                if link_at(source, state.account, state.head) != state.link:
                    raise LedgerError(f"{target.name} is an unfinished copy of another ledger: nothing was written")
            return
        if not is_empty(connection):
            raise LedgerError(f"{target.name} contains a ledger already: expected an empty one to copy into")
        _mark(connection)


def is_unfinished(connection: Connection) -> bool:
    """Whether a ledger is an unfinished copy."""
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return bool(revision == UNFINISHED_COPY)


def is_empty(connection: Connection) -> bool:
    """Whether a ledger contains nothing at all."""
    return not any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        for table in metadata.sorted_tables
        if table not in EPHEMERAL_TABLES
    )


def clear_ledger(target: Ledger) -> None:
    """Delete everything in a ledger and mark it as an unfinished copy, in one transaction."""
    with target.writing() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
        if is_unfinished(connection):
            connection.execute(copying.delete())
        else:
            _mark(connection)


def load_states(connection: Connection) -> dict[str, AccountState]:
    """The state of every account that was begun, by name."""
    rows = connection.execute(sa.select(*copying.columns).order_by(copying.c.account))
    return {
        account: AccountState(account, head, link, ranges, part, None if after is None else _decode_key(after))
        for account, head, link, ranges, part, after in rows
    }


def insert_state(connection: Connection, state: AccountState) -> None:
    """Store that an account is begun."""
    connection.execute(copying.insert().values(**_values(state)))


def check_unfinished(connection: Connection) -> None:
    """Raises LedgerError if another process has finished the copy."""
    if not is_unfinished(connection):
        raise LedgerError("another process has copied into the same ledger, and finished it")


def advance(connection: Connection, before: AccountState, after: AccountState) -> None:
    """Store how far an account has come. Raises LedgerError if another process copies into the same ledger."""
    check_unfinished(connection)
    # In the transaction that inserts the rows: of two processes with the same chunk, only one finds this state.
    updated = connection.execute(
        copying.update()
        .where(
            copying.c.account == before.account,
            copying.c.part == before.part,
            copying.c.after.is_not_distinct_from(_values(before)["after"]),
        )
        .values(**_values(after))
    )
    if updated.rowcount != 1:
        raise LedgerError("another process copies into the same ledger: it goes on, this one ends")


def link_at(connection: Connection, account: str, head: int) -> str | None:
    """The link of an account's chain at a batch, or at 0 the link that it begins with. None: it has no such batch."""
    if head:
        is_head = sa.and_(batches.c.account == account, batches.c.seq == head)
        return connection.execute(sa.select(batches.c.link).where(is_head)).scalar()
    return chain_beginning(connection, account)


def finish_copy(target: Ledger) -> None:
    """Remove the mark of an unfinished copy: from now on the copy is a ledger like any other."""
    with target.writing() as connection:
        copying.drop(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (REVISION,))


def _mark(connection: Connection) -> None:
    copying.create(connection)
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (UNFINISHED_COPY,))


def _values(state: AccountState) -> dict[str, object]:
    after = None if state.after is None else _encode_key(state.after).decode()
    return state._asdict() | {"after": after}
