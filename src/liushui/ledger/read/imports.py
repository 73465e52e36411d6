"""The imports of a ledger: the additions of each, and whether it was undone. Reads only."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from liushui.instant import from_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.schema import batches, imports
from liushui.ledger.write.change import ADDED

_decode_files: Final = msgspec.json.Decoder(tuple[str, ...]).decode


class Import(NamedTuple):
    """One import. `ended_at` None: it is running or was killed; the counts are then those of its commits so far.

    `error`: the class of the error that ended it early. `undone_at` None: it was not undone.
    """

    account: str
    id: str
    files: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None
    rows: int
    added: int
    known: int
    differing: int
    rejected: int
    error: str
    undone_at: datetime | None


def list_imports(ledger: Ledger, names: tuple[str, ...] = ()) -> list[Import]:
    """Return the imports of these accounts (of all if no name is given), oldest first. Raises AccountNotFound."""
    i, b = imports.c, batches.c
    with ledger.reading() as connection:
        accounts = [account.account for account in find_accounts(queries_of(connection), names)]
        query = sa.select(imports).where(i.account.in_(accounts)).order_by(i.started_at_us, i.account, i.id)
        rows = connection.execute(query).all()
        committed = sa.select(b.reason, sa.func.sum(b.rows_in), sa.func.sum(b.added), sa.func.sum(b.quarantined))
        unfinished = {row.account for row in rows if row.ended_at_us is None}
        query = committed.where(b.account.in_(unfinished), b.state == ADDED).group_by(b.reason)
        sums = {row[0]: tuple(map(int, row[1:])) for row in connection.execute(query)} if unfinished else {}
    return [_import(row, sums.get(row.id, (0, 0, 0))) for row in rows]


def find_import(ledger: Ledger, id_: str) -> Import | None:
    """Return the import with this id. None: no such import."""
    return next((known for known in list_imports(ledger) if known.id == id_), None)


def _import(row: sa.Row[Any], committed: tuple[int, ...]) -> Import:
    counts = row.rows, row.added, row.known, row.differing, row.rejected
    if row.ended_at_us is None:
        rows, added, rejected = committed
        counts = rows, added, rows - added - rejected, 0, rejected
    return Import(
        row.account,
        row.id,
        _decode_files(row.files),
        from_us(row.started_at_us),
        None if row.ended_at_us is None else from_us(row.ended_at_us),
        *counts,
        error=row.error,
        undone_at=None if row.undone_at_us is None else from_us(row.undone_at_us),
    )
