"""HTTP calls to one provider: rate-limited, one at a time, failures as errors by class. It knows no provider."""

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from datetime import timedelta
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from liushui.errors import ConfigError, Unavailable, short_repr
from liushui.ratelimit.pacing import Pacer
from liushui.rules import Rate

NO_HEADERS: Final[Mapping[str, str]] = {}

_HEADER = re.compile(r"[!-~]+(?: [!-~]+)*")
"""Printable ASCII, with single spaces inside."""
_SECONDS = re.compile(r"[0-9]{1,5}")
"""At most a day and a little. A longer wait is ignored."""


class Answer(NamedTuple):
    """The answer to a call. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """The seconds in the Retry-After header. None without one, or where it is a date."""
        return parse_retry_after(self.headers.get("retry-after"))


class HttpConnection:
    """A connection to one account's API.

    `rate` None: calls do not wait for each other. With `bare_key` calls carry the API key itself, not a signature,
    so the base URL must be https, or a loopback address. Raises ConfigError for an unusable base URL.
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
        """The path of the base URL. Signatures cover the whole path, this part included."""
        self._pacer = Pacer(rate) if rate else None
        import httpx2  # here, because most users of a provider's rules and codec make no calls

        self._http_error = httpx2.HTTPError
        self._http = httpx2.AsyncClient(base_url=self._base_url, timeout=timeout_s, headers=dict(headers))

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes | None = None,
        headers: Callable[[], Mapping[str, str]] = lambda: NO_HEADERS,
        paced: bool = True,
    ) -> Answer:
        """Make one call as soon as the rate allows it.

        `headers` is called only then, because signed headers contain the time. Raises Unavailable if no answer came.
        """
        async with self._pacer.call() if self._pacer and paced else nullcontext():
            target = f"{path}?{query}" if query else path
            try:
                answer = await self._http.request(method, target, content=body, headers=dict(headers()))
            except self._http_error as error:
                reason = f"{type(error).__name__} {error}".strip()
                raise Unavailable(f"no answer from {self._base_url}: {reason}") from error
        return Answer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)

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
        # An error text must not show a password, so whatever stands before an @ is left out.
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
    """Return a credential that goes into a header. Raises ConfigError, without showing it, if no header can hold it."""
    if _HEADER.fullmatch(value) is None:
        raise ConfigError(f"{name}: expected printable ASCII, got {len(value)} characters that no header can hold")
    return value


def parse_retry_after(header: str | None) -> float | None:
    """The seconds in a Retry-After header. None without one, or where it is a date."""
    return timedelta(seconds=int(header)).total_seconds() if header and _SECONDS.fullmatch(header) else None


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
