"""The balance chain: healthy chains have no break, and a single fault is found in its place."""

from datetime import timedelta
from decimal import Decimal
from itertools import groupby, permutations
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.reconcile.chain import Break, BreakCause, ChainChecker, ChainRow, explain
from liushui.rules import BalanceRules

SECOND: Final = 1_000_000
NO_WINDOW: Final = BalanceRules(window=timedelta(0))


def row(second: float, id_: str, amount: str | int, balance: str | int | None) -> ChainRow:
    """A row of a chain."""
    return ChainRow(int(second * SECOND), id_, Decimal(amount), None if balance is None else Decimal(balance))


def check(*rows: ChainRow, rules: BalanceRules = BalanceRules(), balance: Decimal | None = None) -> ChainChecker:  # noqa: B008 - frozen
    """Check rows in any order."""
    checker = ChainChecker(rules, balance)
    for _, instant in groupby(sorted(rows), key=lambda one: one.at_us):
        checker.add(list(instant))
    checker.finish()
    return checker


def located(breaks: list[Break]) -> list[tuple[str | None, str, str, str]]:
    """Each break by the rows that it is between, its difference and its cause."""
    return [
        (one.before[1] if one.before else None, one.after[1], str(one.difference), one.cause.value)
        for one in explain(breaks)
    ]


def test_a_receipt_and_its_fee_in_one_second_are_put_in_order() -> None:
    checker = check(row(1, "fee", "-0.60", "9.40"), row(1, "receipt", "10.00", "10.00"), row(2, "x", "1.00", "10.40"))
    assert (len(checker.breaks), checker.reordered) == (0, 0)
    assert (checker.opening, checker.balance) == (Decimal(0), Decimal("10.40"))


def test_a_lost_row_is_a_break_of_its_amount_between_its_neighbours() -> None:
    checker = check(row(1, "a", 10, 10), row(3, "c", 10, 830))
    assert located(checker.breaks) == [("a", "c", "810", "missing")]
    assert checker.balance == 830


def test_a_lost_row_within_an_instant_is_found_by_the_rows_after_it() -> None:
    rows = [row(1, "a", 1, 11), row(1, "b", 2, 13), row(1, "d", 4, 22), row(2, "e", 1, 23)]
    assert located(check(*rows, balance=Decimal(10)).breaks) == [("b", "d", "5", "missing")]


def test_a_row_that_is_there_twice_is_named() -> None:
    rows = [row(1, "a", 1, 11), row(2, "b", 2, 13), row(2, "b~1", 2, 13), row(3, "c", 1, 14)]
    checker = check(*rows)
    assert located(checker.breaks) == [("b", "b~1", "-2", "twice")]
    assert {id_ for _, id_ in checker.breaks[0].rows} == {"b", "b~1"}
    assert checker.balance == 14


def test_a_row_with_a_wrong_amount_is_after_the_break() -> None:
    checker = check(row(1, "a", 1, 11), row(2, "b", 7, 13), row(3, "c", 1, 14))
    assert located(checker.breaks) == [("a", "b", "-5", "missing")]
    assert [id_ for _, id_ in checker.breaks[0].rows] == ["b"]


def test_a_row_that_states_a_wrong_balance_is_named() -> None:
    checker = check(row(100, "a", 1, 11), row(200, "b", 2, 99), row(300, "c", 1, 14))
    assert located(checker.breaks) == [("a", "b", "86", "wrong_balance"), ("b", "c", "-86", "wrong_balance")]


def test_a_row_at_a_wrong_time_is_named() -> None:
    checker = check(
        row(100, "a", 1, 1), row(200, "c", 3, 6), row(300, "d", 4, 10), row(400, "b", 2, 3), row(500, "e", 5, 15)
    )
    assert located(checker.breaks) == [
        ("a", "c", "2", "missing"),
        ("d", "b", "-9", "out_of_place"),
        ("b", "e", "7", "out_of_place"),
    ]


