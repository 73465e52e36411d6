"""Proof that nothing changed a fact behind the ledger's back: every chain, fact, coverage and total, computed again."""

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from liushui.errors import ConfigError, WireError, short_repr
from liushui.instant import BusinessDays, load_zone
from liushui.ledger import findings
from liushui.ledger.chain import Facts, facts_digest, genesis, link
from liushui.ledger.coverage import read_back
from liushui.ledger.day_totals import Total, TotalKey, Totals, merge, totals_of
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.flow_row import AMOUNT, AT_US, BATCH, COLUMNS, ID, Row
from liushui.ledger.schema import FACT_TABLES, accounts, batches, day_totals, metadata
from liushui.ledger.write.quarantine import SEALED_COLUMNS, sealed_row
from liushui.money import parse_decimal, to_plain_string

_CHUNK = 5_000


class Damage(NamedTuple):
    """Something that is not as a commit left it. `batch` None: of no one batch."""

    account: str
    batch: int | None
    what: str


class Verified(NamedTuple):
    """How much was found as it should be."""

    account: str
    batches: int
    flows: int
    link: str


Progress = Callable[[str, int, int], None]
"""Told the account, the batches done, and all of its batches."""


def verify(ledger: Ledger, progress: Progress | None = None) -> Iterator[Damage | Verified]:
    """Check the whole ledger, account by account. Reads only; flows are streamed."""
    with ledger.reading() as connection, ledger.tolerating_damage(connection):
        broken = list(_file_damage(ledger, connection))
        names = _every_name(connection, broken)
        yield from broken
        for name in names:
            yield from _verify_account(connection, name, progress, is_sound=not broken)


def _file_damage(ledger: Ledger, connection: Connection) -> Iterator[Damage]:
    try:
        for line in ledger.integrity_errors(connection):
            yield Damage("", None, f"the file's own check says: {line}")
        for table in metadata.sorted_tables:
            connection.execute(sa.select(*table.columns).limit(1)).all()
    except (DatabaseError, UnicodeDecodeError) as error:
        if not _is_damage(error):
            raise
        yield Damage("", None, f"the file cannot be read whole: {_cause(error)}")


def _is_damage(error: Exception) -> bool:
    """Whether an error comes from what the file holds, rather than from the disk or another process."""
    if not isinstance(error, OperationalError):
        return True
    # SQLite's generic error: a table or column is missing. All other codes of OperationalErrors are about access.
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _cause(error: Exception) -> object:
    return error.orig if isinstance(error, DatabaseError) else error


def _every_name(connection: Connection, broken: list[Damage]) -> list[str]:
    """Every account that any fact names. Adds the tables that cannot be read to `broken`."""
    found: set[str] = set()
    for table in FACT_TABLES:
        try:
            found.update(map(str, connection.scalars(sa.select(table.c.account).distinct())))
        except DatabaseError as error:
            if not _is_damage(error):
                raise
            broken.append(Damage("", None, f"{table.name} cannot be read whole: {_cause(error)}"))
    return sorted(found)


def _verify_account(
    connection: Connection, name: str, progress: Progress | None, *, is_sound: bool
) -> Iterator[Damage | Verified]:
    damages: list[Damage] = []
    verified = None
    try:
        verified = _check_account(connection, name, damages, progress)
    except Exception as error:
        # In a file that is broken anything may stand anywhere, and the checks may meet what no column can hold.
        if not _is_damage(error) or (is_sound and not isinstance(error, DatabaseError)):
            raise
        damages.append(Damage(name, None, f"what the file holds of it cannot be read: {_cause(error)}"))
    yield from damages
    if verified is not None and not damages:
        yield verified


