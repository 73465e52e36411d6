"""A FlowReader that holds everything in memory, for any provider: what a server under test reads."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

import msgspec

from liushui.conditions import matches
from liushui.errors import WireError, short_repr
from liushui.flow import Flow
from liushui.instant import Clock, system_clock, to_us
from liushui.provider import NO_VALUES, DecodedRow, FlowPage, FlowQuery, Key, Provider, RateCheck
from liushui.rules import Rate


class Held(NamedTuple):
    """An account's flow, and the row that a dialect's readers are given as it is. `number` tells equal ones apart."""

    number: int
    account: str
    flow: Flow
    dialect: str | None = None
    row: bytes | None = None


class MemoryReader:
    """Flows and keys of some accounts. Without `admit` no rates are held."""

    def __init__(self, clock: Clock = system_clock, *, admit: Callable[[str, Rate], RateCheck] | None = None) -> None:
        self.admit_call = admit
        """Whether a call is let in; None lets in all. A test may change it."""
        self._clock = clock
        self._held: list[Held] = []
        self._keys: dict[tuple[str, str], Key] = {}
        self._sessions: dict[tuple[str, str], datetime] = {}
        self._random = Random(1)  # noqa: S311 - the same keys in each run

    def add_flows(self, account: str, flows: Iterable[Flow]) -> None:
        """Add flows that came from elsewhere: each dialect writes them in its own words."""
        self._held += [Held(number, account, flow) for number, flow in enumerate(flows, len(self._held))]

    def add_rows(self, account: str, provider: Provider, rows: Iterable[bytes]) -> list[DecodedRow]:
        """Add rows of a provider, which its own dialect gives back as they came. Raises WireError."""
        received = [provider.codec.read(row) for row in rows]
        self._held += [
            Held(number, account, came.flow, provider.name, came.served or came.row)
            for number, came in enumerate(received, len(self._held))
        ]
        return received

    def create_key(
        self,
        provider: Provider,
        *accounts: str,
        expires_at: datetime | None = None,
        paced: bool = True,
        restrictions: Mapping[str, str] = NO_VALUES,
    ) -> Key:
        """Make a key that reads these accounts through a provider's dialect."""
        credentials = provider.new_credentials(self._random.randbytes)
        key = Key(provider.key_name(credentials), provider.name, accounts, credentials, expires_at, paced, restrictions)
        self.add_key(key)
        return key

    def add_key(self, key: Key) -> None:
        """Accept a key that was made elsewhere."""
        self._keys[key.dialect, key.public] = key

    def revoke(self, key: Key) -> None:
        """End a key."""
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
        found = self._found(query)
        if query.newest:
            found.reverse()
        if query.after:
            place = _place_of(query.after)
            found = [held for held in found if (_place(held) < place if query.newest else _place(held) > place)]
        page = found[query.offset : query.offset + query.limit]
        more = query.after is not None and len(found) > query.offset + query.limit
        end = msgspec.json.encode(_place(page[-1])).decode() if more else None
        if query.newest and query.ascending:
            page.reverse()
        rows = [
            held.row if held.row is not None and held.dialect == dialect else write(held.flow)
            for held in page
            if matches(held.flow, query.visible)
        ]
        return FlowPage(b",".join(rows), len(rows), end)

    def count_flows(self, query: FlowQuery) -> int:
        return len(self._found(query))

    def _found(self, query: FlowQuery) -> list[Held]:
        """What a query means, oldest first."""
        found = [
            held
            for held in self._held
            if held.account in query.accounts
            and query.since <= held.flow.at < query.until
            and matches(held.flow, query.where)
        ]
        return sorted(found, key=_place)


def _place(held: Held) -> tuple[int, str, str, int]:
    return to_us(held.flow.at), held.account, held.flow.identity, held.number


def _place_of(after: str) -> tuple[int, str, str, int]:
    try:
        return msgspec.json.decode(after, type=tuple[int, str, str, int])
    except msgspec.MsgspecError as error:
        raise WireError("after", f"expected a place that a page named, got {short_repr(after)}") from error


class MemoryLimits:
    """A provider.Limits of one process, one thread. `names` are those that were counted, in their order."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self.names: list[str] = []
        self._clock = clock
        self._calls: defaultdict[str, list[datetime]] = defaultdict(list)
        self._sessions: dict[str, datetime] = {}

    def admit(self, name: str, rate: Rate) -> RateCheck:
        """Count one call."""
        self.names.append(name)
        now = self._clock()
        calls = self._calls[name] = [at for at in self._calls[name] if now - rate.per < at <= now]
        if len(calls) >= rate.calls:
            return RateCheck(admitted=False, used=len(calls))
        calls.append(now)
        return RateCheck(admitted=True, used=len(calls))

    def session_start(self, name: str, life: timedelta) -> datetime:
        """When the session of that name began."""
        now = self._clock()
        began = self._sessions.get(name)
        if began is None or not began <= now < began + life:
            began = self._sessions[name] = now
        return began
