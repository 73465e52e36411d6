"""The proof of cash: figures and verdicts of months, against a naive computation that shares no code with it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.errors import AccountNotFound, InvalidField
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.proof_lines import AccountMonth, ProofLine
from liushui.ledger.read.proof_of_cash import reconcile, reconcile_months
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow, Slice
from liushui.providers.hkus.rules import RULES
from liushui.rules import BalanceRules
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, import_page, import_rejected, make_row, new_ledger, rejected_row, state
from tests.ledger.reading import model_of

BEGIN = datetime(2010, 1, 1, tzinfo=UTC)
"""Before it the provider has nothing."""
MAY = datetime(2024, 4, 30, 16, tzinfo=UTC)
"""Midnight of 1 May in Hong Kong. The ledgers' clocks stand at a later day."""


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """A ledger with an account `a`, whose provider states balances, and another one."""
    ledger = make_ledger(ledger_store)
    yield ledger
    ledger.close()


def make_ledger(store: LedgerStore) -> Ledger:
    """The same, to be closed by the caller."""
    ledger = new_ledger(store, "other")
    make_account(ledger, "a", "hkus", "Asia/Hong_Kong")
    return ledger


def at(month: int, day: int, hour: int = 4) -> datetime:
    """A moment of 2024 in UTC."""
    return datetime(2024, month, day, hour, tzinfo=UTC)


def begin_of(month: int) -> datetime:
    """Midnight of the first day of a month of 2024 in Hong Kong."""
    return datetime(2024, month, 1, tzinfo=UTC) - timedelta(hours=8)


def row(when: datetime, amount: str, balance: str | None = None, *, currency: str = "USD") -> DecodedRow:
    """A row, named by its time."""
    return make_row(f"{when:%m%dT%H}{currency}{amount}", when, amount, balance=balance, currency=currency)


def add_complete_source(ledger: Ledger, since: datetime = BEGIN) -> None:
    """A source of account `a`."""
    add_source(ledger, account="a", base_url="http://h", credentials={}, since=since, paced=True)


def read_all(ledger: Ledger, *rows: DecodedRow, until: datetime = MAY) -> None:
    """The account's rows from its beginning on, read whole."""
    commit_read(ledger, Slice(BEGIN, until), *rows)


def month(ledger: Ledger, period: str, model: ReadModel | None = None) -> AccountMonth:
    """The proof of cash of account `a`."""
    (found,) = reconcile(model or model_of(ledger), ("a",), period)
    return found


def line(ledger: Ledger, period: str, model: ReadModel | None = None) -> ProofLine:
    """The only line of a month."""
    (found,) = month(ledger, period, model).lines
    return found


def figures(*texts: str | None) -> tuple[Decimal | None, ...]:
    """Figures from texts. They are compared as numbers: zero has many forms."""
    return tuple(None if text is None else Decimal(text) for text in texts)


def shown(found: ProofLine) -> tuple[object, ...]:
    """A line in short: the figures of the flows, the differences, the verdict and its cause."""
    cause = None if found.cause is None else found.cause.value
    return (tuple(found.ledger), tuple(found.difference), found.status.value, cause)


AGREE = figures("0", "0", "0", "0")


def test_a_month_passes_where_all_figures_agree_with_the_rows_balances(ledger: Ledger) -> None:
    add_complete_source(ledger)
    rows = [row(at(3, 2), "10.00", "10.00"), row(at(3, 9), "-4.00", "6.00"), row(at(4, 3), "1.50", "7.50")]
    read_all(ledger, *rows)
    assert shown(line(ledger, "2024-03")) == (figures("0.00", "10.00", "-4.00", "6.00"), AGREE, "pass", None)
    assert shown(line(ledger, "2024-04"))[0] == figures("6.00", "1.50", "0", "7.50")
    assert month(ledger, "2024-04").status == "pass"
    assert line(ledger, "2024-04").reason == ""


