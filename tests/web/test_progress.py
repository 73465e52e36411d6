"""The progress of a sync on a source's page: the part reloads itself until the result appears."""

from datetime import timedelta

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Run, add_source, record_run
from liushui.ledger.jobs.workers import Progress, new_holder, write_progress
from liushui.sync.events import SyncStatus
from tests.ledger.ledgers import READ_AT
from tests.web.visitor import Visitor

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def synced(ledger: Ledger) -> Run:
    """A source whose sync has just ended."""
    given = {"app_key": "k", "app_secret": "s", "access_token": "t"}
    add_source(ledger, account="a", base_url="https://p.test", credentials=given, since=READ_AT, paced=True)
    now = ledger.clock()
    run = Run("a", now - SECOND, now, slices=1, rows_in=3, added=3, gaps=0, error="")
    record_run(ledger, run)
    return run


def told(ledger: Ledger, run: Run) -> None:
    """Write the last progress of a sync."""
    ended = ledger.clock()
    done = Progress(
        "a", new_holder(), run.started_at, ended, ended, SyncStatus.DONE.value, slices=1, rows_in=3, added=3
    )
    write_progress(ledger, [done])


def asks_again(guest: Visitor) -> bool:
    return "hx-get" in guest.get("/sources/a/progress").text


def test_the_part_reloads_until_the_result_is_there(ledger: Ledger, guest: Visitor, synced: Run) -> None:
    assert asks_again(guest)
    told(ledger, synced)
    assert not asks_again(guest)
    assert "New flows" in guest.get("/sources/a/progress").text


def test_the_result_of_an_earlier_sync_is_not_enough(ledger: Ledger, guest: Visitor, synced: Run) -> None:
    told(ledger, synced)
    later = ledger.clock() + SECOND
    record_run(ledger, synced._replace(started_at=later, ended_at=later))
    assert asks_again(guest)


def test_the_part_stops_reloading_after_a_while(ledger: Ledger, guest: Visitor, synced: Run) -> None:
    """The process that synced may have been killed before it wrote the result."""
    long_ago = ledger.clock() - timedelta(minutes=1)
    record_run(ledger, synced._replace(ended_at=long_ago))
    assert not asks_again(guest)
