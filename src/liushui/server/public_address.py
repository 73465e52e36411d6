"""A server behind a proxy: its public address, and who sent a request that a proxy passes on.

The proxy must pass paths on unchanged, with the prefix of the public address, because clients of provider APIs sign
them. Inside, the site has no prefix: this module removes it from requests and adds it to the addresses in answers.
"""

import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from liushui.errors import ConfigError, short_repr

Network: TypeAlias = IPv4Network | IPv6Network
Message: TypeAlias = MutableMapping[str, Any]

_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")
FORWARDED_FOR: Final = "x-forwarded-for"
_OWN_PREFIXES: Final = frozenset({"/api", "/dialect", "/static", "/page", "/login", "/flows", "/sources", "/keys"})
"""First parts of a prefix that would look like one of our own paths."""


def parse_public_url(text: str) -> str:
    """Return a public address without a slash at its end. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - it raises ValueError for one that is none
    except ValueError as error:
        raise ConfigError(f"public-url: expected https://HOST/PREFIX, got {short_repr(text)}: {error}") from error
    path = parts.path.rstrip("/")
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain or not _PREFIX.fullmatch(path):
        raise ConfigError(f"public-url: expected https://HOST or https://HOST/PREFIX, got {short_repr(text)}")
    if f"/{path[1:].partition('/')[0]}" in _OWN_PREFIXES:
        raise ConfigError(f"public-url: expected a prefix that is not a path of liushui, got {short_repr(path)}")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of addresses in CIDR notation, or of single ones. Raises ConfigError."""
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            expected = "an IP address, or a network such as 10.0.0.0/8"
            raise ConfigError(f"trusted-proxy: expected {expected}, got {short_repr(text)}: {error}") from error
    return tuple(networks)


@dataclass(frozen=True)
class PublicAddress:
    """How a server is reached through proxies."""

    url: str = ""
    """The address without a slash at its end; empty if there is no proxy."""
    trusted: tuple[Network, ...] = ()
    """Proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted."""

    @cached_property
    def prefix(self) -> str:
        """The path of the address: empty, or with a slash at its beginning and none at its end."""
        return urlsplit(self.url).path

    @cached_property
    def origin(self) -> str:
        """The address without its path, as browsers send it in Origin. Empty if there is none."""
        return self.url.removesuffix(self.prefix)

    def path(self, path: str) -> str:
        """A path without the prefix. A path without it comes from this machine, past the proxy, and is returned
        unchanged."""
        if self.prefix and (path == self.prefix or path.startswith(f"{self.prefix}/")):
            return path[len(self.prefix) :] or "/"
        return path

    def client(self, address: str, forwarded_for: Sequence[str]) -> str:
        """Return the address (HOST:PORT) of the client behind the trusted proxies.

        `forwarded_for`: every X-Forwarded-For of the request, in order. Some proxies add a header of their own after
        the one that the client sent.
        """
        if not self._trusts(address.rpartition(":")[0].strip("[]")):
            return address
        # From the last address back to the first one that is not a trusted proxy.
        forwarded = [part.strip() for part in ",".join(forwarded_for).split(",") if part.strip()]
        for host in reversed(forwarded):
            if not _is_address(host):
                break
            if not self._trusts(host):
                return f"[{host}]:0" if ":" in host else f"{host}:0"
        return address

    def is_secure(self, address: str, headers: Mapping[str, str]) -> bool:
        """Whether a client used TLS: a trusted proxy says so, or the client used the public address."""
        if self._trusts(address.rpartition(":")[0].strip("[]")) and "x-forwarded-proto" in headers:
            return headers["x-forwarded-proto"] == "https"
        return self.origin == f"https://{headers.get('host', '').lower()}"

    def _trusts(self, host: str) -> bool:
        if not self.trusted or not _is_address(host):
            return False
        address = ip_address(host)
        mapped = getattr(address, "ipv4_mapped", None)  # a client of IPv4 on a socket of IPv6
        return any((mapped or address) in network for network in self.trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


DIRECT: Final = PublicAddress()
"""No proxy."""


# ---------------------------------------------------------------- the site behind it

_HEADERS_WITH_ADDRESSES: Final = frozenset({b"location", b"hx-redirect"})
_ADDRESS = re.compile(
    rb'(?<=\s)((?:href|src|action|formaction|spec-url|hx-(?:get|post|push-url)|data-[a-z-]+)=")(?=/(?!/))'
)
"""Attributes whose value is an address of this server. Users' texts cannot look like such an attribute, because
their quotes are escaped."""
_COOKIE_PATH = re.compile(rb"(;\s*path=)/(?=;|$)", re.IGNORECASE)


class PublicSite:
    """Wraps an ASGI application behind a proxy: removes the prefix from requests and sets the real client's address."""

    def __init__(self, app: Any, public: PublicAddress) -> None:  # noqa: ANN401 - an ASGI application
        self._app, self._public = app, public

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:  # noqa: ANN401 - as ASGI has them
        """Answer a request."""
        public, path = self._public, scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host, port = scope["client"] or ("", 0)
        address = f"{host}:{port}"
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == FORWARDED_FOR.encode()]
        client = public.client(address, forwarded)
        inner = {**scope, "client": (client.rpartition(":")[0].strip("[]"), int(client.rpartition(":")[2]))}
        if public.is_secure(address, headers):
            inner["scheme"] = "https"
        if public.path(path) != path:
            inner["path"] = public.path(path)
            inner["raw_path"] = public.path(scope["raw_path"].decode("ascii")).encode("ascii")
            await self._app(inner, receive, partial(_Answer(public.prefix).send, send))
        else:
            await self._app(inner, receive, send)


class _Answer:
    """An answer of the site. Its addresses get the prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self._start: Message = {}

    async def send(self, send: Any, message: Message) -> None:  # noqa: ANN401 - as ASGI has it
        """Send a message of the application."""
        if message["type"] == "http.response.start":
            self._start = {**message, "headers": [self._header(*header) for header in message["headers"]]}
            return  # until the body is known, because its length is in a header
        if self._start:
            start, self._start = self._start, {}
            if not message.get("more_body") and self._is_html(start):
                body = _ADDRESS.sub(rb"\g<1>" + self._prefix, message.get("body", b""))
                length = (b"content-length", str(len(body)).encode())
                start["headers"] = [
                    length if name.lower() == b"content-length" else (name, value) for name, value in start["headers"]
                ]
                message = {**message, "body": body}
            await send(start)
        await send(message)

    def _header(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if name.lower() in _HEADERS_WITH_ADDRESSES and value.startswith(b"/") and not value.startswith(b"//"):
            return name, self._prefix + value
        if name.lower() == b"set-cookie":
            return name, _COOKIE_PATH.sub(rb"\g<1>" + self._prefix, value)
        return name, value

    @staticmethod
    def _is_html(start: Message) -> bool:
        headers = {name.lower(): value for name, value in start["headers"]}
        return headers.get(b"content-type", b"").startswith(b"text/html") and b"content-encoding" not in headers
