"""A ledger that another one is being copied into: its mark, how far each account has come, and whose copy it is."""

from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import LedgerError
from liushui.ledger.chain import genesis
from liushui.ledger.column_types import Big, Words
from liushui.ledger.engine import UNFINISHED_COPY, Ledger
from liushui.ledger.maintenance.snapshot import Key
from liushui.ledger.schema import PASSING_TABLES, REVISION, accounts, batches, metadata

copying: Final = sa.Table(
    "copying",
    sa.MetaData(),
    sa.Column("account", Words, nullable=False),
    sa.Column("head", Big, nullable=False),
    sa.Column("link", Words, nullable=False),
    sa.Column("coverage", Big, nullable=False),
    sa.Column("part", Big, nullable=False),
    sa.Column("after", Words),
    sa.PrimaryKeyConstraint("account"),
)
"""A row for each account that was begun. The table is there only as long as the copy is not finished."""

_encode = msgspec.json.Encoder().encode
_key_of = msgspec.json.Decoder(tuple[int | str, ...]).decode


class Begun(NamedTuple):
    """An account that is being copied as it stood at batch `head`, whose link is `link`.

    `coverage` is how many ranges it had then; `part` is the number of the part that comes next, `after` the key of the
    last row of it that is there.
    """

    account: str
    head: int
    link: str
    coverage: int
    part: int = 0
    after: Key | None = None


def begin(source: Connection, target: Ledger) -> dict[str, Begun]:
    """Mark an empty ledger, or go on with a copy of the same one: what was begun in it, by account.

    Raises LedgerError where it holds anything else. Nothing is changed then.
    """
    with target.writing() as connection:
        if is_marked(connection):
            found = load(connection)
            for one in found.values():
                if link_at(source, one.account, one.head) != one.link:
                    raise LedgerError(f"{target.name} is an unfinished copy of another ledger: nothing was written")
            return found
        if not is_empty(connection):
            raise LedgerError(f"{target.name} holds a ledger already: expected an empty one to copy into")
        _mark(connection)
        return {}


def is_marked(connection: Connection) -> bool:
    """Whether a ledger is an unfinished copy."""
    return bool(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == UNFINISHED_COPY)


def is_empty(connection: Connection) -> bool:
    """Whether a ledger holds nothing at all."""
    return not any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        for table in metadata.sorted_tables
        if table not in PASSING_TABLES
    )


def empty(target: Ledger) -> None:
    """Delete all that a ledger holds, and mark it as an unfinished copy, in one transaction."""
    with target.writing() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
        if is_marked(connection):
            connection.execute(copying.delete())
        else:
            _mark(connection)


def load(connection: Connection) -> dict[str, Begun]:
    """Every account that was begun, by name."""
    found = connection.execute(sa.select(*copying.columns).order_by(copying.c.account))
    return {
        account: Begun(account, head, link, ranges, part, None if after is None else _key_of(after))
        for account, head, link, ranges, part, after in found
    }


def enter(connection: Connection, begun: Begun) -> None:
    """Note that an account is begun."""
    connection.execute(copying.insert().values(**_values(begun)))


def advance(connection: Connection, before: Begun, after: Begun) -> None:
    """Note how far an account has come. Raises LedgerError where somebody else copies it as well."""
    if not is_marked(connection):
        raise LedgerError("another process has copied into the same ledger, and finished it")
    done = connection.execute(
        copying.update()
        .where(
            copying.c.account == before.account,
            copying.c.part == before.part,
            copying.c.after.is_not_distinct_from(_values(before)["after"]),
        )
        .values(**_values(after))
    )
    if done.rowcount != 1:
        raise LedgerError("another process copies into the same ledger: it goes on, this one ends")


def link_at(connection: Connection, account: str, head: int) -> str | None:
    """The link of an account's chain at a batch, the one that it begins with at 0. None: it has no such batch."""
    if head:
        where = sa.and_(batches.c.account == account, batches.c.seq == head)
        return connection.execute(sa.select(batches.c.link).where(where)).scalar()
    found = connection.execute(sa.select(accounts).where(accounts.c.account == account)).first()
    return None if found is None else genesis(account, found.provider, found.zone, found.created_at_us)


def finish(target: Ledger) -> None:
    """Take the mark off: from here on it is a ledger as any."""
    with target.writing() as connection:
        copying.drop(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (REVISION,))


def _mark(connection: Connection) -> None:
    copying.create(connection)
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (UNFINISHED_COPY,))


def _values(begun: Begun) -> dict[str, object]:
    after = None if begun.after is None else _encode(begun.after).decode()
    return begun._asdict() | {"after": after}
