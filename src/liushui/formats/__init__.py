"""The formats of statement files, one folder each. They are found in this package and by entry points."""

import pkgutil
from functools import cache
from importlib import import_module

from liushui.errors import ConfigError, short_repr
from liushui.files.contract import FileFormat

ENTRY_POINTS = "liushui.formats"
"""Group of entry points under which an installed package names a module that exports FORMAT."""


@cache
def load_formats() -> dict[str, FileFormat]:
    """All formats by name. Raises ConfigError if two packages have a format of the same name."""
    from importlib.metadata import entry_points  # imported here: most commands need no format

    # A folder whose name begins with "_" is shared by several formats and is none itself.
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    modules = [import_module(f"{__name__}.{name}") for name in names]
    modules += [point.load() for point in entry_points(group=ENTRY_POINTS)]
    formats: dict[str, FileFormat] = {}
    for module in modules:
        format_: FileFormat = module.FORMAT
        if format_.name in formats:
            raise ConfigError(f"two packages have a format named {format_.name!r}: remove one of them")
        formats[format_.name] = format_
    return dict(sorted(formats.items()))


def get_format(name: str) -> FileFormat:
    """The format of that name. Raises ConfigError listing the names that exist."""
    try:
        return load_formats()[name]
    except KeyError:
        raise ConfigError(f"--as: expected {', '.join(load_formats())}, got {short_repr(name)}") from None
