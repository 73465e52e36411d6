"""The contract between liushui and a provider.

A provider is one folder of liushui.providers, or an installed package, that exports PROVIDER. It has two ends: a client
that collects flows from the real service, and a server that answers as the service would. Both ends read and write rows
through the same Codec and take every limit from the same Rules.
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
"""An empty mapping, for defaults."""


class CredentialForm(StrEnum):
    """The content of a credential field."""

    TEXT = "text"
    """One line."""
    PRIVATE_KEY = "private key"
    """The private key that signs requests: PEM, or base64. If our server creates it, it does not keep it."""
    PUBLIC_KEY = "public key"
    """The public key that proves answers to be the service's: PEM, or base64."""


@dataclass(frozen=True)
class CredentialField:
    """One field of a provider's credentials, under the name that credential files and `key create` use."""

    name: str
    title: str
    secret: bool
    form: CredentialForm = CredentialForm.TEXT


@dataclass(frozen=True)
class Restriction:
    """A limit that a key of this provider can have, besides its accounts: `key create --restrict NAME=VALUE`."""

    name: str
    help: str


# ---------------------------------------------------------------- rows and pages


class Slice(NamedTuple):
    """The time range [since, until) of one account: the unit that is read, proven complete and committed."""

    since: datetime
    until: datetime


class Page(NamedTuple):
    """The answer to one call: its rows, byte for byte.

    `next_token` is the token for the next page. None: this is the last page, or the provider has no further pages at
    all (RangeOnly). `total` is the provider's own count of the rows on all pages, None if it gives none.
    """

    rows: Sequence[bytes]
    next_token: str | None = None
    total: int | None = None


class PageRequest(NamedTuple):
    """The page to fetch with one call.

    `page_token` is the `next_token` of the previous page. `params` are further request parameters, in the wire's own
    names, which override the slice's. `newest` asks a RangeOnly provider for the newest rows instead of the oldest.
    """

    slice_: Slice
    size: int
    page_token: str | None = None
    params: Mapping[str, str] = NO_VALUES
    newest: bool = False


UNSERVABLE: Final = b""
"""`DecodedRow.served` of a row that must not be in any answer."""


class DecodedRow(NamedTuple):
    """A row that was read: its flow, its bytes as received, and the bytes to serve instead.

    `served` is None if the row can be served as received. It is set if the provider's own clients would reject the row.
    It is UNSERVABLE if they would misread the row in any form; then the codec refuses to write its flow.
    """

    flow: Flow
    row: bytes
    served: bytes | None


class FlowColumns(NamedTuple):
    """Many rows that were read at once: for each field of Flow, the values of all rows in their order.

    Instants are microseconds since the Unix epoch, decimals are plain text as `money.to_plain_string` writes it, enums
    are their values, `detail` is JSON text. A column is None if no row has a value. Every row is served as received.
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
    """Converts between a provider's rows and flows. Pure: no I/O, no clock."""

    def extract_rows(self, document: bytes) -> Sequence[bytes]:
        """The rows of one saved answer, byte for byte.

        Raises WireError if it is not an answer of this provider, and ProviderError (by class) if it is an error answer.
        """
        ...

    def read(self, row: bytes) -> DecodedRow:
        """Read one row. Raises WireError naming the field that does not fit, also for bytes that are not UTF-8."""
        ...

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        """Write a flow as the provider would. `language` selects the wording of a label that the flow does not have.

        Raises NotRepresentable, with the field, if this wire format cannot state the flow correctly.
        """
        ...


@runtime_checkable
class BatchCodec(Protocol):
    """Optional part of a Codec: reads many rows together, several times as fast as one by one."""

    def read_many(self, rows: Sequence[bytes]) -> FlowColumns | None:
        """The result of `read` for each row. There is at least one row.

        None: a row is invalid, cannot be served as received, or has a rare kind. Read the rows one by one.
        """
        ...


@runtime_checkable
class DocumentCodec(Protocol):
    """Optional part of a Codec whose answers are not JSON, but tables of texts with control totals.

    A row is the JSON object of the texts in a line's cells, without the empty ones.
    """

    def write_document(self, rows: Sequence[bytes]) -> bytes:
        """The document with these rows. Raises WireError for a row that has other values than texts."""
        ...


class Client(Protocol):
    """Collects one account from the provider over HTTP. Raises a subclass of ProviderError, or WireError."""

    async def fetch_page(self, request: PageRequest) -> Page:
        """Fetch one page with one call, after waiting for the provider's rate limit."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


@runtime_checkable
class SessionClient(Protocol):
    """Optional part of a Client whose provider requires a session, such as an access token, which a separate call
    opens.

    A caller that counts calls opens the session itself before it fetches a page. Otherwise `fetch_page` opens it.
    """

    def needs_session(self) -> bool:
        """Whether the next page would first need a call to open a session."""
        ...

    async def open_session(self) -> None:
        """Open a session with one call. Raises what `Client.fetch_page` raises."""
        ...


@runtime_checkable
class ClockedClient(Protocol):
    """Optional part of a Client whose provider states the time of its own clock in its answers.

    Such a client signs its requests with the provider's time, once it knows it.
    """

    @property
    def clock_offset(self) -> timedelta | None:
        """This machine's time plus this offset is the provider's time. None: no answer has stated its time yet."""
        ...


# ---------------------------------------------------------------- serving


MOUNT: Final = "/dialect/"
"""The prefix of our servers' paths. The name of the API follows."""


