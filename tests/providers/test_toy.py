"""The proof that a package outside liushui can be a provider: one that exists only here passes every check."""

import inspect
import os
import re
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from liushui.errors import WireError
from liushui.flow import Flow
from liushui.http import Request, Response
from liushui.provider import FlowReader, Page, PageRequest, Provider
from liushui.testing.conformance import ProviderConformance
from liushui.testing.conformance.both_ends import MemoryPair
from liushui.testing.golden import samples_of
from liushui.testing.processes import run
from liushui.testing.reader import MemoryReader
from liushui.testing.transport import clients_over
from tests.providers.toy import NAME, PROVIDER, ToyClient, ToyCodec, ToyServer

PROJECT: Final = Path(__file__).parents[2]
LINES_MAX: Final = 160


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install it for the processes that are started: what pip leaves of a package, on their path."""
    folder = tmp_path_factory.mktemp("site-packages")
    about = folder / "liushui_toy-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: liushui-toy\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[liushui.providers]\n{NAME} = {PROVIDER.connect.__module__}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(PROJECT)]))
        yield


class TestToy(ProviderConformance):
    """Every check of the suite."""

    provider = PROVIDER


def test_it_is_found_where_it_is_installed() -> None:
    """The command line names it, though nothing of liushui does."""
    assert NAME in re.findall(r"\w+", run("source", "add", "--help"))


def test_it_is_short() -> None:
    files = list(samples_of(PROVIDER).parent.rglob("*.py"))
    assert 0 < sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) < LINES_MAX


# ---------------------------------------------------------------- the suite can fail


class Rounding(ToyCodec):
    """Says cents, and no less."""

    def write(self, flow: Flow, language: str | None = None) -> bytes:
        return super().write(flow._replace(amount=round(flow.amount, 2)), language)


class Trusting(ToyClient):
    """Takes what it cannot read for an empty page."""

    async def fetch_page(self, request: PageRequest) -> Page:
        try:
            return await super().fetch_page(request)
        except WireError:
            return Page(())


class Unpaced(ToyServer):
    """Counts no calls."""

    __module__ = ToyServer.__module__  # its samples are the toy's

    def answer(self, request: Request, reader: FlowReader) -> Response:
        uncounted = copy(reader)
        assert isinstance(uncounted, MemoryReader)
        uncounted.admit_call = None
        return super().answer(request, uncounted)


class Fragile(ToyServer):
    """Falls over what is no number."""

    __module__ = ToyServer.__module__  # its samples are the toy's

    def answer(self, request: Request, reader: FlowReader) -> Response:
        int(request.query_params().get("size", "10"))
        return super().answer(request, reader)


class Short(ToyServer):
    """Leaves out the last row of a long page, and says nothing."""

    __module__ = ToyServer.__module__  # its samples are the toy's

    def answer(self, request: Request, reader: FlowReader) -> Response:
        found = super().answer(request, reader)
        rows = ToyCodec().extract_rows(found.body)
        return found if len(rows) < 2 else found._replace(body=b'{"error":0,"rows":[%b]}' % b",".join(rows[:-1]))


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (replace(PROVIDER, codec=Rounding()), "test_a_foreign_flow_is_written_exactly_or_refused"),
        (replace(PROVIDER, connect=Trusting), "test_a_truncated_answer_is_an_error"),
        (replace(PROVIDER, server=Unpaced()), "test_the_rate_is_enforced_and_recovers"),
        (replace(PROVIDER, server=Fragile()), "test_signed_requests_with_odd_parameters"),
        (replace(PROVIDER, server=Short()), "test_pages_of_any_size_partition_the_rows"),
    ],
    ids=["rounding", "trusting", "unpaced", "fragile", "short"],
)
def test_a_provider_that_is_broken_does_not_pass(broken: Provider, check: str) -> None:
    suite = type("Broken", (ProviderConformance,), {"provider": broken})()
    memory = MemoryPair(broken)
    given = {"memory": memory, "endpoint": memory.endpoint}
    asks = inspect.signature(getattr(suite, check)).parameters
    with clients_over(memory.transport), pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        getattr(suite, check)(**{name: given[name] for name in asks})
