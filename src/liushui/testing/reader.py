"""A FlowReader that holds everything in memory, for any provider: what a server under test reads."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from random import Random
from typing import NamedTuple

from liushui.flow import Flow
from liushui.instant import Clock, system_clock
from liushui.provider import Admit, FlowQuery, Key, Provider, Rate, Received


class Held(NamedTuple):
    """A flow of an account, and the row that a dialect's readers are given as it is."""

    account: str
    flow: Flow
    dialect: str | None = None
    row: bytes | None = None


class MemoryReader:
    """Flows and keys of some accounts. Without `admit` no rates are held."""

    def __init__(self, clock: Clock = system_clock, *, admit: Admit | None = None) -> None:
        self.admitting = admit
        """Whether a call is let in; None lets in all. A test may change it."""
        self._clock = clock
        self._held: list[Held] = []
        self._keys: dict[tuple[str, str], Key] = {}
        self._random = Random(1)  # noqa: S311 - the same keys in each run

    def hold(self, account: str, flows: Iterable[Flow]) -> None:
        """Add flows that came from elsewhere: each dialect writes them in its own words."""
        self._held += (Held(account, flow) for flow in flows)

    def receive(self, account: str, provider: Provider, rows: Iterable[bytes]) -> list[Received]:
        """Add rows of a provider, which its own dialect gives back as they came. Raises WireError."""
        received = [provider.codec.read(row) for row in rows]
        self._held += (Held(account, came.flow, provider.name, came.served or came.row) for came in received)
        return received

    def give_key(
        self, provider: Provider, *accounts: str, expires_at: datetime | None = None, paced: bool = True
    ) -> Key:
        """Make a key that reads these accounts through a provider's dialect."""
        credentials = provider.new_credentials(self._random.randbytes)
        key = Key(credentials[provider.key_field], provider.name, accounts, credentials, expires_at, paced)
        self.keep_key(key)
        return key

    def keep_key(self, key: Key) -> None:
        """Accept a key that was made elsewhere."""
        self._keys[key.dialect, key.public] = key

    def revoke(self, key: Key) -> None:
        """End a key."""
        del self._keys[key.dialect, key.public]

    def now(self) -> datetime:
        return self._clock()

    def key(self, dialect: str, public: str) -> Key | None:
        return self._keys.get((dialect, public))

    def admit(self, key: Key, rate: Rate) -> bool:
        return self.admitting is None or not key.paced or self.admitting(f"{key.dialect}:{key.public}", rate)

    def newest(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> bytes:
        found = sorted(self._found(query), key=lambda held: (held.flow.at, held.account, held.flow.identity))[::-1]
        page = found[query.offset : query.offset + query.limit]
        return b",".join(write(held.flow) if held.dialect != dialect or not held.row else held.row for held in page)

    def _found(self, query: FlowQuery) -> Iterator[Held]:
        for held in self._held:
            if (
                held.account in query.accounts
                and query.since <= held.flow.at < query.until
                and query.category in (None, held.flow.category)
                and query.symbol in (None, held.flow.symbol)
            ):
                yield held
