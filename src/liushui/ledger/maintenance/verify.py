"""Verifies that only commits changed the facts: every chain, fact, coverage and total is computed again."""

import heapq
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from liushui.errors import ConfigError, WireError, short_repr
from liushui.instant import BusinessDays, load_zone
from liushui.ledger import findings
from liushui.ledger.chain import (
    NO_FACTS,
    REMOVED,
    RENAMED,
    REOPENED,
    Facts,
    describe,
    facts_digest,
    genesis,
    link,
)
from liushui.ledger.coverage import ranges_from_batches
from liushui.ledger.day_totals import Total, TotalKey, Totals, merge, totals_of
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import STREAMED, queries_of
from liushui.ledger.flow_row import AMOUNT, AT_US, BATCH, COLUMNS, ID, Row
from liushui.ledger.maintenance.anchors import Anchor, check_anchors, missing_accounts
from liushui.ledger.names import SealedNames, current_names, named_facts, sealed_names
from liushui.ledger.schema import FACT_TABLES, account_names, accounts, batches, day_totals, metadata, tombstones
from liushui.ledger.write.change import statement_facts
from liushui.ledger.write.quarantine import SEALED_COLUMNS, sealed_row
from liushui.money import parse_decimal, to_plain_string

ReportProgress = Callable[[str, int, int], None]
"""Called with the current step, the amount done, and the total amount."""

_CHUNK: Final = 5_000


class Damage(NamedTuple):
    """A difference from the data that a commit wrote. `batch` is None if it belongs to no single batch."""

    account: str
    batch: int | None
    what: str


class Verified(NamedTuple):
    """An account without damage."""

    account: str
    batches: int
    flows: int
    link: str
    anchored: int | None
    """The newest batch that an anchor confirms, together with all batches before it. None: no anchor names the
    account."""


def verify(
    ledger: Ledger, progress: ReportProgress | None = None, anchors: Iterable[Anchor] = ()
) -> Iterator[Damage | Verified]:
    """Verify a whole ledger, account by account. Progress counts batches. Reads only, and streams flows.

    Without anchors the ledger is only compared with itself. If it was cut at its end, replaced by an older copy, or
    sealed again from some batch on, it then looks intact; only an outside record shows the change.
    """
    by_account: defaultdict[str, list[Anchor]] = defaultdict(list)
    with ledger.reading() as connection, ledger.tolerating_damage(connection):
        damages = list(_database_damage(ledger, connection))
        renamed = _current_names(connection)
        for anchor in anchors:
            by_account[renamed.get(anchor.account, anchor.account)].append(anchor)
        names = _all_account_names(connection, damages)
        yield from damages
        for name in names:
            yield from _verify_account(connection, name, progress, by_account.get(name, []), is_file_sound=not damages)
        for failure in missing_accounts([*names, *renamed], chain.from_iterable(by_account.values())):
            yield Damage(*failure)


# ---------------------------------------------------------------- the database


def _database_damage(ledger: Ledger, connection: Connection) -> Iterator[Damage]:
    try:
        for line in ledger.integrity_errors(connection):
            yield Damage("", None, f"the file's own check says: {line}")
        for query in _first_rows():
            connection.execute(query).all()
    except (DatabaseError, UnicodeDecodeError) as error:
        if not _is_damage(error):
            raise
        yield Damage("", None, f"the file cannot be read completely: {_cause(error)}")


@cache
def _first_rows() -> tuple[sa.Select[Any], ...]:
    """A query of the first row of each table, with every column. Cached, because a statement memoizes its cache key."""
    return tuple(sa.select(*table.columns).limit(1) for table in metadata.sorted_tables)


def _is_damage(error: Exception) -> bool:
    """Whether an error comes from the file's content and not from the disk or another process."""
    if not isinstance(error, OperationalError):
        return True
    # SQLite's generic error: a table or column is missing. All other codes of OperationalErrors are about access.
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _cause(error: Exception) -> object:
    return error.orig if isinstance(error, DatabaseError) else error


