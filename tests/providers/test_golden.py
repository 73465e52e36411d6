"""Golden pairs of every provider found: an answer, and what it means. A new provider's folder needs no new test."""

from pathlib import Path

import msgspec
import pytest

from liushui.errors import WireError
from liushui.provider import Provider
from liushui.providers import providers
from liushui.testing.golden import FLOWS, WIRE, cases, golden, samples_of

CASES = [
    pytest.param(provider, wire, flows, id=f"{provider.name}-{name}")
    for provider in providers().values()
    for name, wire, flows in cases(samples_of(provider))
]


@pytest.mark.parametrize("provider", [pytest.param(provider, id=name) for name, provider in providers().items()])
def test_every_answer_has_its_flows_and_the_reverse(provider: Provider) -> None:
    """What a provider's own document prints is always one of them."""
    folder = samples_of(provider)
    names = [name for name, _, _ in cases(folder)]
    assert "document" in names
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}{end}" for name in names for end in (WIRE, FLOWS)
    )


@pytest.mark.parametrize(("provider", "wire", "flows"), CASES)
def test_an_answer_means_what_is_written_beside_it(provider: Provider, wire: Path, flows: Path) -> None:
    assert golden(provider.codec, wire.read_bytes()) == flows.read_text(encoding="utf-8")


@pytest.mark.parametrize(("provider", "wire", "flows"), CASES)
def test_rows_are_the_documents_own_bytes(provider: Provider, wire: Path, flows: Path) -> None:
    document, at = wire.read_bytes(), 0
    for row in provider.codec.rows_of(document):
        at = document.index(row, at) + len(row)


@pytest.mark.parametrize(("provider", "wire", "flows"), CASES)
def test_a_row_that_is_written_again_is_the_same_flow(provider: Provider, wire: Path, flows: Path) -> None:
    codec = provider.codec
    for row in codec.rows_of(wire.read_bytes()):
        try:
            received = codec.read(row)
        except WireError:
            continue
        written = codec.write(received.flow)
        served = codec.read(received.served or row)
        assert served.served is None, "what is served in a row's place is served as it is"
        assert codec.read(written).flow == served.flow
        assert msgspec.json.decode(codec.write(served.flow)) == msgspec.json.decode(written)
