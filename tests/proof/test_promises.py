"""A sync that says it is done, and what it left: each promise that is not kept is found."""

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
from soak.promises import broken_promises
from tests.sync.rows import NOW

RELOOK: Final = replace(RULES, refresh=(RefreshPolicy(timedelta(weeks=3), timedelta(days=1)),))
SINCE: Final = NOW - timedelta(days=90)
WHOLE: Final = provable_range(RULES, since=SINCE, now=NOW)
DAY: Final = timedelta(days=1)


def proven(since_days: int, until_days: int, checked_days: int, state: State = State.PROVEN) -> Range:
    """Days are so many before now; now itself is the horizon."""
    assert WHOLE is not None
    ends = [WHOLE.until - days * DAY for days in (since_days, until_days)]
    since = max(ends[0], WHOLE.since)
    return Range(to_us(since), to_us(ends[1]), state, "", to_us(NOW - checked_days * DAY), 1)


@pytest.mark.parametrize(
    ("ranges", "whats"),
    [
        ([proven(90, 0, 0)], []),
        ([proven(90, 21, 80), proven(21, 2, 1), proven(2, 0, 0)], []),
        ([proven(90, 3, 0)], ["is proven by nobody", "was not read again", "was not read again within 1 day, 0:00:00"]),
        ([proven(90, 30, 80), proven(28, 0, 0)], ["is proven by nobody"]),
        ([proven(90, 30, 80), proven(30, 28, 0, State.OPEN), proven(28, 0, 0)], ["is proven by nobody"]),
        ([proven(90, 2, 1), proven(2, 0, 1)], ["was not read again"]),
        ([proven(90, 2, 0), proven(2, 1, 1), proven(1, 0, 0)], ["was not read again"]),
        ([proven(90, 2, 2), proven(2, 0, 0)], ["was not read again within 1 day, 0:00:00"]),
        ([], ["is proven by nobody", "was not read again", "was not read again within 1 day, 0:00:00"]),
    ],
)
def test_what_was_not_kept_is_found(ranges: Sequence[Range], whats: list[str]) -> None:
    said = list(broken_promises(RELOOK, ranges, since=SINCE, began_at=NOW, ended_at=NOW))
    assert len(said) == len(whats), said
    assert all(f"{what}, and a sync of 2024-01-11T12:00:00" in one for what, one in zip(whats, said, strict=True))


def test_nothing_is_promised_of_what_nobody_can_read() -> None:
    assert list(broken_promises(RULES, [], since=NOW, began_at=NOW, ended_at=NOW)) == []


def test_what_became_too_old_meanwhile_is_not_owed() -> None:
    ranges = [proven(90, 20, 80), proven(20, 0, 0)]
    assert list(broken_promises(RELOOK, ranges, since=SINCE, began_at=NOW, ended_at=NOW))
    assert not list(broken_promises(RELOOK, ranges, since=SINCE, began_at=NOW, ended_at=NOW + DAY))
