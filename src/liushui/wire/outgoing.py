"""Checks of what a client needs before it calls and is told after it: a base URL, a header's value, a wait."""

import re
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from liushui.errors import ConfigError
from liushui.money import shown

_HEADER = re.compile(r"[!-~]+(?: [!-~]+)*")
"""Printable ASCII, with single spaces inside."""
_SECONDS = re.compile(r"[0-9]{1,5}")
"""At most a day and a little: whoever is told to wait for longer is told nothing."""


def base_url(text: str) -> str:
    """Where a provider's API is, without slashes at the end. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _HEADER.fullmatch(text) is None or " " in text or any(sign in text for sign in "?#@"):
        expected = "http://HOST[:PORT][/PATH] or https://…, in ASCII, without a query or a password"
        raise ConfigError(f"base-url: expected {expected}, got {shown(text.partition('@')[2] or text)}")
    return text.rstrip("/")


def closed_url(text: str) -> str:
    """A base URL over which a bare key may be sent: https, or one of this machine. Raises ConfigError."""
    where = base_url(text)
    parts = urlsplit(where)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise ConfigError(f"base-url: expected https://…, for the key itself is sent, got {shown(where)}")
    return where


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def header_value(name: str, value: str) -> str:
    """A credential that goes into a header. Raises ConfigError, which does not show it."""
    if _HEADER.fullmatch(value) is None:
        raise ConfigError(f"{name}: expected printable ASCII, got {len(value)} characters that no header can hold")
    return value


def retry_after_s(header: str | None) -> float | None:
    """How long an answer's Retry-After asks to wait. None where it says nothing, or a date."""
    return timedelta(seconds=int(header)).total_seconds() if header and _SECONDS.fullmatch(header) else None
