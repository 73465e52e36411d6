"""End-of-day balances and their completeness equal those of `read_balances` for each day."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pytest

from liushui.errors import ConfigError
from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.balances import read_balances
from liushui.ledger.read.daily_balances import DAYS_MAX, DAYS_SHOWN, day_stretches, read_daily_balances
from liushui.ledger.read.filters import FilterError
from liushui.ledger.write.commit import make_account
from liushui.ledger.write.stated_balances import Statement, state_balance
from liushui.provider import Slice
from liushui.providers import load_providers
from liushui.testing.clock import NOON
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, new_ledger
from tests.ledger.reading import model_of
from tests.web.ledgers import BEGIN, CREDENTIALS, row

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def mixed(module_store: LedgerStore) -> Iterator[Ledger]:
    """An account with a gap of five days, one whose rows state balances, and one without a source. Only read."""
    ledger = new_ledger(module_store, "a", "c")
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    random = Random(1)
    for account in ("a", "c"):
        rows = [
            row(
                f"r{number}",
                timedelta(minutes=random.randrange(30 * 24 * 60)),
                f"{random.randrange(-999, 999)}.{number}",
                currency=random.choice(("USD", "HKD")),
            )
            for number in range(60)
        ]
        early = [one for one in rows if one.flow.at < BEGIN + 10 * DAY]
        late = [one for one in rows if one.flow.at >= BEGIN + 15 * DAY]
        commit_read(ledger, Slice(BEGIN, BEGIN + 10 * DAY), *early, account=account, read_at=NOON)
        commit_read(ledger, Slice(BEGIN + 15 * DAY, NOON), *late, account=account, read_at=NOON)
    stated = [
        row(f"s{day}", day * DAY, "10.00", currency="CNY", kind=Kind.RECEIPT, balance=f"{510 + 10 * day}.00")
        for day in range(20)
    ]
    commit_read(ledger, Slice(BEGIN, NOON), *stated, account="shop", read_at=NOON)
    for account in ("a", "shop"):
        add_source(ledger, account=account, base_url="http://x", credentials=CREDENTIALS, since=BEGIN, paced=True)
    rules = load_providers()["longbridge"].rules
    state_balance(ledger, Statement("c", date(2025, 11, 12), "USD", Decimal("77.00"), "", ""), rules)
    yield ledger
    ledger.close()


def test_each_day_is_the_balance_before_the_next_one(mixed: Ledger) -> None:
    model = model_of(mixed)
    series = read_daily_balances(model, first=date(2025, 10, 30), last=date(2025, 12, 10))
    assert {(one.account, one.currency) for one in series} == {
        ("a", "HKD"), ("a", "USD"), ("c", "HKD"), ("c", "USD"), ("shop", "CNY"),
    }  # fmt: skip
    for number, day in enumerate(one.day for one in series[0].days):
        rows = {(one.account, one.currency): one for one in read_balances(model, at=day + DAY).rows}
        for one in series:
            shown = one.days[number]
            balance = rows.get((one.account, one.currency))
            if balance is None:
                assert not shown.amount, "there is nothing before the first flow"
                continue
            assert (shown.day, shown.amount, shown.verdict) == (day, balance.amount, balance.verdict), one.account
            assert one.basis == balance.basis


def test_days_of_a_gap_are_told_from_those_after_it(mixed: Ledger) -> None:
    (series,) = read_daily_balances(model_of(mixed), ("a",), currency="usd", last=date(2025, 12, 10))
    runs = [(run.first.day, run.last.day, run.is_complete, run.has_gap) for run in day_stretches(series.days)]
    assert runs == [(1, 10, True, False), (11, 15, False, True), (16, 10, False, False)]
    assert [run.gap.reason for run in day_stretches(series.days) if run.gap] == ["not read yet", "not read yet"]


def test_without_days_the_last_year_up_to_the_newest_day_that_is_over_is_given(mixed: Ledger) -> None:
    (series,) = read_daily_balances(model_of(mixed), ("shop",))
    assert (series.days[0].day, series.days[-1].day) == (date(2025, 11, 1), date(2026, 1, 1))
    assert len(series.days) <= DAYS_SHOWN


def test_a_range_that_is_reversed_or_too_long_is_refused(mixed: Ledger) -> None:
    model = model_of(mixed)
    with pytest.raises(FilterError, match="last_day: expected no earlier than first_day"):
        read_daily_balances(model, first=date(2025, 1, 2), last=date(2025, 1, 1))
    with pytest.raises(ConfigError, match=f"at most {DAYS_MAX:,} days, got 9,"):
        read_daily_balances(model, first=date(2001, 1, 1), last=date(2026, 1, 1))
    assert read_daily_balances(model, ("a",), first=date(2030, 1, 1)) == []