@pytest.mark.parametrize("seconds", [(1, 2, 3), (2, 1, 3), (3, 2, 1), (1, 3, 2)])
def test_rows_of_a_window_may_be_booked_in_another_order_than_stamped(seconds: tuple[int, int, int]) -> None:
    facts = [("a", 5, 105), ("b", -3, 102), ("c", 1, 103)]
    rows = [row(second, *fact) for second, fact in zip(seconds, facts, strict=True)]
    checker = check(row(0, "first", 100, 100), *rows, row(60, "last", 1, 104))
    assert checker.breaks == []
    assert bool(checker.reordered) == (seconds != (1, 2, 3))
    broken = check(row(0, "first", 100, 100), *rows, row(60, "last", 1, 104), rules=NO_WINDOW)
    assert bool(broken.breaks) == (seconds != (1, 2, 3))


def test_rows_before_the_one_that_does_not_follow_belong_to_the_window() -> None:
    """The rows b and c were booked before a."""
    rows = [row(1, "a", 5, 5), row(3, "b", -3, -3), row(4, "c", 3, 0)]
    checker = check(*rows, balance=Decimal(0))
    assert (len(checker.breaks), checker.balance, checker.reordered) == (0, Decimal(5), 3)


def test_rows_without_a_balance_carry_it_on() -> None:
    rows = [row(1, "a", 1, None), row(2, "b", 2, 13), row(3, "c", 4, None), row(4, "d", 1, 18), row(5, "e", 9, None)]
    checker = check(*rows)
    assert checker.breaks == []
    assert (checker.opening, checker.balance, checker.stated) == (Decimal(10), Decimal(27), 2)
    assert located(check(*rows[:2], rows[3]).breaks) == [("b", "d", "4", "missing")]


def test_rows_without_a_balance_fill_gaps_within_an_instant() -> None:
    rows = [row(1, "a", 1, 11), row(1, "b", 5, None), row(1, "c", 2, 18), row(2, "d", 1, 19)]
    assert check(*rows, balance=Decimal(10)).breaks == []


def test_a_tolerance_lets_rounded_balances_follow() -> None:
    rows = [row(1, "a", "0.333", "0.33"), row(2, "b", "0.333", "0.67"), row(3, "c", "0.333", "1.00")]
    assert check(*rows).breaks
    assert check(*rows, rules=BalanceRules(tolerance=Decimal("0.01"))).breaks == []
    group = [one._replace(at_us=SECOND) for one in reversed(rows)]
    assert check(*group, rules=BalanceRules(tolerance=Decimal("0.01")), balance=Decimal(0)).breaks == []


def test_a_chain_that_never_holds_is_checked_in_a_bounded_time() -> None:
    rows = [row(number / 50, f"{number}", 1, number * number) for number in range(1, 8_000)]
    assert len(check(*rows).breaks) > 4_000


amounts = st.integers(-3, 3)
gaps = st.sampled_from([0, 0, 0, 1, 30])


@st.composite
def healthy_chains(draw: st.DrawFn) -> list[ChainRow]:
    """A true history: rows of a chain, some in one second, some without a balance."""
    rows, second, balance = [], 0, draw(amounts)
    for number in range(draw(st.integers(1, 12))):
        second += draw(gaps)
        amount = draw(amounts)
        balance += amount
        states = draw(st.integers(0, 5)) > 0
        rows.append(row(second, f"{draw(st.integers(0, 99)):02}-{number:02}", amount, balance if states else None))
    return rows


@given(healthy_chains())
@settings(max_examples=600, deadline=None)
def test_a_true_history_has_no_break_and_ends_where_it_should(rows: list[ChainRow]) -> None:
    balance = Decimal(0)
    true_rows = []
    for one in rows:
        balance += one.amount
        true_rows.append(one._replace(balance_after=balance))
    checker = check(*true_rows, balance=Decimal(0))
    assert checker.breaks == []
    assert checker.balance == balance
    assert check(*true_rows).breaks == [], "its beginning need not be known"


@given(healthy_chains())
@settings(max_examples=600, deadline=None)
def test_a_true_history_with_unstated_rows_has_no_break_where_instants_are_not_mixed(rows: list[ChainRow]) -> None:
    apart = [one._replace(at_us=one.at_us + number * SECOND * 100) for number, one in enumerate(rows)]
    checker = check(*apart)
    assert checker.breaks == []
    total = sum((one.amount for one in rows), Decimal(0))
    if checker.opening is not None and checker.balance is not None:
        assert checker.balance - checker.opening == total