def test_a_hidden_row_fails_its_month_and_is_carried_into_later_ones(ledger: Ledger) -> None:
    add_complete_source(ledger)
    rows = [row(at(2, 2), "10.00", "10.00"), row(at(3, 9), "-4.00", "1.00"), row(at(4, 3), "1.50", "2.50")]
    read_all(ledger, *rows)
    march, april = line(ledger, "2024-03"), line(ledger, "2024-04")
    assert shown(march)[1:] == (figures("0", "0", "-5.00", "-5.00"), "fail", "differs")
    assert march.reason == "stated and computed figures differ: payments by -5.00, closing by -5.00"
    assert [one.after[1] for one in march.breaks] == ["0309T04USD-4.00"], "the row before which it is missing"
    assert shown(april)[1:] == (figures("-5", "0", "0", "-5"), "fail", "carried")
    assert april.reason == "the balances differ by -5.00 since before the period"
    assert month(ledger, "2024-02").status == "pass"


def test_a_row_that_is_there_twice_takes_its_receipt_away(ledger: Ledger) -> None:
    add_complete_source(ledger)
    twice = [make_row(id_, at(3, 9), "4.00", balance="14.00") for id_ in ("x", "y")]
    read_all(ledger, row(at(2, 2), "10.00", "10.00"), *twice, row(at(3, 12), "1.00", "15.00"))
    found = line(ledger, "2024-03")
    assert shown(found)[1:] == (figures("0", "-4", "0", "-4"), "fail", "differs")


def test_a_balance_that_is_off_once_fails_though_the_figures_agree(ledger: Ledger) -> None:
    add_complete_source(ledger)
    rows = [row(at(3, 2), "10.00", "10.00"), row(at(3, 3), "1.00", "12.00"), row(at(3, 4), "1.00", "12.00")]
    read_all(ledger, *rows)
    found = line(ledger, "2024-03")
    assert shown(found)[1:] == (AGREE, "fail", "break")
    assert found.reason == "stated balances do not follow from those before them"


def test_what_may_be_missing_is_not_a_pass(ledger: Ledger) -> None:
    add_complete_source(ledger)
    rows = [row(at(3, 2), "10.00", "10.00"), row(at(4, 3), "1.50", "11.50")]
    read_all(ledger, *rows, until=at(4, 10))
    assert shown(line(ledger, "2024-04"))[2:] == ("could_not_check", "incomplete")
    assert line(ledger, "2024-04").reason == "not read yet"
    assert month(ledger, "2024-04").status == "could_not_check"
    assert month(ledger, "2024-03").status == "pass"
    read_all(ledger, *rows)
    assert month(ledger, "2024-04").status == "pass"
    import_rejected(ledger, rejected_row("?"))
    assert line(ledger, "2024-04").reason == "1 rejected row"
    assert month(ledger, "2024-04").status == "could_not_check"


def test_a_difference_is_shown_also_where_rows_may_be_missing(ledger: Ledger) -> None:
    add_complete_source(ledger)
    read_all(ledger, row(at(3, 2), "10.00", "10.00"), row(at(4, 3), "1.50", "19.00"), until=at(4, 10))
    found = line(ledger, "2024-04")
    assert shown(found)[2:] == ("fail", "differs")
    assert found.reason.endswith("; the period is not complete: not read yet")


def test_a_month_that_is_not_over_is_not_a_pass(ledger: Ledger) -> None:
    add_complete_source(ledger)
    now = ledger.clock()
    commit_read(ledger, Slice(BEGIN, now), row(now - timedelta(hours=1), "3.00", "3.00"), read_at=now)
    found = month(ledger, f"{now:%Y-%m}")
    assert (found.status, found.cause) == ("could_not_check", "not_over")
    assert found.reason == "the period is not over"


def test_an_account_without_a_row_passes_only_where_none_can_be_missing(ledger: Ledger) -> None:
    assert (month(ledger, "2024-03").status, month(ledger, "2024-03").cause) == ("could_not_check", "incomplete")
    assert month(ledger, "2024-03").reason == "no source to check it against"
    add_complete_source(ledger)
    assert month(ledger, "2024-03").reason == "not read yet"
    read_all(ledger)
    assert (month(ledger, "2024-03").status, month(ledger, "2024-03").lines) == ("pass", ())


