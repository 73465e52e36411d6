"""The providers, one folder each. They are found, not listed: by walking this package and the entry points."""

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from liushui.errors import ConfigError, short_repr
from liushui.provider import Provider

ENTRY_POINTS = "liushui.providers"
"""Group under which an installed package names a module that exports PROVIDER."""


@cache
def load_providers() -> dict[str, Provider]:
    """Every provider found, by name."""
    # A folder whose name begins with "_" holds code that several providers share; it is no provider itself.
    names = [found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")]
    modules = [import_module(f"{__name__}.{name}") for name in names]
    modules += [point.load() for point in entry_points(group=ENTRY_POINTS)]
    found: dict[str, Provider] = {}
    for module in modules:
        provider: Provider = module.PROVIDER
        if provider.name in found:
            raise ConfigError(f"two packages give a provider named {provider.name!r}: remove one of them")
        found[provider.name] = provider
    return dict(sorted(found.items()))


def get_provider(name: str) -> Provider:
    """The provider of that name. Raises ConfigError listing those there are."""
    try:
        return load_providers()[name]
    except KeyError:
        raise ConfigError(f"provider: expected {', '.join(load_providers())}, got {short_repr(name)}") from None
