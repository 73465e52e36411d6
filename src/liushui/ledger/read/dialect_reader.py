"""The FlowReader of a ledger, from which the servers of provider APIs read.

One SQL statement assembles a page inside the database.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from liushui.conditions import Where, matches
from liushui.errors import WireError, short_repr
from liushui.flow import Flow
from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger.coverage import State, uncovered
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import DataVersion, RawConnection
from liushui.ledger.engines.condition_sql import condition, is_totalled
from liushui.ledger.engines.sql_dialects import SQLDialect
from liushui.ledger.flow_row import AT_US, COLUMNS, ID, served_identity, to_flow
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.read.offset_index import NEAR, PageStarts, count_rows
from liushui.ledger.schema import HAS_RECORD_ID
from liushui.provider import FlowPage, FlowQuery, Key, RateCheck, RateLimiter
from liushui.rules import Rate

_accounts_of = msgspec.json.Decoder(tuple[str, ...]).decode
_restrictions_of = msgspec.json.Decoder(dict[str, str]).decode
_place_of = msgspec.json.Decoder(tuple[int, str, str]).decode

_ACCOUNT, _WIRE, _SERVED = COLUMNS.index("account"), COLUMNS.index("wire"), COLUMNS.index("served")

COUNTS_MAX: Final = 1_000
"""Counts that a connection caches until the ledger changes. Clients ask for the same count with every page."""

TEXTS_MAX: Final = 1_000
"""SQL texts that are cached."""

NEAR_TRIES: Final = 3
"""Attempts to find a deep page through the offset index while commits interfere. Then OFFSET skips the rows."""


class _Account(NamedTuple):
    provider: str
    zone: str
    first_name: str
    """The name with which its chain begins: identities are derived from it, so that they survive a rename."""


class _Found(NamedTuple):
    """A page, the time of its first row, and the sum of its accounts' newest batch numbers."""

    page: FlowPage
    first_us: int | None = None
    committed: int | None = None


class _Seen:
    """A connection's cache: keys and counts, each with the data version in which it is valid."""

    def __init__(self) -> None:
        self.keys_version: DataVersion = None
        self.keys: dict[tuple[str, str], Key] = {}
        self.counts: dict[tuple[object, ...], tuple[DataVersion, int]] = {}