def test_imported_rows_pass_between_two_balances_that_a_person_stated(ledger: Ledger) -> None:
    import_page(ledger, row(at(3, 9), "-4.00"), row(at(3, 2), "10.00"))
    assert shown(line(ledger, "2024-03"))[2:] == ("could_not_check", "no_opening_balance")
    opening = state(ledger, "100.00", begin_of(3))
    assert shown(line(ledger, "2024-03"))[2:] == ("could_not_check", "closing_not_stated")
    state(ledger, "106.00", begin_of(4))
    found = line(ledger, "2024-03")
    assert shown(found)[:2] == (figures("100", "10", "-4", "106"), figures("0", None, None, "0"))
    assert shown(found)[2:] == ("pass", None)
    assert (found.opening_by, found.closing_by) == ("person", "person")
    assert shown(line(ledger, "2024-04"))[2:] == ("could_not_check", "closing_not_stated")
    assert month(ledger, "2024-02").status == "could_not_check"
    assert opening == "a:2"


def test_a_balance_counts_at_an_end_that_nothing_moved_since(ledger: Ledger) -> None:
    rows = [row(at(3, 2), "10.00"), row(at(3, 9), "-4.00")]
    import_page(ledger, *reversed(rows))
    state(ledger, "100.00", at(2, 27))
    state(ledger, "106.00", at(3, 30))
    assert shown(line(ledger, "2024-03"))[2:] == ("could_not_check", "opening_not_stated"), "nobody says that"
    add_complete_source(ledger, since=at(2, 1))
    commit_read(ledger, Slice(at(2, 1), MAY), *rows)
    assert month(ledger, "2024-03").status == "pass"
    commit_read(ledger, Slice(at(2, 1), MAY), *rows, row(at(3, 31), "3.00"), row(at(3, 31, 5), "-3.00"))
    assert shown(line(ledger, "2024-03"))[2:] == ("could_not_check", "closing_not_stated"), "something has moved since"


def test_one_statement_is_not_compared_with_itself(ledger: Ledger) -> None:
    add_complete_source(ledger, since=at(1, 1))
    commit_read(ledger, Slice(at(1, 1), MAY))
    state(ledger, "100.00", at(2, 15))
    assert shown(line(ledger, "2024-02"))[2:] == ("could_not_check", "only_one")
    state(ledger, "100.00", at(3, 15))
    assert month(ledger, "2024-03").status == "pass"


def test_a_balance_that_a_person_stated_and_that_differs_fails_and_is_named(ledger: Ledger) -> None:
    import_page(ledger, row(at(3, 9), "-4.00"), row(at(3, 2), "10.00"))
    state(ledger, "100.00", begin_of(3))
    inside = state(ledger, "111.00", at(3, 5))
    found = line(ledger, "2024-03")
    assert (found.status, found.cause, found.statements) == ("fail", "differs", (inside,))
    assert found.reason == f"stated and computed figures differ: statement {inside}"


def test_imported_rows_with_balances_pass_where_rows_before_and_after_follow(ledger: Ledger) -> None:
    import_page(ledger, row(at(4, 3), "1.50", "7.50"), row(at(3, 9), "-4.00", "6.00"), row(at(2, 2), "10.00", "10.00"))
    assert month(ledger, "2024-03").status == "pass"
    assert shown(line(ledger, "2024-04"))[2:] == ("could_not_check", "closing_not_stated"), "rows may follow"
    assert shown(line(ledger, "2024-02"))[2:] == ("could_not_check", "opening_not_stated"), "rows may come before"


def test_a_balance_before_a_gap_is_not_that_of_the_month_after_it(ledger: Ledger) -> None:
    add_complete_source(ledger)
    commit_read(ledger, Slice(BEGIN, at(2, 10)), row(at(2, 2), "10.00", "10.00"))
    commit_read(ledger, Slice(begin_of(3), MAY))
    for period in ("2024-03", "2024-04"):
        assert shown(line(ledger, period))[2:] == ("could_not_check", "opening_not_stated"), "rows of 10 Feb may miss"
    commit_read(ledger, Slice(begin_of(3), MAY), row(at(4, 3), "1.00", "61.00"))
    assert shown(line(ledger, "2024-03"))[2:] == ("could_not_check", "opening_not_stated"), "it does not follow"
    assert shown(line(ledger, "2024-04"))[2:] == ("fail", "differs")
    commit_read(ledger, Slice(begin_of(3), MAY), row(at(4, 3), "1.00", "11.00"))
    assert month(ledger, "2024-03").status == "pass", "the next row says that none is missing"
    read_all(ledger, row(at(2, 2), "10.00", "10.00"))
    assert month(ledger, "2024-03").status == "pass"


