"""Every installed provider has golden pairs, including its document's sample. The suite checks their flows."""

import pytest

from liushui.provider import Provider
from liushui.providers import load_providers
from liushui.testing.golden import cases, samples_of


@pytest.mark.parametrize("provider", [pytest.param(provider, id=name) for name, provider in load_providers().items()])
def test_every_answer_has_its_flows_and_the_reverse(provider: Provider) -> None:
    """What a provider's own document prints is always one of them."""
    folder = samples_of(provider)
    found = list(cases(folder))
    assert "document" in {name for name, _, _ in found}
    assert sorted(folder.iterdir()) == sorted(file for _, *pair in found for file in pair)
