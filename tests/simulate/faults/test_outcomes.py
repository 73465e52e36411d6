"""What comes out of a request, of its ruling and the true answer alone."""

from datetime import timedelta
from typing import Final

import pytest

from liushui.http import Response
from liushui.simulate.faults.fault import Ruling, Sort
from liushui.simulate.faults.transport_faults import GARBAGE, Answered, Reset, Stalled, Unreached, outcome_of

TRUE: Final = Response(200, [("content-type", "application/json")], b'{"code":0,"data":[1,2,3]}')
LATE: Final = timedelta(seconds=3)

SERVERS_OWN: Final = (None, Sort.EXPIRED, Sort.SKEWED, Sort.REPEATED, Sort.CURSOR_LOST)
"""What a server says itself."""


@pytest.mark.parametrize("sort", SERVERS_OWN)
def test_what_a_server_says_itself_stands(sort: Sort | None) -> None:
    assert outcome_of(Ruling(sort, LATE, form=7, retry_after_s=5), TRUE) == Answered(TRUE, LATE)


def test_a_connection_fails_with_no_answer() -> None:
    assert outcome_of(Ruling(Sort.REFUSED, LATE), TRUE) == Unreached(LATE)
    assert outcome_of(Ruling(Sort.STALLED, LATE), TRUE) == Stalled(LATE)


@pytest.mark.parametrize("form", [0, 1, 24, 25, 26, 10**9])
def test_an_answer_breaks_off_before_its_end(form: int) -> None:
    whole = len(TRUE.body)
    assert outcome_of(Ruling(Sort.RESET, LATE, form), TRUE) == Reset(TRUE, form % whole, LATE)
    cut = outcome_of(Ruling(Sort.TRUNCATED, LATE, form), TRUE)
    assert isinstance(cut, Answered)
    assert cut.response == TRUE._replace(body=TRUE.body[: form % whole])
    assert len(cut.response.body) < whole


@pytest.mark.parametrize("sort", [Sort.RESET, Sort.TRUNCATED])
def test_an_answer_without_a_body_can_break_off_too(sort: Sort) -> None:
    outcome = outcome_of(Ruling(sort, form=9), TRUE._replace(body=b""))
    assert isinstance(outcome, (Reset, Answered))
    assert outcome.response.body == b""


def test_garbage_comes_in_every_form_with_http_200() -> None:
    bodies = set()
    for form in range(len(GARBAGE)):
        outcome = outcome_of(Ruling(Sort.GARBLED, form=form), TRUE)
        assert isinstance(outcome, Answered)
        assert outcome.response.status == 200
        bodies.add(outcome.response.body)
    assert bodies == set(GARBAGE)


def test_what_is_broken_says_so_in_its_own_words_where_they_are_known() -> None:
    own = Response(503, [], b'{"code":30014}')
    busy = Response(200, [], b'{"code":30016}')
    for sort, mine in ((Sort.BROKEN, own), (Sort.MAINTENANCE, busy)):
        said = [outcome_of(Ruling(sort, form=form), TRUE, [own, busy]) for form in range(8)]
        assert Answered(mine) in said
        assert Answered(busy if mine is own else own) not in said
        nobodys = [outcome_of(Ruling(sort, form=form), TRUE) for form in range(8)]
        assert all(isinstance(outcome, Answered) and outcome.response != TRUE for outcome in nobodys)


def test_a_page_for_people_is_html() -> None:
    for form in range(4):
        outcome = outcome_of(Ruling(Sort.HTML, form=form), TRUE)
        assert isinstance(outcome, Answered)
        assert outcome.response.status >= 500
        assert outcome.response.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize("sort", [Sort.TOO_MANY, Sort.BANNED])
def test_retry_after_is_sent_where_it_is_said(sort: Sort) -> None:
    refusal = Response(429, [("a", "b")], b"{}")
    silent, told = (outcome_of(Ruling(sort, retry_after_s=after_s), refusal) for after_s in (None, 5))
    assert silent == Answered(refusal)
    assert told == Answered(refusal._replace(headers=[("a", "b"), ("retry-after", "5")]))
