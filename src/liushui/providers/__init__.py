"""The providers, one folder each. There is no list of them: they are found in this package and by entry points."""

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from liushui.errors import ConfigError, short_repr
from liushui.provider import Provider

ENTRY_POINTS = "liushui.providers"
"""Group of entry points under which an installed package names a module that exports PROVIDER."""


@cache
def load_providers() -> dict[str, Provider]:
    """All providers by name. Raises ConfigError if two packages have a provider of the same name."""
    # A folder whose name begins with "_" is shared by several providers and is none itself.
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    modules = [import_module(f"{__name__}.{name}") for name in names]
    modules += [point.load() for point in entry_points(group=ENTRY_POINTS)]
    providers: dict[str, Provider] = {}
    for module in modules:
        provider: Provider = module.PROVIDER
        if provider.name in providers:
            raise ConfigError(f"two packages have a provider named {provider.name!r}: remove one of them")
        providers[provider.name] = provider
    return dict(sorted(providers.items()))


def get_provider(name: str) -> Provider:
    """The provider of that name. Raises ConfigError listing the names that exist."""
    try:
        return load_providers()[name]
    except KeyError:
        raise ConfigError(f"provider: expected {', '.join(load_providers())}, got {short_repr(name)}") from None
