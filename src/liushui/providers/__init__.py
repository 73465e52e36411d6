"""The providers, one folder each. No list names them: the package is searched for them, and so are entry points."""

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from liushui.discovery import load_exports
from liushui.errors import ConfigError, short_repr
from liushui.provider import Provider
from liushui.rules import Paging, Rules


@cache
def load_providers() -> dict[str, Provider]:
    """Return all providers by name. Raises ConfigError if two packages have a provider of the same name."""
    return load_exports(__name__, __path__, "PROVIDER", "provider")


def get_provider(name: str) -> Provider:
    """Return the provider with this name. Raises ConfigError, which lists the names that exist."""
    try:
        return load_providers()[name]
    except KeyError:
        raise ConfigError(f"provider: expected {', '.join(load_providers())}, got {short_repr(name)}") from None


class ProviderRules(Mapping[str, Rules[Paging]]):
    """The rules of every installed provider, by its name, and the rules of the formats of statement files.

    Reading them does not import the providers' clients, servers and codecs.
    """

    def __getitem__(self, name: str) -> Rules[Paging]:
        if find_spec(f"{__name__}.{name}") is not None:
            rules: Rules[Paging] = _load_rules(name).RULES
            return rules
        if find_spec(f"liushui.formats.{name}") is not None or name not in load_providers():
            # imported here because most accounts belong to a provider and need no statement format
            from liushui.formats import load_formats

            return load_formats()[name].rules
        return load_providers()[name].rules

    def __iter__(self) -> Iterator[str]:
        return iter(load_providers())

    def __len__(self) -> int:
        return len(load_providers())


@cache
def _load_rules(name: str) -> ModuleType:
    """Return the module `rules` of a provider in this package."""
    module = f"{__name__}.{name}.rules"
    if f"{__name__}.{name}" in sys.modules:
        return import_module(module)
    # It is loaded from its file: an import by name would first import the package with its client, server and codec.
    spec = spec_from_file_location(module, Path(__path__[0]).joinpath(name, "rules.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"{module} cannot be imported")
    rules = module_from_spec(spec)
    spec.loader.exec_module(rules)
    return rules