def _all_account_names(connection: Connection, damages: list[Damage]) -> list[str]:
    """Every account that any fact names. Tables that cannot be read are added to `damages`."""
    names: set[str] = set()
    for table in (*FACT_TABLES, tombstones):
        try:
            names.update(map(str, connection.scalars(_account_names(table))))
        except DatabaseError as error:
            if not _is_damage(error):
                raise
            damages.append(Damage("", None, f"{table.name} cannot be read completely: {_cause(error)}"))
    return sorted(names)


@cache
def _account_names(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table.c.account).distinct()


def _current_names(connection: Connection) -> dict[str, str]:
    """The current name of each renamed account, by its earlier names. Empty if they cannot be read, which
    `_all_account_names` reports."""
    try:
        return current_names(queries_of(connection))
    except DatabaseError as error:
        if not _is_damage(error):
            raise
        return {}


# ---------------------------------------------------------------- an account


def _verify_account(
    connection: Connection,
    name: str,
    progress: ReportProgress | None,
    anchors: Sequence[Anchor],
    *,
    is_file_sound: bool,
) -> Iterator[Damage | Verified]:
    damages: list[Damage] = []
    verified = None
    try:
        verified = _check_account(connection, name, damages, progress, anchors)
    except Exception as error:
        # A broken file may contain anything anywhere, so the checks may meet values that no column can have.
        if not _is_damage(error) or (is_file_sound and not isinstance(error, DatabaseError)):
            raise
        damages.append(Damage(name, None, f"its data cannot be read: {_cause(error)}"))
    yield from damages
    if verified is not None and not damages:
        yield verified


def _check_account(
    connection: Connection,
    name: str,
    damages: list[Damage],
    progress: ReportProgress | None,
    anchors: Sequence[Anchor],
) -> Verified | None:
    """Recompute an account and add differences to `damages`. None: the account itself cannot be read."""
    account = connection.execute(_rows_of(accounts), {"account": name}).first()
    tombstone = connection.execute(_rows_of(tombstones), {"account": name}).first()
    rows = [tuple(row) for row in connection.execute(_rows_of(batches), {"account": name})]
    names = sealed_names(queries_of(connection), name)
    first = account if tombstone is None else tombstone
    if first is None:
        damages.append(Damage(name, None, "there are facts of this account, but no such account"))
        return None
    first_link = genesis(names.first, first.provider, first.zone, first.created_at_us)
    damages += _chain_damage(names, first_link, rows)
    damages += _names_damage(names, rows)
    if tombstone is not None:
        damages += _tombstone_damage(tombstone, account, rows)
    if account is None:
        anchored, failures = check_anchors([first_link, *(str(row[-1]) for row in rows)], anchors)
        damages += [Damage(*failure) for failure in failures]
        damages += _left_facts(connection, name)
        return Verified(name, len(rows), 0, first.link, anchored)
    if (account.head, account.link) != ((rows[-1][1], rows[-1][-1]) if rows else (0, first_link)):
        damages.append(Damage(name, account.head, "the account does not end at its last batch"))
    anchored, failures = check_anchors([first_link, *(str(row[-1]) for row in rows)], anchors)
    damages += [Damage(*failure) for failure in failures]
    damages += _facts_damage(connection, names, rows, progress)
    damages += _coverage_damage(connection, name, rows)
    try:
        days = BusinessDays(load_zone(account.zone))
    except ConfigError as error:
        damages.append(Damage(name, None, f"the account's {error}"))
        return None
    flows = _FlowTotals(connection, name, days)
    totals_damage = _totals_damage(connection, name, flows.totals())
    damages += flows.damages + totals_damage
    damages += _findings_damage(connection, name, days)
    return Verified(name, len(rows), flows.count, account.link, anchored)


