"""Observations of a source's service: kept by account and name, until they are replaced or the source is removed."""

from datetime import timedelta

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.source_state import (
    Observation,
    find_observation,
    forget_observations,
    list_observations,
    record_observations,
)
from liushui.ledger.jobs.sources import add_source, remove_source
from tests.ledger.ledgers import hour


def test_an_observation_replaces_the_one_of_the_same_name(ledger: Ledger) -> None:
    first = [Observation("b", "page_rows_max", "50", hour(0)), Observation("a", "page_rows_max", "20", hour(0))]
    record_observations(ledger, first)
    later = Observation("b", "page_rows_max", "60", hour(0) + timedelta(hours=1))
    record_observations(ledger, [later])
    assert list_observations(ledger) == [first[1], later]
    assert find_observation(ledger, "b", "page_rows_max") == later
    assert find_observation(ledger, "b", "window_max") is None


def test_observations_are_forgotten_by_name_or_with_their_source(ledger: Ledger) -> None:
    add_source(ledger, account="a", base_url="http://a.example", credentials={"x": "y"}, since=hour(0), paced=True)
    record_observations(ledger, [Observation(account, name, "1", hour(0)) for account in "ab" for name in ("x", "y")])
    forget_observations(ledger, "b", "x")
    assert [(one.account, one.name) for one in list_observations(ledger)] == [("a", "x"), ("a", "y"), ("b", "y")]
    remove_source(ledger, "a")
    assert [(one.account, one.name) for one in list_observations(ledger)] == [("b", "y")]
