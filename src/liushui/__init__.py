"""liushui (流水): one ledger for every fund flow."""

from importlib.metadata import version

__version__ = version("liushui")