def _tombstone_damage(tombstone: sa.Row[Any], account: sa.Row[Any] | None, rows: list[Row]) -> Iterator[Damage]:
    """Find differences between a tombstone and the chain's facts about the removed account and its successor."""
    name, head = tombstone.account, tombstone.head
    removed = [dict(zip(batches.columns.keys(), row, strict=True)) for row in rows if row[_STATE] == REMOVED]
    found = [(row["seq"], row["link"], row["recorded_at_us"]) for row in removed][-1:]
    if found != [(head, tombstone.link, tombstone.removed_at_us)]:
        yield Damage(name, head, "the tombstone is not that of the batch that removed the account")
    if account is None:
        if len(rows) != head:
            yield Damage(name, head, "the account does not end at the batch that removed it")
        return
    is_reopened = (
        len(rows) > head
        and rows[head][_STATE] == REOPENED
        and rows[head][_REASON] == describe(account.provider, account.zone, account.created_at_us)
    )
    if not is_reopened:
        yield Damage(name, head + 1, "the account is not the one that began after the removed one")


def _left_facts(connection: Connection, name: str) -> Iterator[Damage]:
    for table in FACT_TABLES:
        if table in (batches, accounts, account_names):
            continue
        if connection.execute(_rows_of(table).limit(1), {"account": name}).first() is not None:
            yield Damage(name, None, f"the account was removed, and {table.name} still has rows of it")


_STATE, _REASON = (list(batches.columns.keys()).index(column) for column in ("state", "reason"))
_FACTS: Final = [column.name for column in batches.columns].index("facts")


@cache
def _rows_of(table: sa.Table) -> sa.Select[Any]:
    """A query of an account's rows in a table, in the order of their key. Kept, as those of `_first_rows` are."""
    key = table.primary_key.columns
    return sa.select(*table.columns).where(table.c.account == sa.bindparam("account")).order_by(*key)


def _chain_damage(names: SealedNames, previous_link: str, rows: list[Row]) -> Iterator[Damage]:
    for expected, row in enumerate(rows, 1):
        if row[1] != expected:
            yield Damage(names.account, expected, "the batch is missing from the chain")
            return
        if row[-1] != link(previous_link, (names.at(expected), *row[1:-1])):
            yield Damage(names.account, expected, "the batch does not follow from the one before it")
        previous_link = str(row[-1])


def _names_damage(names: SealedNames, rows: list[Row]) -> Iterator[Damage]:
    """Find differences between the earlier names of an account and those that its chain has sealed."""
    sealed = {(row[1], RENAMED, row[_REASON]) for row in rows if row[_STATE] == RENAMED}
    for number, _state, _reason in sorted(sealed.symmetric_difference(names.changes()), key=itemgetter(0)):
        batch = number if isinstance(number, int) else None
        yield Damage(names.account, batch, "the earlier names of the account are not those that this batch sealed")


def _facts_damage(
    connection: Connection, names: SealedNames, rows: list[tuple[Any, ...]], progress: ReportProgress | None
) -> Iterator[Damage]:
    name = names.account
    digests = dict(_digests(connection, names))
    # If bytes were erased from a batch, a later batch seals the remaining facts.
    resealed = {row[0]: row[1] for row in connection.exec_driver_sql(_RESEALED, (name,))}
    erased = max((row[1] for row in rows if row[_STATE] == REMOVED), default=0)
    for done, row in enumerate(rows, 1):
        seq = row[1]
        if seq <= erased:
            if digests.pop(seq, None) is not None or resealed.pop(seq, None) is not None:
                yield Damage(name, seq, "the account was removed, and there are still facts of this batch")
            continue
        if digests.pop(seq, NO_FACTS) != resealed.pop(seq, row[_FACTS]):
            what = "flows, history, quarantine, page edges, stated balances or decisions"
            yield Damage(name, seq, f"{what} are not as this batch left them")
        if progress and done % 100 == 0:
            progress(name, done, len(rows))
    for seq in {*digests, *resealed}:
        yield Damage(name, seq, "there are facts of this batch, but no such batch")


