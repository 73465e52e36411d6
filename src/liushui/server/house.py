"""What the handlers of our own API and pages work with."""

from collections.abc import Mapping
from dataclasses import dataclass

from liushui.ledger.engine import Ledger
from liushui.provider import Provider


@dataclass(frozen=True)
class House:
    """A ledger, the providers that are installed, and where the wire APIs are reached."""

    ledger: Ledger
    providers: Mapping[str, Provider]
    url: str
    """The base URL of the wire APIs, as it was when the server started."""
    socket_url: str
