"""liushui (流水): one ledger for every fund flow."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liushui.client.client import Client

    __version__: str

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> object:
    """Import `Client` and look up `__version__` on first use: most commands need neither, and both are slow."""
    if name == "__version__":
        from importlib.metadata import version

        return version("liushui")
    if name == "Client":
        from liushui.client.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
