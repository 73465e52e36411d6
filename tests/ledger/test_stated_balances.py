"""Stated balances: they open and check accounts, withdrawing keeps them in the ledger, and bad ones are refused."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from liushui.errors import ConfigError
from liushui.instant import to_us
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.read.balances import Balance, CheckCause, CheckStatus, check_statements, read_balances
from liushui.ledger.read.completeness import Cause, Completeness
from liushui.ledger.read.status import AlarmKind, Severity, read_statuses
from liushui.ledger.write.stated_balances import Statement, state_balance, withdraw_balance
from liushui.provider import Slice
from liushui.providers.wecom.rules import RULES as WECOM
from liushui.testing.clock import NOON
from tests.ledger.ledgers import (
    assert_intact,
    commit_read,
    hour,
    hours,
    import_page,
    make_row,
    state,
)
from tests.ledger.reading import model_of

PASS, FAIL, UNCHECKED = CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.UNCHECKED


def balance(ledger: Ledger, **question: object) -> Balance:
    """The only balance of a ledger."""
    (row,) = read_balances(model_of(ledger), **question).rows  # type: ignore[arg-type] # of the test's own choice
    return row


def shown(row: Balance) -> tuple[str, str, str | None, CheckStatus, str | None]:
    """A balance in short: its amount and measure, what is stated, the verdict, and the difference."""
    stated, difference = row.check.stated, row.check.difference
    return (
        str(row.amount),
        row.basis.measure,
        None if stated is None else str(stated),
        row.check.status,
        None if difference is None else str(difference),
    )


def test_a_sum_without_an_opening_balance_is_a_net_change_that_nothing_checks(ledger: Ledger) -> None:
    import_page(ledger, make_row("1", 5, "-25.00"))
    assert shown(balance(ledger)) == ("-25.00", "net_change", None, UNCHECKED, None)
    assert balance(ledger).opening is None


def test_a_stated_balance_opens_an_account_and_checks_nothing_by_itself(ledger: Ledger) -> None:
    import_page(ledger, make_row("2", 5, "-25.00"), make_row("1", 3, "10.00"))
    state(ledger, "110.00", 4)
    assert shown(balance(ledger)) == ("85.00", "balance", "110.00", UNCHECKED, "0.00")
    assert balance(ledger).opening == 100
    assert balance(ledger, at=hour(3)).amount == 100, "before the flows of that moment"
    assert shown(balance(ledger, at=hour(3)))[2:4] == (None, UNCHECKED), "nothing was stated by then"


def source_from(ledger: Ledger, at: datetime) -> None:
    """A source of `a` from a day on, of which the first day was read: 10.00 came in."""
    add_source(ledger, account="a", base_url="http://h", credentials={}, since=at, paced=True)
    commit_read(ledger, Slice(at, at + timedelta(hours=24)), make_row("1", at + timedelta(hours=1), "10.00"))


def test_flows_between_a_stated_balance_and_the_source_are_missing(ledger: Ledger) -> None:
    source_from(ledger, hour(48))
    assert balance(ledger).basis.measure == "net_change"
    state(ledger, "100.00", 24)
    row = balance(ledger)
    assert (str(row.amount), row.basis.measure, row.check.status) == ("110.00", "balance", UNCHECKED)
    (gap, *_) = row.verdict.gaps
    assert (gap.cause, gap.since_us, gap.until_us) == (Cause.BEFORE_SOURCE, to_us(hour(24)), to_us(hour(48)))
    assert row.verdict.status is Completeness.INCOMPLETE
    assert read_balances(model_of(ledger)).verdict.status is Completeness.INCOMPLETE
    earlier = {(gap.since_us, gap.until_us) for gap in balance(ledger, at=hour(12)).verdict.gaps}
    assert (to_us(hour(12)), to_us(hour(24))) in earlier, "nor is it known what came before"


def test_a_balance_that_is_stated_since_the_source_begins_opens_it(ledger: Ledger) -> None:
    source_from(ledger, hour(48))
    state(ledger, "100.00", 24)
    state(ledger, "70.00", 60)
    row = balance(ledger)
    assert (str(row.amount), str(row.opening)) == ("70.00", "60.00")
    assert all(gap.since_us >= to_us(hour(48)) for gap in row.verdict.gaps)
    assert row.check.status is UNCHECKED
    (first, check), _ = check_statements(model_of(ledger))
    assert check is not None
    assert (str(first.amount), str(check.difference), check.status, check.cause) == (
        ("100.00", "40.00", UNCHECKED, CheckCause.UNREAD)
    )
    assert "flows between it and the source's start date are not in the ledger" in check.reason


def test_a_second_stated_balance_checks_the_flows_between(ledger: Ledger) -> None:
    import_page(ledger, make_row("2", 5, "-25.00"), make_row("1", 3, "10.00"))
    state(ledger, "110.00", 4)
    right = state(ledger, "85.00", 6)
    assert shown(balance(ledger)) == ("85.00", "balance", "85.00", PASS, "0.00")
    withdraw_balance(ledger, right, "another account's")
    state(ledger, "84.50", 6)
    row = balance(ledger)
    assert shown(row) == ("85.00", "balance", "84.50", FAIL, "-0.50")
    assert row.check.reason == "statement a:5 states 84.50 at 2024-03-01T06:00:00Z, the flows come to 85.00"
    checks = [(stated.id, check.status) for stated, check in check_statements(model_of(ledger)) if check]
    assert checks == [("a:2", UNCHECKED), ("a:5", FAIL)]
    assert_intact(ledger)


def test_an_older_stated_balance_that_fails_is_not_hidden_by_a_newer_one_that_passes(ledger: Ledger) -> None:
    import_page(ledger, make_row("2", 5, "-25.00"), make_row("1", 3, "10.00"))
    state(ledger, "100.00", 1)
    wrong = state(ledger, "111.00", 4)
    state(ledger, "85.00", 6)
    row = balance(ledger)
    assert (shown(row), row.check.id) == (("85.00", "balance", "111.00", FAIL, "1.00"), wrong)
    assert shown(balance(ledger, at=hour(3)))[2:4] == ("100.00", UNCHECKED), "before it was stated"
    (status,) = read_statuses(model_of(ledger))
    (alarm,) = [alarm for alarm in status.alarms if alarm.kind is AlarmKind.BALANCE]
    assert (status.failed_checks, alarm.number, alarm.at, alarm.severity) == (1, 1, hour(4), Severity.BAD)
    assert alarm.reason == (
        f"1 balance differs from what is stated: USD: statement {wrong} states 111.00 at 2024-03-01T04:00:00Z, "
        "the flows come to 110.00"
    )
    withdraw_balance(ledger, wrong, "a typing error")
    assert shown(balance(ledger)) == ("85.00", "balance", "85.00", PASS, "0.00")
    (status,) = read_statuses(model_of(ledger))
    assert (status.failed_checks, [alarm.kind for alarm in status.alarms]) == (0, [])


def test_a_currency_is_one_that_the_account_has_had(ledger: Ledger) -> None:
    state(ledger, "1", 1, currency="EUR")
    commit_read(ledger, hours(0, 9), make_row("1", 5, "1.00", currency="HKD"))
    commit_read(ledger, hours(0, 9), make_row("2", 5, "1.00"))
    state(ledger, "0", 1, currency="usd")
    state(ledger, "0", 1, currency="HKD")
    state(ledger, "1", 2, currency="EUR")
    with pytest.raises(ConfigError, match="currency: account a has EUR, HKD, USD only, got 'USDD'"):
        state(ledger, "0", 1, currency="USDD")


def test_nothing_is_stated_as_zero(ledger: Ledger) -> None:
    assert state(ledger, "-0.00", 1) == state(ledger, "0", 1)
    assert str(balance(ledger).amount) == "0.00"


def test_rows_that_state_their_balances_open_the_account(ledger: Ledger) -> None:
    fee = make_row("a", 1, "-0.60", balance="109.40")
    receipt = make_row("b", 1, "10.00", balance="110.00")
    import_page(ledger, fee, receipt)
    assert shown(balance(ledger)) == ("109.40", "balance", "109.40", UNCHECKED, "0.00")
    import_page(ledger, make_row("c", 2, "5.00", balance="114.40"))
    assert shown(balance(ledger)) == ("114.40", "balance", "114.40", PASS, "0.00")
    import_page(ledger, make_row("d", 3, "1.00", balance="215.40"))
    assert shown(balance(ledger)) == ("115.40", "balance", "215.40", FAIL, "100.00")
    state(ledger, "115.40", 4)
    assert shown(balance(ledger))[3] is FAIL, "what a person states does not hide what the provider states"
    assert shown(balance(ledger, at=hour(3))) == ("114.40", "balance", "114.40", PASS, "0.00")


def test_rows_of_nothing_together_begin_where_the_next_rows_tell(ledger: Ledger) -> None:
    twice = make_row("a", 1, "-5.00", balance="10.00"), make_row("b", 1, "5.00", balance="15.00")
    import_page(ledger, *twice, make_row("c", 2, "1.00", balance="11.00"))
    assert balance(ledger).opening == 10
    assert shown(balance(ledger)) == ("11.00", "balance", "11.00", PASS, "0.00")


def test_rows_without_a_balance_lie_before_and_after_those_with_one(ledger: Ledger) -> None:
    rows = [make_row("a", 1, "3.00"), make_row("b", 2, "1.00", balance="14.00"), make_row("c", 3, "2.00")]
    import_page(ledger, *rows)
    assert shown(balance(ledger))[:2] == ("16.00", "balance")
    assert balance(ledger).opening == 10


def test_an_account_that_is_complete_from_its_beginning_opens_at_zero(ledger: Ledger) -> None:
    add_source(
        ledger, account="a", base_url="http://h", credentials={}, since=datetime(2018, 1, 1, tzinfo=UTC), paced=True
    )
    read = Slice(datetime(2018, 1, 1, tzinfo=UTC), hour(24))
    commit_read(ledger, read, make_row("1", 5, "10.00", balance="10.00"))
    assert shown(balance(ledger)) == ("10.00", "balance", "10.00", PASS, "0.00")
    commit_read(ledger, read, make_row("1", 5, "10.00", balance="830.00"))
    assert shown(balance(ledger)) == ("10.00", "balance", "830.00", FAIL, "820.00")


def test_a_balance_as_it_was_recorded(ledger: Ledger) -> None:
    clock = ledger.clock
    commit_read(ledger, hours(0, 24), make_row("1", 5, "10.00", balance="30.00"))
    before = clock()
    clock.move(timedelta(hours=1))  # type: ignore[attr-defined] # a MovableClock
    commit_read(
        ledger, hours(0, 24), make_row("1", 5, "10.00", balance="30.00"), make_row("2", 6, "1.00", balance="32.00")
    )
    state(ledger, "20.00", 4)
    assert shown(balance(ledger)) == ("31.00", "balance", "32.00", FAIL, "1.00")
    assert shown(balance(ledger, as_of=before)) == ("30.00", "balance", "30.00", UNCHECKED, "0.00")
    assert shown(balance(ledger, as_of=clock())) == shown(balance(ledger))
    assert shown(balance(ledger, at=hour(5.5), as_of=clock())) == shown(balance(ledger, at=hour(5.5)))


def test_a_balance_without_any_flow_is_what_is_stated(ledger: Ledger) -> None:
    state(ledger, "12.30", 4, currency="EUR")
    row = balance(ledger)
    assert (row.currency, row.flows) == ("EUR", 0)
    assert shown(row) == ("12.30", "balance", "12.30", UNCHECKED, "0.00")


def test_a_day_is_its_begin_in_the_zone_of_the_account(ledger: Ledger) -> None:
    state_balance(ledger, Statement("a", date(2024, 3, 2), "USD", Decimal(1)), None)
    ((stated, _),) = check_statements(model_of(ledger))
    assert stated.at == datetime(2024, 3, 1, 16, tzinfo=UTC)


def test_the_same_balance_is_stated_once(ledger: Ledger) -> None:
    statement = Statement("a", hour(1), "USD", Decimal("1.0"))
    first = state_balance(ledger, statement, None)
    assert state_balance(ledger, statement._replace(amount=Decimal("1.00")), None) == (first.id, False)
    with pytest.raises(ConfigError, match=r"amount: a:1 states 1.0 USD at .* already, got 2: withdraw a:1 first"):
        state_balance(ledger, statement._replace(amount=Decimal(2)), None)
    withdraw_balance(ledger, first.id, "wrong")
    assert state_balance(ledger, statement._replace(amount=Decimal(2)), None) == ("a:3", True)
    listed = [(s.id, s.reason, check is None) for s, check in check_statements(model_of(ledger), withdrawn=True)]
    assert listed == [("a:1", "wrong", True), ("a:3", None, False)]
    assert_intact(ledger)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (Statement("a", hour(1), "USD", Decimal(1)), "currency: account a has CNY only, got 'USD'"),
        (Statement("a", hour(1), "C N Y", Decimal(1)), "currency: expected a code such as USD, got 'C N Y'"),
        (Statement("a", NOON + timedelta(1), "CNY", Decimal(1)), "at: expected a time before now, .*, got .*"),
        (
            Statement("a", datetime(2020, 1, 1, tzinfo=UTC), "CNY", Decimal(1)),
            "at: the provider of a answers nothing before",
        ),
        (Statement("a", date(1, 1, 1), "CNY", Decimal(1)), "at: expected a time since 1970, got 0001-01-01"),
        (Statement("a", hour(1), "CNY", Decimal(1), "x"), "subaccount: account a has flows of '', got 'x'"),
        (
            Statement("a", hour(1), "CNY", Decimal(1), note="x" * 2_001),
            "note: expected at most 2000 characters, got 2001",
        ),
        (Statement("b", hour(1), "CNY", Decimal(1)), "account: expected one of a, got .b."),
    ],
)
def test_a_balance_that_the_account_cannot_have_is_refused(ledger: Ledger, statement: Statement, message: str) -> None:
    import_page(ledger, make_row("1", 5, currency="CNY"))
    with pytest.raises(ConfigError, match=message):
        state_balance(ledger, statement, WECOM)
    assert check_statements(model_of(ledger)) == []


def test_a_currency_is_the_accounts_own_whatever_the_case(ledger: Ledger) -> None:
    state_balance(ledger, Statement("a", hour(1), "cny", Decimal(1)), WECOM)
    assert balance(ledger).currency == "CNY"


@pytest.mark.parametrize("id_", ["", "a", "a:", "a:9", "a:x", "b:1", ":1", "a:²", "a:" + "9" * 30])
def test_an_unknown_balance_cannot_be_withdrawn(ledger: Ledger, id_: str) -> None:
    state(ledger, "1", 1)
    with pytest.raises(ConfigError, match=r"id: no balance .* was stated"):
        withdraw_balance(ledger, id_, "wrong")
    with pytest.raises(ConfigError, match="reason: expected why"):
        withdraw_balance(ledger, "a:1", " ")
    withdraw_balance(ledger, "a:1", "wrong")
    with pytest.raises(ConfigError, match="id: 'a:1' was withdrawn before: wrong"):
        withdraw_balance(ledger, "a:1", "again")


def test_a_copy_has_them(ledger: Ledger, tmp_path: Path) -> None:
    withdraw_balance(ledger, state(ledger, "1", 1), "wrong")
    state(ledger, "2", 1, note="a letter")
    target = tmp_path / "copy.db"
    assert not any(copied.differs for copied in copy_ledger(ledger, str(target)))
    copy = open_ledger(str(target))
    both = [check_statements(model_of(one), withdrawn=True) for one in (ledger, copy)]
    copy.close()
    assert both[0] == both[1]
