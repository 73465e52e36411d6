"""Copying a ledger into an empty one, of any two engines, while the first is in use: killed anywhere, it goes on.

Each account is copied as it stood at one batch. What else there is (sources, keys, runs) is copied last, in one state.
Then all of it is computed again and compared. Only after that is the copy a ledger that commands work with.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError, short_repr
from liushui.ledger.access.vault import Vault
from liushui.ledger.engine import Ledger, account_names, file_of, open_ledger
from liushui.ledger.engines.bulk_insert import insert_rows
from liushui.ledger.engines.sqlite import SQLiteLedger
from liushui.ledger.flow_row import AT_US, ID, Row
from liushui.ledger.maintenance import copy_state, snapshot
from liushui.ledger.maintenance.copy_state import Begun
from liushui.ledger.maintenance.snapshot import AT_ONCE, PARTS, Part, count, key_of, rows_after, whole
from liushui.ledger.maintenance.verify import Damage, Verified, verify
from liushui.ledger.schema import FACT_TABLES, PASSING_TABLES, accounts, batches, coverage, flows, history, metadata

Reading = Callable[[], AbstractContextManager[Connection]]
"""Gives a connection that sees one state of the ledger that is copied."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and all of it."""

ROUNDS_MAX: Final = 100
"""How often accounts may be added while all others are copied."""

REST: Final = tuple(table for table in metadata.sorted_tables if table not in (*FACT_TABLES, *AT_ONCE, *PASSING_TABLES))
"""What is copied last, all of it in one state."""


class Copied(NamedTuple):
    """An account that was copied and compared: how much of it there is, and in which way it differs, if it does."""

    account: str
    batches: int
    flows: int
    versions: int
    """Those that ended."""
    coverage: int
    quarantine: int
    link: str
    differs: str


class Vaults(NamedTuple):
    """How secrets get from one ledger to another: opened by the one's vault, sealed by the other's."""

    source: Vault
    target: Vault

    def resealed(self, sealed: str) -> str:
        """The same secret, for the other vault."""
        return self.target.encrypt(self.source.decrypt(sealed))


