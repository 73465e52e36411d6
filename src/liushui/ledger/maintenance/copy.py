"""Copy a ledger into an empty one, between any two engines, while the source is in use. A killed copy can be continued.

Each account is copied as it was at one batch. Data outside of the accounts' chains (sources, keys, runs) is copied
last, in one transaction. Then the copy is verified and compared with the source, and only after that can it be opened.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError, short_repr
from liushui.ledger.access.vault import Vault
from liushui.ledger.engine import Ledger, file_of, open_ledger
from liushui.ledger.engines.bulk_insert import insert_rows
from liushui.ledger.engines.sqlite import SQLiteLedger
from liushui.ledger.flow_row import AT_US, ID, Row
from liushui.ledger.maintenance import copy_state, snapshot
from liushui.ledger.maintenance.copy_state import AccountState
from liushui.ledger.maintenance.snapshot import (
    PARTS,
    UNVERSIONED_TABLES,
    Part,
    count_rows,
    key_of,
    rows_after,
    table_chunks,
)
from liushui.ledger.maintenance.verify import Damage, ReportProgress, Verified, verify
from liushui.ledger.schema import (
    ENCRYPTED,
    EPHEMERAL_TABLES,
    FACT_TABLES,
    batches,
    coverage,
    flows,
    history,
    metadata,
)
from liushui.ledger.tombstones import chain_end, chain_names

OpenSource = Callable[[], AbstractContextManager[Connection]]
"""Begins a read transaction on the source."""

ROUNDS_MAX: Final = 100
"""How often new accounts may appear while the others are copied."""

OTHER_TABLES: Final = tuple(
    table for table in metadata.sorted_tables if table not in (*FACT_TABLES, *UNVERSIONED_TABLES, *EPHEMERAL_TABLES)
)
"""The tables that belong to no account's chain."""


class CopiedAccount(NamedTuple):
    """The content of an account in the copy. `differs` says how it differs from the source; empty if it does not."""

    account: str
    batches: int
    flows: int
    versions: int
    """Versions that ended."""
    coverage: int
    quarantine: int
    link: str
    differs: str


class Vaults(NamedTuple):
    """The vault that encrypted the source's secrets, and the target's own."""

    source: Vault
    target: Vault

    def reencrypt(self, encrypted: str) -> str:
        """The same secret, encrypted by the target's vault."""
        return self.target.encrypt(self.source.decrypt(encrypted))


def copy_ledger(
    source: Ledger,
    url: str,
    *,
    secrets: bool = True,
    reencrypt: bool = True,
    open_source: OpenSource | None = None,
    progress: ReportProgress | None = None,
) -> list[CopiedAccount]:
    """Copy a whole ledger into the one at `url`: a new one, an empty one, or an unfinished copy of the same source.

    Without `secrets`, sources and keys are left out. Without `reencrypt`, they stay encrypted for the source's vault.
    Raises ConfigError, LedgerError. If an account differs afterwards, the copy stays unfinished.
    """
    open_source = open_source or source.reading
    if is_same_ledger(source, url):
        raise ConfigError(f"both ledgers are {source.name}: expected two")
    tables = [table for table in OTHER_TABLES if secrets or not encrypted_columns(table)]
    if reencrypt:
        check_secrets(open_source, source.vault, tables)
    target = open_ledger(url, create=True, clock=source.clock, allow_unfinished=True)
    try:
        with open_source() as connection:
            copy_state.begin_copy(connection, target)
        vaults = Vaults(source.vault, target.vault) if reencrypt else None
        _Copy(source, open_source, target, progress).run(tables, vaults)
        copied = list(_compare(open_source, target, progress))
        if not any(account.differs for account in copied):
            copy_state.finish_copy(target)
        return copied
    finally:
        target.close()


def is_same_ledger(ledger: Ledger, url: str) -> bool:
    """Whether a URL names an open ledger."""
    path = file_of(url)
    if path is None or not isinstance(ledger, SQLiteLedger):
        return url == ledger.url
    return path.exists() and path.samefile(ledger.path)


def encrypted_columns(table: sa.Table) -> list[str]:
    """The names of a table's columns of encrypted secrets."""
    return [column.name for column in table.columns if column.info == ENCRYPTED]


def check_secrets(open_source: OpenSource, vault: Vault, tables: list[sa.Table]) -> None:
    """Raises LedgerError if a vault cannot decrypt a secret in these tables."""
    with open_source() as connection:
        for table in tables:
            for name in encrypted_columns(table):
                for encrypted in connection.scalars(sa.select(table.c[name])):
                    vault.decrypt(encrypted)


# ---------------------------------------------------------------- copying