def test_rows_without_a_balance_at_an_end_are_not_evidence(ledger: Ledger) -> None:
    add_complete_source(ledger)
    read_all(ledger, row(at(3, 2), "10.00", "10.00"), row(at(4, 3), "1.50"))
    assert shown(line(ledger, "2024-04"))[2:] == ("could_not_check", "closing_not_stated")
    read_all(ledger, row(at(3, 2), "10.00", "10.00"), row(at(4, 3), "1.50"), row(at(4, 4), "2.00", "13.50"))
    assert month(ledger, "2024-04").status == "pass", "the next row carries the amount"


def test_a_difference_is_shown_also_where_rows_at_the_ends_state_no_balance(ledger: Ledger) -> None:
    add_complete_source(ledger)
    rows = [row(at(2, 2), "10.00"), row(at(3, 9), "-1.00", "109.00"), row(at(3, 20), "1.00"), row(at(4, 3), "2.00")]
    read_all(ledger, *rows)
    _, _, *february = shown(line(ledger, "2024-02"))
    assert february == ["could_not_check", "closing_not_stated"], "nothing was stated yet"
    opened = figures("0.00", "10.00", "0", "10.00")
    assert shown(line(ledger, "2024-02"))[0] == opened
    differing = shown(line(ledger, "2024-03"))
    assert differing[1:] == (figures(None, None, None, "100.00"), "fail", "differs")
    assert line(ledger, "2024-03").reason == "stated and computed figures differ: closing by 100.00"
    assert shown(line(ledger, "2024-04"))[1:] == (figures("100.00", "0", "0", "100.00"), "fail", "carried")


def test_one_row_is_not_compared_with_itself(ledger: Ledger) -> None:
    add_complete_source(ledger, since=at(2, 1))
    commit_read(ledger, Slice(at(2, 1), MAY), row(at(3, 9), "5.00", "105.00"))
    assert shown(line(ledger, "2024-03"))[2:] == ("could_not_check", "only_one")
    commit_read(ledger, Slice(at(2, 1), MAY), row(at(3, 9), "5.00", "105.00"), row(at(3, 10), "1.00", "106.00"))
    assert month(ledger, "2024-03").status == "pass"


def test_indicative_balances_prove_nothing(ledger: Ledger) -> None:
    add_complete_source(ledger)
    read_all(ledger, row(at(3, 2), "10.00", "10.00"), row(at(3, 3), "1.00", "99.00"))
    model = ReadModel(ledger, {"hkus": replace(RULES, balances=BalanceRules(advisory=True))})
    assert shown(line(ledger, "2024-03", model))[2:] == ("could_not_check", "advisory")
    state(ledger, "11.00", begin_of(4))
    assert month(ledger, "2024-03", ReadModel(ledger, model.rules)).status == "pass", "from nothing to what was stated"


def test_currencies_have_a_line_each_and_those_that_begin_later_none(ledger: Ledger) -> None:
    add_complete_source(ledger)
    read_all(ledger, row(at(3, 2), "10.00", "10.00"), row(at(4, 2), "7.00", "8.00", currency="HKD"))
    assert [one.currency for one in month(ledger, "2024-03").lines] == ["USD"]
    april = month(ledger, "2024-04")
    assert [(one.currency, one.status.value) for one in april.lines] == [("HKD", "fail"), ("USD", "pass")]
    assert (april.status, april.cause) == ("fail", "carried"), "the account does not begin at zero"


