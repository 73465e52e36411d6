"""The part of a source's page that shows how far its sync is: it asks for itself until all of that is told."""

from datetime import timedelta

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.leases import new_holder
from liushui.ledger.jobs.progress import Progress, write_progress
from liushui.ledger.jobs.sources import Run, add_source, record_run
from liushui.sync.events import SyncStatus
from tests.ledger.books import READ_AT
from tests.web.visitor import Visitor

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def synced(ledger: Ledger) -> Run:
    """A source whose sync ended this second."""
    given = {"app_key": "k", "app_secret": "s", "access_token": "t"}
    add_source(ledger, account="a", base_url="https://p.test", credentials=given, since=READ_AT, paced=True)
    now = ledger.clock()
    run = Run("a", now - SECOND, now, slices=1, rows_in=3, added=3, gaps=0, error="")
    record_run(ledger, run)
    return run


def told(ledger: Ledger, run: Run) -> None:
    """Have a sync say what it came to."""
    ended = ledger.clock()
    done = Progress(
        "a", new_holder(), run.started_at, ended, ended, SyncStatus.DONE.value, slices=1, rows_in=3, added=3
    )
    write_progress(ledger, [done])


def asks_again(guest: Visitor) -> bool:
    return "hx-get" in guest.get("/sources/a/progress").text


def test_it_asks_until_the_sync_has_told(ledger: Ledger, guest: Visitor, synced: Run) -> None:
    assert asks_again(guest)
    told(ledger, synced)
    assert not asks_again(guest)
    assert "New flows" in guest.get("/sources/a/progress").text


def test_what_an_earlier_sync_told_is_not_enough(ledger: Ledger, guest: Visitor, synced: Run) -> None:
    told(ledger, synced)
    later = ledger.clock() + SECOND
    record_run(ledger, synced._replace(started_at=later, ended_at=later))
    assert asks_again(guest)


def test_it_does_not_wait_for_ever(ledger: Ledger, guest: Visitor, synced: Run) -> None:
    """The process may be gone that would have told."""
    long_ago = ledger.clock() - timedelta(minutes=1)
    record_run(ledger, synced._replace(ended_at=long_ago))
    assert not asks_again(guest)
