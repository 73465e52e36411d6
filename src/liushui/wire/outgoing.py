"""Checks of what a client needs before it calls and is told after it: a base URL, a header's value, a wait."""

import re
from datetime import timedelta
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


def header_value(name: str, value: str) -> str:
    """A credential that goes into a header. Raises ConfigError, which does not show it."""
    if _HEADER.fullmatch(value) is None:
        raise ConfigError(f"{name}: expected printable ASCII, got {len(value)} characters that no header can hold")
    return value


def retry_after_s(header: str | None) -> float | None:
    """How long an answer's Retry-After asks to wait. None where it says nothing, or a date."""
    return timedelta(seconds=int(header)).total_seconds() if header and _SECONDS.fullmatch(header) else None