def _digests(connection: Connection, names: SealedNames) -> Iterator[tuple[int, str]]:
    """Yield the digest of the facts in the tables, for each batch. Reads all tables side by side."""
    account = names.account
    # Every statement is sorted by batch, so parallel cursors give the facts of each batch with little memory.
    flows_and_rows = (_ADDED, _ENDED, _QUARANTINED, _EDGES, _SETTLED, _ENDED_EDGES, _RESEALS)
    statements = (*flows_and_rows, _STATED, _UNSTATED, _DECIDED, _PERIODS, _FINDINGS)
    streams = [_by_batch(connection, statement, account) for statement in statements]
    heads = [next(stream, None) for stream in streams]
    while any(head is not None for head in heads):
        seq = min(head[0] for head in heads if head is not None)
        facts = Facts(*(head[1] if head is not None and head[0] == seq else () for head in heads))
        stated = [(*row[:-2], *statement_facts(*row[-2:])) for row in facts.stated]
        facts = facts._replace(quarantined=map(sealed_row, facts.quarantined), stated=stated)
        yield seq, facts_digest(named_facts(facts, names, seq))
        heads = [
            next(stream, None) if head is not None and head[0] == seq else head
            for head, stream in zip(heads, streams, strict=True)
        ]


def _by_batch(connection: Connection, statement: str, account: str) -> Iterator[tuple[int, Iterator[Row]]]:
    parameters = (account,) * statement.count("?")
    rows = connection.exec_driver_sql(statement, parameters, execution_options=STREAMED)
    for seq, group in groupby(rows, key=lambda row: row[0]):
        yield seq, (tuple(row[1:]) for row in group)


def _coverage_damage(connection: Connection, name: str, rows: list[Row]) -> Iterator[Damage]:
    expected = {tuple(part) for part in ranges_from_batches(rows)}
    stored = {tuple(row) for row in connection.exec_driver_sql(_COVERAGE, (name,))}
    for wrong in stored.symmetric_difference(expected):
        seq = wrong[-1]
        yield Damage(name, seq if isinstance(seq, int) else None, "coverage is not as this batch left it")


class _FlowTotals:
    """The totals of an account's flows, computed in one pass. Memory does not grow with the number of flows."""

    def __init__(self, connection: Connection, name: str, days: BusinessDays) -> None:
        self._connection, self._name, self._days = connection, name, days
        self.count = 0
        self.damages: list[Damage] = []
        """Flows whose amount cannot be read."""

    def totals(self) -> Iterator[tuple[TotalKey, Total]]:
        """The totals, ordered by key."""
        totals: Totals = {}
        rows = self._connection.exec_driver_sql(_FLOWS, (self._name,), execution_options=STREAMED)
        while chunk := rows.fetchmany(_CHUNK):
            self.count += len(chunk)
            totals = merge(totals, totals_of(filter(self._is_readable, map(tuple, chunk)), self._days))
            day = self._days.day_of(chunk[-1][AT_US])
            # Flows come by time, so days before the last one are complete.
            yield from sorted((key, totals.pop(key)) for key in list(totals) if key.day < day)
        yield from sorted(totals.items())

    def _is_readable(self, row: Row) -> bool:
        try:
            parse_decimal("amount", row[AMOUNT])
        except WireError as error:
            batch = row[BATCH]
            self.damages.append(
                Damage(self._name, batch if isinstance(batch, int) else None, f"flow {row[ID]}: {error}")
            )
            return False
        return True


def _totals_damage(connection: Connection, name: str, expected: Iterator[tuple[TotalKey, Total]]) -> list[Damage]:
    """Where stored totals differ from the expected ones. Both are ordered by key."""
    damages: list[Damage] = []
    # Merged by key, equal totals come in pairs.
    both = heapq.merge(_stored_totals(connection, name, damages), expected, key=itemgetter(0))
    for key, group in groupby(both, key=itemgetter(0)):
        totals = [total for _, total in group]
        if len(totals) == 1 or totals[0] != totals[1]:
            what = f"the total of {key.day} {key.currency} {key.kind} is not the sum of its flows"
            damages.append(Damage(name, None, what))
    return damages


