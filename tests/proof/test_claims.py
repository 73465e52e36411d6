"""The claim of a sync that reports completion: each false part of the claim is found."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from liushui.instant import to_us
from liushui.ledger.coverage import Range, State
from liushui.providers.longbridge.rules import RULES
from liushui.rules import RefreshPolicy
from liushui.sync.plan import provable_range
from soak.run import false_claims
from tests.sync.rows import NOW

DAILY_REFRESH: Final = replace(RULES, refresh=(RefreshPolicy(timedelta(weeks=3), timedelta(days=1)),))
SINCE: Final = NOW - timedelta(days=90)
WHOLE: Final = provable_range(RULES, since=SINCE, now=NOW)
DAY: Final = timedelta(days=1)


def proven(since_days: int, until_days: int, checked_days: int, state: State = State.PROVEN) -> Range:
    """A range, its ends and its last check given as days before now."""
    assert WHOLE is not None
    ends = [WHOLE.until - days * DAY for days in (since_days, until_days)]
    since = max(ends[0], WHOLE.since)
    return Range(to_us(since), to_us(ends[1]), state, "", to_us(NOW - checked_days * DAY), 1)


@pytest.mark.parametrize(
    ("ranges", "whats"),
    [
        ([proven(90, 0, 0)], []),
        ([proven(90, 21, 80), proven(21, 2, 1), proven(2, 0, 0)], []),
        ([proven(90, 3, 0)], ["was never proven", "was not read again", "was not read again within 1 day, 0:00:00"]),
        ([proven(90, 30, 80), proven(28, 0, 0)], ["was never proven"]),
        ([proven(90, 30, 80), proven(30, 28, 0, State.OPEN), proven(28, 0, 0)], ["was never proven"]),
        ([proven(90, 2, 1), proven(2, 0, 1)], ["was not read again"]),
        ([proven(90, 2, 0), proven(2, 1, 1), proven(1, 0, 0)], ["was not read again"]),
        ([proven(90, 2, 2), proven(2, 0, 0)], ["was not read again within 1 day, 0:00:00"]),
        ([], ["was never proven", "was not read again", "was not read again within 1 day, 0:00:00"]),
    ],
)
def test_each_false_claim_is_found(ranges: Sequence[Range], whats: list[str]) -> None:
    claims = list(false_claims(DAILY_REFRESH, ranges, since=SINCE, began_at=NOW, ended_at=NOW))
    assert len(claims) == len(whats), claims
    assert all(f"{what}, and a sync of 2024-01-11T12:00:00" in claim for what, claim in zip(whats, claims, strict=True))


def test_nothing_is_claimed_about_what_cannot_be_read() -> None:
    assert list(false_claims(RULES, [], since=NOW, began_at=NOW, ended_at=NOW)) == []


def test_rows_that_were_forgotten_during_the_sync_are_not_claimed() -> None:
    ranges = [proven(90, 20, 80), proven(20, 0, 0)]
    assert list(false_claims(DAILY_REFRESH, ranges, since=SINCE, began_at=NOW, ended_at=NOW))
    assert not list(false_claims(DAILY_REFRESH, ranges, since=SINCE, began_at=NOW, ended_at=NOW + DAY))
