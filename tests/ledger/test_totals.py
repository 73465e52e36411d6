"""Day totals and balances are the exact sums of the flows after any commit, in any zone, and never rounded."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from liushui.flow import Flow, Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.read.summaries import Unit
from liushui.ledger.write.commit import commit_gap
from liushui.provider import DecodedRow, Slice
from tests.engines import LedgerStore
from tests.ledger.ledgers import READ_AT, assert_intact, column, commit_read, hours, import_page, make_row, new_ledger
from tests.ledger.reading import balances, summary

# ---------------------------------------------------------------- the long way


def flows_of(ledger: Ledger, account: str) -> list[Flow]:
    return [found.flow for found in list_flows(ledger, FlowFilter(accounts=(account,)))]


def sums_by_day(flows: list[Flow], zone: str) -> dict[tuple[object, ...], tuple[int, Fraction, Fraction]]:
    """The number of flows, money in and money out, by day, subaccount, currency and kind."""
    sums: dict[tuple[object, ...], tuple[int, Fraction, Fraction]] = {}
    for flow in flows:
        day = flow.at.astimezone(ZoneInfo(zone)).date().isoformat()
        key = (day, flow.subaccount, flow.currency, flow.kind.value)
        count, money_in, money_out = sums.get(key, (0, Fraction(), Fraction()))
        amount, none = Fraction(flow.amount), Fraction()
        sums[key] = (count + 1, money_in + max(amount, none), money_out + min(amount, none))
    return sums


def sums(flows: list[Flow], until: datetime | None = None) -> dict[tuple[str, str], tuple[int, Fraction]]:
    """The number of flows before `until`, and their sum, by subaccount and currency."""
    result: dict[tuple[str, str], tuple[int, Fraction]] = defaultdict(lambda: (0, Fraction()))
    for flow in flows:
        if until is None or flow.at < until:
            count, amount = result[flow.subaccount, flow.currency]
            result[flow.subaccount, flow.currency] = (count + 1, amount + Fraction(flow.amount))
    return dict(result)


def kept_totals(ledger: Ledger, account: str) -> dict[tuple[object, ...], tuple[object, ...]]:
    names = ("account", "day", "subaccount", "currency", "kind", "flows", "money_in", "money_out")
    return {
        row[1:5]: (row[5], Fraction(str(row[6])), Fraction(str(row[7])))
        for row in column(ledger, "day_totals", *names)
        if row[0] == account
    }


def kept_balances(
    ledger: Ledger, account: str, at: datetime | None = None
) -> dict[tuple[str, str], tuple[int, Fraction]]:
    return {
        (found.subaccount, found.currency): (found.flows, Fraction(found.amount))
        for found in balances(ledger, (account,), at)
    }


# ---------------------------------------------------------------- any commits

ZONES = {"a": "America/New_York", "b": "America/Havana"}
"""In one of them the clocks change at night, in the other at midnight."""

CHANGES = [datetime(2024, 3, 10, tzinfo=UTC), datetime(2024, 11, 3, tzinfo=UTC)]
"""Days on which the clocks change, in both."""

LONG = ["9" * 40, "-" + "9" * 40, "0." + "0" * 39 + "1", "-0." + "1" * 40, "1" * 50 + "." + "1" * 49]

instants = st.builds(
    lambda change, minutes, us: change + timedelta(minutes=minutes, microseconds=us),
    st.sampled_from(CHANGES),
    st.integers(-12, 108).map(lambda quarters: quarters * 15),
    st.sampled_from([0, 0, -1, 1]),
)
amounts = st.one_of(
    st.sampled_from(["0", "0.00", "-0.00", "1.230", "-1.230", *LONG]),
    st.decimals(-1000, 1000, places=3).map(str),
)


def row_of_facts(letter: str, at: datetime, amount: str, currency: str, kind: Kind) -> DecodedRow:
    """A row whose identity is made of its facts, as for a provider without record ids."""
    return make_row(f"{letter} {at} {amount} {currency} {kind}", at, amount, currency=currency, kind=kind)


currencies = st.sampled_from(["USD", "HKD"])
kinds = st.sampled_from([Kind.TRADE, Kind.FEE])
rows_of_facts = st.builds(row_of_facts, st.sampled_from("pq"), instants, amounts, currencies, kinds)
rows_of_records = st.builds(
    make_row,
    st.sampled_from("rstu"),
    instants,
    amounts,
    currency=currencies,
    kind=kinds,
    subaccount=st.sampled_from(["", "margin"]),
)
rows = rows_of_facts | rows_of_records
accounts = st.sampled_from(sorted(ZONES))
slices = st.tuples(instants, instants).filter(lambda ends: ends[0] != ends[1]).map(lambda ends: Slice(*sorted(ends)))


class Commits(RuleBasedStateMachine):
    """Commits of every kind, in any order, to two accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.ledger = new_ledger(Path(self.folder.name), zone=ZONES["a"])
        self.ledger.close()
        self.ledger = new_ledger(Path(self.folder.name), "b", zone=ZONES["b"])

    def teardown(self) -> None:
        assert_intact(self.ledger)
        self.ledger.close()
        self.folder.cleanup()

    @rule(account=accounts, asked=slices, received=st.lists(rows, max_size=8))
    def a_proof(self, account: str, asked: Slice, received: list[DecodedRow]) -> None:
        inside = [row for row in received if asked.since <= row.flow.at < asked.until]
        commit_read(self.ledger, asked, *inside, account=account)
        found = [flow for flow in flows_of(self.ledger, account) if asked.since <= flow.at < asked.until]
        assert sorted(found, key=repr) == sorted((row.flow for row in inside), key=repr)

    @rule(account=accounts, asked=slices)
    def a_gap(self, account: str, asked: Slice) -> None:
        commit_gap(self.ledger, account, asked, tried_at=READ_AT, reason="HTTP 500")

    @rule(account=accounts, page=st.lists(rows_of_facts, min_size=1, max_size=8))
    def a_page_of_an_import(self, account: str, page: list[DecodedRow]) -> None:
        before = len(flows_of(self.ledger, account))
        committed = import_page(self.ledger, *page, account=account)
        after = len(flows_of(self.ledger, account))
        assert after - before == (committed.added - committed.withdrawn if committed else 0)

    @invariant()
    def totals_are_the_sums_of_flows(self) -> None:
        for account, zone in ZONES.items():
            assert kept_totals(self.ledger, account) == sums_by_day(flows_of(self.ledger, account), zone)

    @rule(account=accounts, at=st.none() | instants)
    def balances_are_the_sums_of_flows(self, account: str, at: datetime | None) -> None:
        found = kept_balances(self.ledger, account, at)
        assert found == sums(flows_of(self.ledger, account), at)

    @rule(account=accounts, since=instants, until=instants)
    def summaries_are_the_sums_of_flows(self, account: str, since: datetime, until: datetime) -> None:
        first, last = sorted((since.date(), until.date()))
        found = summary(self.ledger, (account,), unit=Unit.YEAR, first=first, last=last)
        zone = ZoneInfo(ZONES[account])
        within = [flow for flow in flows_of(self.ledger, account) if first <= flow.at.astimezone(zone).date() <= last]
        expected = sums([flow._replace(subaccount=flow.kind.value) for flow in within])
        assert {(one.kind, one.currency): (one.total.flows, Fraction(one.total.net)) for one in found} == expected
        assert all(one.total.money_in >= 0 >= one.total.money_out and one.period.name == "2024" for one in found)


