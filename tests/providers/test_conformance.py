"""The conformance suite over every provider found: a new folder needs no new test."""

from liushui.providers import load_providers
from liushui.testing.conformance import ProviderConformance

globals().update(
    {
        f"Test_{name}": type(f"Test_{name}", (ProviderConformance,), {"provider": provider})
        for name, provider in load_providers().items()
    }
)
