"""Every provider found has golden pairs, its document's own sample among them. What they mean the suite checks."""

import pytest

from liushui.provider import Provider
from liushui.providers import load_providers
from liushui.testing.golden import FLOWS, WIRE, cases, samples_of


@pytest.mark.parametrize("provider", [pytest.param(provider, id=name) for name, provider in load_providers().items()])
def test_every_answer_has_its_flows_and_the_reverse(provider: Provider) -> None:
    """What a provider's own document prints is always one of them."""
    folder = samples_of(provider)
    names = [name for name, _, _ in cases(folder)]
    assert "document" in names
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}{end}" for name in names for end in (WIRE, FLOWS)
    )
