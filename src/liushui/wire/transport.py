"""HTTP calls to one provider: rate-limited, one at a time, with failures as error classes. It knows no provider."""

import asyncio
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from io import BytesIO
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from liushui.errors import ConfigError, Unanswered, Unavailable, Unfinished, Unreachable, Untrustworthy, short_repr
from liushui.instant import EPOCH
from liushui.ratelimit import Pacer
from liushui.rules import Rate

if TYPE_CHECKING:
    import ssl

    import httpx2

NO_HEADERS: Final[Mapping[str, str]] = {}

BODY_MAX: Final = 64 * 1024 * 1024
"""The largest unpacked body of an answer. The largest page of any provider has a tenth of it."""
CONNECT_TIMEOUT_S: Final = 5.0
"""How long connecting may take. It is short, so that a sync without a network reports it soon."""
TIMEOUTS_PER_CALL: Final = 3
"""The number of timeouts that a whole call may take: to connect, to send, to receive."""

_HEADER = re.compile(r"[!-~]+(?: [!-~]+)*")
"""Printable ASCII, with single spaces inside."""
_SECONDS = re.compile(r"[0-9]{1,20}")
_PIECE: Final = 1024 * 1024
_WAIT_MAX_S: Final = 100 * 366 * 86_400
"""The longest wait, a century, so that its end is a valid instant."""


class Answer(NamedTuple):
    """The answer to a call. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """The seconds that the Retry-After header asks to wait. None if the answer has none."""
        return parse_retry_after(self.headers.get("retry-after"), now=self.date)

    @property
    def date(self) -> datetime | None:
        """The time of the server's own clock, to the second. None if it does not state it."""
        return parse_http_date(self.headers.get("date"))


class ServiceClock:
    """The difference between a service's clock and this machine's, measured from the Date headers of its answers."""

    def __init__(self) -> None:
        self.offset: timedelta | None = None
        """This machine's time plus this offset is the service's time. None: no answer has stated its time yet."""

    def observe(self, answer: Answer, sent_s: float, received_s: float) -> None:
        """Measure with an answer, and this machine's times at the beginning of the request and at its arrival."""
        date = answer.date
        if date is None:
            return
        # The header has whole seconds, rounded down. So the offset is only known within that second and the duration of
        # the call. It is zero if zero is possible, so that an exact clock is left alone. Otherwise it is the smallest
        # possible offset, because nothing may be called complete later than the service's clock.
        least = (date - EPOCH).total_seconds() - received_s
        most = (date - EPOCH).total_seconds() + 1 - sent_s
        self.offset = timedelta(seconds=0.0 if least <= 0 <= most else round(least, 3))

    def now_s(self) -> float:
        """The service's time in Unix seconds, as far as it is known."""
        return time.time() + (self.offset.total_seconds() if self.offset else 0.0)


class HttpConnection:
    """A connection to one account's API.

    `rate` None: calls do not wait for each other. With `bare_key` calls carry the API key itself, not a signature, so
    the base URL must be https, or a loopback address. Raises ConfigError for an unusable base URL.
    """

    def __init__(
        self,
        base_url: str,
        *,
        rate: Rate | None,
        timeout_s: float,
        headers: Mapping[str, str] = NO_HEADERS,
        bare_key: bool = False,
    ) -> None:
        self._base_url = parse_secure_url(base_url) if bare_key else parse_base_url(base_url)
        self.prefix = urlsplit(self._base_url).path
        """The path of the base URL. Signatures cover the whole path, including this part."""
        self._pacer = Pacer(rate) if rate else None
        import httpx2  # imported here because most users of a provider's rules and codec make no calls

        self._http_error = httpx2.HTTPError
        self._connect_errors = (httpx2.ConnectError, httpx2.ConnectTimeout)
        self._timeout_error = httpx2.TimeoutException
        self._timeout_s = timeout_s
        self.clock = ServiceClock()
        self._call_max_s = TIMEOUTS_PER_CALL * timeout_s
        timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S))
        # Only gzip, because its decompression can be stopped at a size limit. Redirects are not followed, because they
        # would show the credentials to another host.
        headers = {"accept-encoding": "gzip", **headers}
        self._http = httpx2.AsyncClient(timeout=timeout, headers=headers, follow_redirects=False, verify=_tls_context())

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: str | Callable[[], str] = "",
        body: bytes | None = None,
        headers: Callable[[], Mapping[str, str]] = lambda: NO_HEADERS,
        paced: bool = True,
    ) -> Answer:
        """Make one call as soon as the rate allows it.

        `headers` is called only then, and so is `query` if it is a function, because signed ones contain the time.
        Raises Unreachable without a connection, Unanswered if nothing was received within the timeout, Unfinished if
        the answer stopped or the call took longer than TIMEOUTS_PER_CALL, Unavailable if the connection broke, and
        Untrustworthy for a redirect or an endless body.
        """
        async with self._pacer.call() if self._pacer and paced else nullcontext():
            text = query if isinstance(query, str) else query()
            # Absolute, because joining a relative URL with the client's base URL parses it three times.
            target = f"{self._base_url}{path}?{text}" if text else f"{self._base_url}{path}"
            sent_s, has_begun = time.time(), False
            try:
                async with (
                    # a timeout applies to one read, so an answer may arrive one byte at a time
                    asyncio.timeout(self._call_max_s),
                    self._http.stream(method, target, content=body, headers=dict(headers())) as response,
                ):
                    has_begun = True
                    fields = {name.lower(): value for name, value in response.headers.items()}
                    content = await self._read_body(response)
            except TimeoutError as error:
                raise Unfinished(f"no whole answer of {self._base_url} within {self._call_max_s:g} s") from error
            except self._http_error as error:
                reason = f"no answer from {self._base_url}: {f'{type(error).__name__} {error}'.strip()}"
                if isinstance(error, self._connect_errors):
                    raise Unreachable(reason) from error
                if not isinstance(error, self._timeout_error):
                    raise Unavailable(reason) from error
                if has_begun:
                    raise Unfinished(f"an answer of {self._base_url} stopped for {self._timeout_s:g} s") from error
                raise Unanswered(
                    f"{self._base_url} took the call and gave no answer in {self._timeout_s:g} s"
                ) from error
        answer = Answer(response.status_code, fields, content)
        self.clock.observe(answer, sent_s, time.time())
        if response.is_redirect and (location := fields.get("location")):
            target = urlsplit(location)._replace(query="", fragment="").geturl()
            raise Untrustworthy(f"{self._base_url} redirects to {short_repr(target)}, which was not followed")
        return answer

    async def _read_body(self, response: "httpx2.Response") -> bytes:
        """The unpacked body. Raises Untrustworthy as soon as it exceeds BODY_MAX."""
        if response.is_stream_consumed:  # it was built in memory
            return response.content
        body = BytesIO()  # returns its buffer without a copy, unlike joining a list of pieces
        async for chunk in _unpacked(response, self._base_url):
            body.write(chunk)
            if body.tell() > BODY_MAX:
                limit = f"{BODY_MAX // 1024**2} MiB"
                raise Untrustworthy(f"an answer of {self._base_url} is longer than {limit}, and was not read on")
        return body.getvalue()

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()


