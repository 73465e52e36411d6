"""The contract between liushui and a provider: what a provider's folder gives, and what it may ask for.

A provider is one folder (or one installed package) that exports PROVIDER. Both of its ends, the client that pulls
and the server that answers, read and write rows through its one codec, and take every limit from its one Rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, runtime_checkable

from liushui.conditions import EVERYTHING, Where
from liushui.flow import Flow
from liushui.http import Request, Response
from liushui.rules import Paging, Rate, Rules

NO_VALUES: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class CredentialField:
    """One thing a credential is made of, under the name that credential files and `key create` use."""

    name: str
    title: str
    secret: bool


@dataclass(frozen=True)
class Restriction:
    """Something that a key of this dialect may be denied, beyond its accounts: `key create --restrict NAME=VALUE`."""

    name: str
    help: str


# ---------------------------------------------------------------- rows and pages


class Slice(NamedTuple):
    """The range [since, until) of one account: the unit of reading, proof and commit."""

    since: datetime
    until: datetime


class Page(NamedTuple):
    """What one call answered: the rows as they came, byte for byte.

    `next` is what to hand back for the rows after these; None says that there are none, or, where a provider has no
    further pages at all (RangeOnly), that there is no way to them. `total` is how many rows the provider says all
    pages have together; None where it says nothing.
    """

    rows: Sequence[bytes]
    next_token: str | None = None
    total: int | None = None


class DecodedRow(NamedTuple):
    """A row that was read: the flow in it, the bytes as they came, and what to serve in their place where the
    provider's own clients would refuse them as they are (None: serve them as they came)."""

    flow: Flow
    row: bytes
    served: bytes | None


class FlowColumns(NamedTuple):
    """Many rows that were read together: what Codec.read says of each, in their order, field by field.

    Instants are microseconds since the Unix epoch, amounts plain decimal text as `money.plain` writes it, sides, kinds
    and categories their values, details JSON text. None instead of a column: none of the rows has a value there.
    """

    identity: Sequence[str]
    at_us: Sequence[int]
    subaccount: Sequence[str]
    amount: Sequence[str]
    currency: Sequence[str]
    direction: Sequence[str]
    kind: Sequence[str]
    category: Sequence[str]
    label: Sequence[str]
    balance_after: Sequence[str | None] | None = None
    settled_at_us: Sequence[int | None] | None = None
    ref: Sequence[str | None] | None = None
    order_ref: Sequence[str | None] | None = None
    symbol: Sequence[str | None] | None = None
    name: Sequence[str | None] | None = None
    price: Sequence[str | None] | None = None
    quantity: Sequence[str | None] | None = None
    note: Sequence[str | None] | None = None
    fx_currency: Sequence[str | None] | None = None
    fx_amount: Sequence[str | None] | None = None
    fx_rate: Sequence[str | None] | None = None
    detail: Sequence[str | None] | None = None


class Codec(Protocol):
    """Wire rows <-> flows. Pure: no I/O, no clock."""

    def extract_rows(self, document: bytes) -> Sequence[bytes]:
        """The rows of one answer of the provider, byte for byte. Raises WireError where it is no such answer,
        ProviderError (by class) where it is an error answer."""
        ...

    def read(self, row: bytes) -> DecodedRow:
        """Read one row. Raises WireError naming the field that does not fit, and for bytes that are not UTF-8."""
        ...

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        """Write one row as the provider would. `language` chooses the words where the flow brings none.

        Raises Unsayable, naming the field, for a flow that this wire would have to misstate.
        """
        ...


@runtime_checkable
class BatchCodec(Protocol):
    """What a codec may offer beside Codec: to read many rows at once, in less time than one by one."""

    def read_many(self, rows: Sequence[bytes]) -> FlowColumns | None:
        """What `read` says of each of the rows, at least one, that are served as they came. None: some of them have to
        be read one by one, for one cannot be read, is served otherwise, or is rare."""
        ...


class Client(Protocol):
    """One account at the provider, read over HTTP. Errors are ProviderError by class, or WireError."""

    async def fetch_page(
        self,
        asked: Slice,
        size: int,
        *,
        page_token: str | None = None,
        params: Mapping[str, str] = NO_VALUES,
        newest: bool = False,
    ) -> Page:
        """One page of a slice, one HTTP call for rows. Waits for the provider's rate first.

        `page_token` is the `next_token` of the page before. `params` are further request parameters in the wire's own
        names; they override the slice's. `newest` asks a RangeOnly provider for the newest rows of the slice.
        """
        ...

    async def close(self) -> None:
        """Let the connections go."""
        ...


