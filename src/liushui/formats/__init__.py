"""The formats of statement files, one folder each. The package is searched for them, and so are entry points."""

from functools import cache

from liushui.discovery import load_exports
from liushui.errors import ConfigError, short_repr
from liushui.files.contract import FileFormat


@cache
def load_formats() -> dict[str, FileFormat]:
    """All formats by name. Raises ConfigError if two packages have a format of the same name."""
    return load_exports(__name__, __path__, "FORMAT", "format")


def get_format(name: str) -> FileFormat:
    """The format with this name. Raises ConfigError listing the names that exist."""
    try:
        return load_formats()[name]
    except KeyError:
        raise ConfigError(f"--as: expected {', '.join(load_formats())}, got {short_repr(name)}") from None
