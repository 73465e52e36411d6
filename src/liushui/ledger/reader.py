"""The FlowReader of a ledger: what the dialects' servers read. A page is one statement, joined inside the database."""

import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec

from liushui.flow import Flow
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.rows import COLUMNS, to_flow
from liushui.ledger.vault import vault_of
from liushui.provider import Admit, FlowQuery, Key, Rate

_accounts_of = msgspec.json.Decoder(tuple[str, ...]).decode


class LedgerReader:
    """Answers from a ledger. Any thread may use it; each has a connection of its own."""

    def __init__(self, ledger: Ledger, admit: Admit) -> None:
        self._ledger = ledger
        self._admit = admit
        self._local = threading.local()
        self._providers: dict[str, str] = {}
        self._opened = lru_cache(maxsize=1_000)(vault_of(ledger.path).open)

    def now(self) -> datetime:
        return self._ledger.clock()

    def key(self, dialect: str, public: str) -> Key | None:
        (version,) = self._connection().execute("PRAGMA data_version").fetchone()
        if version != self._local.version:  # another connection has written: a key may have been revoked
            self._local.version, self._local.keys = version, {}
        keys: dict[tuple[str, str], Key] = self._local.keys
        key = keys.get((dialect, public)) or self._load_key(dialect, public)
        if key is not None:
            keys[dialect, public] = key
        return key

    def _load_key(self, dialect: str, public: str) -> Key | None:
        found = self._connection().execute(_SELECT_KEY, (dialect, public)).fetchone()
        if found is None:
            return None
        names, sealed, paced, expires_at_us = found
        return Key(
            public=public,
            dialect=dialect,
            accounts=_accounts_of(names),
            credentials=self._opened(sealed),
            expires_at=None if expires_at_us is None else from_us(expires_at_us),
            paced=bool(paced),
        )

    def admit(self, key: Key, rate: Rate) -> bool:
        return not key.paced or self._admit(f"{key.dialect}:{key.public}", rate)

    def newest(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> bytes:
        connection = self._connection()
        shape = _Shape(len(query.accounts), query.category is not None, query.symbol is not None)
        values = [value for name in query.accounts for value in _values(name, query)]
        values += [query.limit, query.offset]
        if all(self._provider(name) == dialect for name in query.accounts):
            rows, received, page = connection.execute(_joined(shape), values).fetchone()
            if rows == received:
                joined: bytes = page or b""
                return joined
        served, wire = COLUMNS.index("served"), COLUMNS.index("wire")
        return b",".join(
            str(row[served] or row[wire]).encode()
            if row[wire] is not None and self._provider(row[0]) == dialect
            else write(to_flow(row))
            for row in connection.execute(_listed(shape), values)
        )

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._ledger.reading_driver()
            self._local.version, self._local.keys = None, {}
        return connection

    def _provider(self, account: str) -> str | None:
        found = self._providers.get(account)
        if found is None:
            row = self._connection().execute("SELECT provider FROM accounts WHERE account = ?", (account,)).fetchone()
            if row is None:
                return None
            found = self._providers[account] = row[0]
        return found


class _Shape(NamedTuple):
    """What a page's statement depends on: how many accounts, and which filters are there."""

    accounts: int
    category: bool
    symbol: bool


def _values(account: str, query: FlowQuery) -> list[object]:
    values: list[object] = [account, to_us(query.since), to_us(query.until)]
    if query.category is not None:
        values.append(query.category.value)
    if query.symbol is not None:
        values.append(query.symbol)
    return values


@cache
def _joined(shape: _Shape) -> str:
    return f"""
SELECT count(*), count(row), CAST(group_concat(row, ',') AS BLOB)
FROM (SELECT row FROM ({_page(shape, "coalesce(served, wire) AS row, at_us, account, id")}))
"""


@cache
def _listed(shape: _Shape) -> str:
    return _page(shape, ", ".join(COLUMNS))


def _page(shape: _Shape, columns: str) -> str:
    one = f"SELECT {columns} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?"
    one += " AND category = ?" if shape.category else ""
    one += " AND symbol = ?" if shape.symbol else ""
    every = " UNION ALL ".join([one] * shape.accounts)
    return f"{every} ORDER BY at_us DESC, account DESC, id DESC LIMIT ? OFFSET ?"


_SELECT_KEY = """
SELECT accounts, credentials, paced, expires_at_us FROM keys
WHERE dialect = ? AND public = ? AND revoked_at_us IS NULL
"""