@runtime_checkable
class SessionClient(Protocol):
    """What a client may offer beside Client: a session, for which it makes a call of its own now and then.

    Who counts calls opens it before a page is asked for. A client that nobody does that for opens it by itself.
    """

    def needs_session(self) -> bool:
        """Whether the next page would need a call for a session before."""
        ...

    async def open_session(self) -> None:
        """Make that one call. Raises as `Client.page`."""
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
    restrictions: Mapping[str, str] = NO_VALUES
    """What it is denied, by the names of Provider.restrictions."""


class RateCheck(NamedTuple):
    """One call counted against a rate: whether it may be made, and how many the window now has."""

    admitted: bool
    used: int


class RateLimiter(Protocol):
    """What all the processes that serve one reader know together of calls made and sessions begun, by name."""

    def admit(self, name: str, rate: Rate) -> RateCheck:
        """Count one call against a rate. One that is over it is not counted."""
        ...

    def session_start(self, name: str, life: timedelta) -> datetime:
        """When the session of that name began: the same instant for `life`, then a new one, now."""
        ...


class FlowQuery(NamedTuple):
    """Flows of some accounts in [since, until), filtered, one page of them.

    Flows have one total order: by time, then account, then id. A page is taken from its newest or its oldest end, after
    `offset` rows, or after a place that a page before it named.
    """

    accounts: tuple[str, ...]
    since: datetime
    until: datetime
    limit: int
    offset: int = 0
    after: str | None = None
    """`FlowPage.end` of the page before, "" for the first one. None: nobody goes on from this page's end."""
    newest: bool = True
    """Which end of the range rows are taken from."""
    ascending: bool = False
    """Whether the rows of the page stand oldest first."""
    where: Where = EVERYTHING
    visible: Where = EVERYTHING
    """What of a page is shown, once it was cut: one may have fewer rows than its limit, or none, and not be the end."""
    language: str | None = None


class FlowPage(NamedTuple):
    """One page: `size` JSON rows joined by commas. `end` is the place after its last row; None: there is nothing after
    it, or the query did not ask with `after`."""

    rows: bytes
    size: int
    end_cursor: str | None = None


class FlowReader(Protocol):
    """What a dialect's server may ask of whoever holds the flows: a ledger, or a simulated world."""

    def now(self) -> datetime:
        """The clock that requests are judged by."""
        ...

    def find_key(self, dialect: str, public: str) -> Key | None:
        """The key of that public name, unless there is none or it was revoked."""
        ...

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        """Count one call against the key's rate; `what` tells several rates of one key apart."""
        ...

    def session_start(self, key: Key, life: timedelta) -> datetime:
        """When the key's session began: the same instant for `life`, then a new one, now."""
        ...

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        """One page.

        Rows that were received in this dialect stand as they were received; others are written by `write`.
        Raises WireError naming `after` where that is no place this reader named, and what `write` raises.
        """
        ...

    def count_flows(self, query: FlowQuery) -> int:
        """How many flows all pages of a query have together, those that are not shown included."""
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

    def estimate_rows(self, request: Request) -> int:
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


class Role(StrEnum):
    """What an account at a provider is used for, so that a simulator can fill one believably."""

    BROKER = "broker"
    FUTURES = "futures"
    SHOP = "shop"


DetailSimulator = Callable[[Flow, Callable[[int], int]], Flow]
"""Gives a simulated flow what only one provider has. The function draws a whole number below another."""


@dataclass(frozen=True)
class Provider:
    """Everything liushui knows of one provider."""

    name: str
    title: str
    rules: Rules[Paging]
    codec: Codec
    server: Server
    credentials: Sequence[CredentialField]
    base_url: str
    """Where the real service is; empty where its documents do not say, and its users must."""
    connect: "Connect"
    new_credentials: Callable[[Callable[[int], bytes]], dict[str, str]]
    """Make credentials of this provider's shape from a source of random bytes, such as secrets.token_bytes."""
    key_name: Callable[[Mapping[str, str]], str]
    """The name of a key that may be shown, from its credentials: it tells no secret."""
    snippet: str
    """How a client is pointed at us: Python with {base_url}, {socket_url} and the credential fields."""
    auth: str
    """How requests are signed, in a few words for a table."""
    tested_with: str
    """Which clients that others wrote are tested against it, in a few words for a table."""
    role: Role = Role.BROKER
    outage_responses: Sequence[Response] = ()
    """How it says that it is broken, or under maintenance: whole answers."""
    simulate_detail: DetailSimulator | None = None
    """What a simulated account's flows have here beside what its role gives them. None: nothing."""
    restrictions: Sequence[Restriction] = ()
    socket: Socket | None = None


class Connect(Protocol):
    """Open a client for one account. `rate` None: do not wait between calls (a server of one's own)."""

    def __call__(
        self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float
    ) -> Client: ...
