"""Our own API, under /api/v1."""

from litestar import get
from litestar.types import ControllerRouterHandler

from liushui import __version__
from liushui.server.house import House

ROOT = "/api/v1"


def api_routes(_house: House) -> list[ControllerRouterHandler]:
    """What answers under /api/v1."""

    @get(ROOT, sync_to_thread=False)
    def about() -> dict[str, str]:
        """Which liushui answers."""
        return {"name": "liushui", "version": __version__}

    return [about]