class LedgerReader:
    """A FlowReader of a ledger. Thread-safe: each thread has its own connection."""

    def __init__(self, ledger: Ledger, limits: RateLimiter) -> None:
        self._ledger = ledger
        self._sql = ledger.sql
        self._limits = limits
        self._local = threading.local()
        self._accounts: dict[str, _Account] = {}
        self._read = lru_cache(maxsize=1_000)(self._key_of)

    def now(self) -> datetime:
        return self._ledger.clock()

    def find_key(self, dialect: str, public: str) -> Key | None:
        connection, seen = self._connection(), self._seen()
        version = self._ledger.data_version(connection)
        if version is None:
            return self._load_key(dialect, public)
        if version != seen.keys_version:  # a key may have been revoked
            seen.keys_version = version
            seen.keys.clear()
        key = seen.keys.get((dialect, public)) or self._load_key(dialect, public)
        if key is not None:
            seen.keys[dialect, public] = key
        return key

    def _load_key(self, dialect: str, public: str) -> Key | None:
        if "\0" in public:  # no column contains NUL, and PostgreSQL refuses it
            return None
        found = self._connection().execute(_SELECT_KEY, (dialect, public)).fetchone()
        return None if found is None else self._read(dialect, public, *found)

    def _key_of(
        self,
        dialect: str,
        public: str,
        names: str,
        sealed: str,
        paced: int,
        expires_at_us: int | None,
        restrictions: str,
    ) -> Key:
        return Key(
            public=public,
            dialect=dialect,
            accounts=_accounts_of(names),
            credentials=self._ledger.vault.decrypt(sealed),
            expires_at=None if expires_at_us is None else from_us(expires_at_us),
            paced=bool(paced),
            restrictions=_restrictions_of(restrictions),
        )

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        return self._limits.admit(f"{key.dialect}:{key.public}:{what}", rate) if key.paced else RateCheck(True, 0)  # noqa: FBT003

    def session_start(self, key: Key, life: timedelta) -> datetime:
        return self._limits.session_start(f"{key.dialect}:{key.public}", life)

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        if query.offset >= NEAR and query.after is None:
            for _ in range(NEAR_TRIES):
                places = self._places()
                start = places.start(query)
                found = self._page(dialect, start.query, write, placed=True)
                if start.committed in (None, found.committed):
                    if found.first_us is not None and found.committed is not None:
                        places.remember(query, start, found.first_us, found.committed)
                    return found.page
                places.forget(query)  # a commit came in between, and the page may have changed
        return self._page(dialect, query, write).page

    def _page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes], *, placed: bool = False) -> _Found:
        """A page. `placed`: also return where the page began, and the accounts' batches as of the same statement or a
        later one."""
        found = None
        if all(self._provider(name) == dialect for name in query.accounts):
            found = self._joined(query, placed=placed)
        if found is None:
            found = self._written(dialect, query, write)
        if placed and found.committed is None:
            found = found._replace(committed=self._places().committed(query))
        return found

    def count_flows(self, query: FlowQuery) -> int:
        counts = self._seen().counts
        version = self._ledger.data_version(self._connection(), query.accounts)
        asked = (query.accounts, query.since, query.until, query.where)
        known = counts.get(asked)
        if known is None or known[0] != version:
            if len(counts) >= COUNTS_MAX:
                counts.clear()
            known = counts[asked] = version, sum(self._count(name, query) for name in query.accounts)
        return known[1]

    def _joined(self, query: FlowQuery, *, placed: bool) -> _Found | None:
        """Return a page that is assembled inside the database. None: some flows have no servable row."""
        shown_sql, shown_values = condition(query.visible, self._sql)
        shown = f", (TRUE{shown_sql}) AS shown" if query.visible else ""
        page, values = _page(
            self._sql, query, f"nullif(coalesce(served, wire), '') AS line, at_us, account, id{shown}", shown_values
        )
        far = placed and query.offset >= NEAR
        alone = placed and len(query.accounts) == 1  # a statement over several shards does not read one state
        form = _Form(len(query.accounts), query.newest, query.ascending, bool(query.visible), alone, far)
        sql = _joined_text(self._sql, page, form)
        if alone:
            values = [*query.accounts, *values]
        if query.after is not None:  # in the same statement, because both must come from one state of the ledger
            last_row = query._replace(limit=2, offset=query.limit - 1 + query.offset)
            last, last_values = _page(self._sql, last_row, _PLACE)
            sql, values = f"{sql} UNION ALL SELECT {_NO_PAGE}, {_PLACE} FROM ({last}) AS place", values + last_values
        (rows, received, size, document, first_us, committed, _), *ends = (
            self._connection().execute(sql, values).fetchall()
        )
        if rows != received:
            return None
        end = msgspec.json.encode(ends[0][-3:]).decode() if len(ends) == 2 else None
        return _Found(FlowPage(document or b"", rows if size is None else size, end), first_us, committed)

    def _written(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> _Found:
        """Return a page that is assembled in Python. Flows of other providers, and those without a servable row, go
        through `write`."""
        more = query.after is not None  # one more row shows whether there is a next page
        page, values = _page(self._sql, query._replace(limit=query.limit + more), ", ".join(COLUMNS))
        found = self._connection().execute(page, values).fetchall()
        end = None
        if query.after is not None and len(found) > query.limit:
            found = found[: query.limit]
            last = found[-1]
            end = msgspec.json.encode((last[AT_US], last[_ACCOUNT], last[ID])).decode()
        first_us = found[0][AT_US] if found else None
        if query.newest and query.ascending:
            found.reverse()
        rows = []
        for row in found:
            received = row[_WIRE] if row[_SERVED] is None else row[_SERVED]
            # from another provider, recorded, or UNSERVABLE
            if not received or self._provider(row[_ACCOUNT]) != dialect:
                flow = to_flow(row)
                if matches(flow, query.visible):
                    known = self._account(row[_ACCOUNT])
                    identity = served_identity(known.first_name if known else row[_ACCOUNT], row[ID])
                    rows.append(write(flow._replace(identity=identity)))
            elif not query.visible or matches(to_flow(row), query.visible):
                rows.append(str(received).encode())
        return _Found(FlowPage(b",".join(rows), len(rows), end), first_us)

    def _count(self, account: str, query: FlowQuery) -> int:
        """Count rows: whole days from the day totals if these suffice, the rest of the range from the flows."""
        since_us, until_us = to_us(query.since), to_us(query.until)
        known = self._account(account)
        if known is None or since_us >= until_us:
            return 0
        if not is_totalled(query.where):
            return self._count_rows(account, since_us, until_us, query.where)
        first, last, begin_us, end_us = BusinessDays(load_zone(known.zone)).whole_between(since_us, until_us)
        if first == last:
            return self._count_rows(account, since_us, until_us, query.where)
        sql, values = condition(query.where, self._sql)
        (whole,) = self._connection().execute(_SUM_DAYS + sql, [account, first, last, *values]).fetchone()
        ends = self._count_rows(account, since_us, begin_us, query.where)
        return int(whole or 0) + ends + self._count_rows(account, end_us, until_us, query.where)

    def _count_rows(self, account: str, since_us: int, until_us: int, where: Where) -> int:
        return count_rows(self._connection().execute, account, since_us, until_us, condition(where, self._sql))

    def _connection(self) -> RawConnection:
        connection: RawConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._ledger.raw_connection()
            self._local.seen = _Seen()
            self._local.places = PageStarts(connection.execute, self._sql)
        return connection

    def _places(self) -> PageStarts:
        self._connection()
        places: PageStarts = self._local.places
        return places

    def _seen(self) -> _Seen:
        self._connection()
        seen: _Seen = self._local.seen
        return seen

    def is_complete(self, accounts: Sequence[str], since: datetime, until: datetime) -> bool:
        since_us, until_us = to_us(since), to_us(until)
        for account in accounts:
            known = ranges_of(self._ledger, account)
            if not known or until_us <= known[0].since_us:
                continue
            proven = [range_ for range_ in known if range_.state is State.PROVEN]
            if uncovered(proven, (max(since_us, known[0].since_us), until_us)):
                return False
        return True

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


class _Form(NamedTuple):
    """The values on which the SQL text of a page depends; the key of the cached text."""

    accounts: int
    newest: bool
    ascending: bool
    shown: bool
    placed: bool
    """Whether the statement also returns the accounts' newest batches."""
    far: bool
    """Whether the statement also returns the time of the first row."""

    @property
    def newest_first(self) -> bool | None:
        """The order in which the rows are joined. None: the order of the query."""
        return None if self.accounts < 2 else self.newest and not self.ascending


@lru_cache(TEXTS_MAX)
def _joined_text(sql: SQLDialect, page: str, form: _Form) -> str:
    """The statement that joins a page's rows into one text, and counts them."""
    if form.newest and form.ascending:
        page = f"SELECT * FROM ({page}) AS newest ORDER BY at_us, account, id"
    counted = f"count(*), count(line), {'count(*) FILTER (WHERE shown)' if form.shown else 'NULL'}"
    first = f"{'max' if form.newest else 'min'}(at_us)" if form.far else "NULL"
    committed = f"({_COMMITTED})" if form.placed else "NULL"
    text = sql.join_lines(newest_first=form.newest_first, only_shown=form.shown)
    return f"SELECT {counted}, {text}, {first}, {committed}, NULL FROM ({page}) AS page"


def _page(
    sql: SQLDialect, query: FlowQuery, columns: str, column_values: Sequence[object] = ()
) -> tuple[str, list[object]]:
    """The statement of a page and its parameters."""
    since_us, until_us = to_us(query.since), to_us(query.until)
    after_sql, after_values = _after(query)
    where_sql, where_values = condition(query.where, sql)
    values = [
        value
        for name in query.accounts
        for value in (*column_values, name, since_us, until_us, *after_values, *where_values)
    ]
    values += [query.limit, query.offset]
    down, several = query.newest, len(query.accounts) > 1
    rows = query.limit + query.offset if several else 0
    return _page_text(sql, columns, len(query.accounts), f"{after_sql}{where_sql}", rows, down=down), values


@lru_cache(TEXTS_MAX)
def _page_text(sql: SQLDialect, columns: str, accounts: int, condition_sql: str, rows: int, *, down: bool) -> str:
    """The statement of a page. `rows`: if there are several accounts, the most rows that are needed of each."""
    # Without this, SQLite reads the whole range by the key, in its order, instead of sorting the few rows of an index.
    index = f" {sql.using('flows_by_record_id')}" if HAS_RECORD_ID in condition_sql else ""
    one = f"SELECT {columns} FROM flows{index} WHERE account = ? AND at_us >= ? AND at_us < ?{condition_sql}"
    if accounts > 1:
        one = sql.first_rows(one, rows, newest_first=down)
    every = " UNION ALL ".join([one] * accounts)
    desc = " DESC" if down else ""
    return f"{every} ORDER BY at_us{desc}, account{desc}, id{desc} LIMIT ? OFFSET ?"


def _after(query: FlowQuery) -> tuple[str, list[object]]:
    """The condition that a row comes after the cursor that an earlier page returned."""
    if not query.after:
        return "", []
    try:
        at_us, account, id_ = _place_of(query.after)
    except msgspec.MsgspecError as error:
        raise WireError("after", f"expected a place that a page named, got {short_repr(query.after)}") from error
    if account not in query.accounts:  # it was renamed since, so its rows come at another place
        raise WireError("after", f"expected a place in {', '.join(query.accounts)}, got one in {short_repr(account)}")
    sign = "<" if query.newest else ">"
    return f" AND at_us {sign}= ? AND (at_us, account, id) {sign} (?, ?, ?)", [at_us, at_us, account, id_]


_NO_PAGE = "NULL, NULL, NULL, NULL"
_PLACE = "at_us, account, id"
_COMMITTED = "SELECT head FROM accounts WHERE account = ?"
_SELECT_ACCOUNT = """
SELECT provider, zone, coalesce(
  (SELECT name FROM account_names AS n WHERE n.account = a.account ORDER BY until_batch LIMIT 1), account
) FROM accounts AS a WHERE account = ?
"""
_SUM_DAYS = "SELECT sum(flows) FROM day_totals WHERE account = ? AND day > ? AND day < ?"
_SELECT_KEY = """
SELECT accounts, credentials, paced, expires_at_us, restrictions FROM keys
WHERE dialect = ? AND public = ? AND revoked_at_us IS NULL
"""
