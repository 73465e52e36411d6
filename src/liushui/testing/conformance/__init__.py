"""The conformance suite: requirements for every provider at both ends, including outside providers. It needs pytest.

    from liushui.testing.conformance import ProviderConformance
    from liushui_mine import PROVIDER

    class TestMine(ProviderConformance):
        provider = PROVIDER

It needs only the provider: rows come from its golden pairs and its codec, limits from its rules. The client is
connected to the server in memory, and through `liushui serve` in another process. That process finds the provider by
its entry point, so the package has to be installed. The client must make its calls with httpx2, as wire.transport does.
"""

from liushui.testing.conformance.codecs import CodecChecks
from liushui.testing.conformance.deviations import DeviationChecks
from liushui.testing.conformance.invalid_answers import AnswerChecks
from liushui.testing.conformance.malformed_requests import RequestChecks
from liushui.testing.conformance.paging import FilterChecks, LimitChecks, PageChecks
from liushui.testing.conformance.refusals import AccessChecks, RateChecks
from liushui.testing.conformance.sync import SyncChecks

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
    SyncChecks,
    DeviationChecks,
):
    """Every check of one provider. A subclass names it: `provider = PROVIDER`."""
