"""The FlowReader of a ledger: what the dialects' servers read. A page is one statement, joined inside the database."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from liushui.errors import WireError
from liushui.flow import Flow
from liushui.instant import BusinessDays, from_us, to_us, zone_named
from liushui.ledger.conditions import condition, is_totalled
from liushui.ledger.engine import Ledger
from liushui.ledger.offsets import STRIDE, Offsets, count_rows
from liushui.ledger.rows import AT_US, COLUMNS, ID, to_flow
from liushui.money import shown
from liushui.provider import FlowPage, FlowQuery, Key, Limits, Tally
from liushui.rules import Rate
from liushui.where import Where, holds

_accounts_of = msgspec.json.Decoder(tuple[str, ...]).decode
_restrictions_of = msgspec.json.Decoder(dict[str, str]).decode
_place_of = msgspec.json.Decoder(tuple[int, str, str]).decode

_ACCOUNT, _WIRE, _SERVED = COLUMNS.index("account"), COLUMNS.index("wire"), COLUMNS.index("served")

COUNTS_MAX: Final = 1_000
"""Counts that a connection remembers until somebody writes: a reader asks for the same one with every page."""

NEAR_TRIES: Final = 3
"""How often a deep page is looked for while others write. After that its offset is walked to."""


class _Account(NamedTuple):
    provider: str
    zone: str


class _Seen:
    """What a connection knows until another one writes."""

    def __init__(self) -> None:
        self.version: int | None = None
        self.keys: dict[tuple[str, str], Key] = {}
        self.counts: dict[tuple[object, ...], int] = {}


class LedgerReader:
    """Answers from a ledger. Any thread may use it; each has a connection of its own."""

    def __init__(self, ledger: Ledger, limits: Limits) -> None:
        self._ledger = ledger
        self._limits = limits
        self._local = threading.local()
        self._accounts: dict[str, _Account] = {}
        self._opened = lru_cache(maxsize=1_000)(ledger.vault.open)

    def now(self) -> datetime:
        return self._ledger.clock()

    def key(self, dialect: str, public: str) -> Key | None:
        keys = self._seen().keys
        key = keys.get((dialect, public)) or self._load_key(dialect, public)
        if key is not None:
            keys[dialect, public] = key
        return key

    def _load_key(self, dialect: str, public: str) -> Key | None:
        found = self._connection().execute(_SELECT_KEY, (dialect, public)).fetchone()
        if found is None:
            return None
        names, sealed, paced, expires_at_us, restrictions = found
        return Key(
            public=public,
            dialect=dialect,
            accounts=_accounts_of(names),
            credentials=self._opened(sealed),
            expires_at=None if expires_at_us is None else from_us(expires_at_us),
            paced=bool(paced),
            restrictions=_restrictions_of(restrictions),
        )

    def admit(self, key: Key, rate: Rate, what: str = "") -> Tally:
        return self._limits.admit(f"{key.dialect}:{key.public}:{what}", rate) if key.paced else Tally(True, 0)  # noqa: FBT003

    def session(self, key: Key, life: timedelta) -> datetime:
        return self._limits.session(f"{key.dialect}:{key.public}", life)

    def page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        if query.offset > STRIDE and not query.after:
            for _ in range(NEAR_TRIES):
                offsets = self._offsets()
                accounts = offsets.accounts(query)
                page = self._page(dialect, offsets.near(query, accounts), write)
                if offsets.accounts(query) == accounts:  # else a commit came in between, and the page may be another
                    return page
        return self._page(dialect, query, write)

    def _page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        if all(self._provider(name) == dialect for name in query.accounts):
            page = self._joined(query)
            if page is not None:
                return page
        return self._written(dialect, query, write)

    def count(self, query: FlowQuery) -> int:
        counts = self._seen().counts
        asked = (query.accounts, query.since, query.until, query.where)
        if asked not in counts:
            if len(counts) >= COUNTS_MAX:
                counts.clear()
            counts[asked] = sum(self._count(name, query) for name in query.accounts)
        return counts[asked]

    def _joined(self, query: FlowQuery) -> FlowPage | None:
        """A page of nothing but received rows, put together inside the database. None: it has others."""
        shown_sql, shown_values = condition(query.shown)
        shown = f", (1{shown_sql}) AS shown" if query.shown else ""
        page, values = _page(query, f"coalesce(served, wire) AS row, at_us, account, id{shown}", shown_values)
        if query.newest and query.ascending:
            page = f"SELECT * FROM ({page}) ORDER BY at_us, account, id"
        counted, joined = "count(*), count(row)", "CAST(group_concat(row, ',') AS BLOB)"
        if query.shown:
            joined = joined.replace(" AS BLOB", " FILTER (WHERE shown) AS BLOB")
        sql = f"SELECT {counted}, {'sum(shown)' if query.shown else 'count(*)'}, {joined} FROM ({page})"
        if query.after is not None:  # in the same statement, for both must be of one state of the ledger
            last, last_values = _page(query._replace(limit=2, offset=query.limit - 1 + query.offset), _PLACE)
            sql, values = f"{sql} UNION ALL SELECT * FROM ({last})", values + last_values
        (rows, received, size, text), *ends = self._connection().execute(sql, values).fetchall()
        if rows != received:
            return None
        end = msgspec.json.encode(ends[0][:3]).decode() if len(ends) == 2 else None
        return FlowPage(text or b"", size or 0, end)

    def _written(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        """A page of rows that this dialect, or another one, sent, or that nobody did."""
        more = query.after is not None  # one row more says whether there is anything to go on to
        page, values = _page(query._replace(limit=query.limit + more), ", ".join(COLUMNS))
        found = self._connection().execute(page, values).fetchall()
        end = None
        if query.after is not None and len(found) > query.limit:
            found = found[: query.limit]
            last = found[-1]
            end = msgspec.json.encode((last[AT_US], last[_ACCOUNT], last[ID])).decode()
        if query.newest and query.ascending:
            found.reverse()
        rows = []
        for row in found:
            received = row[_WIRE] is not None and self._provider(row[_ACCOUNT]) == dialect
            flow = None if received and not query.shown else to_flow(row)
            if flow is None or holds(flow, query.shown):
                rows.append(str(row[_SERVED] or row[_WIRE]).encode() if received or flow is None else write(flow))
        return FlowPage(b",".join(rows), len(rows), end)

    def _count(self, account: str, query: FlowQuery) -> int:
        """From the day totals, where they can tell, but for the days at the ends of the range."""
        since_us, until_us = to_us(query.since), to_us(query.until)
        known = self._account(account)
        if known is None or since_us >= until_us:
            return 0
        if not is_totalled(query.where):
            return self._count_rows(account, since_us, until_us, query.where)
        first, last, begin_us, end_us = BusinessDays(zone_named(known.zone)).whole_between(since_us, until_us)
        if first == last:
            return self._count_rows(account, since_us, until_us, query.where)
        sql, values = condition(query.where)
        (whole,) = self._connection().execute(_SUM_DAYS + sql, [account, first, last, *values]).fetchone()
        ends = self._count_rows(account, since_us, begin_us, query.where)
        return int(whole or 0) + ends + self._count_rows(account, end_us, until_us, query.where)

    def _count_rows(self, account: str, since_us: int, until_us: int, where: Where) -> int:
        return count_rows(self._connection().execute, account, since_us, until_us, condition(where))

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._ledger.reading_driver()
            self._local.seen = _Seen()
            self._local.offsets = Offsets(connection.execute)
        return connection

    def _offsets(self) -> Offsets:
        self._connection()
        offsets: Offsets = self._local.offsets
        return offsets

    def _seen(self) -> _Seen:
        """What this connection knows; nothing, where another one has written since: a key may have been revoked."""
        (version,) = self._connection().execute("PRAGMA data_version").fetchone()
        seen: _Seen = self._local.seen
        if version != seen.version:
            seen = self._local.seen = _Seen()
            seen.version = version
        return seen

    def _provider(self, account: str) -> str | None:
        known = self._account(account)
        return None if known is None else known.provider

    def _account(self, account: str) -> _Account | None:
        known = self._accounts.get(account)
        if known is None:
            row = self._connection().execute(_SELECT_ACCOUNT, (account,)).fetchone()
            if row is None:
                return None
            known = self._accounts[account] = _Account(*row)
        return known


def _page(query: FlowQuery, columns: str, column_values: Sequence[object] = ()) -> tuple[str, list[object]]:
    """The statement of a page, and the values in its places."""
    since_us, until_us = to_us(query.since), to_us(query.until)
    after_sql, after_values = _after(query)
    where_sql, where_values = condition(query.where)
    one = f"SELECT {columns} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?{after_sql}{where_sql}"
    every = " UNION ALL ".join([one] * len(query.accounts))
    values = [
        value
        for name in query.accounts
        for value in (*column_values, name, since_us, until_us, *after_values, *where_values)
    ]
    down = " DESC" if query.newest else ""
    values += [query.limit, query.offset]
    return f"{every} ORDER BY at_us{down}, account{down}, id{down} LIMIT ? OFFSET ?", values


def _after(query: FlowQuery) -> tuple[str, list[object]]:
    """The condition that a row stands after the place that a page before named."""
    if not query.after:
        return "", []
    try:
        at_us, account, id_ = _place_of(query.after)
    except msgspec.MsgspecError as error:
        raise WireError("after", f"expected a place that a page named, got {shown(query.after)}") from error
    sign = "<" if query.newest else ">"
    return f" AND at_us {sign}= ? AND (at_us, account, id) {sign} (?, ?, ?)", [at_us, at_us, account, id_]


_PLACE = "at_us, account, id, NULL"
_SELECT_ACCOUNT = "SELECT provider, zone FROM accounts WHERE account = ?"
_SUM_DAYS = "SELECT sum(flows) FROM day_totals WHERE account = ? AND day > ? AND day < ?"
_SELECT_KEY = """
SELECT accounts, credentials, paced, expires_at_us, restrictions FROM keys
WHERE dialect = ? AND public = ? AND revoked_at_us IS NULL
"""
