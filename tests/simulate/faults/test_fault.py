"""The outcome of a request, as a function of its fault and the server's answer."""

from datetime import timedelta
from typing import Final

import pytest

from liushui.http import Response
from liushui.simulate.faults.fault import (
    GARBAGE,
    Answered,
    Fault,
    FaultKind,
    Reset,
    Stalled,
    Unreached,
    transport_outcome,
)

TRUE: Final = Response(200, [("content-type", "application/json")], b'{"code":0,"data":[1,2,3]}')
LATE: Final = timedelta(seconds=3)

ANSWERED_BY_THE_SERVER: Final = (None, FaultKind.EXPIRED, FaultKind.SKEWED, FaultKind.REPEATED, FaultKind.CURSOR_LOST)
"""Faults that the server itself answers."""


@pytest.mark.parametrize("kind", ANSWERED_BY_THE_SERVER)
def test_an_answer_of_the_server_is_left_unchanged(kind: FaultKind | None) -> None:
    assert transport_outcome(Fault(kind, LATE, variant=7, retry_after_s=5), TRUE) == Answered(TRUE, LATE)


def test_a_connection_may_fail_without_an_answer() -> None:
    assert transport_outcome(Fault(FaultKind.REFUSED, LATE), TRUE) == Unreached(LATE)
    assert transport_outcome(Fault(FaultKind.STALLED, LATE), TRUE) == Stalled(LATE)


@pytest.mark.parametrize("variant", [0, 1, 24, 25, 26, 10**9])
def test_an_answer_may_break_off_before_its_end(variant: int) -> None:
    whole = len(TRUE.body)
    assert transport_outcome(Fault(FaultKind.RESET, LATE, variant), TRUE) == Reset(TRUE, variant % whole, LATE)
    cut = transport_outcome(Fault(FaultKind.TRUNCATED, LATE, variant), TRUE)
    assert isinstance(cut, Answered)
    assert cut.response == TRUE._replace(body=TRUE.body[: variant % whole])
    assert len(cut.response.body) < whole


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.TRUNCATED])
def test_an_answer_without_a_body_may_break_off_too(kind: FaultKind) -> None:
    outcome = transport_outcome(Fault(kind, variant=9), TRUE._replace(body=b""))
    assert isinstance(outcome, (Reset, Answered))
    assert outcome.response.body == b""


def test_garbage_has_every_variant_with_http_200() -> None:
    bodies = set()
    for variant in range(len(GARBAGE)):
        outcome = transport_outcome(Fault(FaultKind.GARBLED, variant=variant), TRUE)
        assert isinstance(outcome, Answered)
        assert outcome.response.status == 200
        bodies.add(outcome.response.body)
    assert bodies == set(GARBAGE)


def test_outages_use_the_providers_own_answers_where_it_has_some() -> None:
    own = Response(503, [], b'{"code":30014}')
    busy = Response(200, [], b'{"code":30016}')
    for kind, mine in ((FaultKind.BROKEN, own), (FaultKind.MAINTENANCE, busy)):
        said = [transport_outcome(Fault(kind, variant=variant), TRUE, [own, busy]) for variant in range(8)]
        assert Answered(mine) in said
        assert Answered(busy if mine is own else own) not in said
        nobodys = [transport_outcome(Fault(kind, variant=variant), TRUE) for variant in range(8)]
        assert all(isinstance(outcome, Answered) and outcome.response != TRUE for outcome in nobodys)


def test_an_error_page_of_a_proxy_is_html() -> None:
    for variant in range(4):
        outcome = transport_outcome(Fault(FaultKind.HTML, variant=variant), TRUE)
        assert isinstance(outcome, Answered)
        assert outcome.response.status >= 500
        assert outcome.response.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize("kind", [FaultKind.TOO_MANY, FaultKind.BANNED])
def test_retry_after_is_sent_where_the_fault_has_it(kind: FaultKind) -> None:
    refusal = Response(429, [("a", "b")], b"{}")
    silent, told = (transport_outcome(Fault(kind, retry_after_s=after_s), refusal) for after_s in (None, 5))
    assert silent == Answered(refusal)
    assert told == Answered(refusal._replace(headers=[("a", "b"), ("retry-after", "5")]))
