"""Erases the bytes of a rejected row that should never have been stored, such as a secret that was imported by mistake.

The digest of the bytes, the reason and the time stay. Batches sealed the bytes when they entered them, so the erasing
batch seals new digests of the remaining content of these batches. If a batch does not match its seal, the command
refuses to erase, because erasing would hide the damage.

The row is still a row. If a read of the provider had it, the ledger lacks a flow. The entry then stays open, without
the bytes, and its range stays incomplete until a read of that range settles it. A row of an import is different. No
read had it, so it affects no complete range, and the entry is closed.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError, short_repr
from liushui.instant import to_iso
from liushui.ledger.chain import Facts, facts_digest
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import STREAMED, queries_of
from liushui.ledger.flow_row import COLUMNS, Row, identity_of
from liushui.ledger.names import named_facts, sealed_names
from liushui.ledger.write.batch_writer import BatchWriter, batch_writers
from liushui.ledger.write.change import Change
from liushui.ledger.write.commit import write_change
from liushui.ledger.write.quarantine import (
    DISCARDED,
    ERASED,
    READ,
    ROW,
    SEALED_COLUMNS,
    QuarantineChange,
    open_with_digests,
    sealed_row,
)

REASON_MAX: Final = 500


class DiscardResult(NamedTuple):
    """The outcome for the entries with certain bytes. `copies`: the number of erased versions; 0: they had been erased
    before.

    `open`: the number of entries that stay open, because a provider has the row.
    """

    account: str
    id: str
    digest: str
    copies: int
    open: int


def accounts_with_entry(ledger: Ledger, id_: str) -> list[str]:
    """Return the names of the accounts with an entry of this id, sorted."""
    with ledger.reading() as connection:
        return [str(row[0]) for row in connection.exec_driver_sql(_SELECT_ACCOUNTS, (id_,))]


def discard(ledger: Ledger, account: str, id_: str, reason: str) -> DiscardResult:
    """Erase the bytes of an entry, and of all entries with equal bytes in its account. One transaction.

    Afterwards `Ledger.compact` overwrites the remains in free space. Raises ConfigError if the entry does not exist or
    became a flow, and LedgerError if a batch is damaged.
    """
    reason = reason.strip()
    if not reason or len(reason) > REASON_MAX or not reason.isprintable():
        raise ConfigError(f"reason: expected 1 to {REASON_MAX} printable characters, got {short_repr(reason)}")
    digest = identity_of(id_)
    with batch_writers(ledger, account) as (writer,):
        versions = _load_versions(writer.connection, account, digest)
        if not any(version.id == id_ for version in versions):
            raise ConfigError(f"id: there is no entry named {short_repr(id_)} in the quarantine of {account}")
        if any(version.ended_as == READ for version in versions):
            raise ConfigError(
                f"id: {short_repr(id_)} could be read later and is a flow, whose row is kept: "
                "`liushui import undo` withdraws the flows of an import"
            )
        with_bytes = [version for version in versions if version.bytes]
        if with_bytes:
            text = f"discarded at {to_iso(ledger.clock())}: {reason}"
            _erase(writer, digest, sorted({version.batch for version in with_bytes}), text, reason)
        left = open_with_digests(writer.connection, account, [digest])
    return DiscardResult(account, id_, digest, len(with_bytes), len(left))


class _Version(NamedTuple):
    """A version of an entry, open or ended, and the number of its bytes."""

    id: str
    batch: int
    bytes: int
    ended_as: str | None


def _load_versions(connection: Connection, account: str, digest: str) -> list[_Version]:
    rows = connection.exec_driver_sql(_SELECT_VERSIONS, (account, digest, f"{digest}\x7f"))
    return [_Version(*row) for row in rows]


def _erase(writer: BatchWriter, digest: str, batches: list[int], text: str, reason: str) -> None:
    """Erase the bytes with a digest, which these batches have entered. `text` replaces reasons, because they may quote
    the bytes."""
    connection, account, seq = writer.connection, writer.account, writer.next_seq
    for batch in batches:
        if _stored_digest(connection, account, batch) != _sealed_digest(connection, account, batch):
            raise LedgerError(
                f"account {account}, batch {batch}: its facts are not as they were sealed, so nothing was erased: "
                "`liushui verify` tells more"
            )
    connection.exec_driver_sql(_ERASE, (b"", ROW, text, account, digest, f"{digest}\x7f"))
    quarantine = QuarantineChange()
    for entry in open_with_digests(connection, account, [digest]):
        if entry.span is None:
            quarantine.end(entry, DISCARDED)
        else:
            quarantine.end(entry, ERASED)
            quarantine.enter(entry._replace(batch=seq))
    change = Change(reseals=[(account, batch, seq, _stored_digest(connection, account, batch)) for batch in batches])
    change.add_quarantine(quarantine)
    write_change(writer, change, DISCARDED, reason)
    writer.flush()


# ---------------------------------------------------------------- the digest of one batch


def _sealed_digest(connection: Connection, account: str, batch: int) -> str:
    """Return the digest that the facts of a batch must have."""
    return str(connection.exec_driver_sql(_SELECT_SEALED, (account, batch, account, batch)).scalar())


def _stored_digest(connection: Connection, account: str, batch: int) -> str:
    """Return the digest of a batch's facts as they are in the tables now."""
    since_us, until_us, flows = connection.exec_driver_sql(_SELECT_RANGE, (account, batch)).one()
    of_flows: tuple[object, ...] = (account, batch, -(2**62), 2**62)
    if since_us is not None and flows:
        of_flows = (account, batch, since_us, until_us)
    elif not flows:
        of_flows = (account, batch, 0, 0)  # the row has no id, so no record can be found

    def rows(statement: str, parameters: tuple[object, ...]) -> Iterator[Row]:
        found = connection.exec_driver_sql(statement, parameters, execution_options=STREAMED)
        return (tuple(row) for row in found)

    of_batch = (account, batch)
    facts = Facts(
        added=rows(_ADDED, of_flows * 2),
        ended=rows(_ENDED, of_flows),
        quarantined=map(sealed_row, rows(_QUARANTINED, of_batch)),
        edges=rows(_EDGES, of_batch),
        settled=rows(_SETTLED, of_batch),
        ended_edges=rows(_ENDED_EDGES, of_batch),
        reseals=rows(_RESEALS, of_batch),
    )
    return facts_digest(named_facts(facts, sealed_names(queries_of(connection), account), batch))


