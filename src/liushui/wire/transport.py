"""Calls to one provider over HTTP: paced, one at a time, their faults as errors by class. It knows no dialect."""

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
from liushui.wire import transport

NO_HEADERS: Final[Mapping[str, str]] = {}


class Answer(NamedTuple):
    """What a call was answered with. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """How long the answer asks to wait, where it says so in seconds."""
        return transport.parse_retry_after(self.headers.get("retry-after"))


class HttpConnection:
    """Where one account's API is. Raises ConfigError for a base URL that names no such place.

    `bare_key`: calls carry the key itself and no signature, so they go over TLS, or stay on this machine.
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
        self._where = transport.parse_secure_url(base_url) if bare_key else transport.parse_base_url(base_url)
        self.prefix = urlsplit(self._where).path
        """What stands before every path, for signatures over the whole of it."""
        self._pacer = Pacer(rate) if rate else None
        import httpx2  # inside: a provider's rules and codec are read by many who call nobody

        self._faults = httpx2.HTTPError
        self._http = httpx2.AsyncClient(base_url=self._where, timeout=timeout_s, headers=dict(headers))

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
        """Make one call when the rate allows it. `headers` are made then, for they may carry the time.

        Raises Unavailable where there is no answer.
        """
        async with self._pacer.call() if self._pacer and paced else nullcontext():
            target = f"{path}?{query}" if query else path
            try:
                answer = await self._http.request(method, target, content=body, headers=dict(headers()))
            except self._faults as error:
                reason = f"{type(error).__name__} {error}".strip()
                raise Unavailable(f"no answer from {self._where}: {reason}") from error
        return Answer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()


_HEADER = re.compile(r"[!-~]+(?: [!-~]+)*")
"""Printable ASCII, with single spaces inside."""
_SECONDS = re.compile(r"[0-9]{1,5}")
"""At most a day and a little: whoever is told to wait for longer is told nothing."""


def parse_base_url(text: str) -> str:
    """Where a provider's API is, without slashes at the end. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _HEADER.fullmatch(text) is None or " " in text or any(sign in text for sign in "?#@"):
        expected = "http://HOST[:PORT][/PATH] or https://…, in ASCII, without a query or a password"
        raise ConfigError(f"base-url: expected {expected}, got {short_repr(text.partition('@')[2] or text)}")
    return text.rstrip("/")


def parse_secure_url(text: str) -> str:
    """A base URL over which a bare key may be sent: https, or one of this machine. Raises ConfigError."""
    where = parse_base_url(text)
    parts = urlsplit(where)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise ConfigError(f"base-url: expected https://…, for the key itself is sent, got {short_repr(where)}")
    return where


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def check_header_value(name: str, value: str) -> str:
    """A credential that goes into a header. Raises ConfigError, which does not show it."""
    if _HEADER.fullmatch(value) is None:
        raise ConfigError(f"{name}: expected printable ASCII, got {len(value)} characters that no header can hold")
    return value


def parse_retry_after(header: str | None) -> float | None:
    """How long an answer's Retry-After asks to wait. None where it says nothing, or a date."""
    return timedelta(seconds=int(header)).total_seconds() if header and _SECONDS.fullmatch(header) else None