def parse_base_url(text: str) -> str:
    """Check the base URL of a provider's API. Returns it without a trailing slash. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _HEADER.fullmatch(text) is None or " " in text or any(sign in text for sign in "?#@"):
        expected = "http://HOST[:PORT][/PATH] or https://…, in ASCII, without a query or a password"
        # An error text must not show a password, so everything before an @ is left out.
        raise ConfigError(f"base-url: expected {expected}, got {short_repr(text.partition('@')[2] or text)}")
    return text.rstrip("/")


def parse_secure_url(text: str) -> str:
    """`parse_base_url` for an API to which the bare key is sent: https only, or a loopback address."""
    base_url = parse_base_url(text)
    parts = urlsplit(base_url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        expected = "https://… (the API key itself is sent)"
        raise ConfigError(f"base-url: expected {expected}, got {short_repr(base_url)}")
    return base_url


def check_header_value(name: str, value: str) -> str:
    """Return a credential for use in a header. Raises ConfigError, without showing it, if no header can hold it."""
    if _HEADER.fullmatch(value) is None:
        raise ConfigError(f"{name}: expected printable ASCII, got {len(value)} characters that no header can hold")
    return value


def parse_retry_after(header: str | None, *, now: datetime | None = None) -> float | None:
    """Return the seconds to wait from a Retry-After header, which has seconds or a date. None if the header states
    none.

    `now`: the time of the server that sent a date. None: our own time.
    """
    if not header:
        return None
    if _SECONDS.fullmatch(header):
        return timedelta(seconds=min(int(header), _WAIT_MAX_S)).total_seconds()
    until = parse_http_date(header)
    if until is None:
        return None
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def parse_http_date(header: str | None) -> datetime | None:
    """Return the instant in a header such as `Fri, 31 Dec 2027 04:00:00 GMT`. None if it has no valid date."""
    if not header or not header[:1].isalpha():
        return None
    with suppress(ValueError, TypeError, OverflowError, IndexError):
        date = parsedate_to_datetime(header)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    return None


async def _unpacked(response: "httpx2.Response", base_url: str) -> AsyncIterator[bytes]:
    """Yield the body in pieces of at most some MiB, even if a compressed piece is much larger unpacked."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if encoding not in ("gzip", "x-gzip"):
        raise Untrustworthy(f"an answer of {base_url} is encoded as {short_repr(encoding)}, which was not asked for")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        async for chunk in response.aiter_raw():
            packed = chunk
            while packed:
                yield unpacker.decompress(packed, _PIECE)
                packed = unpacker.unconsumed_tail
                if unpacker.eof and (packed := unpacker.unused_data):
                    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        yield unpacker.flush()
    except zlib.error as error:
        raise Unavailable(f"an answer of {base_url} cannot be unpacked: {error}") from error
    if not unpacker.eof:
        raise Unavailable(f"an answer of {base_url} was cut off")


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


@cache
def _tls_context() -> "ssl.SSLContext":
    """Verifies certificates. All clients of a process share it: to read the certificates of the system takes longer
    than most calls."""
    import httpx2

    return httpx2.create_ssl_context()