_SELECT_ACCOUNTS: Final = "SELECT DISTINCT account FROM quarantine WHERE id = ? ORDER BY account"
_SELECT_VERSIONS: Final = """
SELECT id, batch, length(wire), ended_as FROM quarantine WHERE account = ? AND id >= ? AND id < ? ORDER BY id, batch
"""
_ERASE: Final = """
UPDATE quarantine SET wire = ?, field = ?, reason = ? WHERE account = ? AND id >= ? AND id < ? AND length(wire) > 0
"""
_SELECT_SEALED: Final = """
SELECT facts FROM (
  SELECT resealed_in, facts FROM reseals WHERE account = ? AND batch = ?
  UNION ALL SELECT 0, facts FROM batches WHERE account = ? AND seq = ?
) AS sealed ORDER BY resealed_in DESC LIMIT 1
"""
_SELECT_RANGE: Final = """
SELECT since_us, until_us, added + restated + withdrawn FROM batches WHERE account = ? AND seq = ?
"""
_NAMES: Final = ", ".join(COLUMNS)
_ADDED: Final = f"""
SELECT {_NAMES} FROM flows WHERE account = ? AND batch = ? AND at_us >= ? AND at_us < ?
UNION ALL SELECT {_NAMES} FROM history WHERE account = ? AND batch = ? AND at_us >= ? AND at_us < ?
ORDER BY at_us, id
"""
_ENDED: Final = """
SELECT at_us, id, batch, ended_as FROM history
WHERE account = ? AND ended_batch = ? AND at_us >= ? AND at_us < ? ORDER BY at_us, id
"""
_QUARANTINED: Final = f"SELECT {SEALED_COLUMNS} FROM quarantine WHERE account = ? AND batch = ? ORDER BY id"
_EDGES: Final = """
SELECT account, identity, side, copies, batch FROM page_edges WHERE account = ? AND batch = ?
ORDER BY identity, side, copies
"""
_SETTLED: Final = """
SELECT id, batch, ended_as FROM quarantine WHERE account = ? AND ended_batch = ? ORDER BY id, batch
"""
_ENDED_EDGES: Final = """
SELECT identity, side, copies, batch FROM page_edges WHERE account = ? AND ended_batch = ?
ORDER BY identity, side, copies, batch
"""
_RESEALS: Final = "SELECT batch, facts FROM reseals WHERE account = ? AND resealed_in = ? ORDER BY batch"
