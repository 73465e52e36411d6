"""What is to go wrong with one request, as a value. Whoever answers it, over a port or in memory, carries it out."""

from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from liushui.http import Request

AT_ONCE: Final = timedelta(0)


class Sort(StrEnum):
    """A way in which a request goes wrong."""

    REFUSED = "refused"
    """The connection is closed before a byte of an answer."""
    STALLED = "stalled"
    """Nothing ever comes."""
    RESET = "reset"
    """The connection breaks within the answer."""
    TRUNCATED = "truncated"
    """The answer ends early, and says that it is whole."""
    GARBLED = "garbled"
    """HTTP 200, and no answer of the provider."""
    HTML = "html"
    """A page of something in between, for people."""
    BROKEN = "broken"
    """HTTP 500 and its kin."""
    MAINTENANCE = "maintenance"
    """HTTP 200, and nobody at home."""
    TOO_MANY = "too many"
    """The call is over a rate."""
    BANNED = "banned"
    """So is every call for a while, in the provider's words for whoever does not slow down."""
    EXPIRED = "expired"
    """The key, or the token made of it, is no good any more."""
    SKEWED = "skewed"
    """The provider's clock is an hour off."""
    REPEATED = "repeated"
    """The page before this one comes again."""
    CURSOR_LOST = "cursor lost"
    """The place to go on from is not known any more."""


class Ruling(NamedTuple):
    """What happens to one request."""

    sort: Sort | None = None
    """None: it is answered as it should be."""
    delay: timedelta = AT_ONCE
    """How long the answer takes."""
    form: int = 0
    """Which of several forms a fault has, or after how many bytes it falls: any number, taken modulo what there is."""
    retry_after_s: int | None = None
    """What Retry-After says where a call is over a rate. None: it is not sent."""


class Rulings(Protocol):
    """Says of each request what is to go wrong with it."""

    def rule(self, request: Request) -> Ruling:
        """What happens to the next request."""
        ...