def _check_account(
    connection: Connection, name: str, damages: list[Damage], progress: Progress | None
) -> Verified | None:
    """Compute an account again. Adds what is damaged to `damages`; None where there is no account to speak of."""
    account = connection.execute(sa.select(accounts).where(accounts.c.account == name)).first()
    if account is None:
        damages.append(Damage(name, None, "there are facts of this account, but no such account"))
        return None
    sealed = [tuple(row) for row in connection.execute(_of(batches, name).order_by(batches.c.seq))]
    start = genesis(name, account.provider, account.zone, account.created_at_us)
    damages += _chain_damage(name, start, sealed)
    if (account.head, account.link) != ((sealed[-1][1], sealed[-1][-1]) if sealed else (0, start)):
        damages.append(Damage(name, account.head, "the account does not end at its last batch"))
    damages += _facts_damage(connection, name, sealed, progress)
    damages += _coverage_damage(connection, name, sealed)
    try:
        days = BusinessDays(load_zone(account.zone))
    except ConfigError as error:
        damages.append(Damage(name, None, f"the account's {error}"))
        return None
    flows = _Flows(connection, name, days)
    wrong = _totals_damage(connection, name, flows.totals())
    damages += flows.unreadable + wrong
    damages += _findings_damage(connection, name, days)
    return Verified(name, len(sealed), flows.count, account.link)


_FACTS = [column.name for column in batches.columns].index("facts")
_NO_FACTS = facts_digest(Facts((), (), (), ()))


def _of(table: sa.Table, account: str) -> sa.Select[Any]:
    return sa.select(*table.columns).where(table.c.account == account)


def _chain_damage(name: str, previous: str, sealed: list[Row]) -> Iterator[Damage]:
    for expected, row in enumerate(sealed, 1):
        seq = row[1]
        if seq != expected:
            yield Damage(name, expected, "the batch is missing from the chain")
            return
        if row[-1] != link(previous, row[:-1]):
            yield Damage(name, expected, "the batch does not follow from the one before it")
        previous = str(row[-1])


def _facts_damage(
    connection: Connection, name: str, sealed: list[tuple[Any, ...]], progress: Progress | None
) -> Iterator[Damage]:
    digests = dict(_digests(connection, name))
    for done, row in enumerate(sealed, 1):
        seq = row[1]
        if digests.pop(seq, _NO_FACTS) != row[_FACTS]:
            yield Damage(name, seq, "flows, history, quarantine or page edges are not as this batch left them")
        if progress and done % 100 == 0:
            progress(name, done, len(sealed))
    for seq in digests:
        yield Damage(name, seq, "there are facts of this batch, but no such batch")


def _digests(connection: Connection, account: str) -> Iterator[tuple[int, str]]:
    """The digest of the facts that stand in the tables, for each batch that any of them names."""
    streams = [
        _by_batch(connection, statement, account) for statement in (_ADDED, _ENDED, _QUARANTINED, _EDGES, _SETTLED)
    ]
    heads = [next(stream, None) for stream in streams]
    while any(head is not None for head in heads):
        seq = min(head[0] for head in heads if head is not None)
        parts = [head[1] if head is not None and head[0] == seq else () for head in heads]
        facts = Facts(*parts)
        yield seq, facts_digest(facts._replace(quarantined=map(sealed_row, facts.quarantined)))
        heads = [
            next(stream, None) if head is not None and head[0] == seq else head
            for head, stream in zip(heads, streams, strict=True)
        ]


def _by_batch(connection: Connection, statement: str, account: str) -> Iterator[tuple[int, Iterator[Row]]]:
    values = (account,) * statement.count("?")
    found = connection.exec_driver_sql(statement, values, execution_options=STREAMED)
    for seq, rows in groupby(found, key=lambda row: row[0]):
        yield seq, (tuple(row[1:]) for row in rows)


def _coverage_damage(connection: Connection, name: str, sealed: list[Row]) -> Iterator[Damage]:
    expected = {tuple(part) for part in read_back(sealed)}
    kept = {tuple(row) for row in connection.exec_driver_sql(_COVERAGE, (name,))}
    for wrong in kept.symmetric_difference(expected):
        seq = wrong[-1]
        yield Damage(name, seq if isinstance(seq, int) else None, "coverage is not as this batch left it")