Commits.TestCase.settings = settings(max_examples=30, stateful_step_count=14, deadline=None)
TestCommits = Commits.TestCase


# ---------------------------------------------------------------- exactness


def test_amounts_of_forty_digits_are_added_exactly(ledger: Ledger) -> None:
    large, small = Decimal("1" + "0" * 39), Decimal("0." + "0" * 39 + "1")
    commit_read(
        ledger,
        hours(0, 24),
        *[make_row(f"{n}", n, str(amount)) for n, amount in enumerate([large, large, small, small])],
    )
    (balance,) = balances(ledger)
    assert str(balance.amount) == "2" + "0" * 39 + "." + "0" * 39 + "2"
    assert column(ledger, "day_totals", "money_in", "money_out") == [(str(balance.amount), "0")]
    assert_intact(ledger)


def test_the_longest_amounts_are_added_exactly(ledger: Ledger) -> None:
    amounts = ["9" * 100, "-0." + "0" * 96 + "1", "9" * 100]
    commit_read(ledger, hours(0, 24), *[make_row(f"{n}", n, amount) for n, amount in enumerate(amounts)])
    (balance,) = balances(ledger)
    assert Fraction(balance.amount) == sum(map(Fraction, amounts))
    assert_intact(ledger)


def test_trailing_zeros_are_kept(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1, "1.230"), make_row("two", 2, "1"))
    (balance,) = balances(ledger)
    assert str(balance.amount) == "2.230"


