"""Spans cover every day once, and each has the rows that open and close its wallets."""

from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.simulate.balanced_spans import SPAN_ROWS, SpanPlan, plan_span, span_calendar
from liushui.simulate.role_profile import Wallet

WALLETS: Final = tuple(Wallet("", currency) for currency in ("USD", "CNH", "HKD", "SGD"))


@given(begin=st.integers(0, 30_000), days=st.integers(1, 2_000), flows=st.integers(0, 100_000))
def test_spans_cover_every_day_and_one_ends_with_the_world(begin: int, days: int, flows: int) -> None:
    known = span_calendar(begin=begin, end=begin + days, flows=flows)
    day, ends = begin, set()
    while day < begin + days + 1_000:
        found = known.span_of(day)
        assert found.start == day
        assert all(known.span_of(other) == found for other in (found[0], found[len(found) // 2], found[-1]))
        day = found.stop
        ends.add(day)
    assert begin + days in ends


@pytest.mark.parametrize("flows", [1, 40, 41, 999, 10_000, 10_000_000])
def test_a_span_has_enough_rows_on_average(flows: int) -> None:
    known = span_calendar(begin=0, end=1826, flows=flows)
    assert known.days == 1826 or flows * known.days >= SPAN_ROWS * 1826
    assert known.days == 1 or flows * (known.days - 1) < SPAN_ROWS * 1826


@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=20), opens=st.booleans(), wallets=st.integers(1, 4))
def test_each_moved_wallet_is_closed_after_all_other_rows(counts: list[int], opens: bool, wallets: int) -> None:
    plan = plan_span(range(100, 100 + len(counts)), counts, WALLETS[:wallets], opens=opens)
    opened = [wallet for day in plan.days for wallet in plan.opened_on(day)]
    closed = [wallet for day in plan.days for wallet in plan.closed_on(day)]
    free = [plan.free(day) for day in plan.days]
    rows = sum(counts)
    assert plan.wallets == WALLETS[: len(plan.wallets)]
    assert closed in ([], list(plan.wallets))
    assert opened == (list(plan.wallets) if opens and rows else [])
    assert min(free) >= 0
    assert sum(free) + len(opened) + len(closed) == rows
    if not closed:  # nothing but what opens it, or one row, which has to move nothing
        assert plan.idle
        assert sum(free) == int(rows > 0 and not opens)
        assert not any(plan.room(day) for day in plan.days)
    else:
        assert [plan.room(day) for day in plan.days] == free
    assert _come_first(plan, plan.opened_on)
    assert _come_first(plan._replace(days=plan.days[::-1]), plan.closed_on)


def _come_first(plan: SpanPlan, share: Callable[[int], Sequence[Wallet]]) -> bool:
    """Whether no day before the last of these rows has a free row."""
    days = list(plan.days)
    indexes = [index for index, day in enumerate(days) if share(day)]
    counts = dict(zip(sorted(days), plan.counts, strict=True))
    return all(len(share(day)) == counts[day] for day in days[: indexes[-1]]) if indexes else True