class _Copy:
    """One run of a copy."""

    def __init__(
        self, ledger: Ledger, open_source: OpenSource, target: Ledger, progress: ReportProgress | None
    ) -> None:
        self._ledger = ledger
        self._open_source = open_source
        self._target = target
        self._progress = progress
        with target.reading() as connection:
            self._states = copy_state.load_states(connection)
            self._copied_versions = sum(_count(connection, table) for table in (flows, history))

    def run(self, tables: list[sa.Table], vaults: Vaults | None) -> None:
        """Copy every account, also those that are added meanwhile, and then the other tables."""
        for _ in range(ROUNDS_MAX):
            with self._open_source() as source:
                names = chain_names(source)
                versions = source.scalar(sa.select(sa.func.sum(batches.c.added + batches.c.restated))) or 0
            for name in names:
                self._copy_account(name, versions)
            # The other tables refer to accounts, so they are read from a state in which every account is copied.
            with self._open_source() as source:
                if set(chain_names(source)) <= self._states.keys():
                    with self._target.writing() as target:
                        for table in tables:
                            self._copy_table(source, target, table, vaults)
                    return
        raise LedgerError("accounts are being added faster than they can be copied: try again later")

    def _copy_account(self, name: str, versions: int) -> None:
        state = self._states.get(name) or self._begin_account(name)
        while state.part < len(PARTS):
            part = PARTS[state.part]
            with self._open_source() as source:
                rows = rows_after(source, part, name, state.head, state.after)
            if len(rows) < snapshot.CHUNK:
                after = state._replace(part=state.part + 1, after=None)
            else:
                after = state._replace(after=key_of(part, rows[-1]))
            # Rows and progress are written in one transaction, so a killed copy continues exactly after the last row.
            with self._target.writing() as target:
                copy_state.advance(target, state, after)
                insert_rows(target, part.into.name, _without_repeated(target, part, name, rows))
            self._states[name] = state = after
            if part.into in (flows, history):
                self._copied_versions += len(rows)
            if self._progress:
                self._progress(f"copying {name}", self._copied_versions, max(versions, self._copied_versions))

    def _begin_account(self, name: str) -> AccountState:
        """Copy an account's unversioned tables in one read transaction. Its batch is the one to copy the rest at."""
        with self._open_source() as source, self._target.writing() as target:
            end = chain_end(source, name)
            if end is None:
                raise LedgerError(f"account {short_repr(name)} has vanished while the ledger was copied: try again")
            copy_state.check_unfinished(target)
            head, link = end
            ranges = 0
            for table in UNVERSIONED_TABLES:
                for rows in self._source_chunks(source, table, name):
                    insert_rows(target, table.name, rows)
                    ranges += len(rows) if table is coverage else 0
            state = AccountState(name, head, link, ranges)
            copy_state.insert_state(target, state)
        self._states[name] = state
        return state

    def _copy_table(self, source: Connection, target: Connection, table: sa.Table, vaults: Vaults | None) -> None:
        """Copy a table that belongs to no account's chain. It replaces the rows that an earlier run copied."""
        target.execute(table.delete())
        secrets = [list(table.columns.keys()).index(name) for name in encrypted_columns(table)]
        for rows in self._source_chunks(source, table, None):
            insert_rows(target, table.name, [_reencrypted(row, secrets, vaults) for row in rows])

    def _source_chunks(self, source: Connection, table: sa.Table, account: str | None) -> Iterator[list[Row]]:
        """Read inside a transaction that writes to the target, and let errors name the source."""
        with self._ledger.translating_errors():
            yield from table_chunks(source, table, account)


def _without_repeated(target: Connection, part: Part, account: str, rows: list[Row]) -> list[Row]:
    """Return the rows of a part without those that were copied from another part before a commit moved them."""
    if not part.may_repeat or not rows:
        return rows
    times = {row[AT_US] for row in rows}
    copied = target.execute(
        sa.select(flows.c.at_us, flows.c.id).where(flows.c.account == account, flows.c.at_us.in_(times))
    )
    keys = {tuple(row) for row in copied}
    return [row for row in rows if (row[AT_US], row[ID]) not in keys]


def _reencrypted(row: Row, secrets: list[int], vaults: Vaults | None) -> Row:
    if vaults is None:
        return row
    return tuple(vaults.reencrypt(str(value)) if index in secrets else value for index, value in enumerate(row))


# ---------------------------------------------------------------- comparing


def _compare(
    open_source: OpenSource, target: Ledger, progress: ReportProgress | None = None
) -> Iterator[CopiedAccount]:
    """Verify an unfinished copy, and compare each account with the source."""
    with target.reading() as connection:
        states = copy_state.load_states(connection)
        names = chain_names(connection)
    damages: dict[str, str] = {}
    verified: dict[str, Verified] = {}
    for result in verify(target, (lambda name, *counts: progress(f"verifying {name}", *counts)) if progress else None):
        if isinstance(result, Damage):
            damages.setdefault(result.account, result.what)
        else:
            verified[result.account] = result
    for name in sorted({*states, *names, *damages}):
        if name in states:
            damage = damages.get(name) or damages.get("", "")
            yield _compare_account(open_source, target, states[name], verified.get(name), damage)
        else:
            about = f"account {short_repr(name)}" if name else "the copy"
            yield CopiedAccount(name, 0, 0, 0, 0, 0, "", damages.get(name) or f"{about} is in the copy alone")


def _compare_account(
    open_source: OpenSource, target: Ledger, state: AccountState, verified: Verified | None, damage: str
) -> CopiedAccount:
    with open_source() as connection:
        expected = _row_counts(connection, state)
        expected_link = copy_state.link_at(connection, state.account, state.head)
    with target.reading() as connection:
        got = _row_counts(connection, state)
        ranges = _count(connection, coverage, coverage.c.account == state.account)
    link = verified.link if verified else ""
    differs = damage or ("" if verified is not None else "it could not be verified")
    for what, in_source, in_copy in [
        *((name, expected[name], got[name]) for name in expected),
        ("coverage", state.coverage, ranges),
        ("link", expected_link, link),
    ]:
        if in_source != in_copy and not differs:
            differs = f"{what}: expected {short_repr(in_source)}, got {short_repr(in_copy)}"
    return CopiedAccount(
        state.account, got["batches"], got["flows"], got["versions"], ranges, got["quarantine"], link, differs
    )


def _row_counts(connection: Connection, state: AccountState) -> dict[str, int]:
    """How many rows an account had at its batch, by the table in which they were."""
    counts: dict[str, int] = {}
    for part in PARTS:
        name = "versions" if part.into is history else part.into.name
        counts[name] = counts.get(name, 0) + count_rows(connection, part, state.account, state.head)
    return counts


def _count(connection: Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()