class Dialect(Protocol):
    """An API that we serve, with the data that its keys need: the API of a Provider, or one that we only serve."""

    @property
    def name(self) -> str:
        """Its name in `key create --dialect`."""
        ...

    @property
    def title(self) -> str:
        """The name for people."""
        ...

    @property
    def restrictions(self) -> Sequence[Restriction]:
        """The limits that its keys can have, besides their accounts."""
        ...

    @property
    def new_credentials(self) -> Callable[[Callable[[int], bytes]], dict[str, str]]:
        """Makes the credentials of a key from a source of random bytes, such as secrets.token_bytes."""
        ...

    @property
    def key_name(self) -> Callable[[Mapping[str, str]], str]:
        """The public name of a key, from its credentials. It must not contain a secret."""
        ...

    @property
    def snippet(self) -> str:
        """Example code that uses a key, with placeholders for its credentials."""
        ...


class Key(NamedTuple):
    """A credential that we issued. It is valid at one provider's API (its dialect) and reads some accounts."""

    public: str
    """Its public name, which reveals no secret."""
    dialect: str
    accounts: tuple[str, ...]
    credentials: Mapping[str, str]
    """The credentials that the server needs, by name, including secrets: see `issue`."""
    expires_at: datetime | None = None
    paced: bool = True
    """Whether the provider's documented rate limit applies to this key."""
    restrictions: Mapping[str, str] = NO_VALUES
    """Values of the provider's `Restriction`s, by name."""


class RateCheck(NamedTuple):
    """The result of one call to a rate limiter: whether the call may be made, and how many the window has now."""

    admitted: bool
    used: int


class RateLimiter(Protocol):
    """Counts calls and remembers session starts, by name, for all processes that serve one reader."""

    def admit(self, name: str, rate: Rate) -> RateCheck:
        """Count one call. A call over the rate is not admitted and not counted."""
        ...

    def session_start(self, name: str, life: timedelta) -> datetime:
        """Return the start of the current session with this name. A new session replaces a session older than
        `life`."""
        ...


class FlowQuery(NamedTuple):
    """One page of the flows of some accounts in [since, until) that meet a condition.

    Flows have one total order: by time, then account, then id. A page is cut from the newest or the oldest end of the
    range, after `offset` rows, or after the keyset cursor of an earlier page.
    """

    accounts: tuple[str, ...]
    since: datetime
    until: datetime
    limit: int
    offset: int = 0
    after: str | None = None
    """`end_cursor` of the page before, "" for the first page. None: page by `offset`, no cursor is wanted."""
    newest: bool = True
    """Whether the page is cut from the newest end of the range."""
    ascending: bool = False
    """Whether the rows of the page are sorted oldest first."""
    where: Where = EVERYTHING
    visible: Where = EVERYTHING
    """Applied after the page was cut: other rows are left out, so a page may be short or empty although others
    follow."""
    language: str | None = None


class FlowPage(NamedTuple):
    """One page: `size` JSON rows, joined by commas.

    `end_cursor` is the keyset cursor after the last row. None: no row follows, or the query did not use `after`.
    """

    rows: bytes
    size: int
    end_cursor: str | None = None


class FlowReader(Protocol):
    """The source of flows for a provider's server: a ledger, or a simulated world."""

    def now(self) -> datetime:
        """The current time, for checking requests."""
        ...

    def find_key(self, dialect: str, public: str) -> Key | None:
        """Return the key with this public name. None: no such key, or it was revoked."""
        ...

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        """Count one call against a rate of the key. `what` names the rate if a key has several."""
        ...

    def session_start(self, key: Key, life: timedelta) -> datetime:
        """The start of the key's current session. A new session replaces a session older than `life`."""
        ...

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        """One page of flows as rows of this provider's API.

        A row that was received from this provider is returned unchanged. `write` writes the other flows, and gets each
        with an identity that is unique over all accounts of the reader. Raises WireError naming `after` if it is not a
        cursor of this reader, and the errors of `write`.
        """
        ...

    def count_flows(self, query: FlowQuery) -> int:
        """The number of flows on all pages of a query, including those that are not visible."""
        ...

    def is_complete(self, accounts: Sequence[str], since: datetime, until: datetime) -> bool:
        """Whether no flow in [since, until) is known to be missing. For APIs whose answers state that they are
        complete.

        False if a sync has yet to read a part of the range. Ranges before an account's first sync, and accounts without
        syncs, count as complete, because nothing more will come.
        """
        ...


@dataclass(frozen=True)
class Route:
    """A method and a path, as the provider's documentation prints them."""

    method: str
    path: str


