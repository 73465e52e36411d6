"""Sync requests: one process takes each, returns it, or takes it over from a dead process. The progress of syncs."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from liushui.errors import ConfigError
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source, list_sources, pause_source
from liushui.ledger.jobs.sync_requests import (
    ABANDONED_AFTER,
    WAITING,
    end_request,
    find_request,
    insert_request,
    request_sync,
    requests_to_take,
    return_request,
    take_request,
)
from liushui.ledger.jobs.workers import MACHINE, RUNNING, SILENCE_MAX, Progress, list_progress, write_progress
from tests.ledger.ledgers import hour

ME = f"{MACHINE}/{os.getpid()}/me"
GONE = f"{MACHINE}/{2**22 + 1}/gone"


@pytest.fixture(autouse=True)
def sourced(ledger: Ledger) -> None:
    add_source(ledger, account="a", base_url="http://a.example", credentials={"x": "y"}, since=hour(0), paced=True)


def test_a_second_request_returns_the_waiting_one(ledger: Ledger) -> None:
    first = request_sync(ledger, "a", by="me")
    assert request_sync(ledger, "a", by="you") == first
    assert request_sync(ledger, "a", by="me", everything=True).id != first.id
    assert first.status == WAITING
    with pytest.raises(ConfigError, match="source: there is none named 'b'"):
        request_sync(ledger, "b", by="me")


def test_concurrent_requests_are_one(ledger: Ledger) -> None:
    with ThreadPoolExecutor(1) as thread, ledger.writing() as connection:
        first = insert_request(connection, "a", by="me", now=ledger.clock())
        second = thread.submit(request_sync, ledger, "a", by="you")
        with pytest.raises(TimeoutError):
            second.result(timeout=0.3)  # it waits for the transaction of the first
    assert second.result().id == first.id


def test_a_request_is_taken_by_one_process_and_ended(ledger: Ledger) -> None:
    asked = request_sync(ledger, "a", by="me")
    assert take_request(ledger, asked, ME)
    assert not take_request(ledger, asked, "somebody/1/else")
    assert requests_to_take(ledger) == []
    assert request_sync(ledger, "a", by="me").id != asked.id, "what is asked for now comes after what runs"
    end_request(ledger, asked, "somebody/1/else", status="done", error="")
    assert find_request(ledger, "a", asked.id) is not None
    end_request(ledger, asked, ME, status="done", error="")
    found = find_request(ledger, "a", asked.id)
    assert found is not None
    assert (found.status, found.ended_at) == ("done", ledger.clock())


@pytest.mark.parametrize("holder", [GONE, "elsewhere/1/lost"])
def test_a_request_of_a_dead_process_is_taken_over(ledger: Ledger, holder: str) -> None:
    asked = request_sync(ledger, "a", by="me")
    assert take_request(ledger, asked, holder)
    later = ledger.with_clock(lambda: ledger.clock() + ABANDONED_AFTER + timedelta(seconds=1))
    (left,) = requests_to_take(later)
    assert take_request(later, left, ME)
    return_request(later, left, ME)
    assert [one.status for one in requests_to_take(ledger)] == [WAITING]


def test_a_source_is_paused_and_resumed(ledger: Ledger) -> None:
    pause_source(ledger, "a", paused=True)
    assert [source.paused for source in list_sources(ledger)] == [True]
    pause_source(ledger, "a", paused=False)
    assert [source.paused for source in list_sources(ledger)] == [False]
    with pytest.raises(ConfigError, match="none named 'b'"):
        pause_source(ledger, "b", paused=True)


def test_progress_is_stored_and_read_back(ledger: Ledger) -> None:
    now = ledger.clock()
    one = Progress("a", ME, now, now, None, RUNNING, slices=1, rows_in=5)
    write_progress(ledger, [one])
    write_progress(ledger, [one._replace(slices=2, message="waits 3 s: rate")])
    (found,) = list_progress(ledger, ["a"])
    assert (found.slices, found.slices_left, found.message) == (2, None, "waits 3 s: rate")
    assert found.is_running(now)
    assert not found.is_running(now + SILENCE_MAX)
    assert not found._replace(holder=GONE).is_running(now)
    assert not found._replace(ended_at=now).is_running(now)
