"""The contract between liushui and a provider: what a provider's folder gives, and what it may ask for.

A provider is one folder (or one installed package) that exports PROVIDER. Both of its ends, the client that pulls
and the server that answers, read and write rows through its one codec, and take every limit from its one Rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from liushui.flow import Category, Flow
from liushui.wire.http import Request, Response

# ---------------------------------------------------------------- what a provider's documents say, as data


@dataclass(frozen=True)
class PageNumber:
    """Pages by number from `first`, `size_max` rows at most; no total: a reader goes on until a page is empty."""

    size_default: int
    size_max: int
    first: int = 1


@dataclass(frozen=True)
class Rate:
    """At most `calls` in any `per`, and `spacing` between two of them, for one key."""

    calls: int
    per: timedelta
    spacing: timedelta = timedelta(0)


@dataclass(frozen=True)
class Rules:
    """What a provider's documents state, and our choices where they are silent: the one place for each number."""

    paging: PageNumber
    rate: Rate
    resolution: timedelta
    """The finest step of the provider's clock. Range ends on the wire are inclusive at this step."""
    opening: datetime
    """Nothing is older: where a first sync begins when the user names no other instant."""
    lookback: timedelta
    """How far back each sync reads again, for rows that were published late."""
    zone: str
    """The IANA zone of an account's business days where the user names no other."""
    timestamp_tolerance: timedelta
    """How far a signed request's clock may be off."""


@dataclass(frozen=True)
class CredentialField:
    """One thing a credential is made of, under the name that credential files and `key create` use."""

    name: str
    title: str
    secret: bool


# ---------------------------------------------------------------- rows and pages


class Slice(NamedTuple):
    """The range [since, until) of one account: the unit of reading, proof and commit."""

    since: datetime
    until: datetime


class Page(NamedTuple):
    """What one call answered: the rows as they came, byte for byte."""

    rows: Sequence[bytes]


class Received(NamedTuple):
    """A row that was read: the flow in it, the bytes as they came, and what to serve in their place where the
    provider's own clients would refuse them as they are (None: serve them as they came)."""

    flow: Flow
    row: bytes
    served: bytes | None


class Codec(Protocol):
    """Wire rows <-> flows. Pure: no I/O, no clock."""

    def rows_of(self, document: bytes) -> Sequence[bytes]:
        """The rows of one answer of the provider, byte for byte. Raises WireError where it is no such answer,
        ProviderError (by class) where it is an error answer."""
        ...

    def read(self, row: bytes) -> Received:
        """Read one row. Raises WireError naming the field that does not fit, and for bytes that are not UTF-8."""
        ...

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        """Write one row as the provider would. `language` chooses the words where the flow brings none."""
        ...


class Client(Protocol):
    """One account at the provider, read over HTTP. Errors are ProviderError by class, or WireError."""

    async def page(self, asked: Slice, number: int, size: int) -> Page:
        """One page of a slice, one HTTP call. Waits for the provider's rate first."""
        ...

    async def close(self) -> None:
        """Let the connections go."""
        ...


# ---------------------------------------------------------------- serving


class Key(NamedTuple):
    """A credential that we gave out: it belongs to one dialect and reads some accounts."""

    public: str
    dialect: str
    accounts: tuple[str, ...]
    credentials: Mapping[str, str]
    """Every field of the dialect's credential, secrets included, by its name."""
    expires_at: datetime | None = None
    paced: bool = True
    """Whether the provider's documented rate is held against this key."""


Admit = Callable[[str, Rate], bool]
"""Counts one call against the rate of the key of that name. False, and not counted: it is over."""


class FlowQuery(NamedTuple):
    """Flows of some accounts in [since, until), filtered, one page of them."""

    accounts: tuple[str, ...]
    since: datetime
    until: datetime
    limit: int
    offset: int = 0
    category: Category | None = None
    symbol: str | None = None
    language: str | None = None


class FlowReader(Protocol):
    """What a dialect's server may ask of whoever holds the flows: a ledger, or a simulated world."""

    def now(self) -> datetime:
        """The clock that requests are judged by."""
        ...

    def key(self, dialect: str, public: str) -> Key | None:
        """The key of that public name, unless there is none or it was revoked."""
        ...

    def admit(self, key: Key, rate: Rate) -> bool:
        """Count one call against the key's rate. False: it is over."""
        ...

    def newest(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> bytes:
        """One page, newest first, as JSON rows joined by commas.

        Rows that were received in this dialect stand as they were received; others are written by `write`.
        """
        ...


@dataclass(frozen=True)
class Route:
    """A method and a path, as the provider's document prints them."""

    method: str
    path: str


class Server(Protocol):
    """A provider's own wire API. `answer` is a function of its arguments."""

    @property
    def routes(self) -> Sequence[Route]:
        """What is answered here."""
        ...

    def rows_asked(self, request: Request) -> int:
        """About how many rows the answer may have: a large one is made beside the small ones, not before them."""
        ...

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """The answer the provider would give: for any bytes at all a legal one."""
        ...


class Socket(Protocol):
    """The part of a provider's WebSocket that its official client insists on before it makes HTTP calls."""

    def reply(self, frame: bytes, reader: FlowReader) -> bytes | None:
        """The frame to answer a binary frame with; None: close the connection."""
        ...


# ---------------------------------------------------------------- the whole


@dataclass(frozen=True)
class Provider:
    """Everything liushui knows of one provider."""

    name: str
    title: str
    rules: Rules
    codec: Codec
    server: Server
    credentials: Sequence[CredentialField]
    base_url: str
    """Where the real service is."""
    connect: "Connect"
    new_credentials: Callable[[Callable[[int], bytes]], dict[str, str]]
    """Make credentials of this provider's shape from a source of random bytes, such as secrets.token_bytes."""
    key_field: str
    """The credential field that names a key in the open."""
    snippet: str
    """How the official client is pointed at us: Python with {base_url}, {socket_url} and the credential fields."""
    socket: Socket | None = None


class Connect(Protocol):
    """Open a client for one account. `rate` None: do not wait between calls (a server of one's own)."""

    def __call__(
        self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float
    ) -> Client: ...
