"""The conformance suite: what every provider must do at both its ends, whoever wrote it. It needs pytest.

    from liushui.testing.conformance import ProviderConformance
    from liushui_mine import PROVIDER

    class TestMine(ProviderConformance):
        provider = PROVIDER

It asks for nothing beside the provider: rows come from its golden pairs and its codec, numbers from its rules. The
client is joined to the server in memory, and through `liushui serve` in another process, which finds the provider by
its entry point: the package has to be installed. The client must make its calls with httpx2, as wire.connection does.
"""

from liushui.testing.conformance.access import AccessChecks, RateChecks
from liushui.testing.conformance.answers import AnswerChecks
from liushui.testing.conformance.codecs import CodecChecks
from liushui.testing.conformance.collecting import CollectingChecks
from liushui.testing.conformance.filters import FilterChecks
from liushui.testing.conformance.pages import LimitChecks, PageChecks
from liushui.testing.conformance.requests import RequestChecks

__all__ = ["ProviderConformance"]


class ProviderConformance(
    CodecChecks,
    PageChecks,
    LimitChecks,
    FilterChecks,
    AccessChecks,
    RateChecks,
    AnswerChecks,
    RequestChecks,
    CollectingChecks,
):
    """Every check of one provider. A subclass names it: `provider = PROVIDER`."""
