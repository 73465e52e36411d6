"""liushui (流水): one ledger for every fund flow."""

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liushui.client.client import Client

__version__ = version("liushui")
__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> object:
    """The client, read when it is first asked for: whoever only wants a word of the domain does not wait for HTTP."""
    if name == "Client":
        from liushui.client.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