def copy_ledger(
    source: Ledger,
    url: str,
    *,
    secrets: bool = True,
    reseal: bool = True,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> list[Copied]:
    """Copy all of a ledger into the one at `url`, which is empty, not there yet, or a copy of the same one, unfinished.

    Without `secrets`, sources and keys are left behind; unless they are to be resealed they stay as they are, for the
    same vault. Raises ConfigError, LedgerError. Where an account differs afterwards the copy stays unfinished.
    """
    reading = reading or source.reading
    if is_of(source, url):
        raise ConfigError(f"both ledgers are {source.name}: expected two")
    rest = [table for table in REST if secrets or not sealed_columns(table)]
    if reseal:
        check_secrets(reading, source.vault, rest)
    target = open_ledger(url, create=True, clock=source.clock, allow_unfinished=True)
    try:
        with reading() as connection:
            copy_state.begin(connection, target)
        vaults = Vaults(source.vault, target.vault) if reseal else None
        _Copy(source, reading, target, progress).run(rest, vaults)
        copied = list(compare(reading, target, progress))
        if not any(one.differs for one in copied):
            copy_state.finish(target)
        return copied
    finally:
        target.close()


def is_of(ledger: Ledger, url: str) -> bool:
    """Whether a URL names a ledger that is open."""
    path = file_of(url)
    if path is None or not isinstance(ledger, SQLiteLedger):
        return url == ledger.url
    return path.exists() and path.samefile(ledger.path)


def sealed_columns(table: sa.Table) -> list[str]:
    """The columns of a table that hold secrets, sealed."""
    return [column.name for column in table.columns if column.info.get("sealed")]


def check_secrets(reading: Reading, vault: Vault, tables: list[sa.Table]) -> None:
    """Raises LedgerError where a vault cannot open the secrets of a ledger."""
    with reading() as connection:
        for table in tables:
            for name in sealed_columns(table):
                for sealed in connection.scalars(sa.select(table.c[name])):
                    vault.decrypt(sealed)


def version_count(connection: Connection) -> int:
    """How many versions of flows a ledger has, as its batches say."""
    return connection.scalar(sa.select(sa.func.sum(batches.c.added + batches.c.restated))) or 0


# ---------------------------------------------------------------- copying


class _Copy:
    """One run of a copy."""

    def __init__(self, ledger: Ledger, reading: Reading, target: Ledger, progress: Progress | None) -> None:
        self._ledger = ledger
        self._reading = reading
        self._target = target
        self._progress = progress
        with target.reading() as there:
            self._begun = copy_state.load(there)
            self._done = sum(
                there.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in (flows, history)
            )

    def run(self, rest: list[sa.Table], vaults: Vaults | None) -> None:
        """Copy every account, those too that are added meanwhile, and what else there is."""
        for _ in range(ROUNDS_MAX):
            with self._reading() as source:
                names = account_names(source)
                total = version_count(source)
            for name in names:
                self._account(name, total)
            with self._reading() as source:
                if set(account_names(source)) <= self._begun.keys():
                    with self._target.writing() as target:
                        for table in rest:
                            self._rest(source, target, table, vaults)
                    return
        raise LedgerError("accounts are being added faster than they can be copied: copy again when that is over")

    def _account(self, name: str, total: int) -> None:
        begun = self._begun.get(name) or self._begin(name)
        while begun.part < len(PARTS):
            part = PARTS[begun.part]
            with self._reading() as source:
                rows = rows_after(source, part, name, begun.head, begun.after)
            if len(rows) < snapshot.CHUNK:
                after = begun._replace(part=begun.part + 1, after=None)
            else:
                after = begun._replace(after=key_of(part, rows[-1]))
            with self._target.writing() as target:
                copy_state.advance(target, begun, after)
                insert_rows(target, part.into.name, _unmet(target, part, name, rows))
            self._begun[name] = begun = after
            if part.into in (flows, history):
                self._done += len(rows)
            if self._progress:
                self._progress(f"copying {name}", self._done, max(total, self._done))

    def _begin(self, name: str) -> Begun:
        """Copy what an account has in place, in one state, which says how far the rest of it is to be copied."""
        with self._reading() as source, self._target.writing() as target:
            head, link = source.execute(
                sa.select(accounts.c.head, accounts.c.link).where(accounts.c.account == name)
            ).one()
            ranges = 0
            for table in AT_ONCE:
                for rows in self._whole(source, table, name):
                    insert_rows(target, table.name, rows)
                    ranges += len(rows) if table is coverage else 0
            begun = Begun(name, head, link, ranges)
            copy_state.enter(target, begun)
        self._begun[name] = begun
        return begun

    def _rest(self, source: Connection, target: Connection, table: sa.Table, vaults: Vaults | None) -> None:
        """Copy a table that belongs to no account's chain, in place of what an earlier run copied."""
        target.execute(table.delete())
        places = [list(table.columns.keys()).index(name) for name in sealed_columns(table)]
        for rows in self._whole(source, table, None):
            insert_rows(target, table.name, [_resealed(row, places, vaults) for row in rows])

    def _whole(self, source: Connection, table: sa.Table, account: str | None) -> Iterator[list[Row]]:
        """What is read while something is written: an error of reading is said of the ledger that is read."""
        with self._ledger.translating_errors():
            yield from whole(source, table, account)


def _unmet(target: Connection, part: Part, account: str, rows: list[Row]) -> list[Row]:
    """Rows of a part but for those that came as rows of another one before they moved."""
    if not part.moves or not rows:
        return rows
    times = {row[AT_US] for row in rows}
    there = target.execute(
        sa.select(flows.c.at_us, flows.c.id).where(flows.c.account == account, flows.c.at_us.in_(times))
    )
    known = {tuple(row) for row in there}
    return [row for row in rows if (row[AT_US], row[ID]) not in known]


def _resealed(row: Row, places: list[int], vaults: Vaults | None) -> Row:
    if vaults is None:
        return row
    return tuple(vaults.resealed(str(value)) if at in places else value for at, value in enumerate(row))


# ---------------------------------------------------------------- comparing


def compare(reading: Reading, target: Ledger, progress: Progress | None = None) -> Iterator[Copied]:
    """Compute an unfinished copy again, all of it, and compare each account with what is copied."""
    with target.reading() as connection:
        begun = copy_state.load(connection)
        there = account_names(connection)
    damaged: dict[str, str] = {}
    found: dict[str, Verified] = {}
    for one in verify(
        target, lambda name, done, total: progress(f"verifying {name}", done, total) if progress else None
    ):
        if isinstance(one, Damage):
            damaged.setdefault(one.account, one.what)
        else:
            found[one.account] = one
    for name in sorted({*begun, *there, *damaged}):
        if name not in begun:
            about = f"account {short_repr(name)}" if name else "the copy"
            yield Copied(name, 0, 0, 0, 0, 0, "", damaged.get(name) or f"{about} is in the copy alone")
            continue
        yield _compared(reading, target, begun[name], found.get(name), damaged.get(name) or damaged.get("", ""))


def _compared(reading: Reading, target: Ledger, begun: Begun, found: Verified | None, damage: str) -> Copied:
    with reading() as connection:
        link = copy_state.link_at(connection, begun.account, begun.head)
        expected = _counted(connection, begun)
    with target.reading() as connection:
        got = _counted(connection, begun)
        ranges = connection.execute(
            sa.select(sa.func.count()).select_from(coverage).where(coverage.c.account == begun.account)
        ).scalar_one()
    differs = damage or ("" if found is not None else "it could not be verified")
    for what, here, copy in [
        *((name, expected[name], got[name]) for name in expected),
        ("coverage", begun.coverage, ranges),
        ("link", link, found.link if found else ""),
    ]:
        if here != copy and not differs:
            differs = f"{what}: expected {short_repr(here)}, got {short_repr(copy)}"
    return Copied(
        begun.account,
        got["batches"],
        got["flows"],
        got["versions"],
        ranges,
        got["quarantine"],
        found.link if found else "",
        differs,
    )


def _counted(connection: Connection, begun: Begun) -> dict[str, int]:
    """How many rows an account had, by where they stood."""
    counted: dict[str, int] = {}
    for part in PARTS:
        name = "versions" if part.into is history else part.into.name
        counted[name] = counted.get(name, 0) + count(connection, part, begun.account, begun.head)
    return counted
