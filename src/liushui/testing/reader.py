"""A FlowReader and rate limits in memory, for servers under test."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

import msgspec

from liushui.conditions import matches
from liushui.errors import WireError, short_repr
from liushui.flow import Flow
from liushui.instant import Clock, system_clock, to_us
from liushui.ledger.flow_row import flow_id, served_identity
from liushui.provider import NO_VALUES, DecodedRow, FlowPage, FlowQuery, Key, Provider, RateCheck
from liushui.rules import Rate

Position = tuple[int, str, str, int]
"""A keyset cursor: time in microseconds, account, identity, and the number of the row."""


class StoredFlow(NamedTuple):
    """A flow of an account. `number` is the index of its row, which distinguishes equal rows.

    Readers of `dialect` get `row` unchanged, unless it is UNSERVABLE. Other dialects write the flow themselves.
    """

    number: int
    account: str
    flow: Flow
    identity: str = ""
    """The identity under which other dialects write it. No other flow has it."""
    dialect: str | None = None
    row: bytes | None = None

    @property
    def position(self) -> Position:
        """The position of the flow in the order of all flows."""
        return to_us(self.flow.at), self.account, self.flow.identity, self.number


class MemoryReader:
    """Flows and keys of some accounts, in memory. Without `admit` no rates are enforced."""

    def __init__(self, clock: Clock = system_clock, *, admit: Callable[[str, Rate], RateCheck] | None = None) -> None:
        self.admit_call = admit
        """Counts a call and decides whether it is admitted. None admits every call. Tests may change it."""
        self._clock = clock
        self._flows: list[StoredFlow] = []
        """The flows, oldest first."""
        self._copies: Counter[tuple[str, str]] = Counter()
        """Return the number of an account's flows with this identity."""
        self._keys: dict[tuple[str, str], Key] = {}
        self._sessions: dict[tuple[str, str], datetime] = {}
        self._random = Random(1)  # noqa: S311 - the same keys in each run

    def add_flows(self, account: str, flows: Iterable[Flow]) -> None:
        """Add flows that were not received as rows: each dialect's codec writes their rows."""
        self._store(account, ((flow, None, None) for flow in flows))

    def add_rows(self, account: str, provider: Provider, rows: Iterable[bytes]) -> list[DecodedRow]:
        """Add rows of a provider. Its own dialect serves them unchanged. Raises WireError."""
        decoded = [provider.codec.read(row) for row in rows]
        served = ((one.flow, provider.name, one.row if one.served is None else one.served) for one in decoded)
        self._store(account, served)
        return decoded

    def _store(self, account: str, rows: Iterable[tuple[Flow, str | None, bytes | None]]) -> None:
        """Store flows. Each has the dialect and the bytes of the row that it came from, or neither."""
        for flow, dialect, row in rows:
            ordinal = self._copies[account, flow.identity]
            self._copies[account, flow.identity] += 1
            identity = served_identity(account, flow_id(flow.identity, ordinal))
            self._flows.append(StoredFlow(len(self._flows), account, flow, identity, dialect, row))
        self._flows.sort(key=lambda stored: stored.position)

    def create_key(
        self,
        provider: Provider,
        *accounts: str,
        expires_at: datetime | None = None,
        paced: bool = True,
        restrictions: Mapping[str, str] = NO_VALUES,
    ) -> Key:
        """Create a key that reads these accounts through a provider's dialect."""
        credentials = provider.simulate_credentials(self._random.randbytes)
        key = Key(provider.key_name(credentials), provider.name, accounts, credentials, expires_at, paced, restrictions)
        self.add_key(key)
        return key

    def add_key(self, key: Key) -> None:
        """Accept a key that was created elsewhere."""
        self._keys[key.dialect, key.public] = key

    def revoke(self, key: Key) -> None:
        """Revoke a key."""
        del self._keys[key.dialect, key.public]

    def now(self) -> datetime:
        return self._clock()

    def find_key(self, dialect: str, public: str) -> Key | None:
        return self._keys.get((dialect, public))

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        if self.admit_call is None or not key.paced:
            return RateCheck(admitted=True, used=0)
        return self.admit_call(f"{key.dialect}:{key.public}:{what}", rate)

    def session_start(self, key: Key, life: timedelta) -> datetime:
        began, now = self._sessions.get((key.dialect, key.public)), self.now()
        if began is None or not began <= now < began + life:
            began = self._sessions[key.dialect, key.public] = now
        return began

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        matching = self._matching(query)
        if query.newest:
            matching.reverse()
        if query.after:
            after = _position_of(query.after)
            matching = [one for one in matching if (one.position < after if query.newest else one.position > after)]
        page = matching[query.offset : query.offset + query.limit]
        has_more = query.after is not None and len(matching) > query.offset + query.limit
        end = msgspec.json.encode(page[-1].position).decode() if has_more else None
        if query.newest and query.ascending:
            page.reverse()
        rows = [
            stored.row
            if stored.row and stored.dialect == dialect
            else write(stored.flow._replace(identity=stored.identity))
            for stored in page
            if matches(stored.flow, query.visible)
        ]
        return FlowPage(b",".join(rows), len(rows), end)

    def is_complete(self, accounts: Sequence[str], since: datetime, until: datetime) -> bool:
        del accounts, since, until  # nothing is missing
        return True

    def count_flows(self, query: FlowQuery) -> int:
        return len(self._matching(query))

    def _matching(self, query: FlowQuery) -> list[StoredFlow]:
        """The flows of a query, oldest first."""
        begin = bisect_left(self._flows, query.since, key=_time_of)
        end = bisect_left(self._flows, query.until, lo=begin, key=_time_of)
        return [
            stored
            for stored in self._flows[begin:end]
            if stored.account in query.accounts and matches(stored.flow, query.where)
        ]


def _time_of(stored: StoredFlow) -> datetime:
    return stored.flow.at


def _position_of(cursor: str) -> Position:
    try:
        position: Position = msgspec.json.decode(cursor, type=Position)
    except msgspec.MsgspecError as error:
        raise WireError("after", f"expected a place that a page named, got {short_repr(cursor)}") from error
    return position


class MemoryLimits:
    """A provider.RateLimiter in memory, with sliding windows. For one thread."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self.names: list[str] = []
        """The name of every call that was counted or refused, in order."""
        self._clock = clock
        self._calls: defaultdict[str, list[datetime]] = defaultdict(list)
        self._sessions: dict[str, datetime] = {}

    def admit(self, name: str, rate: Rate) -> RateCheck:
        self.names.append(name)
        now = self._clock()
        calls = self._calls[name] = [at for at in self._calls[name] if now - rate.per < at <= now]
        if len(calls) >= rate.calls:
            return RateCheck(admitted=False, used=len(calls))
        calls.append(now)
        return RateCheck(admitted=True, used=len(calls))

    def session_start(self, name: str, life: timedelta) -> datetime:
        now = self._clock()
        began = self._sessions.get(name)
        if began is None or not began <= now < began + life:
            began = self._sessions[name] = now
        return began
