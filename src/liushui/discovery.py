"""Find what the folders of a package and the entry points of installed packages export: providers and file formats."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from liushui.errors import ConfigError


def load_exports(package: str, path: Iterable[str], attribute: str, noun: str) -> dict[str, Any]:
    """Return what each module directly in a package exports as `attribute`, by name in alphabetical order. The modules
    of installed packages under the entry point group of that name are included.

    A folder whose name begins with "_" is shared by several others and exports nothing. `noun` is the word for the
    exports in errors. Raises ConfigError if two packages export the same name.
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
