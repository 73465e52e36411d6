"""Find what the folders of a package and the entry points of installed packages export: providers and file formats."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from liushui.errors import ConfigError


def load_exports(package: str, path: Iterable[str], attribute: str, noun: str) -> dict[str, Any]:
    """What each module directly in a package exports as `attribute`, by its name, in alphabetical order; and what the
    modules export that installed packages name under an entry point group of the package's name.

    A folder whose name begins with "_" is shared by several others and exports nothing. `noun` says in an error what
    it is. Raises ConfigError if two packages export the same name.
    """
    from importlib.metadata import entry_points  # imported here: rules can be loaded without its 10 ms

    names = [module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")]
    modules = [import_module(f"{package}.{name}") for name in names]
    modules += [point.load() for point in entry_points(group=package)]
    exports: dict[str, Any] = {}
    for module in modules:
        export = getattr(module, attribute)
        if export.name in exports:
            raise ConfigError(f"two packages have a {noun} named {export.name!r}: remove one of them")
        exports[export.name] = export
    return dict(sorted(exports.items()))