@given(st.lists(st.tuples(amounts, st.integers(-3, 3)), min_size=1, max_size=6), st.integers(-2, 2))
@settings(max_examples=600, deadline=None)
def test_an_instant_has_a_break_exactly_where_no_permutation_follows(facts: list[tuple[int, int]], start: int) -> None:
    rows = [row(1, f"{number}", amount, balance) for number, (amount, balance) in enumerate(facts)]
    expected = any(_follows(order, Decimal(start)) for order in permutations(rows))
    checker = check(*rows, balance=Decimal(start), rules=NO_WINDOW)
    assert (checker.breaks == []) == expected


def _follows(rows: tuple[ChainRow, ...], balance: Decimal) -> bool:
    for one in rows:
        balance += one.amount
        if balance != one.balance_after:
            return False
    return True


@given(st.integers(0, 10_000), st.sampled_from(["lost", "doubled", "changed"]))
@settings(max_examples=300, deadline=None)
def test_one_fault_is_found_at_its_row(seed: int, fault: str) -> None:
    chance = Random(seed)
    rows, balance, second = [], 0, 0
    for number in range(60):
        second += chance.choice([0, 0, 1, 20])
        amount = chance.randrange(-99_999, 99_999) or 1
        balance += amount
        rows.append(row(second, f"{chance.randrange(1000):04}-{number}", amount, balance))
    at = chance.randrange(5, 55)
    wrong = rows[at]
    before, after = rows[at - 1].balance_after, wrong.balance_after
    faulty = rows[:at] + rows[at + 1 :]
    if fault == "doubled":
        faulty = [*rows, wrong._replace(id=f"{wrong.id}~1")]
    elif fault == "changed":
        faulty = [*faulty, wrong._replace(amount=wrong.amount + 7)]
    (found,) = check(*faulty).breaks
    if fault == "lost":
        assert (found.expected, found.stated) == (before, after)
    elif fault == "doubled":
        assert found.cause is BreakCause.TWICE
        assert wrong.key in found.rows
    else:
        assert found.rows == (wrong.key,)


@st.composite
def faulty_chains(draw: st.DrawFn) -> list[ChainRow]:
    """Rows by time and id, some of them at one instant, lost, doubled, moved or without a balance."""
    balance, at_us, rows = Decimal(100), 0, []
    for number in range(draw(st.integers(1, 25))):
        at_us += draw(st.sampled_from((0, 0, 1_000_000, 4_000_000, 11_000_000, 60_000_000)))
        amount = Decimal(draw(st.sampled_from((-3, -1, 0, 1, 1, 2, 5))))
        balance += amount
        fault = draw(st.sampled_from(("none",) * 8 + ("lost", "doubled", "moved", "unstated")))
        row = ChainRow(at_us, f"{number:03}", amount, None if fault == "unstated" else balance)
        if fault == "moved":
            row = row._replace(at_us=at_us + draw(st.sampled_from((2_000_000, 30_000_000))))
        rows += [] if fault == "lost" else [row, row._replace(id=f"{number:03}~1")] if fault == "doubled" else [row]
    return sorted(rows, key=lambda row: row.key)


@given(faulty_chains(), st.sampled_from((None, Decimal(100), Decimal(7))), st.sets(st.integers(0, 30)), st.booleans())
def test_many_rows_at_once_are_checked_as_instant_by_instant(
    rows: list[ChainRow], known: Decimal | None, cuts: set[int], is_tolerant: bool
) -> None:
    rules = BalanceRules(tolerance=Decimal(1) if is_tolerant else Decimal(0))
    instants = [list(instant) for _, instant in groupby(rows, key=lambda row: row.at_us)]
    one, other = (ChainChecker(rules, known, keep_order=True) for _ in range(2))
    waiting: list[ChainRow] = []
    for number, instant in enumerate(instants):
        one.add(instant)
        waiting += instant
        if number in cuts or instant is instants[-1]:
            other.add_all(waiting)
            waiting = []
            assert other.is_pending == one.is_pending
    one.finish()
    other.finish()
    for checker in (one, other):
        assert checker.order is not None
    seen = ("breaks", "order", "balance", "opening", "last", "stated", "reordered")
    assert [getattr(other, name) for name in seen] == [getattr(one, name) for name in seen]