def test_a_total_of_zero_stays_while_it_has_flows(ledger: Ledger) -> None:
    commit_read(
        ledger, hours(0, 48), make_row("one", 1, "5.00"), make_row("two", 2, "-5.00"), make_row("zero", 30, "-0.00")
    )
    assert column(ledger, "day_totals", "flows", "money_in", "money_out") == [(2, "5.00", "-5.00"), (1, "0", "0.00")]
    commit_read(ledger, hours(0, 24))
    assert column(ledger, "day_totals", "flows") == [(1,)]


# ---------------------------------------------------------------- days


def local(zone: str, day: date, hour: int, minute: int = 0, *, fold: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", date(2024, 3, 10)),  # 23 hours
        ("America/New_York", date(2024, 11, 3)),  # 25 hours
        ("America/Havana", date(2024, 3, 10)),  # 00:00 is not there
        ("America/Havana", date(2024, 11, 3)),  # 00:30 is there twice
        ("Asia/Hong_Kong", date(2024, 3, 10)),
        ("Pacific/Apia", date(2011, 12, 31)),  # the day before is not there at all
    ],
)
def test_a_flow_counts_on_the_accounts_day(ledger_store: LedgerStore, zone: str, day: date) -> None:
    ledger = new_ledger(ledger_store, zone=zone)
    begin, end = local(zone, day, 0), local(zone, day + timedelta(days=1), 0)
    step = timedelta(microseconds=1)
    edges = {"last of before": begin - step, "first": begin, "last": end - step, "first of after": end}
    commit_read(
        ledger, Slice(begin - timedelta(days=2), end + timedelta(days=2)), *[make_row(n, at) for n, at in edges.items()]
    )
    assert kept_totals(ledger, "a")[day.isoformat(), "", "USD", "deposit"] == (2, 2, 0)
    for at in [begin, begin + (end - begin) / 2, end, end + step]:
        assert kept_balances(ledger, "a", at) == sums(flows_of(ledger, "a"), at)
    assert_intact(ledger)
    ledger.close()


def repeated_hours() -> Iterator[tuple[int, datetime]]:
    """The half hours from 23:00 to 02:00 in the night in which Havana has midnight twice."""
    begin = local("America/Havana", date(2024, 11, 2), 23)
    for number in range(10):
        yield number, begin + timedelta(minutes=30 * number)


def test_balances_in_the_repeated_hour_of_a_clock_change(ledger_store: LedgerStore) -> None:
    ledger = new_ledger(ledger_store, zone="America/Havana")
    commit_read(
        ledger,
        Slice(datetime(2024, 11, 1, tzinfo=UTC), datetime(2024, 11, 5, tzinfo=UTC)),
        *[make_row(f"{number}", at, f"{2**number}") for number, at in repeated_hours()],
    )
    for number, at in repeated_hours():
        found = balances(ledger, at=at)
        assert sum(balance.amount for balance in found) == 2**number - 1
    ledger.close()