def test_the_usual_period_is_the_last_month_that_is_over(ledger: Ledger) -> None:
    (found,) = reconcile(model_of(ledger), ("a",))
    last = ledger.clock().astimezone(UTC).date().replace(day=1) - timedelta(days=1)
    assert found.month.name == f"{last:%Y-%m}"


def test_the_months_of_an_account_are_those_of_one_question_each(ledger: Ledger) -> None:
    add_complete_source(ledger)
    read_all(ledger, row(at(2, 2), "10.00", "10.00"), row(at(3, 9), "-4.00", "1.00"), row(at(4, 3), "1.50", "2.50"))
    model = model_of(ledger)
    (months,) = reconcile_months(model, ("a",), "2024-01").values()
    assert [one.month.name for one in months][:5] == [f"2024-0{number}" for number in range(1, 6)]
    assert [one.status.value for one in months][:5] == ["pass", "pass", "fail", "fail", "fail"]
    assert months == [month(ledger, one.month.name) for one in months]
    (since_begin,) = reconcile_months(model, ("a",)).values()
    assert since_begin[0].month.first == date(2010, 1, 1), "the source's beginning"


@pytest.mark.parametrize(
    "period",
    [
        "2024-13",
        "2024-3",
        "0000-01",
        "2024-03-01",
        "last",
        "２０２４-03",
        "",
        "2024-02-30..2024-03-01",
        "2024-03-02..2024-03-01",
        "2024-03..2024-04",
        "0000",
    ],
)
def test_what_is_not_a_month_is_refused(ledger: Ledger, period: str) -> None:
    with pytest.raises(InvalidField, match=r"period: expected (a month such as 2026-10|two days)"):
        reconcile(model_of(ledger), ("a",), period)


def lines_of(proof: AccountMonth) -> list[ProofLine]:
    return [line._replace(verdict=proof.verdict) for line in proof.lines]


def test_days_are_reconciled_like_a_month(ledger: Ledger) -> None:
    add_complete_source(ledger)
    read_all(
        ledger,
        row(at(2, 10), "100.00", "100.00"),
        row(at(3, 5), "5.00", "105.00"),
        row(at(3, 12), "-2.00", "103.00"),
        row(at(3, 20), "1.00", "114.00"),
        row(at(4, 2), "1.00", "115.00"),
    )
    assert lines_of(month(ledger, "2024-03-01..2024-03-31")) == lines_of(month(ledger, "2024-03"))
    (days,) = month(ledger, "2024-03-06..2024-03-12").lines
    assert days.ledger == tuple(map(Decimal, (105, 0, -2, 103)))
    assert (days.status, days.flows) == ("pass", 1)
    (broken,) = month(ledger, "2024-03-13..2024-03-20").lines
    assert (broken.status, broken.difference.money_in) == ("fail", Decimal(10))
    (carried,) = month(ledger, "2024-03-21..2024-04-10").lines
    assert (carried.status, carried.cause) == ("fail", "carried")
    (year,) = month(ledger, "2024").lines
    assert (year.ledger.money_in, year.status) == (Decimal(107), "fail")


def test_other_bad_questions_are_refused(ledger: Ledger) -> None:
    model = model_of(ledger)
    with pytest.raises(AccountNotFound):
        reconcile(model, ("nobody",), "2024-03")
    with pytest.raises(InvalidField, match="last: expected a month that is not before 2024-03"):
        reconcile_months(model, ("a",), "2024-03", "2024-02")
    with pytest.raises(InvalidField, match="first: expected at most 1200 months"):
        reconcile_months(model, ("a",), "0001-01", "9999-12")
    assert len(reconcile_months(model, ("a",), "9999-12", "9999-12")["a"]) == 1
    assert len(reconcile_months(model, ("a",), "0001-01", "0001-02")["a"]) == 2


# ---------------------------------------------------------------- against a naive computation


class BankRow(NamedTuple):
    """A row of the bank: in the ledger unless it is hidden, with its balance if it is stated."""

    when: datetime
    amount: Decimal
    balance: Decimal
    is_hidden: bool
    is_stated: bool