class Server(Protocol):
    """Answers requests as the provider's own API would. `answer` depends on its arguments only."""

    @property
    def routes(self) -> Sequence[Route]:
        """The routes that are served."""
        ...

    def estimate_rows(self, request: Request) -> int:
        """Roughly how many rows the answer may have. Large answers are made in a thread, so that small ones need not
        wait."""
        ...

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """The provider's answer to this request. Any request gets a well-formed answer, even a malformed request."""
        ...


@runtime_checkable
class SigningServer(Protocol):
    """Optional part of a Server that signs its answers."""

    def sign_again(self, request: Request, response: Response, reader: FlowReader) -> Response:
        """Sign an answer again whose body was changed after it had been signed. The simulator changes some answers."""
        ...


@runtime_checkable
class PagedServer(Protocol):
    """Optional part of a Server that refuses small pages."""

    def with_paging(self, paging: Paging) -> Server:
        """The same server with pages of other sizes. Tests use small ones."""
        ...


@runtime_checkable
class DocumentServer(Protocol):
    """Optional part of a Server that sends whole documents and states their digests."""

    def with_documents(self, change: Callable[[bytes], bytes]) -> Server:
        """The same server with changed documents. It states the digests of the changed documents. The simulator changes
        some."""
        ...


class Socket(Protocol):
    """The part of a provider's WebSocket that its official client needs before it makes HTTP calls."""

    def reply(self, frame: bytes, reader: FlowReader) -> bytes | None:
        """The reply to a binary frame. None: close the connection."""
        ...


# ---------------------------------------------------------------- the provider


class Role(StrEnum):
    """The typical use of accounts at a provider. The simulator makes flows to match."""

    BROKER = "broker"
    EXCHANGE = "exchange"
    """An exchange that keeps one balance for each currency. A trade's fee is part of its row."""
    FUTURES = "futures"
    SHOP = "shop"


DetailSimulator = Callable[[Flow, Callable[[int], int]], Flow]
"""Adds provider-specific data to a simulated flow. The callable returns a random integer below its argument."""


@dataclass(frozen=True)
class Provider:
    """Everything that liushui knows about one provider."""

    name: str
    title: str
    rules: Rules[Paging]
    codec: Codec
    server: Server
    credentials: Sequence[CredentialField]
    base_url: str
    """Base URL of the real service. Empty if its documents name none, so the user has to."""
    connect: "Connect"
    new_credentials: Callable[[Callable[[int], bytes]], dict[str, str]]
    """Makes credentials in this provider's format from a source of random bytes, such as secrets.token_bytes.

    Names that are not in `credentials` are only for our server, such as the private key that signs its answers. Key
    pairs use the system's random numbers.
    """
    key_name: Callable[[Mapping[str, str]], str]
    """The public name of a key, from its credentials. It must not contain a secret."""
    snippet: str
    """Python code that calls our server, with {base_url}, {socket_url} and the credential fields as placeholders."""
    auth: str
    """How requests are authenticated, in a few words for a table."""
    tested_with: str
    """The third-party clients that it is tested with, in a few words for a table."""
    role: Role = Role.BROKER
    outage_responses: Sequence[Response] = ()
    """Answers with which the provider reports that it is broken or under maintenance. The simulator uses them."""
    simulate_detail: DetailSimulator | None = None
    """None: simulated flows have no provider-specific data."""
    is_main: bool = False
    """Whether a simulated person's main account of this role is at this provider. Its name has no provider in it:
    `shop-1`."""
    restrictions: Sequence[Restriction] = ()
    socket: Socket | None = None
    subaccounts: Sequence[str] = ()
    """The subaccounts of a simulated account, if their names are fixed; "" is the account itself. Empty: the role
    determines the names."""
    simulated_credentials: Callable[[Callable[[int], bytes]], dict[str, str]] | None = None
    """Makes the credentials of a simulated account cheaply from the random bytes. None: use `new_credentials`."""

    def simulate_credentials(self, random_bytes: Callable[[int], bytes]) -> dict[str, str]:
        """The credentials of a simulated account. They protect nothing."""
        return (self.simulated_credentials or self.new_credentials)(random_bytes)


class IssuedCredentials(NamedTuple):
    """The two sides of the credentials of a key that we issue."""

    given: dict[str, str]
    """The values that the client receives, once."""
    kept: dict[str, str]
    """What our server stores, encrypted."""


def issue(dialect: Dialect, credentials: Mapping[str, str]) -> IssuedCredentials:
    """Split new credentials into those for the client and those for the server. Both get shared secrets.

    Only the client gets its private key. Only the server gets values that are not credential fields, such as the
    private key that signs its answers.
    """
    if not isinstance(dialect, Provider):
        return IssuedCredentials(dict(credentials), dict(credentials))
    forms = {field.name: field.form for field in dialect.credentials}
    return IssuedCredentials(
        {name: value for name, value in credentials.items() if name in forms},
        {name: value for name, value in credentials.items() if forms.get(name) is not CredentialForm.PRIVATE_KEY},
    )


class Connect(Protocol):
    """Opens a client for one account."""

    def __call__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> Client:
        """`rate` None: do not wait between calls, for a local server. Raises ConfigError for unusable input."""
        ...
