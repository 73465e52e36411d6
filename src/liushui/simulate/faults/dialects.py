"""The providers' servers as they misbehave: what comes out of each request is handed to whoever carries it out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from liushui.http import Request, Response
from liushui.provider import FlowReader, Provider
from liushui.server.router import DialectRouter
from liushui.simulate.faults.fault import Rulings
from liushui.simulate.faults.faulty_reader import DoctoredReader, Places
from liushui.simulate.faults.profiles import Profile
from liushui.simulate.faults.transport_faults import NOT_ASKED, Outcome, outcome_of

Outages = Mapping[str, Sequence[Response]]
"""By the name of a provider: answers in which it says that it is broken (HTTP 500 and up) or under maintenance."""

NO_OUTAGES: Final[Outages] = {}

_NOT_ASKED_FOR: Final = Response(503, [], b"")
_outcomes: ContextVar[list[Outcome]] = ContextVar("outcomes")


class FaultyDialects(DialectRouter):
    """The providers' servers over one reader. They answer inside `recorded_outcomes`, which collects what comes out."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        reader: FlowReader,
        rulings: Rulings,
        *,
        profile: Profile,
        outages: Outages = NO_OUTAGES,
    ) -> None:
        super().__init__(providers, reader)
        self._honest, self._rulings, self._profile, self._outages = reader, rulings, profile, outages
        self._places = Places()

    def answer(self, provider: Provider, request: Request) -> Response:
        """The provider's own answer, where the request comes to it, to a reader that its ruling has doctored."""
        ruling = self._rulings.rule(request)
        response = _NOT_ASKED_FOR
        if ruling.sort not in NOT_ASKED:
            reader = DoctoredReader(self._honest, ruling, self._profile, self._places)
            response = provider.server.answer(request, reader)
        _outcomes.get().append(outcome_of(ruling, response, self._outages.get(provider.name, ())))
        return response


@contextmanager
def recorded_outcomes() -> Iterator[list[Outcome]]:
    """What comes out of the requests that are answered inside, in the same task or in threads that it waits for."""
    outcomes: list[Outcome] = []
    token = _outcomes.set(outcomes)
    try:
        yield outcomes
    finally:
        _outcomes.reset(token)
