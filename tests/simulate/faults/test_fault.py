"""What comes out of a request, of its fault and the true answer alone."""

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

SERVERS_OWN: Final = (None, FaultKind.EXPIRED, FaultKind.SKEWED, FaultKind.REPEATED, FaultKind.CURSOR_LOST)
"""What a server says itself."""


@pytest.mark.parametrize("kind", SERVERS_OWN)
def test_what_a_server_says_itself_stands(kind: FaultKind | None) -> None:
    assert transport_outcome(Fault(kind, LATE, variant=7, retry_after_s=5), TRUE) == Answered(TRUE, LATE)


def test_a_connection_fails_with_no_answer() -> None:
    assert transport_outcome(Fault(FaultKind.REFUSED, LATE), TRUE) == Unreached(LATE)
    assert transport_outcome(Fault(FaultKind.STALLED, LATE), TRUE) == Stalled(LATE)


@pytest.mark.parametrize("variant", [0, 1, 24, 25, 26, 10**9])
def test_an_answer_breaks_off_before_its_end(variant: int) -> None:
    whole = len(TRUE.body)
    assert transport_outcome(Fault(FaultKind.RESET, LATE, variant), TRUE) == Reset(TRUE, variant % whole, LATE)
    cut = transport_outcome(Fault(FaultKind.TRUNCATED, LATE, variant), TRUE)
    assert isinstance(cut, Answered)
    assert cut.response == TRUE._replace(body=TRUE.body[: variant % whole])
    assert len(cut.response.body) < whole


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.TRUNCATED])
def test_an_answer_without_a_body_can_break_off_too(kind: FaultKind) -> None:
    outcome = transport_outcome(Fault(kind, variant=9), TRUE._replace(body=b""))
    assert isinstance(outcome, (Reset, Answered))
    assert outcome.response.body == b""


def test_garbage_comes_in_every_form_with_http_200() -> None:
    bodies = set()
    for variant in range(len(GARBAGE)):
        outcome = transport_outcome(Fault(FaultKind.GARBLED, variant=variant), TRUE)
        assert isinstance(outcome, Answered)
        assert outcome.response.status == 200
        bodies.add(outcome.response.body)
    assert bodies == set(GARBAGE)


def test_what_is_broken_says_so_in_its_own_words_where_they_are_known() -> None:
    own = Response(503, [], b'{"code":30014}')
    busy = Response(200, [], b'{"code":30016}')
    for kind, mine in ((FaultKind.BROKEN, own), (FaultKind.MAINTENANCE, busy)):
        said = [transport_outcome(Fault(kind, variant=variant), TRUE, [own, busy]) for variant in range(8)]
        assert Answered(mine) in said
        assert Answered(busy if mine is own else own) not in said
        nobodys = [transport_outcome(Fault(kind, variant=variant), TRUE) for variant in range(8)]
        assert all(isinstance(outcome, Answered) and outcome.response != TRUE for outcome in nobodys)


def test_a_page_for_people_is_html() -> None:
    for variant in range(4):
        outcome = transport_outcome(Fault(FaultKind.HTML, variant=variant), TRUE)
        assert isinstance(outcome, Answered)
        assert outcome.response.status >= 500
        assert outcome.response.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize("kind", [FaultKind.TOO_MANY, FaultKind.BANNED])
def test_retry_after_is_sent_where_it_is_said(kind: FaultKind) -> None:
    refusal = Response(429, [("a", "b")], b"{}")
    silent, told = (transport_outcome(Fault(kind, retry_after_s=after_s), refusal) for after_s in (None, 5))
    assert silent == Answered(refusal)
    assert told == Answered(refusal._replace(headers=[("a", "b"), ("retry-after", "5")]))
