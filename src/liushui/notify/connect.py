"""Connections to addresses that a user named. Only public addresses are allowed by default, and time is limited."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from liushui.errors import ConfigError, Refused, Unreachable, short_repr

CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 10
TOTAL_TIMEOUT_S: Final = 30
"""How long a whole delivery may take, even if the receiver answers slowly."""
ANSWER_MAX: Final = 1_000
"""The number of bytes of an answer that are read. They are shown only in errors."""

_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


class Reply(NamedTuple):
    """The answer to an HTTP request: the beginning of its body, and header names in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is on the public internet. An IPv4 address inside an IPv6 one is checked as well."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and any(address in network for network in _NAT64):
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and address.teredo is not None:
            return False
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def connect(host: str, port: int, *, allow_private: bool) -> socket.socket:
    """Connect to a host. The connection uses the address that was checked: the name is not resolved a second time.

    Raises Refused if all addresses are private and private ones are not allowed, Unreachable if no address answers.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} cannot be found: {error}") from error
    allowed = [entry for entry in found if allow_private or is_public(ip_address(str(entry[4][0]).partition("%")[0]))]
    if not allowed:
        addresses = ", ".join(dict.fromkeys(str(entry[4][0]) for entry in found))
        raise Refused(f"{host} has a private address ({addresses}): --allow-private allows it")
    reason = ""
    for family, kind, protocol, _, address in allowed:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(CONNECT_TIMEOUT_S)
            connection.connect(address)
        except OSError as error:
            connection.close()
            reason = str(error)
        else:
            connection.settimeout(READ_TIMEOUT_S)
            return connection
    raise Unreachable(f"{host}, port {port}, does not answer: {reason}")


def encrypted(connection: socket.socket, host: str) -> ssl.SSLSocket:
    """The same connection under TLS. The certificate must be valid for the host. Raises Unreachable."""
    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except (OSError, ValueError) as error:
        connection.close()
        raise Unreachable(f"no TLS with {host}: {error}") from error


@contextmanager
def limited(connection: socket.socket) -> Iterator[None]:
    """End a connection that is used for longer than TOTAL_TIMEOUT_S. The socket's own timeout limits only a single
    read."""
    # This is a separate handle, because TLS takes over the connection and closes the original handle.
    with connection.dup() as handle:

        def end() -> None:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(TOTAL_TIMEOUT_S, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


class _Connection(http.client.HTTPConnection):
    """A connection that is already open. http.client follows no redirects and uses no proxy."""

    def __init__(self, host: str, port: int, connection: socket.socket) -> None:
        super().__init__(host, port)
        self.sock = connection

    def connect(self) -> None:
        """Called again after the server has closed the connection. There is no second connection."""
        raise http.client.NotConnected


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> Reply:
    """Send a POST request. A redirect is returned like any other answer; it is not followed.

    Raises Refused for a private address, Unreachable if there is no answer.
    """
    parts = parse_url("url", url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = connect(host, port, allow_private=allow_private)
    with limited(connection):
        secure = encrypted(connection, host) if parts.scheme == "https" else connection
        request = _Connection(host, port, secure)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            request.request("POST", target, body, {**headers, "Host": parts.netloc, "User-Agent": "liushui"})
            answer = request.getresponse()
            text = answer.read(ANSWER_MAX).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"no answer from {host}: {str(error) or type(error).__name__}") from error
        finally:
            request.close()
            secure.close()
    return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)


def parse_url(name: str, text: str) -> SplitResult:
    """Parse an http or https URL, given as option `name`. Raises ConfigError without showing a password in it."""
    expected = "https://HOST[:PORT]/PATH or http://…, in ASCII, without a user and a fragment"
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not text.isascii() or not text.isprintable() or any(sign in text for sign in " @#"):
        raise ConfigError(f"{name}: expected {expected}, got {short_repr(text.partition('@')[2] or text)}")
    return parts