@st.composite
def bank(draw: st.DrawFn) -> list[BankRow]:
    """Some rows in February to April 2024. No sum of some of their amounts is another one."""
    hours = draw(st.lists(st.integers(0, 24 * 89), max_size=9, unique=True))
    balance = Decimal(0)
    rows = []
    for number, hour in enumerate(sorted(hours)):
        amount = Decimal(3) ** number * draw(st.sampled_from([1, -1])) / 100
        balance += amount
        is_hidden, is_stated = draw(st.integers(0, 4)) == 0, draw(st.integers(0, 5)) > 0
        rows.append(BankRow(at(2, 1) + timedelta(hours=hour), amount, balance, is_hidden, is_stated))
    return rows


class Expected(NamedTuple):
    """What a naive reader finds of a month: the differences of its four figures, and whether it passes."""

    differences: tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None]
    status: str


def expect(rows: Sequence[BankRow], since: datetime, until: datetime, *, is_complete: bool) -> Expected | None:
    """The proof of cash of an account that begins at zero with its first row."""
    seen = [one for one in rows if not one.is_hidden]
    before, inside = [one for one in seen if one.when < since], [one for one in seen if since <= one.when < until]
    if not before and not inside:
        return None

    def stated_at(moment: datetime, computed: Decimal) -> Decimal | None:
        earlier = [one for one in seen if one.when < moment]
        if earlier:
            stated = [number for number, one in enumerate(earlier) if one.is_stated]
            if not stated:
                return None
            newest, *later = earlier[stated[-1] :]
            balance = newest.balance + sum((one.amount for one in later), Decimal(0))
            # An older balance proves nothing about the rows after it, but its difference is shown.
            return balance if not later or balance != computed else None
        later = [one for one in seen if since <= one.when < until][:1]
        return later[0].balance - later[0].amount if later and later[0].is_stated else None

    opening = sum((one.amount for one in before), Decimal(0))
    closing = opening + sum((one.amount for one in inside), Decimal(0))
    first, last = stated_at(since, opening), stated_at(until, closing)
    jumps = []
    expected: Decimal | None = None
    for one in seen:
        if one.is_stated:
            if expected is not None and one.balance - one.amount != expected:
                jumps.append((one.when, one.balance - one.amount - expected))
            expected = one.balance
        elif expected is not None:
            expected += one.amount
    inner = [jump for when, jump in jumps if since <= when < until]
    hidden_in = sum((jump for jump in inner if jump > 0), Decimal(0))
    hidden_out = sum((jump for jump in inner if jump < 0), Decimal(0))
    movements = (None, None) if first is None or last is None else (hidden_in, hidden_out)
    differences = (None if first is None else first - opening, *movements, None if last is None else last - closing)
    if any(differences) or inner:
        return Expected(differences, "fail")
    is_proven = is_complete and last is not None
    return Expected(differences, "pass" if is_proven else "could_not_check")


@pytest.fixture(scope="module")
def worlds(module_store: LedgerStore) -> Ledger:
    """A ledger whose only account is read again for each world."""
    ledger = make_ledger(module_store)
    add_complete_source(ledger)
    return ledger


@settings(max_examples=60, deadline=None)
@given(rows=bank(), is_complete=st.booleans())
def test_months_are_as_a_naive_reader_finds_them(worlds: Ledger, rows: list[BankRow], is_complete: bool) -> None:
    seen = [
        row(one.when, str(one.amount), str(one.balance) if one.is_stated else None) for one in rows if not one.is_hidden
    ]
    now = worlds.clock() + timedelta(seconds=1)
    worlds.clock.move(timedelta(seconds=1))  # type: ignore[attr-defined] # a MovableClock
    rejected = [] if is_complete else [rejected_row("?")]
    commit_read(worlds, Slice(BEGIN, now), *seen, rejected=rejected, read_at=now)
    for number in (2, 3, 4):
        expected = expect(rows, begin_of(number), begin_of(number + 1), is_complete=is_complete)
        found = month(worlds, f"2024-0{number}").lines
        assert (expected is None) == (not found), (number, rows)
        if expected is not None:
            assert tuple(found[0].difference) == expected.differences, (number, rows)
            assert found[0].status.value == expected.status, (number, rows, found[0].reason)
