"""What the handlers of our own API and pages work with."""

from collections.abc import Mapping
from dataclasses import dataclass

from liushui.ledger.engine import Ledger
from liushui.provider import Provider, RateLimiter
from liushui.server.auth import BEARER, Connection, SessionLookup, bearer_principal, no_session
from liushui.services.access import Principal


@dataclass(frozen=True)
class AppContext:
    """A ledger, the providers that are installed, and where the wire APIs are reached."""

    ledger: Ledger
    providers: Mapping[str, Provider]
    url: str
    """The base URL of the wire APIs, as it was when the server started."""
    socket_url: str
    limits: RateLimiter
    """What all processes that serve the ledger know together of calls made."""
    sessions: SessionLookup = no_session
    """Whose browser a request came from."""

    def principal_of(self, connection: Connection) -> Principal | None:
        """Who makes a request: by its token where it brings one, else by its session. None: nobody who is known."""
        if connection.headers.get("authorization", "")[: len(BEARER)].lower() == BEARER:
            return bearer_principal(self.ledger, connection)
        return self.sessions(connection)