def _stored_totals(connection: Connection, name: str, damages: list[Damage]) -> Iterator[tuple[TotalKey, Total]]:
    """The stored totals, ordered by key. Those that cannot be read are added to `damages`."""
    for _, day, subaccount, currency, kind, flows, money_in, money_out in connection.execute(
        _rows_of(day_totals), {"account": name}, execution_options=STREAMED
    ):
        try:
            sums = _parse_sum("money_in", money_in), _parse_sum("money_out", money_out)
        except WireError as error:
            damages.append(Damage(name, None, f"the total of {day} {currency} {kind}: {error}"))
        else:
            yield TotalKey(day, subaccount, currency, kind), Total(flows, *sums)


def _parse_sum(field: str, text: object) -> Decimal:
    """A sum, which may have more digits than `parse_decimal` accepts. Raises WireError."""
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or to_plain_string(amount) != text:
        raise WireError(field, f"expected plain decimal text, got {short_repr(text)}")
    return amount


def _findings_damage(connection: Connection, name: str, days: BusinessDays) -> Iterator[Damage]:
    stored, expected = findings.load(connection, name), findings.compute_counts(connection, name, days)
    for day, finding in sorted(stored.keys() | expected.keys()):
        if stored[day, finding] != expected[day, finding] or (day, finding) not in expected:
            yield Damage(name, None, f"the number of {finding} findings of {day} is not that of its flows")


_NAMES: Final = ", ".join(COLUMNS)
_ADDED: Final = f"""
SELECT batch, {_NAMES} FROM (
  SELECT {_NAMES} FROM flows WHERE account = ? UNION ALL SELECT {_NAMES} FROM history WHERE account = ?
) AS entered ORDER BY batch, at_us, id
"""
_ENDED: Final = """
SELECT ended_batch, at_us, id, batch, ended_as FROM history WHERE account = ? ORDER BY ended_batch, at_us, id
"""
_QUARANTINED: Final = f"SELECT batch, {SEALED_COLUMNS} FROM quarantine WHERE account = ? ORDER BY batch, id"
_EDGES: Final = """
SELECT batch, account, identity, side, copies, batch FROM page_edges WHERE account = ?
ORDER BY batch, identity, side, copies
"""
_ENDED_EDGES: Final = """
SELECT ended_batch, identity, side, copies, batch FROM page_edges WHERE account = ? AND ended_batch IS NOT NULL
ORDER BY ended_batch, identity, side, copies, batch
"""
_RESEALS: Final = "SELECT resealed_in, batch, facts FROM reseals WHERE account = ? ORDER BY resealed_in, batch"
_RESEALED: Final = "SELECT batch, facts FROM reseals WHERE account = ? ORDER BY resealed_in"
_SETTLED: Final = """
SELECT coalesce(ended_batch, 0), id, batch, ended_as FROM quarantine
WHERE account = ? AND (ended_batch IS NOT NULL OR ended_as IS NOT NULL) ORDER BY ended_batch, id, batch
"""
_STATED: Final = """
SELECT batch, at_us, subaccount, currency, amount, note, since_us, opening FROM stated_balances
WHERE account = ? ORDER BY batch
"""
_UNSTATED: Final = """
SELECT coalesce(ended_batch, 0), batch, ended_as FROM stated_balances
WHERE account = ? AND (ended_batch IS NOT NULL OR ended_as IS NOT NULL) ORDER BY ended_batch, batch
"""
_DECIDED: Final = """
SELECT batch, link, kind, basis, decision, flows, decided_by, reason, decided_at_us FROM link_decisions
WHERE account = ? ORDER BY batch, link
"""
_PERIODS: Final = """
SELECT batch, period, decision, lines, certificate, decided_by, reason, decided_at_us FROM period_decisions
WHERE account = ? ORDER BY batch, period
"""
_FINDINGS: Final = """
SELECT batch, finding, kind, at_us, flow, evidence, decision, decided_by, reason, decided_at_us FROM finding_decisions
WHERE account = ? ORDER BY batch, finding
"""
_COVERAGE: Final = "SELECT since_us, until_us, state, reason, checked_at_us, batch FROM coverage WHERE account = ?"
_FLOWS: Final = f"SELECT {_NAMES} FROM flows WHERE account = ? ORDER BY at_us, id"
