"""Whom a server can be seen by, and who comes into its page. It knows no web framework: commands ask it too."""

from typing import Final
from urllib.parse import urlencode, urlsplit

from liushui.ledger.access.tokens import Scope, Token

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(url: str) -> bool:
    """Whether only this machine's own programs reach that URL."""
    host = host_of(url)
    return host in LOOPBACK or host.startswith("127.")


def host_of(url: str) -> str:
    """The host in a URL; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def login_link(base_url: str, code: str) -> str:
    """The address that lets one browser in, once."""
    return f"{base_url}/login?{urlencode({'code': code})}"


def is_full(token: Token) -> bool:
    """Whether a token lets its bearer into the page, which shows and changes everything."""
    return token.accounts is None and {Scope.READ, Scope.MANAGE} <= token.scopes