class _Flows:
    """The flows of an account, read once, in little memory however many there are."""

    def __init__(self, connection: Connection, name: str, days: BusinessDays) -> None:
        self._connection, self._name, self._days = connection, name, days
        self.count = 0
        self.unreadable: list[Damage] = []
        """Those whose amount cannot be read."""

    def totals(self) -> Iterator[tuple[TotalKey, Total]]:
        """What they come to, in the order of the totals' key."""
        going_on: Totals = {}
        found = self._connection.exec_driver_sql(_FLOWS, (self._name,), execution_options=STREAMED)
        while chunk := found.fetchmany(_CHUNK):
            self.count += len(chunk)
            going_on = merge(going_on, totals_of(filter(self._is_readable, map(tuple, chunk)), self._days))
            day = self._days.day_of(chunk[-1][AT_US])
            yield from sorted((key, going_on.pop(key)) for key in list(going_on) if key.day < day)
        yield from sorted(going_on.items())

    def _is_readable(self, row: Row) -> bool:
        try:
            parse_decimal("amount", row[AMOUNT])
        except WireError as error:
            batch = row[BATCH]
            self.unreadable.append(
                Damage(self._name, batch if isinstance(batch, int) else None, f"flow {row[ID]}: {error}")
            )
            return False
        return True


def _totals_damage(connection: Connection, name: str, expected: Iterator[tuple[TotalKey, Total]]) -> list[Damage]:
    """Where the totals that are kept are not the expected ones, both of them in the order of their key."""
    damages: list[Damage] = []
    both = heapq.merge(_kept_totals(connection, name, damages), expected, key=itemgetter(0))
    for key, found in groupby(both, key=itemgetter(0)):
        totals = [total for _, total in found]
        if len(totals) == 1 or totals[0] != totals[1]:
            what = f"the total of {key.day} {key.currency} {key.kind} is not the sum of its flows"
            damages.append(Damage(name, None, what))
    return damages


def _kept_totals(connection: Connection, name: str, damages: list[Damage]) -> Iterator[tuple[TotalKey, Total]]:
    """The totals that are kept. Those that cannot be read are damages."""
    t = day_totals.c
    kept = _of(day_totals, name).order_by(t.day, t.subaccount, t.currency, t.kind)
    for _, day, subaccount, currency, kind, flows, money_in, money_out in connection.execute(
        kept, execution_options=STREAMED
    ):
        try:
            sums = _sum("money_in", money_in), _sum("money_out", money_out)
        except WireError as error:
            damages.append(Damage(name, None, f"the total of {day} {currency} {kind}: {error}"))
        else:
            yield TotalKey(day, subaccount, currency, kind), Total(flows, *sums)


def _findings_damage(connection: Connection, name: str, days: BusinessDays) -> Iterator[Damage]:
    kept, expected = findings.load(connection, name), findings.counted(connection, name, days)
    for day, finding in sorted(kept.keys() | expected.keys()):
        if kept[day, finding] != expected[day, finding] or (day, finding) not in expected:
            yield Damage(name, None, f"the number of {finding} findings of {day} is not that of its flows")


def _sum(field: str, text: object) -> Decimal:
    """A sum, which may have more digits than any one amount. Raises WireError."""
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or to_plain_string(amount) != text:
        raise WireError(field, f"expected plain decimal text, got {short_repr(text)}")
    return amount


_NAMES = ", ".join(COLUMNS)
_ADDED = f"""
SELECT batch, {_NAMES} FROM (
  SELECT {_NAMES} FROM flows WHERE account = ? UNION ALL SELECT {_NAMES} FROM history WHERE account = ?
) AS entered ORDER BY batch, at_us, id
"""
_ENDED = """
SELECT ended_batch, at_us, id, batch, ended_as FROM history WHERE account = ? ORDER BY ended_batch, at_us, id
"""
_QUARANTINED = f"SELECT batch, {SEALED_COLUMNS} FROM quarantine WHERE account = ? ORDER BY batch, id"
_EDGES = "SELECT batch, * FROM page_edges WHERE account = ? ORDER BY batch, identity, side, copies"
_SETTLED = """
SELECT coalesce(ended_batch, 0), id, batch, ended_as FROM quarantine
WHERE account = ? AND (ended_batch IS NOT NULL OR ended_as IS NOT NULL) ORDER BY ended_batch, id, batch
"""
_COVERAGE = "SELECT since_us, until_us, state, reason, checked_at_us, batch FROM coverage WHERE account = ?"
_FLOWS = f"SELECT {_NAMES} FROM flows WHERE account = ? ORDER BY at_us, id"
